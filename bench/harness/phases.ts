// Phases: parts of one fixed order in which a system takes ports, place by place, and frees them.
//
// A phase changes what is held, so what is timed is one whole phase: before each sample, untimed,
// the system goes to where the phase begins. An order goes round the pools: place 0 is the first
// pool's, place 1 the second's, and so on.

import type { Allocator, BatchAllocator, Opened, ReferencePool } from "./allocators.ts";
import { copyFor } from "./loops.ts";
import { timeOnce } from "./measure.ts";
import type { Implementation, RowKey, Session, System } from "./session.ts";
import { digestOf } from "./workloads.ts";

/** An implementation of which each run can be checked. */
export interface Checked extends Implementation {
  /** The digest of what the last run has done. */
  seen(): string;
}

/** An implementation of steps: before each run, the run, and what it has done. */
export function checked(
  system: System,
  operations: number,
  steps: Required<Pick<Checked, "prepare" | "run" | "seen">>,
): Checked {
  const digest = (): string => {
    steps.prepare();
    steps.run();
    return steps.seen();
  };
  return { system, operations, ...steps, digest };
}

/** A system, and how many places of the order it holds. */
export class Runner {
  readonly system: System;
  readonly close: () => void;
  readonly #pools: readonly Allocator[];
  readonly #offsets: Uint32Array;
  readonly #picks: Uint16Array;
  readonly #take: Loop;
  readonly #free: Loop;
  #held = 0;

  /** @param offsets Where the search of each place starts. */
  constructor(system: System, { pools, close }: Opened, offsets: Uint32Array) {
    this.system = system;
    this.close = close;
    this.#pools = pools;
    this.#offsets = offsets;
    this.#picks = new Uint16Array(offsets.length);
    this.#take = copyFor(system, takeEach);
    this.#free = copyFor(system, freeEach);
  }

  /** Takes or frees until exactly the places before `place` are held; how many that were. */
  goTo(place: number): number {
    const held = this.#held;
    this.#held = place;
    if (place > held) return this.#take(this.#pools, this.#picks, this.#offsets, held, place);
    return this.#free(this.#pools, this.#picks, this.#offsets, place, held);
  }

  /** Goes there by holding what another system has picked, without a search. */
  follow(place: number, { picks }: { readonly picks: Uint16Array }): void {
    for (; this.#held < place; this.#held++) {
      const pool = this.#pools[this.#held % this.#pools.length] as ReferencePool;
      const port = picks[this.#held] as number;
      this.#picks[this.#held] = port;
      pool.hold(port);
    }
  }

  /** The port of each place. */
  get picks(): Uint16Array {
    return this.#picks;
  }
}

type Loop = (
  pools: readonly Allocator[],
  picks: Uint16Array,
  offsets: Uint32Array,
  from: number,
  to: number,
) => number;

function takeEach(
  pools: readonly Allocator[],
  picks: Uint16Array,
  offsets: Uint32Array,
  from: number,
  to: number,
): number {
  for (let place = from, pool = from % pools.length; place < to; place++) {
    picks[place] = (pools[pool] as Allocator).take(offsets[place] as number);
    pool = pool + 1 === pools.length ? 0 : pool + 1;
  }
  return to - from;
}

function freeEach(
  pools: readonly Allocator[],
  picks: Uint16Array,
  _offsets: Uint32Array,
  from: number,
  to: number,
): number {
  let freed = 0;
  for (let place = from, pool = from % pools.length; place < to; place++) {
    if ((pools[pool] as Allocator).free(picks[place] as number)) freed++;
    pool = pool + 1 === pools.length ? 0 : pool + 1;
  }
  return freed;
}

/** Taking the ports of the places `first..end - 1`. */
export function taking(runner: Runner, first: number, end: number): Checked {
  return checked(runner.system, end - first, {
    prepare: () => void runner.goTo(first),
    run: () => void runner.goTo(end),
    seen: () => digestOf(runner.picks.subarray(first, end)),
  });
}

/** Freeing the ports of all places before `end`; what is taken next shows that none is left. */
export function draining(runner: Runner, end: number): Checked {
  let freed = 0;
  return checked(runner.system, end, {
    prepare: () => void runner.goTo(end),
    run: () => {
      freed = runner.goTo(0);
    },
    seen: () => {
      const again = Math.min(end, 1000);
      runner.goTo(again);
      return digestOf([freed, ...runner.picks.subarray(0, again)]);
    },
  });
}

/**
 * Keeps a row of work that is so slow that one run has to do: its digest is of that very run, and
 * has to be that of the rows which faster systems have there already.
 */
export function runOnce(session: Session, key: RowKey, work: Checked): number {
  work.prepare?.();
  const ns = timeOnce(() => work.run());
  keepOnce(session, key, work, ns, work.seen());
  return ns;
}

/** Keeps a row of one run, if its digest is that of the rows that are there. */
export function keepOnce(
  session: Session,
  key: RowKey,
  { system, operations }: Pick<Checked, "system" | "operations">,
  ns: number,
  digest: string,
): void {
  const { suite, workload } = key;
  const others = session.rows.filter((row) => row.suite === suite && row.workload === workload);
  const other = others.find((row) => row.digest !== null && row.digest !== digest);
  if (other !== undefined) {
    const both = `${other.system} ${other.digest}, ${system} ${digest}`;
    throw new Error(`${suite}/${workload}: the digests differ: ${both}`);
  }
  session.keepOne(key, system, ns / operations, { operations, digest });
}

// ── In batches ────────────────────────────────────────────────────────────────────────────

/** The same order of one pool in batches: what a batch takes is what single calls would. */
export function takingInBatches(
  system: System,
  pool: BatchAllocator,
  offsets: Uint32Array,
  size: number,
): Checked {
  const picks = new Uint16Array(offsets.length);
  const parts = Array.from({ length: Math.ceil(offsets.length / size) }, (_, index) => ({
    ports: picks.subarray(index * size, (index + 1) * size),
    from: offsets.subarray(index * size, (index + 1) * size),
  }));
  let isTaken = false;
  return checked(system, offsets.length, {
    prepare: () => {
      if (isTaken) for (const { ports } of parts) pool.freeMany(ports);
    },
    run: () => {
      for (const { ports, from } of parts) pool.takeMany(ports, from);
      isTaken = true;
    },
    seen: () => digestOf(picks),
  });
}
