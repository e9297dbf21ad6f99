// Moves: a manager begins in one runtime and goes on in others, by snapshots. What it answers on the
// way is what it answers where it stays.

import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { rolldown } from "rolldown";
import { visit } from "./chromium.ts";
import { fresh } from "./fresh.ts";
import { finished } from "./processes.ts";
import type { Case, Outcome } from "./rows.ts";
import { LEGS, type Leg } from "./scenario.ts";
import { serve } from "./site.ts";
import { program } from "./tools.ts";

const MS_MAX = 60_000;
const LEG = "LEG ";

const FILES = {
  "leg.mjs": `import * as portwarden from "portwarden";
import { goOn } from "./scenario.js";
console.log("${LEG}" + JSON.stringify(goOn(portwarden, process.argv[2] ?? "")));
`,
  "stay.mjs": `import * as portwarden from "portwarden";
import { stay } from "./scenario.js";
console.log("${LEG}" + JSON.stringify({ ports: stay(portwarden), snapshot: "" }));
`,
  "page.js": `import * as portwarden from "portwarden";
import { goOn, play } from "./scenario.js";
const first = goOn(portwarden, "");
const worker = new Worker("./worker.bundle.js", { type: "module" });
const second = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage(first.snapshot);
});
console.log("REPORT " + JSON.stringify({ checks: play(portwarden), legs: [first, second] }));
`,
  "worker.js": `import * as portwarden from "portwarden";
import { goOn } from "./scenario.js";
onmessage = ({ data }) => postMessage(goOn(portwarden, data));
`,
  "index.html": `<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script type="module" src="./page.bundle.js"></script>
`,
};

export const MOVES: readonly Case[] = [
  { runtime: "Node", how: "snapshot 20 -> 24 -> 26", run: amongNodes },
  { runtime: "Chromium", how: "snapshot page -> Worker -> Node", run: fromPage },
];

async function amongNodes(): Promise<Outcome> {
  const nodes = [await program("node20"), await program("node24"), await program("node26")];
  const cwd = await fresh(FILES);
  const legs: Leg[] = [];
  for (const { path } of nodes) legs.push(await leg(path, cwd, legs.at(-1)));
  return await compared(legs, cwd, nodes.map(({ version }) => version).join(", "));
}

async function fromPage(): Promise<Outcome> {
  const cwd = await fresh(FILES);
  for (const name of ["page", "worker"]) await bundle(cwd, name);
  const site = await serve(cwd, () => ({}));
  try {
    const outcome = (await visit(`${site.url}/index.html`)) as Outcome & { legs: Leg[] };
    const legs = [...outcome.legs, await leg(process.execPath, cwd, outcome.legs.at(-1))];
    return await compared(legs, cwd, outcome.version);
  } finally {
    site.close();
  }
}

/** Goes on in a Node. */
async function leg(path: string, cwd: string, last?: Leg): Promise<Leg> {
  return legIn(await finished(path, ["leg.mjs", last?.snapshot ?? ""], { cwd, ms: MS_MAX }));
}

function legIn(printed: string): Leg {
  const line = printed.split("\n").find((one) => one.startsWith(LEG));
  if (line === undefined) throw new Error(`no leg was reported: ${printed.slice(-500)}`);
  return JSON.parse(line.slice(LEG.length)) as Leg;
}

async function compared(legs: readonly Leg[], cwd: string, version: string): Promise<Outcome> {
  const { ports } = legIn(await finished(process.execPath, ["stay.mjs"], { cwd, ms: MS_MAX }));
  const moved = legs.flatMap((one) => one.ports);
  if (legs.length !== LEGS) throw new Error(`${legs.length} legs, not ${LEGS}`);
  if (isDeepStrictEqual(moved, ports)) return { version, checks: ports.length };
  throw new Error(`moved: ${moved.join(" ")}; stayed: ${ports.join(" ")}`);
}

async function bundle(cwd: string, name: string): Promise<void> {
  const input = join(cwd, `${name}.js`);
  const bundler = await rolldown({ cwd, input, platform: "browser", logLevel: "silent" });
  await bundler.write({ file: join(cwd, `${name}.bundle.js`), format: "esm" });
  await bundler.close();
}
