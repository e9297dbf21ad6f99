// Results: the machine-readable outcome of a run, written and read again.

import { readFileSync, writeFileSync } from "node:fs";
import type { HostState } from "./format.ts";
import type { Bar, Row } from "./setup.ts";

export interface Results {
  readonly machine: HostState;
  /** Tiny: the figures mean nothing. */
  readonly smoke: boolean;
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
}

export function writeResults(path: string, results: Results): void {
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
}

/** @throws Error if there is no such file, or it has no results. */
export function readResults(path: string): Results {
  const results = parsed(readFileSync(path, "utf8"));
  const { machine, rows, bars } = results ?? {};
  const isResults = machine && Array.isArray(rows) && Array.isArray(bars);
  if (!isResults || !rows.every(isRow) || !bars.every(isBar)) {
    throw new TypeError(`${path} has no results of a benchmark`);
  }
  return results as Results;
}

function parsed(text: string): Partial<Results> | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isRow(row: Partial<Row> | null): boolean {
  const names = [row?.bench, row?.row, row?.system, row?.unit];
  return names.every((name) => typeof name === "string") && Number.isFinite(row?.median);
}

function isBar(bar: Partial<Bar> | null): boolean {
  return typeof bar?.name === "string" && Number.isFinite(bar.value);
}
