// Tools: whole load generators against each other. Each opens a new connection for every request,
// from four addresses to four destinations, while some of the ports are held by connections that
// stay open; by the kernel's own choice of address and port, with `localAddress`, and through
// portwarden. Programs in C, which let the kernel choose, stand beside.
//
// Each run has a process and a network namespace of its own, with a server that closes each
// connection after one answer, so that no TIME_WAIT is left on the side of the tool.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { canMakeNamespace, runInNamespace } from "../../bindings/node/host/namespace.ts";
import { figureOf } from "../harness/measure.ts";
import type { RowKey, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import type { ToolFigures } from "./tools-run.ts";

const SCRIPT = fileURLToPath(new URL("./tools-run.js", import.meta.url));
const SYSTEMS: readonly System[] = [
  "autocannon",
  "autocannon localAddress",
  "autocannon portwarden",
  "undici",
  "undici localAddress",
  "undici portwarden",
];
const OUTSIDE: readonly System[] = ["wrk", "h2load"];
const OCCUPANCIES = [10, 95] as const;
const RANGE = { first: 20_000, last: 21_023 };
const TINY_RANGE = { first: 20_000, last: 20_127 };
const ROUNDS = 3;
const SECONDS = 2;
const WARM_UP_SECONDS = 5;
const TINY_SECONDS = 0.2;
const TIME_MS = 120_000;
const CPU_AT_MOST = 1.1;
const NS_OF_MS = 1e6;

/** What is kept of a run. */
const FIGURES = [
  ["requests per second", "perSecond", "ratio", 1],
  ["failed of a million", "failedOfMillion", "ratio", 1],
  ["CPU per request", "cpuMs", "ns", NS_OF_MS],
  ["latency, median", "medianMs", "ns", NS_OF_MS],
  ["latency, 99 of 100", "p99Ms", "ns", NS_OF_MS],
] as const;

export const toolsSuite: Suite = {
  title: "whole load generators: HTTP over new connections, 4 sources, 4 destinations",
  async run(session) {
    const namespace = canMakeNamespace();
    if (!namespace.ok)
      return session.heading(`not run without a network namespace: ${namespace.why}`);
    const outside = OUTSIDE.filter(isInstalled);
    for (const missing of OUTSIDE.filter((system) => !outside.includes(system))) {
      session.heading(`${missing} is not installed, and not measured`);
    }
    // Tiny, only what thresholds are about: with `localAddress`, and through portwarden.
    const systems = session.smoke
      ? SYSTEMS.filter((system) => system.includes(" "))
      : [...SYSTEMS, ...outside];
    const occupancies = session.smoke ? [OCCUPANCIES[0]] : OCCUPANCIES;
    for (const occupancy of occupancies) {
      await compare(session, systems, occupancy);
      for (const tool of ["autocannon", "undici"] as const) check(session, tool, occupancy);
    }
  },
};

/** Measures all by turns, and keeps the median of each figure. */
async function compare(
  session: Session,
  systems: readonly System[],
  occupancy: number,
): Promise<void> {
  const all = new Map<System, ToolFigures[]>(systems.map((system) => [system, []]));
  for (let round = 0; round < (session.smoke ? 1 : ROUNDS); round++) {
    for (const [system, figures] of all) {
      figures.push(await measure(system, occupancy, session.smoke));
    }
  }
  for (const [workload, name, unit, factor] of FIGURES) {
    for (const [system, figures] of all) {
      const values = figures.map((figure) => figure[name]).filter((value) => value !== null);
      if (values.length === 0) continue;
      const figure = figureOf(values.map((value) => value * factor));
      session.keep({ suite: "tools", workload, occupancy, system, operations: 1, unit, ...figure });
    }
  }
}

/** Through portwarden nothing fails, and it is not slower than with `localAddress` alone. */
function check(session: Session, tool: "autocannon" | "undici", occupancy: number): void {
  const [ours, theirs] = [`${tool} portwarden`, `${tool} localAddress`] as const;
  const key = (workload: string): RowKey => ({ suite: "tools", workload, occupancy });
  const over = (workload: string): number =>
    session.median(key(workload), ours) / session.median(key(workload), theirs);
  const at = `${tool} at ${occupancy} %`;
  const failed = session.median(key("failed of a million"), ours);
  session.check({ name: `${at}: failed through portwarden`, value: failed, atMost: 0 });
  const cpu = over("CPU per request");
  session.check({ name: `${at}: CPU over localAddress`, value: cpu, atMost: CPU_AT_MOST });
}

async function measure(system: System, occupancy: number, smoke: boolean): Promise<ToolFigures> {
  const portRange = smoke ? TINY_RANGE : RANGE;
  const seconds = smoke ? TINY_SECONDS : SECONDS;
  const warmUp = smoke || OUTSIDE.includes(system) ? 0 : WARM_UP_SECONDS;
  const numbers = [portRange.first, portRange.last, occupancy, seconds, warmUp];
  const { code, stdout, stderr } = await runInNamespace(
    [SCRIPT, ...numbers.map(String), ...system.split(" ")],
    { portRange, timeoutMs: TIME_MS },
  );
  if (code !== 0) throw new Error(`${system} at ${occupancy} % ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as ToolFigures;
}

function isInstalled(command: string): boolean {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).error === undefined;
}
