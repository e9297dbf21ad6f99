// Interleaved: several pieces of work, sampled in turn. What slows the machine down for a while
// slows all of them, so their ratios stay true where single figures do not.

import type { Figure } from "./measure.ts";

/** What is timed, a batch at a time. */
export interface Work {
  /** What is not timed, before each batch. */
  prepare?(): void;
  /** One batch. */
  run(): void;
  /** Gives back what it works on. */
  close?(): void;
}

export interface Turns {
  /** Operations in one batch. */
  readonly operations: number;
  /** How many batches of each work are timed. */
  readonly rounds: number;
}

/** What came of it. */
export interface Interleaved {
  figure(work: Work): Figure;
  /** How many times as long as other work some took: the median over the rounds. */
  ratio(work: Work, to: Work): number;
}

const WARM_UP_SHARE = 0.1;

/** Samples each work once in every round, another one first each time; then closes them all. */
export function measureInTurn({ operations, rounds }: Turns, works: readonly Work[]): Interleaved {
  const times = new Map(works.map((work) => [work, [] as number[]]));
  for (let round = -Math.ceil(rounds * WARM_UP_SHARE); round < rounds; round++) {
    const first = Math.abs(round) % works.length;
    for (const work of [...works.slice(first), ...works.slice(0, first)]) {
      const ns = timeOf(work) / operations;
      if (round >= 0) times.get(work)?.push(ns);
    }
  }
  for (const work of works) work.close?.();
  const of = (work: Work): number[] => times.get(work) as number[];
  return {
    figure: (work) => figureOf(of(work)),
    ratio: (work, to) => figureOf(of(work).map((ns, round) => ns / (of(to)[round] as number))).ns,
  };
}

function timeOf(work: Work): number {
  work.prepare?.();
  const start = process.hrtime.bigint();
  work.run();
  return Number(process.hrtime.bigint() - start);
}

function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] as number;
  return { ns: at(0.5), p10: at(0.1), p90: at(0.9), samples: sorted.length };
}
