// Side by side: the same rows and thresholds of several runs, a column for each.

import { format } from "./format.ts";
import type { Results } from "./results.ts";
import { isRecorded, labelOf } from "./rows.ts";
import { isMet, type Row, show, type Threshold } from "./session.ts";

/** Names of the columns behind the label, and a line of cells for each row and threshold. */
export interface SideBySide {
  readonly columns: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** Rows that the first run and another one have, and what was recorded left out. */
export function rowsSideBySide(
  runs: readonly Results[],
  isShown: (row: Row) => boolean = () => true,
): SideBySide {
  const [first] = runs as [Results, ...Results[]];
  const tables = runs.map(({ rows }) => new Map(rows.map((row) => [labelOf(row), row])));
  const lines = first.rows
    .filter((row) => !isRecorded(row) && isShown(row))
    .filter((row) => tables.slice(1).some((table) => table.has(labelOf(row))))
    .map((row) => {
      const cells = tables.map((table) => table.get(labelOf(row)));
      return [labelOf(row), ...cells.map((cell) => (cell === undefined ? "" : show(cell)))];
    });
  return { columns: columnsOf(runs), lines };
}

export function thresholdsSideBySide(runs: readonly Results[]): SideBySide {
  const [first] = runs as [Results, ...Results[]];
  const tables = runs.map(
    ({ thresholds }) => new Map(thresholds.map((threshold) => [threshold.name, threshold])),
  );
  const lines = first.thresholds
    .filter(({ name }) => tables.slice(1).some((table) => table.has(name)))
    .map(({ name }) => [name, ...tables.map((table) => cellOf(table.get(name), first.smoke))]);
  return { columns: columnsOf(runs), lines };
}

export function showSideBySide(runs: readonly Results[]): void {
  for (const { columns, lines } of [rowsSideBySide(runs), thresholdsSideBySide(runs)]) {
    console.log("");
    for (const [label = "", ...cells] of [["", ...columns], ...lines]) {
      console.log(`${label.padEnd(72)} ${cells.map((cell) => cell.padStart(16)).join("")}`);
    }
  }
}

function columnsOf(runs: readonly Results[]): string[] {
  return runs.map(({ machine }) => `Node ${machine.node}`);
}

function cellOf(threshold: Threshold | undefined, smoke: boolean): string {
  if (threshold === undefined) return "";
  return `${format(threshold.value)}${smoke || isMet(threshold) ? "" : " MISSED"}`;
}
