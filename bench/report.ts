// Report: rows as they come, each with its bar, and the machine that they come from.

import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import type { Figure } from "./measure.ts";

/** A bar to pass: a ratio or figure on the right side of a limit. */
export interface Bar {
  readonly value: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export class Report {
  readonly #judges: boolean;
  #missed = 0;
  #met = 0;

  /** Tiny runs only show that everything works: their figures are not held against the bars. */
  constructor(judges: boolean) {
    this.#judges = judges;
  }

  /** One row: what was measured, the figures, and whether the bar is met. */
  row(name: string, figures: string, bar?: Bar): void {
    console.log(
      `${name.padEnd(46)} ${figures.padEnd(40)} ${bar ? this.#judge(bar) : ""}`.trimEnd(),
    );
  }

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  /** The closing lines; the exit code tells whether all bars are met. */
  close(): void {
    if (this.#judges) console.log(`\n${this.#met} bars met, ${this.#missed} missed`);
    if (this.#missed > 0) process.exitCode = 1;
  }

  #judge({ value, atLeast, atMost }: Bar): string {
    if (!this.#judges) return format(value);
    const isMet = value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
    if (isMet) this.#met++;
    else this.#missed++;
    const limit =
      atLeast === undefined ? `at most ${format(atMost ?? 0)}` : `at least ${format(atLeast)}`;
    return `${format(value)}  (${limit})  ${isMet ? "met" : "MISSED"}`;
  }
}

/** CPU, Node and commit, as one line. */
export function machineLine(): string {
  const cpu = cpus();
  const model = cpu[0]?.model.trim() ?? "unknown CPU";
  const system = `${process.platform} ${process.arch}`;
  return `${model}, ${cpu.length} cores, Node ${process.versions.node}, ${system}, commit ${commit()}`;
}

/** Nanoseconds as people read them. */
export function time(figure: Figure | number): string {
  const ns = typeof figure === "number" ? figure : figure.ns;
  if (ns < 1000) return `${ns.toFixed(1)} ns`;
  if (ns < 1e6) return `${(ns / 1000).toFixed(2)} us`;
  return `${(ns / 1e6).toFixed(2)} ms`;
}

function format(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(2);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "unknown";
  }
}
