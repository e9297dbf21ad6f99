// Lines: the rows of all systems at one place, side by side, and which of them may be compared.

import { format, time } from "../harness/format.ts";
import type { Row, System } from "../harness/setup.ts";

/** Ours; the first of them that did the same work is what others in a line are compared with. */
export const OURS: readonly System[] = ["handles", "sockets", "connector", "words", "batch"];

/** Rows of one bench, row and occupancy: one line of a table. */
export type Line = readonly Row[];

export function linesOf(rows: readonly Row[]): Line[] {
  const lines = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.bench, row.row, row.occupancy]);
    const line = lines.get(key);
    if (line === undefined) lines.set(key, [row]);
    else line.push(row);
  }
  return [...lines.values()];
}

export function benchesOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ bench }) => bench))];
}

export function isOurs({ system }: Row): boolean {
  return OURS.includes(system);
}

export function isRecorded({ system }: Row): boolean {
  return system.endsWith("(recorded)");
}

/** In one run and on one machine, with the same results, or with none that could be compared. */
export function isSameWork(one: Row, other: Row): boolean {
  if (isRecorded(one) || isRecorded(other)) return false;
  return one.unit === other.unit && one.unit !== "ratio" && one.digest === other.digest;
}

/** Two systems or more have results that were compared, and are equal. */
export function isCompared(line: Line): boolean {
  const digests = line.map(({ digest }) => digest).filter((digest) => digest !== null);
  return new Set(digests).size < digests.length;
}

export function heldAt({ occupancy }: Row): string {
  return occupancy === null ? "" : `${occupancy} %`;
}

export function show({ unit, median }: Row): string {
  if (unit === "ns") return time(median);
  return unit === "bytes" ? `${format(median)} B` : format(median);
}
