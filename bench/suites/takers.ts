// Takers: systems that take the ports of a workload in one fixed order, place by place, and give
// them back. A stretch of the order changes what is held, so what is timed is one whole stretch:
// before each sample, untimed, the taker goes to where the stretch begins.

import { timeOnce } from "../harness/measure.ts";
import type { Contender, Place, Stage, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";

export interface Taker {
  readonly system: System;
  /** Takes a port for each of the places first..end, `end` not included. */
  take(first: number, end: number): void;
  /** Frees the ports of these places, in the same order; how many were held. */
  free(first: number, end: number): number;
  /** Holds at these places what another taker has picked, without a search. */
  hold?(first: number, end: number, like: Taker): void;
  /** The port that was picked for a place. */
  portAt(place: number): number;
  close(): void;
}

/** A part of the order: the places first..end, `end` not included. */
export interface Stretch {
  readonly first: number;
  readonly end: number;
}

/** A taker, and how far it has come. */
export class Runner<T extends Taker = Taker> {
  readonly taker: T;
  #at = 0;

  constructor(taker: T) {
    this.taker = taker;
  }

  /** Takes or frees until exactly the places before `place` are held; how many were freed. */
  goTo(place: number): number {
    const from = this.#at;
    this.#at = place;
    if (place < from) return this.taker.free(place, from);
    this.taker.take(from, place);
    return 0;
  }

  /** Goes there by holding what another taker has picked, if this one can. */
  follow(place: number, like: Taker): void {
    if (this.taker.hold !== undefined && place > this.#at) {
      this.taker.hold(this.#at, place, like);
      this.#at = place;
    } else this.goTo(place);
  }
}

/** A contender of which each run can be checked. */
export interface Stint extends Contender {
  /** The digest of what the last run has done. */
  seen(): string;
}

/** Taking the ports of a stretch. */
export function taking(runner: Runner, { first, end }: Stretch): Stint {
  const { taker } = runner;
  return stintOf(taker.system, end - first, {
    prepare: () => void runner.goTo(first),
    run: () => void runner.goTo(end),
    seen: () => digestOf(portsAt(taker, first, end)),
  });
}

/** Freeing all ports before `end`, in the order in which they were taken. */
export function draining(runner: Runner, end: number): Stint {
  let freed = 0;
  const run = (): void => {
    freed = runner.goTo(0);
  };
  const seen = (): string => {
    // What is taken next shows that nothing is left over.
    const again = Math.min(end, 1000);
    runner.goTo(again);
    return digestOf([freed, ...portsAt(runner.taker, 0, again)]);
  };
  const prepare = (): void => void runner.goTo(end);
  return stintOf(runner.taker.system, end, { prepare, run, seen });
}

type Steps = Required<Pick<Stint, "prepare" | "run" | "seen">>;

export function stintOf(system: System, operations: number, steps: Steps): Stint {
  const digest = (): string => {
    steps.prepare();
    steps.run();
    return steps.seen();
  };
  return { system, operations, ...steps, digest };
}

/**
 * Keeps a row of a stint so slow that one run has to do: its digest is of that very run, and has to
 * be that of the rows which faster ones have there already. Answers nanoseconds.
 */
export function runOnce(stage: Stage, place: Place, stint: Stint): number {
  stint.prepare?.();
  const ns = timeOnce(() => stint.run());
  keepOnce(stage, place, stint, ns, stint.seen());
  stint.close?.();
  return ns;
}

/** Keeps a row of one run, if its digest is that of the rows that are there. */
export function keepOnce(
  stage: Stage,
  place: Place,
  { system, operations }: Pick<Stint, "system" | "operations">,
  ns: number,
  digest: string,
): void {
  const others = stage.rows.filter(({ bench, row }) => bench === place.bench && row === place.row);
  const other = others.find((row) => row.digest !== null && row.digest !== digest);
  if (other !== undefined) {
    const told = `${other.system} ${other.digest}, ${system} ${digest}`;
    throw new Error(`${place.bench}/${place.row}: the digests differ: ${told}`);
  }
  stage.keepOne(place, system, ns / operations, { operations, digest });
}

function portsAt(taker: Taker, first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, index) => taker.portAt(first + index));
}
