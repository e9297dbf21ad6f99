// Company: what one pool costs among very many others.
//
//   local addresses   every pool has an address of its own, and no destination
//   destinations      all pools have one address; each goes to another destination and may take a
//                     port that others hold
//
// One pool that holds half of its range takes and frees ports: alone, and while the others are
// open. It was opened first of all, or last. All rows of one system are sampled by turns, so that
// what they cost in company over what they cost alone is a true ratio. Then each operation is
// another pool's, which is the price of memory. Pools of which each holds the same port are small,
// and so is what counts them together.

import {
  type Allocator,
  type Fixture,
  type Member,
  type Opened,
  openBitmaps,
  openPools,
  openReferenceModel,
  openSets,
  plainMember,
} from "../harness/allocators.ts";
import { copyFor, takingOne } from "../harness/loops.ts";
import { type Measured, measureByTurns } from "../harness/measure.ts";
import type { Implementation, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { COUNT, digestOf, FIRST, LAST, offsetsOf, shuffledPorts } from "../harness/workloads.ts";

/** What the pools differ in, and how many there are. */
interface Kind {
  readonly name: "local addresses" | "destinations";
  readonly counts: readonly number[];
  /** The reference model is timed among up to so many. */
  readonly referenceUpTo: number;
  /** How many ports each of the others holds. */
  readonly few: number;
}

const KINDS: readonly Kind[] = [
  { name: "local addresses", counts: [1, 16, 1000, 10000], referenceUpTo: 1000, few: 50 },
  { name: "destinations", counts: [1, 10, 100, 1000], referenceUpTo: 100, few: 500 },
];
const TINY_KINDS: readonly Kind[] = [
  { name: "local addresses", counts: [1, 4], referenceUpTo: 4, few: 20 },
  { name: "destinations", counts: [1, 4], referenceUpTo: 4, few: 40 },
];

/** Long, so that what other works have left of the caches counts for little. */
const BATCH = 10000;
const MODEL_BATCH = 1000;
const TINY_BATCH = 100;
const SAMPLING = { rounds: 200, milliseconds: 150 };
const OVER_ALONE_AT_MOST = 1.5;

const SYSTEMS: readonly (readonly [System, (fixture: Fixture) => Opened])[] = [
  ["pool", openPools],
  ["bitmap", openBitmaps],
  ["Set", openSets],
  ["reference model", openReferenceModel],
];

/** A row in the making. */
interface Entry extends Implementation {
  readonly workload: string;
  readonly count: number;
}

export const companySuite: Suite = {
  title: "take + free of one pool that holds half of 16000..65535, beside others",
  run(session) {
    for (const kind of session.smoke ? TINY_KINDS : KINDS) runKind(session, kind);
  },
};

function runKind(session: Session, kind: Kind): void {
  const ones: Entry[] = [];
  const cycles: Entry[] = [];
  const opened: Opened[] = [];
  for (const count of kind.counts) {
    for (const chosen of count === 1 ? [0] : [0, count - 1]) {
      const fixture = fixtureOf(kind, count, chosen, session.smoke);
      for (const [system, open] of SYSTEMS) {
        if (system === "reference model" && count > kind.referenceUpTo) continue;
        const pools = open(fixture);
        opened.push(pools);
        ones.push(oneOf(system, pools, kind, chosen, session.smoke));
        if (chosen > 0) cycles.push(cycleOf(system, pools, nameOf(kind, count), session.smoke));
      }
    }
  }
  // The others are never in the way, so the ports are the same in any company.
  checkEqual(ones);
  // Each system alone: the sets and maps of one would drive another's records from the caches.
  for (const [system] of SYSTEMS) {
    const entries = ones.filter((one) => one.system === system);
    const measured = sample(session, entries);
    if (system === "pool") check(session, kind, measured, entries);
  }
  for (const count of kind.counts.slice(1)) {
    sampleCycles(
      session,
      cycles.filter((cycle) => cycle.count === count),
    );
    if (kind.name === "local addresses") {
      sampleCycles(session, entriesWithOnePort(kind, count, opened, session.smoke));
    }
  }
  for (const { close } of opened) close();
}

// ── What all are given ────────────────────────────────────────────────────────────────────

/** Pools at so many addresses hold the same port, and take and free by turns. */
function entriesWithOnePort(kind: Kind, count: number, opened: Opened[], smoke: boolean): Entry[] {
  const held = Uint16Array.of(FIRST);
  const members = Array.from({ length: count }, (_, index) => memberAt(index, held));
  const range = rangeFor(smoke);
  const entries: Entry[] = [];
  for (const [system, open] of SYSTEMS) {
    if (system === "reference model" && count > kind.referenceUpTo) continue;
    const pools = open({ range, members });
    opened.push(pools);
    entries.push(cycleOf(system, pools, `${nameOf(kind, count)} with one port`, smoke));
  }
  return entries;
}

function memberAt(index: number, held: Uint16Array): Member {
  return { ...plainMember(held), address: `10.1.${index >> 8}.${index & 255}` };
}

function rangeFor(smoke: boolean): Fixture["range"] {
  return { first: FIRST, last: smoke ? FIRST + 399 : LAST };
}

/** The pool at `chosen` holds half the range, all others few ports. */
function fixtureOf(kind: Kind, count: number, chosen: number, smoke: boolean): Fixture {
  const range = rangeFor(smoke);
  const order = shuffledPorts().filter((port) => port <= range.last);
  // Twice, so that a share may begin anywhere.
  const ports = Uint16Array.from([...order, ...order]);
  const half = ports.subarray(0, order.length >> 1);
  const members = Array.from({ length: count }, (_, index): Member => {
    const start = (index * kind.few) % order.length;
    const held = index === chosen ? half : ports.subarray(start, start + kind.few);
    if (kind.name === "local addresses") return memberAt(index, held);
    const address = `93.0.${index >> 8}.${index & 255}`;
    return { ...plainMember(held), destination: { address, port: 443 } };
  });
  return { range, members };
}

/** The pools' numbers in a random order, again and again. */
function orderOf(count: number, length: number): Uint32Array {
  if (count > COUNT) throw new RangeError("more pools than the order has numbers");
  const order = shuffledPorts().filter((port) => port < FIRST + count);
  return Uint32Array.from({ length }, (_, at) => (order[at % count] as number) - FIRST);
}

function batchOf(system: System, smoke: boolean): number {
  if (smoke) return TINY_BATCH;
  return system === "reference model" ? MODEL_BATCH : BATCH;
}

// ── Works ─────────────────────────────────────────────────────────────────────────────────

function oneOf(
  system: System,
  { pools }: Opened,
  kind: Kind,
  chosen: number,
  smoke: boolean,
): Entry {
  const count = pools.length;
  const operations = batchOf(system, smoke);
  const offsets = offsetsOf(2, operations);
  const digested = smoke ? TINY_BATCH : MODEL_BATCH;
  const ports = pools[chosen] as Allocator;
  const where = count === 1 ? "alone" : chosen === 0 ? "opened first" : "opened last";
  const workload = `${nameOf(kind, count)}, ${where}`;
  return { ...takingOne({ system, ports, offsets, operations, digested }), workload, count };
}

function cycleOf(system: System, { pools }: Opened, name: string, smoke: boolean): Entry {
  const count = pools.length;
  const operations = batchOf(system, smoke);
  const offsets = offsetsOf(2, operations);
  const order = orderOf(count, operations);
  const loop = copyFor(system, takeAndFreeByTurns);
  const ports = new Uint16Array(smoke ? TINY_BATCH : MODEL_BATCH);
  return {
    ...{ system, operations, count, workload: `${name}, each in turn` },
    run: () => loop(pools, order, offsets),
    digest: () => digestOf(ports.map((_, at) => once(pools[order[at] as number], offsets[at]))),
  };
}

function takeAndFreeByTurns(
  pools: readonly Allocator[],
  order: Uint32Array,
  offsets: Uint32Array,
): void {
  for (let at = 0; at < offsets.length; at++) {
    const pool = pools[order[at] as number] as Allocator;
    pool.free(pool.take(offsets[at] as number));
  }
}

function once(pool: Allocator | undefined, offset = 0): number {
  const port = pool?.take(offset) ?? 0;
  pool?.free(port);
  return port;
}

function checkEqual(entries: readonly Entry[]): void {
  const digests = entries.map((entry) => `${entry.workload}, ${entry.system} ${entry.digest()}`);
  const different = new Set(digests.map((text) => text.split(" ").at(-1)));
  if (different.size > 1) throw new Error(`the digests differ: ${digests.join("; ")}`);
}

// ── Rows and thresholds ───────────────────────────────────────────────────────────────────

function sampleCycles(session: Session, entries: readonly Entry[]): void {
  checkEqual(entries);
  sample(session, entries);
}

function sample(session: Session, entries: readonly Entry[]): Measured {
  const measured = measureByTurns(session.smoke ? { rounds: 1 } : SAMPLING, entries);
  for (const entry of entries) {
    const { workload, system, operations } = entry;
    const digest = entry.digest();
    const figure = measured.figure(entry);
    session.keep({ suite: "company", workload, system, operations, digest, ...figure });
  }
  return measured;
}

/** Among the most pools, opened first or last, whichever costs more. */
function check(session: Session, kind: Kind, measured: Measured, ours: readonly Entry[]): void {
  const alone = ours.find(({ count }) => count === 1) as Entry;
  for (const count of kind.counts.slice(1)) {
    const among = ours.filter((entry) => entry.count === count);
    const value = Math.max(...among.map((entry) => measured.ratio(entry, alone)));
    const workload = `${nameOf(kind, count)} over alone`;
    session.keepOne({ suite: "company", workload }, "pool", value, { unit: "ratio" });
    if (count < (kind.counts.at(-1) as number)) continue;
    session.check({ name: `take + free, ${workload}`, value, atMost: OVER_ALONE_AT_MOST });
  }
}

function nameOf({ name }: Kind, count: number): string {
  return `${name}: ${count.toLocaleString("en-US")}`;
}
