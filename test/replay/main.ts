// The command line of the replays: `npm run replay -- netstack FILE... [--pools]`,
// `npm run replay -- linux-seed FILE...`, `npm run replay -- linux FILE...`, and
// `npm run replay -- peers FILE...`. With --debug on the debug build, whose asserts are on.
//
// Exit code 0: every trace agrees. 1: some do not, the first few are shown. 2: nothing to judge,
// because the command line or a file is not what it should be.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Build } from "../support/builds.ts";
import { replayFile, replayLinuxFile } from "./files.ts";
import { BadInput } from "./input.ts";
import { replayKernelFile } from "./linux-6.18/files.ts";
import type { OpenSystem } from "./linux-6.18/system.ts";
import type { OpenLinux } from "./linux-system.ts";
import { type Counts, type Mismatch, newCounts } from "./netstack.ts";
import type { System } from "./system.ts";

const USAGE = `usage: replay netstack FILE... [--pools | --system reservations|pools|reference]
       replay linux-seed FILE... [--system ports|reference]
       replay linux FILE... [--system ports|model]
       replay peers FILE... [--system manager]
       --debug: on the debug build`;

/** What is played on when no other system is asked for. */
const DEFAULT_SYSTEMS: Readonly<Record<string, string>> = {
  netstack: "reservations",
  "linux-seed": "ports",
  linux: "ports",
  peers: "manager",
};

type Replay = (file: string, counts: Counts) => Promise<void>;

interface Asked {
  readonly help: boolean;
  readonly suite: string;
  readonly system: string;
  readonly build: Build;
  readonly files: readonly string[];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));

/** Runs a command line, and leaves its exit code. */
export async function main(args: string[]): Promise<void> {
  try {
    process.exitCode = await replayed(args);
  } catch (error) {
    if (!(error instanceof BadInput)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}

async function replayed(args: string[]): Promise<number> {
  const asked = understand(args);
  if (asked.help) {
    console.log(USAGE);
    return 0;
  }
  const replay = await replayOf(asked);
  const counts = newCounts();
  for (const file of asked.files) await replay(file, counts);

  for (const mismatch of counts.mismatches) console.log(shown(mismatch));
  console.log(summary(counts));
  return counts.mismatching === 0 ? 0 : 1;
}

function understand(args: string[]): Asked {
  const { values, positionals } = parsed(args);
  const [suite = "", ...files] = positionals;
  const { help = false, pools = false, debug = false } = values;
  const system = values.system ?? (pools ? "pools" : (DEFAULT_SYSTEMS[suite] ?? ""));
  const build = debug ? "debug" : "release";
  if (help) return { help, suite, system, build, files };

  if (suite === "") throw new BadInput(USAGE);
  if (!Object.hasOwn(DEFAULT_SYSTEMS, suite)) {
    throw new BadInput(`no vectors are called ${suite}\n${USAGE}`);
  }
  if (files.length === 0) throw new BadInput(`no file to replay\n${USAGE}`);
  if (pools && system !== "pools") throw new BadInput(`two systems asked for\n${USAGE}`);
  return { help, suite, system, build, files };
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        pools: { type: "boolean" },
        debug: { type: "boolean" },
        system: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new BadInput(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

async function replayOf({ suite, system, build }: Asked): Promise<Replay> {
  if (suite === "linux-seed") {
    const open = await linuxOpener(system, build);
    return (file, counts) => replayLinuxFile(file, open, counts);
  }
  if (suite === "linux") {
    const open = await systemOpener(system, build);
    return (file, counts) => replayKernelFile(file, open, counts);
  }
  if (suite === "peers") {
    if (system !== "manager") throw unknown(system);
    const { replayPeersFile } = await import("./peers/files.ts");
    const { optionsFor } = await import("../support/builds.ts");
    return (file, counts) => replayPeersFile(file, optionsFor(build), counts);
  }
  const open = await opener(system, build);
  return (file, counts) => replayFile(file, open, counts);
}

/** Imported only when asked for: the reference models can be judged where there is no core. */
async function opener(system: string, build: Build): Promise<() => System> {
  if (system === "reference") {
    const { ReferenceSystem } = await import("./reference.ts");
    return () => new ReferenceSystem();
  }
  if (system !== "reservations" && system !== "pools") throw unknown(system);
  const { PoolSystem, ReservationSystem } = await import("./manager.ts");
  const { openOn } = await import("../support/builds.ts");
  const Opened = system === "pools" ? PoolSystem : ReservationSystem;
  return () => new Opened(openOn(build));
}

async function linuxOpener(system: string, build: Build): Promise<OpenLinux> {
  if (system === "reference") return (await import("./linux-reference.ts")).openReferenceLinux;
  if (system !== "ports") throw unknown(system);
  const { openLinuxPorts } = await import("./linux-ports.ts");
  const { modulesFor } = await import("../support/builds.ts");
  return (hint) => openLinuxPorts(hint, modulesFor(build));
}

async function systemOpener(system: string, build: Build): Promise<OpenSystem> {
  if (system === "model") return (await import("./linux-6.18/model-system.ts")).openModel;
  if (system !== "ports") throw unknown(system);
  const { openPorts } = await import("./linux-6.18/ports-system.ts");
  const { modulesFor } = await import("../support/builds.ts");
  return (setup) => openPorts(setup, modulesFor(build));
}

function unknown(system: string): BadInput {
  return new BadInput(`no system is called ${system}\n${USAGE}`);
}

function shown({ trace, at, operation, expected, got }: Mismatch): string {
  const where = at === "end" ? "at the end" : `operation ${at}`;
  const asked = JSON.stringify(operation, (key, value) => (key === "expect" ? undefined : value));
  return [
    `${trace}, ${where}: ${asked}`,
    `  expected ${JSON.stringify(expected)}`,
    `  got      ${JSON.stringify(got)}`,
  ].join("\n");
}

function summary({ traces, operations, mismatching, skipped }: Counts): string {
  const kinds = [...skipped].map(([kind, count]) => `${kind}: ${count}`);
  const skips = [...skipped.values()].reduce((sum, count) => sum + count, 0);
  const reasons = skips === 0 ? "" : ` (${kinds.join(", ")})`;
  const played = `${traces} traces, ${operations} operations, ${mismatching} mismatching traces`;
  return `${played}, ${skips} skipped${reasons}`;
}
