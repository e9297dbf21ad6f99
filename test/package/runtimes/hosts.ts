// Hosts: programs that run a script in Node with other globals than Node's own. Jest and vitest's
// vmThreads and vmForks give each file a realm of its own; hardened programs freeze what the
// language brings.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { fresh, ROOT } from "./fresh.ts";
import { finished } from "./processes.ts";
import { type Case, type Outcome, reportIn } from "./rows.ts";
import { entryOf, script, versionOf } from "./tools.ts";

const MS_MAX = 120_000;
const SUITE_MS_MAX = 900_000;
const VITEST = join(ROOT, "node_modules", "vitest", "vitest.mjs");
/**
 * All but those that load autocannon: vitest's realms cannot load CommonJS with an interpreter line.
 */
const ADAPTERS = ["agent", "dgram", "net", "undici", "ws"];
const SUITE_MIN = 100;

/** Plays both scenarios, and reports how many things they looked at. */
const PLAY = `
  const startedAt = performance.now();
  const main = await import("portwarden");
  const node = await import("portwarden/node");
  const { play } = await import("./scenario.js");
  const { playNode } = await import("./node-scenario.js");
  const coldMs = performance.now() - startedAt;
  const bytes = readFileSync("node_modules/portwarden/build/core.wasm");
  const module = new WebAssembly.Module(new Uint8Array(bytes));
  const checks = play(main, { module }) + play(main) + (await playNode(main, node, module));
  process.stdout.write("\\nREPORT " + JSON.stringify({ checks, coldMs, pickNs: 0 }) + "\\n");
`;
const HEAD = `import { readFileSync } from "node:fs";\n`;
/** A host that shares Node's own realm after all would prove nothing. */
const IS_OTHER_REALM = `
  const { EventEmitter } = await import("node:events");
  const outer = Object.getPrototypeOf(EventEmitter.prototype);
  if (outer === Object.prototype) throw new Error("the host has no realm of its own");
`;

const inTest = (head: string): string =>
  `${head}${HEAD}test("the package works here", async () => {${IS_OTHER_REALM}${PLAY}}, 100_000);\n`;

const FILES = {
  "frozen.mjs": `${HEAD}
    if (!Object.isFrozen(Array.prototype)) throw new Error("nothing is frozen");${PLAY}`,
  "jest.test.mjs": inTest(""),
  "jest.config.json": '{ "testMatch": ["**/jest.test.mjs"], "transform": {} }\n',
  "realm.test.mjs": inTest('import { test } from "vitest";\n'),
};

export const HOSTS: readonly Case[] = [
  { runtime: "Node", how: "--frozen-intrinsics", run: () => node(["--frozen-intrinsics"]) },
  { runtime: "Node", how: `SES ${versionOf("ses")}, lockdown()`, run: lockedDown },
  { runtime: "Jest", how: "environment node", run: () => jest("node") },
  { runtime: "Jest", how: "environment jsdom", run: () => jest("jsdom") },
  { runtime: "vitest", how: "vmThreads", run: vmThreads },
  { runtime: "vitest", how: "vmForks, the node tests", run: suiteInVmForks },
];

async function node(flags: readonly string[], files: Record<string, string> = {}) {
  const cwd = await fresh({ ...FILES, ...files });
  const printed = await finished(process.execPath, [...flags, "frozen.mjs"], { cwd, ms: MS_MAX });
  return outcome(printed, process.version.slice(1));
}

async function lockedDown(): Promise<Outcome> {
  const url = pathToFileURL(await entryOf("ses")).href;
  const files = { "lockdown.mjs": `import "${url}";\nlockdown();\n` };
  return node(["--import", "./lockdown.mjs"], files);
}

async function jest(environment: "node" | "jsdom"): Promise<Outcome> {
  const program = await script("jest", "jest-environment-jsdom");
  const path = await entryOf(`jest-environment-jsdom`, "jest");
  const cwd = await fresh(FILES);
  const env = environment === "node" ? "node" : path;
  const args = ["--experimental-vm-modules", program, "--runInBand", `--env=${env}`];
  const printed = await finished(process.execPath, args, { cwd, ms: MS_MAX });
  return outcome(printed, versionOf("jest"));
}

async function vmThreads(): Promise<Outcome> {
  const cwd = await fresh(FILES);
  const args = ["run", "--pool=vmThreads", "--root", cwd, "realm.test.mjs"];
  const printed = await finished(process.execPath, [VITEST, ...args], { cwd, ms: MS_MAX });
  return outcome(printed, versionOf("vitest"));
}

/**
 * The tests of `portwarden/node` but for those of leased blocks and those that take long, each file
 * in a realm of its own. Threads share their sockets: while one starts a program, the child has
 * copies of all, and what another thread closes is open until the child runs.
 */
async function suiteInVmForks(): Promise<Outcome> {
  const suite = readdirSync(join(ROOT, "test", "node")).filter((name) => name.endsWith(".test.ts"));
  const files = [...suite, ...ADAPTERS.map((name) => `adapters/${name}.test.ts`)];
  const report = join(await fresh({}), "report.json");
  const options = ["--pool=vmForks", "--project=suite", "--project=alone", "--reporter=json"];
  const paths = files.map((name) => `test/node/${name}`);
  const args = [VITEST, "run", ...options, `--outputFile=${report}`, ...paths];
  let failure: unknown;
  await finished(process.execPath, args, { cwd: ROOT, ms: SUITE_MS_MAX }).catch((error) => {
    failure = error;
  });
  if (!existsSync(report)) throw failure ?? new Error("vitest has written no report");
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as SuiteReport;
  const failures = testResults.flatMap(failuresOf);
  if (failures.length > 0) throw new Error(failures[0]);
  if (failure !== undefined) throw failure;
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const checks = tests.filter(({ status }) => status === "passed").length;
  if (checks < SUITE_MIN) throw new Error(`only ${checks} tests have passed`);
  return { version: versionOf("vitest"), checks };
}

/** What vitest's reporter `json` writes. */
interface SuiteReport {
  readonly testResults: readonly FileReport[];
}

interface FileReport {
  readonly name: string;
  /** Why none of its tests has been run. */
  readonly message: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[];
  }[];
}

function failuresOf({ name, message, assertionResults }: FileReport): string[] {
  if (message !== "") return [`${name}: ${message}`];
  return assertionResults
    .filter(({ status }) => status === "failed")
    .map(({ fullName, failureMessages: [why] }) => `${fullName}: ${why}`);
}

function outcome(printed: string, version: string): Outcome {
  const { checks, coldMs } = reportIn(printed);
  return { checks, coldMs, version };
}
