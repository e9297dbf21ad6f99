// Results: what a run has found, written for machines and read again. A row has a line of its own,
// so that two files can be compared line by line.

import { readFileSync, writeFileSync } from "node:fs";
import type { RunOn } from "./format.ts";
import type { Row, Threshold } from "./session.ts";

export interface Results {
  readonly machine: RunOn;
  /** Tiny: the figures mean nothing. */
  readonly smoke: boolean;
  readonly rows: readonly Row[];
  readonly thresholds: readonly Threshold[];
}

export function writeResults(path: string, results: Results): void {
  const { machine, smoke, rows, thresholds } = results;
  const list = (items: readonly unknown[]): string =>
    `[\n${items.map((item) => JSON.stringify(item, rounded)).join(",\n")}\n]`;
  const parts = [
    `"machine":${JSON.stringify(machine)}`,
    `"smoke":${smoke}`,
    `"thresholds":${list(thresholds)}`,
    `"rows":${list(rows)}`,
  ];
  writeFileSync(path, `{\n${parts.join(",\n")}\n}\n`);
}

/** A clock has no more than six digits. */
function rounded(_name: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}

/** @throws Error if there is no such file, or it has no results. */
export function readResults(path: string): Results {
  const results = parsed(readFileSync(path, "utf8"));
  const { machine, rows, thresholds } = results ?? {};
  const isResults = machine && Array.isArray(rows) && Array.isArray(thresholds);
  if (!isResults || !rows.every(isRow) || !thresholds.every(isThreshold)) {
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
  const names = [row?.suite, row?.workload, row?.system, row?.unit];
  return names.every((name) => typeof name === "string") && Number.isFinite(row?.median);
}

function isThreshold(threshold: Partial<Threshold> | null): boolean {
  return typeof threshold?.name === "string" && Number.isFinite(threshold.value);
}
