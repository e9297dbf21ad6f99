// Company: what one pool costs among very many others.
//
// One pool that holds half of its range takes and frees ports: alone, and while other local
// addresses or other destinations are live. It is the first that was opened ("founder"), or the
// last. All rows of one kind are sampled in one turn, so that what they cost in company over what
// they cost alone is a true ratio. Then each operation is another pool's: the price of memory.

import type { Benchmark } from "../harness/benchmarks.ts";
import { type Measured, measureInTurn, type Work } from "../harness/measure.ts";
import type { Stage, System } from "../harness/setup.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";
import {
  bitmaps,
  type Crowd,
  handles,
  type Kind,
  ordered,
  type Population,
  population,
  reference,
  sets,
} from "./aggregates.ts";

/** One kind of company. */
interface Sort {
  readonly kind: Kind;
  readonly counts: readonly number[];
  /** The reference model keeps company up to so many. */
  readonly referenceUpTo: number;
  /** How many ports each of the others holds. */
  readonly few: number;
}

const SORTS: readonly Sort[] = [
  { kind: "local addresses", counts: [1, 16, 1000, 10000], referenceUpTo: 1000, few: 50 },
  { kind: "destinations", counts: [1, 10, 100, 1000], referenceUpTo: 100, few: 500 },
];
const TINY: readonly Sort[] = [
  { kind: "local addresses", counts: [1, 4], referenceUpTo: 4, few: 20 },
  { kind: "destinations", counts: [1, 4], referenceUpTo: 4, few: 40 },
];

/** Long, so that what other works have left of the caches counts for little. */
const BATCH = 10000;
const NAIVE_BATCH = 1000;
const TINY_BATCH = 100;
const TURNS = { rounds: 200, milliseconds: 150 };
const COMPANY_AT_MOST = 1.5;

const SYSTEMS: readonly ((population: Population) => Crowd)[] = [handles, bitmaps, sets, reference];

/** A row in the making. */
interface Entrant extends Work {
  readonly system: System;
  readonly row: string;
  readonly count: number;
  readonly digest: string;
}

export const companyBenchmark: Benchmark = {
  title: "company: take + free of one pool that holds half of 16000..65535, beside others",
  run(stage) {
    for (const sort of stage.smoke ? TINY : SORTS) keepCompany(stage, sort);
  },
};

function keepCompany(stage: Stage, sort: Sort): void {
  const ones: Entrant[] = [];
  const cycles: Entrant[] = [];
  const crowds: Crowd[] = [];
  for (const count of sort.counts) {
    for (const chosen of count === 1 ? [0] : [0, count - 1]) {
      const people = population(sort.kind, count, chosen, sort.few, stage.smoke);
      for (const crowd of gathered(people, count <= sort.referenceUpTo)) {
        crowds.push(crowd);
        ones.push(oneOf(crowd, sort.kind, count, chosen, stage.smoke));
        if (chosen > 0) cycles.push(cycleOf(crowd, sort.kind, count, stage.smoke));
      }
    }
  }
  // The others are never in the way, so the ports are the same in any company.
  checkEqual(ones);
  // Each system by itself: the sets and maps of one would drive another's records from the caches.
  for (const system of new Set(ones.map(({ system }) => system))) {
    const works = ones.filter((one) => one.system === system);
    const measured = sample(stage, works);
    if (system === "handles") judge(stage, sort, measured, works);
  }
  for (const count of sort.counts.slice(1)) {
    const works = cycles.filter((cycle) => cycle.count === count);
    checkEqual(works);
    sample(stage, works);
  }
  for (const crowd of crowds) crowd.close();
}

function gathered(people: Population, withReference: boolean): Crowd[] {
  return SYSTEMS.filter((make) => make !== reference || withReference).map((make) => make(people));
}

// ── Works ─────────────────────────────────────────────────────────────────────────────────

function oneOf(crowd: Crowd, kind: Kind, count: number, chosen: number, smoke: boolean): Entrant {
  const operations = batchOf(crowd, smoke);
  const offsets = offsetsOf(2, operations);
  const where = count === 1 ? "alone" : chosen === 0 ? "founder" : "last";
  const { system } = crowd;
  const row = `${nameOf(kind, count)}, ${where}`;
  const digest = digestOfWork(crowd, (_at) => chosen, smoke);
  return { system, row, count, digest, operations, run: crowd.one(chosen, offsets) };
}

function cycleOf(crowd: Crowd, kind: Kind, count: number, smoke: boolean): Entrant {
  const operations = batchOf(crowd, smoke);
  const offsets = offsetsOf(2, operations);
  const order = ordered(count, operations);
  const { system } = crowd;
  const row = `${nameOf(kind, count)}, each in turn`;
  const digest = digestOfWork(crowd, (at) => order[at] as number, smoke);
  return { system, row, count, digest, operations, run: crowd.each(order, offsets) };
}

function batchOf({ system }: Crowd, smoke: boolean): number {
  if (smoke) return TINY_BATCH;
  return system === "reference" ? NAIVE_BATCH : BATCH;
}

/** Of as many ports as the shortest batch has, so that it is the same for all systems. */
function digestOfWork(crowd: Crowd, poolAt: (at: number) => number, smoke: boolean): string {
  const offsets = offsetsOf(2, smoke ? TINY_BATCH : NAIVE_BATCH);
  const ports = Array.from(offsets, (offset, at) => {
    const port = crowd.take(poolAt(at), offset);
    crowd.free(poolAt(at), port);
    return port;
  });
  return digestOf(ports);
}

function checkEqual(works: readonly Entrant[]): void {
  if (new Set(works.map(({ digest }) => digest)).size <= 1) return;
  const told = works.map(({ row, system, digest }) => `${row}, ${system} ${digest}`);
  throw new Error(`the digests differ: ${told.join("; ")}`);
}

// ── Rows and bars ─────────────────────────────────────────────────────────────────────────

function sample(stage: Stage, works: readonly Entrant[]): Measured {
  const measured = measureInTurn(stage.smoke ? { rounds: 1 } : TURNS, works);
  for (const work of works) {
    const { row, system, operations, digest } = work;
    const figure = measured.figure(work);
    stage.keep({ bench: "company", row, system, operations, digest, ...figure });
  }
  return measured;
}

/** In the largest company, first or last, whichever costs more. */
function judge(stage: Stage, { kind, counts }: Sort, measured: Measured, ours: Entrant[]): void {
  const alone = ours.find(({ count }) => count === 1) as Entrant;
  for (const count of counts.slice(1)) {
    const among = ours.filter((work) => work.count === count);
    const value = Math.max(...among.map((work) => measured.ratio(work, alone)));
    const row = `${nameOf(kind, count)} over alone`;
    stage.keepOne({ bench: "company", row }, "handles", value, { unit: "ratio" });
    if (count < (counts.at(-1) as number)) continue;
    stage.judge({ name: `take + free, ${row}`, value, atMost: COMPANY_AT_MOST });
  }
}

function nameOf(kind: Kind, count: number): string {
  return `${kind}: ${count.toLocaleString("en-US")}`;
}
