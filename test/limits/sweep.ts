// Sweep: plays a story under memory limits until nothing is refused, so that every outcome that a
// limit can give is met without a run under each.
//
//   least      each 16th step            no refusal
//     ├──────────────┼─────────┬────┼──────────────┤
//      A            A     A   B    B              C     between A and B it is looked for where
//                                                       one ends and the other begins
//
// Two neighbours of one outcome are taken to have nothing else between them.

import { expect } from "vitest";

/** Which of the actions of a story were refused, in words; undefined: it could not begin. */
export type Outcome = string | undefined;

export interface Grid {
  /** Bytes: the first limit, and what lies between two of them. */
  readonly least: number;
  readonly step: number;
  /** A limit that refuses nothing is found below it. */
  readonly below: number;
}

/** How many steps lie between two limits that are tried whatever their outcomes. */
const STRIDE = 16;

/** The outcome in which nothing was refused. */
export const GRANTED = "";

/** Plays the story under each limit that may matter; what a limit gives is written to the map. */
export function sweep(grid: Grid, play: (limit: number) => Outcome): Map<number, Outcome> {
  const outcomes = new Map<number, Outcome>();
  const at = (index: number): Outcome => {
    const limit = grid.least + index * grid.step;
    expect(limit).toBeLessThan(grid.below);
    const outcome = outcomes.has(limit) ? outcomes.get(limit) : play(limit);
    outcomes.set(limit, outcome);
    return outcome;
  };
  const between = (from: number, to: number): void => {
    if (at(from) === at(to) || to - from < 2) return;
    const middle = (from + to) >> 1;
    between(from, middle);
    between(middle, to);
  };
  for (let index = 0; at(index) !== GRANTED; index += STRIDE) {
    at(index + STRIDE);
    between(index, index + STRIDE);
  }
  return outcomes;
}

/** The outcome of a story whose actions were refused so: their places. */
export function outcomeOf(refused: readonly boolean[]): string {
  return refused.flatMap((isRefused, index) => (isRefused ? [index] : [])).join(" ");
}

/** How many refusals there were in all. */
export function refusalsIn(outcomes: ReadonlyMap<number, Outcome>): number {
  let count = 0;
  for (const outcome of outcomes.values()) {
    if (outcome) count += outcome.split(" ").length;
  }
  return count;
}
