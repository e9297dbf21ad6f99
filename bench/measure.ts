// Measure: nanoseconds per operation, from batches.
//
// The clock ticks about every 40 ns, so one operation cannot be timed. A sample is a batch of at
// least a thousand; tinybench takes the samples, and what is told is their median over the batch.

import { Bench } from "tinybench";

export interface Figure {
  /** Median nanoseconds per operation. */
  readonly ns: number;
  readonly p10: number;
  readonly p90: number;
  readonly samples: number;
}

export interface Pace {
  /** Operations in one call of the batch. */
  readonly operations: number;
  /** At least so many samples. */
  readonly samples?: number;
  /** Milliseconds to go on sampling. */
  readonly milliseconds?: number;
}

/** Runs a batch again and again. */
export async function measure(pace: Pace, batch: () => void): Promise<Figure> {
  const { operations, samples = 15, milliseconds = 250 } = pace;
  const bench = new Bench({
    iterations: samples,
    time: milliseconds,
    warmupIterations: Math.min(5, samples),
    warmupTime: milliseconds / 5,
    retainSamples: true,
  });
  bench.add("batch", batch);
  await bench.run();
  const task = bench.tasks[0];
  const result = task?.result;
  if (result === undefined || !("latency" in result) || result.latency === undefined) {
    throw new Error(`a benchmark did not finish: ${JSON.stringify(result)}`);
  }
  const latencies = [...(result.latency.samples ?? [])].sort((a, b) => a - b);
  const at = (share: number): number =>
    ((latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN) * 1e6) / operations;
  return { ns: at(0.5), p10: at(0.1), p90: at(0.9), samples: latencies.length };
}

/** Runs a piece of work that is too long to repeat, once. */
export function measureOnce(operations: number, work: () => void): Figure {
  const start = process.hrtime.bigint();
  work();
  const ns = Number(process.hrtime.bigint() - start) / operations;
  return { ns, p10: ns, p90: ns, samples: 1 };
}
