// Memory: bytes per live reservation. For portwarden that is what linear memory has grown by since
// the manager was opened, slack included, in an instance of its own; for JavaScript what the heap
// has grown by, in a process of its own.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PortManager } from "../../bindings/index.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import type { Contender, Stage, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import type { Grown, HeapSystem } from "./heap.ts";
import { acceptAll, fillPools } from "./memory-fill.ts";
import { type Load, liveOf, loadsOf } from "./memory-loads.ts";
import { stintOf } from "./takers.ts";

const BENCH = "memory";
const UNIT = "bytes";
/** Bytes per reservation of ours at most. */
const BARS: Readonly<Record<string, number>> = {
  "binds-49536-tcp-v4": 1,
  "tuples-1040256-21-dests-flags0": 1,
  "accepts-1000000-one-port": 64,
};

export const memoryBenchmark: Benchmark = {
  title: "Memory: bytes per live reservation, and nanoseconds to make it",
  run(stage) {
    const loads = loadsOf(stage.smoke);
    for (const load of loads) linear(stage, load);
    heaps(stage, jobsOf(loads));
    for (const load of loads) fillTime(stage, load);
    for (const { name, recorded } of loads) {
      const [bytes] = recorded;
      stage.keepOne({ bench: BENCH, row: name }, "gvisor (recorded)", bytes, { unit: UNIT });
    }
  },
};

// ── portwarden ────────────────────────────────────────────────────────────────────────────

/** The system that holds a load: words accept connections, pools hold everything else. */
function systemOf({ kind }: Load): System {
  return kind === "accepts" ? "words" : "handles";
}

function fill(manager: PortManager, load: Load): void {
  if (load.kind === "accepts") acceptAll(manager, load);
  else fillPools(manager, load);
}

function linear(stage: Stage, load: Load): void {
  const module = new WebAssembly.Module(readFileSync(new URL("../../core.wasm", import.meta.url)));
  const manager = PortManager.open({ module });
  const before = manager.stats().memory;
  fill(manager, load);
  const { memory, counters } = manager.stats();
  const live = liveOf(load);
  if (counters !== live * load.networks.length) throw new Error(`${load.name}: ${counters} held`);
  // Where no page was needed, what the records take of the pages that were there already.
  const bytes = Math.max(memory.taken - before.taken, memory.used - before.used) / live;
  const place = { bench: BENCH, row: load.name };
  stage.keepOne(place, systemOf(load), bytes, { unit: UNIT, operations: live });
  const atMost = BARS[load.name];
  const name = `${BENCH}/${load.name}: bytes per reservation`;
  if (atMost !== undefined) stage.judge({ name, value: bytes, atMost });
  manager.close();
}

function fillTime(stage: Stage, load: Load): void {
  const place = { bench: BENCH, row: `${load.name}/fill` };
  stage.compare(place, [filling(load)], { rounds: 5, milliseconds: 1000 });
  const [, ns] = load.recorded;
  stage.keepOne(place, "gvisor (recorded)", ns, { operations: liveOf(load) });
}

function filling(load: Load): Contender {
  let manager = PortManager.open();
  const prepare = (): void => {
    manager.close();
    manager = PortManager.open();
  };
  const run = (): void => fill(manager, load);
  const seen = (): string => {
    const { descriptors, counters, references } = manager.stats();
    return digestOf([descriptors, counters, references]);
  };
  const close = (): void => manager.close();
  return { ...stintOf(systemOf(load), liveOf(load), { prepare, run, seen }), close };
}

// ── JavaScript ────────────────────────────────────────────────────────────────────────────

interface Job {
  readonly system: HeapSystem;
  readonly load: Load;
  readonly row: string;
}

function jobsOf(loads: readonly Load[]): Job[] {
  const all = (system: HeapSystem, some: readonly Load[]): Job[] =>
    some.map((load) => ({ system, load, row: load.name }));
  // Sets and bitmaps know no flags: flags would change nothing.
  const plain = loads.filter(({ kind, isTupleOnly }) => kind !== "tuples" || !isTupleOnly);
  // Words when the objects of accepted connections are kept: linear memory, and the objects.
  const kept = loads.filter(({ kind }) => kind === "accepts");
  return [
    ...all("reference", loads),
    ...all("js-set", plain),
    ...all("js-bitmap", plain),
    ...all("words", kept).map((job) => ({ ...job, row: `${job.row}/objects-kept` })),
  ];
}

/** One process for each job; one for all of them where they are tiny. */
function heaps(stage: Stage, jobs: readonly Job[]): void {
  const groups = stage.smoke ? [jobs] : jobs.map((job) => [job]);
  const grown = groups.flatMap((group) => grownIn(stage.smoke ? "tiny" : "full", group));
  for (const [index, { live, bytes }] of grown.entries()) {
    const { system, row } = jobs[index] as Job;
    const more = { unit: UNIT, operations: live } as const;
    stage.keepOne({ bench: BENCH, row }, system, bytes / live, more);
  }
}

function grownIn(size: "full" | "tiny", jobs: readonly Job[]): Grown[] {
  const program = fileURLToPath(new URL("./heap.js", import.meta.url));
  const named = jobs.map(({ system, load }) => `${system}/${load.name}`);
  const args = ["--expose-gc", program, size, ...named];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}
