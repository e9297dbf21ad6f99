// WaitTimes: how long connections have waited, as a histogram.

/** Upper bounds of the buckets, milliseconds; there is one more without a bound. */
const BOUNDS_MS = [
  ...[1, 5, 10, 25, 50, 100, 250, 500],
  ...[1000, 2500, 5000, 10_000, 30_000, 60_000],
] as const;

/**
 * How long connections have waited for a port or a file: established ones, most of which have not
 * waited, and those that waited without success.
 */
export interface WaitHistogram {
  /** How many connections. */
  readonly count: number;
  /** Milliseconds that all of them have waited. */
  readonly sumMs: number;
  /** How many have waited for so many milliseconds or less; the last bound is `Infinity`. */
  readonly buckets: readonly { readonly atMostMs: number; readonly count: number }[];
}

export class WaitTimes {
  readonly #counts: number[] = Array(BOUNDS_MS.length + 1).fill(0);
  #sumMs = 0;

  observe(waitedMs: number): void {
    const bucket = waitedMs === 0 ? 0 : BOUNDS_MS.findIndex((bound) => waitedMs <= bound);
    const at = bucket < 0 ? BOUNDS_MS.length : bucket;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sumMs += waitedMs;
  }

  histogram(): WaitHistogram {
    let count = 0;
    const buckets = [...BOUNDS_MS, Number.POSITIVE_INFINITY].map((atMostMs, at) => {
      count += this.#counts[at] as number;
      return { atMostMs, count };
    });
    return { count, sumMs: this.#sumMs, buckets };
  }
}
