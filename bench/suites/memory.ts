// Memory: bytes per live reservation. For portwarden that is what linear memory has grown by since
// the manager was opened, slack included, in an instance of its own; for JavaScript what the heap
// has grown by, in a process of its own.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PortManager } from "../../bindings/index.ts";
import type { RowKey, Session } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { MEMORY } from "../recorded/gvisor.ts";
import type { Grown, HeapSystem } from "./memory-heap.ts";
import { holdInCore, type Load, liveOf, loadsOf } from "./memory-loads.ts";

const UNIT = "bytes";
/** Bytes per reservation in the core at most. */
const AT_MOST: Readonly<Record<string, number>> = {
  "49,536 binds": 1,
  "1,040,256 tuples, 21 destinations": 1,
  "1,000,000 accepted, one port": 64,
};

export const memorySuite: Suite = {
  title: "bytes per live reservation",
  run(session) {
    const loads = loadsOf(session.smoke);
    for (const load of loads) linear(session, load);
    heaps(session, jobsOf(loads));
    for (const { name } of loads) {
      const bytes = MEMORY[name] as number;
      session.keepOne(keyOf(name), "gVisor (recorded)", bytes, { unit: UNIT });
    }
  },
};

// ── portwarden ────────────────────────────────────────────────────────────────────────────

function linear(session: Session, load: Load): void {
  const module = new WebAssembly.Module(readFileSync(new URL("../../core.wasm", import.meta.url)));
  const manager = PortManager.open({ module });
  const before = manager.stats().memory;
  holdInCore(manager, load);
  const { memory, counters } = manager.stats();
  const live = liveOf(load);
  if (counters !== live) throw new Error(`${load.name}: ${counters} are held`);
  // Where no page was needed, what the records take of the pages that were there already.
  const bytes = Math.max(memory.taken - before.taken, memory.used - before.used) / live;
  const system = load.isAccepted ? "reservations" : "pool";
  session.keepOne(keyOf(load.name), system, bytes, { unit: UNIT, operations: live });
  const atMost = AT_MOST[load.name];
  const name = `memory/${load.name}: bytes per reservation`;
  if (atMost !== undefined) session.check({ name, value: bytes, atMost });
  manager.close();
}

// ── JavaScript ────────────────────────────────────────────────────────────────────────────

interface Job {
  readonly system: HeapSystem;
  readonly load: Load;
  readonly workload: string;
}

function jobsOf(loads: readonly Load[]): Job[] {
  const systems = ["reference model", "Set", "bitmap"] as const;
  const accepted = loads.filter(({ isAccepted }) => isAccepted);
  return [
    ...systems.flatMap((system) => loads.map((load) => ({ system, load, workload: load.name }))),
    // Linear memory, and the objects that give connections back.
    ...accepted.map((load) => ({
      ...{ system: "reservations" as const, load, workload: `${load.name}, objects kept` },
    })),
  ];
}

/** One process for each job; one for all of them where they are tiny. */
function heaps(session: Session, jobs: readonly Job[]): void {
  const groups = session.smoke ? [jobs] : jobs.map((job) => [job]);
  const grown = groups.flatMap((group) => grownIn(session.smoke ? "tiny" : "full", group));
  for (const [index, { live, bytes }] of grown.entries()) {
    const { system, workload } = jobs[index] as Job;
    const more = { unit: UNIT, operations: live } as const;
    session.keepOne(keyOf(workload), system, bytes / live, more);
  }
}

function grownIn(size: "full" | "tiny", jobs: readonly Job[]): Grown[] {
  const program = fileURLToPath(new URL("./memory-heap.js", import.meta.url));
  const named = jobs.map(({ system, load }) => `${system}/${load.name}`);
  const args = ["--expose-gc", program, size, ...named];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

function keyOf(workload: string): RowKey {
  return { suite: "memory", workload };
}
