// Stage: where the systems of a benchmark appear side by side, and what is kept of them.
//
// A benchmark hands over contenders that do the same work; the stage samples them in turn, checks
// that their digests agree, prints a line and keeps a row for each. Bars are ratios between rows of
// one run. The JSON file, the page and the charts are made from what the stage has kept.

import { format, time } from "./format.ts";
import { type Figure, type Measured, measureInTurn, type Turns, type Work } from "./measure.ts";

/** Who did the work. */
export type System =
  | "handles"
  | "words"
  | "batch"
  | "sockets"
  | "reference"
  | "js-set"
  | "js-bitmap"
  | "js-bitmap batch"
  | "connector"
  | "connector promise"
  | "net.connect"
  | "localAddress"
  | "localPort"
  | "get-port"
  | "portfinder"
  | "node listen(0)"
  | "js"
  | "wasm"
  | "gvisor (recorded)"
  | "linux (recorded)";

export type Unit = "ns" | "bytes" | "ratio";

/** One figure of one system. */
export interface Row {
  /** Which benchmark, and which of its workloads: `ephemeral`, `tcp`. */
  readonly bench: string;
  readonly row: string;
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
export interface Place {
  readonly bench: string;
  readonly row: string;
  readonly occupancy?: number;
}

/** One system at work on what all are given alike. */
export interface Contender extends Work {
  readonly system: System;
  /** Of the results of the work, made apart from the timed batches and before them. */
  digest(): string;
}

/** Who meets at one place. */
export interface Scene {
  readonly place: Place;
  readonly contenders: readonly Contender[];
}

/** A bar to pass: a figure on the right side of a limit. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export class Stage {
  /** Tiny runs only show that everything works: their figures are not held against the bars. */
  readonly smoke: boolean;
  readonly rows: Row[] = [];
  readonly bars: Bar[] = [];

  constructor(smoke: boolean) {
    this.smoke = smoke;
  }

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  /** Lets contenders do the same work in turn, and keeps a row for each. */
  compare(place: Place, contenders: readonly Contender[], turns?: Turns): Measured {
    return this.compareAll([{ place, contenders }], turns);
  }

  /** The same at several places, all sampled in turn, so that places compare as well as systems. */
  compareAll(scenes: readonly Scene[], turns?: Turns): Measured {
    const digests = scenes.map(checkEqual);
    const works = scenes.flatMap(({ contenders }) => contenders);
    const measured = measureInTurn(this.#turns(turns), works);
    for (const [index, { place, contenders }] of scenes.entries()) {
      for (const contender of contenders) {
        const { system, operations } = contender;
        const figure = measured.figure(contender);
        this.keep({ ...place, system, operations, digest: digests[index] as string, ...figure });
      }
    }
    return measured;
  }

  /** Keeps a row that was measured apart, or recorded elsewhere. */
  keep(row: Omit<Row, "occupancy" | "unit" | "digest"> & Partial<Row>): Row {
    const whole: Row = { occupancy: null, unit: "ns", digest: null, ...row };
    if (!Number.isFinite(whole.median)) throw new Error(`${row.bench}/${row.row} has no figure`);
    this.rows.push(whole);
    const { bench, row: name, occupancy, system, digest } = whole;
    const at = occupancy === null ? "" : `${occupancy} %`;
    const spread =
      whole.samples > 1 ? `${showOf(whole, "p10")} .. ${showOf(whole, "p90")}` : "once";
    const columns = [`${bench}/${name}`.padEnd(44), at.padStart(7), system.padEnd(17)];
    const figure = showOf(whole, "median").padStart(10);
    console.log(`${columns.join(" ")} ${figure}  ${spread.padEnd(24)} ${digest ?? ""}`.trimEnd());
    return whole;
  }

  /** A row for one figure. */
  keepOne(place: Place, system: System, value: number, more: Partial<Row> = {}): Row {
    const one = { median: value, p10: value, p90: value, samples: 1, operations: 1 };
    return this.keep({ ...place, system, ...one, ...more });
  }

  /** Judges a figure, unless the run is tiny. */
  judge(bar: Bar): void {
    this.bars.push(bar);
    console.log(`${"".padEnd(8)}${bar.name}: ${showBar(bar, this.smoke)}`);
  }

  /** The median of a row that has been kept. */
  median(bench: string, row: string, system: System, occupancy: number | null = null): number {
    const found = this.rows.find(
      (item) =>
        item.bench === bench &&
        item.row === row &&
        item.system === system &&
        item.occupancy === occupancy,
    );
    if (found === undefined) throw new Error(`no row ${bench}/${row} of ${system}, ${occupancy}`);
    return found.median;
  }

  /** The closing line; the exit code tells whether all bars are met. */
  close(): void {
    if (!this.smoke) showBars(this.bars);
  }

  #turns(turns: Turns | undefined): Turns {
    if (this.smoke) return { rounds: 1 };
    return turns ?? { rounds: 100, milliseconds: 400 };
  }
}

/** The one digest that all contenders must have. */
export function checkEqual({ place, contenders }: Scene): string {
  const digests = contenders.map((contender) => contender.digest());
  if (new Set(digests).size === 1) return digests[0] as string;
  const told = contenders.map(({ system }, index) => `${system} ${digests[index]}`).join(", ");
  throw new Error(`${place.bench}/${place.row}: the digests differ: ${told}`);
}

/** How many bars are met; the exit code tells whether all are. */
export function showBars(bars: readonly Bar[]): void {
  const missed = bars.filter((bar) => !isMet(bar)).length;
  console.log(`\n${bars.length - missed} bars met, ${missed} missed`);
  if (missed > 0) process.exitCode = 1;
}

export function isMet({ value, atLeast, atMost }: Bar): boolean {
  return value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
}

export function showBar(bar: Bar, smoke = false): string {
  const verdict = smoke ? "" : isMet(bar) ? "  met" : "  MISSED";
  return `${format(bar.value)} (${showLimit(bar)})${verdict}`;
}

export function showLimit({ atLeast, atMost }: Bar): string {
  const low = atLeast === undefined ? [] : [`at least ${format(atLeast)}`];
  const high = atMost === undefined ? [] : [`at most ${format(atMost)}`];
  return [...low, ...high].join(", ");
}

function showOf(row: Row, of: "median" | "p10" | "p90"): string {
  if (row.unit === "ns") return time(row[of]);
  return row.unit === "bytes" ? `${format(row[of])} B` : format(row[of]);
}

export type { Figure };
