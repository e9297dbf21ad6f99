// Rows: how one differs from another, and which of them may be compared.

import type { Row, System } from "./session.ts";

/** Portwarden; the first that did the same work is what others in a line are compared with. */
export const PORTWARDEN: readonly System[] = [
  ...(["portwarden", "pool", "sockets", "connector", "reservations", "pool batch"] as const),
];

export function isPortwarden({ system }: Row): boolean {
  return PORTWARDEN.includes(system);
}

/** Was it recorded on another machine? */
export function isRecorded({ system }: Row): boolean {
  return system.endsWith("(recorded)");
}

/** In one run and on one machine, with the same results, or with none that could be compared. */
export function isSameWork(one: Row, other: Row): boolean {
  if (isRecorded(one) || isRecorded(other)) return false;
  return one.unit === other.unit && one.unit !== "ratio" && one.digest === other.digest;
}

export function heldAt({ occupancy }: Row): string {
  return occupancy === null ? "" : `${occupancy} %`;
}

/** All that names a row, in one text. */
export function labelOf({ suite, workload, occupancy, system }: Row): string {
  return `${suite}/${workload}${occupancy === null ? "" : ` ${occupancy} %`} ${system}`;
}
