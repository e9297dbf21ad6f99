// Measure: several pieces of work, sampled by turns, a batch at a time.
//
// The clock ticks about every 40 ns, so one operation cannot be timed: a sample is a batch, of a
// thousand operations wherever they are short. tinybench takes the samples. What slows the machine
// down for a while slows all works that are sampled by turns, so their ratios stay true where
// single figures do not. tinybench also measures what the clock itself costs and takes it off each
// sample.

import { Bench } from "tinybench";

/** Nanoseconds per operation. */
export interface Figure {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly samples: number;
}

/** What is timed, a batch at a time. */
export interface Work {
  /** Operations in one batch. */
  readonly operations: number;
  /** A very slow work is timed so many times at most, and not warmed up. */
  readonly most?: number;
  /** What is not timed, before each batch. */
  prepare?(): void;
  /** One batch. */
  run(): void;
  /** Gives back what it works on. */
  close?(): void;
}

export interface Sampling {
  /** How many batches of each work are timed at most. */
  readonly rounds: number;
  /** A work that has taken so long is not sampled again, once it has `LEAST` samples. */
  readonly milliseconds?: number;
}

/** The figures of works that were sampled by turns, and the ratios between them. */
export interface Measured {
  figure(work: Work): Figure;
  /**
   * How many times as long as other work some took: the median over the rounds both took part in.
   */
  ratio(work: Work, to: Work): number;
}

const WARM_UP_SHARE = 0.1;
const LEAST = 3;

/** Samples each work once in every round, another one first each time; then closes them all. */
export function measureByTurns(sampling: Sampling, works: readonly Work[]): Measured {
  const { rounds, milliseconds = Number.POSITIVE_INFINITY } = sampling;
  const times = new Map(works.map((work) => [work, [] as number[]]));
  const watches = new Map(works.map((work) => [work, watchOf(work)]));
  const spent = new Map(works.map((work) => [work, 0]));
  const warmUps = rounds < 10 ? Math.min(1, rounds - 1) : Math.ceil(rounds * WARM_UP_SHARE);
  for (let round = -warmUps; round < rounds; round++) {
    const first = Math.abs(round) % works.length;
    for (const work of [...works.slice(first), ...works.slice(0, first)]) {
      const samples = times.get(work) as number[];
      const sofar = spent.get(work) as number;
      if (isEnough(work, round, samples.length, sofar > milliseconds)) continue;
      const ns = (watches.get(work) as () => number)();
      spent.set(work, sofar + ns / 1e6);
      if (round >= 0) samples.push(ns / work.operations);
    }
  }
  for (const work of works) work.close?.();
  const of = (work: Work): number[] => times.get(work) as number[];
  return {
    figure: (work) => figureOf(of(work)),
    ratio: (work, to) => {
      const both = Math.min(of(work).length, of(to).length);
      const pairs = of(work).slice(0, both);
      return figureOf(pairs.map((ns, round) => ns / (of(to)[round] as number))).median;
    },
  };
}

/** Median, 10th and 90th percentile. */
export function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] as number;
  return { median: at(0.5), p10: at(0.1), p90: at(0.9), samples: sorted.length };
}

/** Nanoseconds of one piece of work that is too long to repeat, or changes what it works on. */
export function timeOnce(run: () => void): number {
  return stopwatch(run)();
}

function isEnough({ most }: Work, round: number, samples: number, isLate: boolean): boolean {
  if (most !== undefined && (round < 0 || samples >= most)) return true;
  return isLate && (round < 0 || samples >= LEAST);
}

function watchOf(work: Work): () => number {
  const prepare = work.prepare === undefined ? undefined : (): void => work.prepare?.();
  return stopwatch(() => work.run(), prepare);
}

/** One batch, as tinybench times it. */
function stopwatch(run: () => void, prepare?: () => void): () => number {
  const bench = new Bench({
    iterations: 1,
    time: 0,
    warmup: false,
    retainSamples: true,
    throws: true,
    timestampProvider: "hrtimeNow",
    subtractTimerOverhead: true,
  });
  // Otherwise tinybench runs it once beforehand, to see whether it is asynchronous.
  const isSync = { async: false };
  bench.add("batch", run, prepare === undefined ? isSync : { ...isSync, beforeEach: prepare });
  return () => {
    bench.reset();
    bench.runSync();
    const result = bench.tasks[0]?.result;
    if (result === undefined || !("latency" in result)) throw new Error("a sample was not taken");
    return (result.latency.samples?.[0] as number) * 1e6;
  };
}
