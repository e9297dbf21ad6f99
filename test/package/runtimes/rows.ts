// Rows: each run and its outcome.

import type { Report } from "./scenario.ts";
import { Unavailable } from "./tools.ts";

/** One way to use the package in one runtime. */
export interface Case {
  /** `Node 22`, `Chromium`. */
  readonly runtime: string;
  /** `import`, `vite build`. */
  readonly how: string;
  run(): Promise<Outcome>;
}

/** What a runtime has reported. Where no time is measured there is none. */
export interface Outcome extends Partial<Report> {
  readonly version: string;
  readonly checks: number;
  /** What else there is to say. */
  readonly note?: string;
}

export interface Row {
  readonly runtime: string;
  readonly how: string;
  readonly state: "passed" | "failed" | "skipped";
  readonly outcome?: Outcome;
  /** Why it failed or was skipped. */
  readonly why?: string;
}

const REPORT = "REPORT ";
const CHECKS_MIN = 70;

/**
 * Script that runs the scenario and prints the outcome; `load` is an expression for the
 * package.
 */
export function reporting(load: string): string {
  return `const startedAt = performance.now();
const portwarden = ${load};
console.log("${REPORT}" + JSON.stringify(run(portwarden, startedAt)));
`;
}

/** What such a script has printed. */
export function reportIn(printed: string): Report {
  const line = printed.split("\n").find((line) => line.startsWith(REPORT));
  if (line === undefined) throw new Error(`nothing was reported: ${printed.slice(-500)}`);
  return checked(JSON.parse(line.slice(REPORT.length)) as Report);
}

/** A scenario that looked at nothing has proved nothing. */
export function checked(report: Report): Report {
  if (report.checks >= CHECKS_MIN) return report;
  throw new Error(`only ${report.checks} checks were made, of ${CHECKS_MIN} and more`);
}

/**
 * What came of three runs, each of which must go well: the best of each time, for others may be
 * busy here.
 */
export async function thrice(run: () => Promise<Outcome>): Promise<Outcome> {
  const outcomes = [await run(), await run(), await run()] as const;
  const coldMs = Math.min(...outcomes.map(({ coldMs = Number.NaN }) => coldMs));
  const pickNs = Math.min(...outcomes.map(({ pickNs = Number.NaN }) => pickNs));
  return { ...outcomes[0], coldMs, pickNs };
}

/** Never throws, and is over after `ms` at the latest. */
export async function rowOf({ runtime, how, run }: Case, ms: number): Promise<Row> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms / 1000} s`)), ms);
  });
  try {
    return { runtime, how, state: "passed", outcome: await Promise.race([run(), limit]) };
  } catch (error) {
    const state = error instanceof Unavailable ? "skipped" : "failed";
    return { runtime, how, state, why: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

const WIDTHS = [10, 30, 14, 9, 8, 12, 10];

export function headline(): string {
  return line(["runtime", "how", "version", "result", "checks", "cold start", "per pick"]);
}

export function lineOf({ runtime, how, state, outcome, why }: Row): string {
  const { version = "", checks = 0, coldMs, pickNs, note } = outcome ?? {};
  const figures = [String(checks), timeOf(coldMs, "ms"), timeOf(pickNs, "ns")];
  const told = line([runtime, how, version, state, ...(state === "passed" ? figures : [])]);
  const more = why ?? note;
  return more === undefined ? told : `${told}\n    ${more}`;
}

function timeOf(time: number | undefined, unit: string): string {
  return time === undefined ? "" : `${time.toFixed(1)} ${unit}`;
}

function line(words: readonly string[]): string {
  return words
    .map((word, at) => word.padEnd(WIDTHS[at] ?? 0))
    .join(" ")
    .trimEnd();
}
