// Session: one run of some suites, and what is kept of it: a row for each figure, and thresholds.
//
// A suite passes implementations that do the same work. The session samples them by turns,
// checks that the digests of their results agree, prints a line and keeps a row for each. A
// threshold is a ratio between rows of one run, or a size, with a limit. The JSON file and the
// report are made of what the session has kept.

import { format, time } from "./format.ts";
import { type Measured, measureByTurns, type Sampling, type Work } from "./measure.ts";

/** What did the work. */
export type System =
  | "portwarden"
  | "pool"
  | "pool batch"
  | "reservations"
  | "listener"
  | "sockets"
  | "reference model"
  | "Set"
  | "bitmap"
  | "bitmap batch"
  | "connector"
  | "connector promise"
  | "connector sequential"
  | "net.connect"
  | "localAddress"
  | "localPort"
  | "get-port"
  | "portfinder"
  | "node"
  | "node:net"
  | "detect-port"
  | "leasePort"
  | "node listen(0)"
  | "autocannon"
  | "autocannon localAddress"
  | "autocannon portwarden"
  | "undici"
  | "undici localAddress"
  | "undici portwarden"
  | "wrk"
  | "h2load"
  | "wasm"
  | "gVisor (recorded)"
  | "Linux (recorded)";

export type Unit = "ns" | "bytes" | "ratio";

/** One figure of one system. */
export interface Row {
  readonly suite: string;
  /** Which of the suite's workloads. */
  readonly workload: string;
  readonly system: System;
  /** Percent of the range that is held, where that is what changes. */
  readonly occupancy: number | null;
  readonly unit: Unit;
  /** Per operation. */
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** How many operations one sample has, and how many samples there are. */
  readonly operations: number;
  readonly samples: number;
  /** Of the results; systems that do the same work have the same one. */
  readonly digest: string | null;
}

/** What a row is about. */
export interface RowKey {
  readonly suite: string;
  readonly workload: string;
  readonly occupancy?: number;
}

/** One system at work on what all are given alike. */
export interface Implementation extends Work {
  readonly system: System;
  /** Of the results of the work, made apart from the timed batches and before them. */
  digest(): string;
}

/** Implementations that do the same work. */
export interface Comparison {
  readonly key: RowKey;
  readonly implementations: readonly Implementation[];
}

/** A figure and what it may be. */
export interface Threshold {
  readonly name: string;
  readonly value: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export class Session {
  /** Tiny runs only show that everything works: no threshold is checked. */
  readonly smoke: boolean;
  readonly rows: Row[] = [];
  readonly thresholds: Threshold[] = [];

  constructor(smoke: boolean) {
    this.smoke = smoke;
  }

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  /** Samples implementations of the same work by turns, and keeps a row for each. */
  compare(key: RowKey, implementations: readonly Implementation[], sampling?: Sampling): Measured {
    return this.compareAll([{ key, implementations }], sampling);
  }

  /** The same for several works, all sampled by turns, so that works compare as well as systems. */
  compareAll(comparisons: readonly Comparison[], sampling?: Sampling): Measured {
    const digests = comparisons.map(checkEqual);
    const works = comparisons.flatMap(({ implementations }) => implementations);
    const measured = measureByTurns(this.#sampling(sampling), works);
    for (const [index, { key, implementations }] of comparisons.entries()) {
      for (const implementation of implementations) {
        const { system, operations } = implementation;
        const figure = measured.figure(implementation);
        this.keep({ ...key, system, operations, digest: digests[index] as string, ...figure });
      }
    }
    return measured;
  }

  /** Keeps a row that was measured elsewhere. */
  keep(row: Omit<Row, "occupancy" | "unit" | "digest"> & Partial<Row>): Row {
    const whole: Row = { occupancy: null, unit: "ns", digest: null, ...row };
    const { suite, workload, occupancy, system, digest } = whole;
    if (!Number.isFinite(whole.median)) throw new Error(`${suite}/${workload} has no figure`);
    this.rows.push(whole);
    const held = occupancy === null ? "" : `${occupancy} %`;
    const spread = whole.samples > 1 ? `${show(whole, "p10")} .. ${show(whole, "p90")}` : "once";
    const columns = [`${suite}/${workload}`.padEnd(44), held.padStart(7), system.padEnd(17)];
    const figure = show(whole).padStart(10);
    console.log(`${columns.join(" ")} ${figure}  ${spread.padEnd(24)} ${digest ?? ""}`.trimEnd());
    return whole;
  }

  /** Keeps a row for one figure. */
  keepOne(key: RowKey, system: System, value: number, more: Partial<Row> = {}): Row {
    const one = { median: value, p10: value, p90: value, samples: 1, operations: 1 };
    return this.keep({ ...key, system, ...one, ...more });
  }

  /** Keeps a threshold, and prints whether it is met unless the run is tiny. */
  check(threshold: Threshold): void {
    this.thresholds.push(threshold);
    console.log(`${"".padEnd(8)}${threshold.name}: ${showThreshold(threshold, this.smoke)}`);
  }

  /** The median of a row that has been kept. */
  median(key: RowKey, system: System): number {
    const { suite, workload, occupancy = null } = key;
    const found = this.rows.find(
      (row) =>
        row.suite === suite &&
        row.workload === workload &&
        row.system === system &&
        row.occupancy === occupancy,
    );
    if (found === undefined) throw new Error(`no row ${suite}/${workload} of ${system}`);
    return found.median;
  }

  /** Prints the closing line; the exit code tells whether all thresholds are met. */
  close(): void {
    if (!this.smoke) showThresholds(this.thresholds);
  }

  #sampling(sampling: Sampling | undefined): Sampling {
    if (this.smoke) return { rounds: 1 };
    return sampling ?? { rounds: 100, milliseconds: 400 };
  }
}

/** The one digest that all implementations must have. */
export function checkEqual({ key, implementations }: Comparison): string {
  const digests = implementations.map((implementation) => implementation.digest());
  if (new Set(digests).size === 1) return digests[0] as string;
  const all = implementations.map(({ system }, index) => `${system} ${digests[index]}`).join(", ");
  throw new Error(`${key.suite}/${key.workload}: the digests differ: ${all}`);
}

/** Prints how many thresholds are met, and names those that are not; sets the exit code. */
export function showThresholds(thresholds: readonly Threshold[]): void {
  const missed = thresholds.filter((threshold) => !isMet(threshold));
  console.log(`\n${thresholds.length - missed.length} thresholds met, ${missed.length} missed`);
  for (const threshold of missed) {
    console.log(`${threshold.name}: ${showThreshold(threshold)}`);
  }
  if (missed.length > 0) process.exitCode = 1;
}

export function isMet({ value, atLeast, atMost }: Threshold): boolean {
  return value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
}

export function showThreshold(threshold: Threshold, smoke = false): string {
  const verdict = smoke ? "" : isMet(threshold) ? "  met" : "  MISSED";
  return `${format(threshold.value)} (${showLimit(threshold)})${verdict}`;
}

export function showLimit({ atLeast, atMost }: Threshold): string {
  const low = atLeast === undefined ? [] : [`at least ${format(atLeast)}`];
  const high = atMost === undefined ? [] : [`at most ${format(atMost)}`];
  return [...low, ...high].join(", ");
}

/** A figure of a row with its unit. */
export function show(row: Row, of: "median" | "p10" | "p90" = "median"): string {
  if (row.unit === "ns") return time(row[of]);
  return row.unit === "bytes" ? `${format(row[of])} B` : format(row[of]);
}
