// Lines: the sockets and TIME_WAITs of a system, as the core writes them into the batch one by one.
// The meaning of a line's words depends on the rules.

import type { Core } from "../core/core.ts";
import type { SharedExports } from "./core.ts";
import { openOf } from "./system.ts";

/** A system that can be listed. */
interface Listed {
  readonly core: Core;
  readonly linux: SharedExports;
  readonly address: number;
}

/** No line has more words. */
export const LINE_WORDS = 32;

/** The addresses of all records: sockets, the oldest first, then TIME_WAITs, the first to end first. */
export function recordsOf(system: Listed): number[] {
  const at = openOf(system);
  const { linux } = system;
  const sockets: number[] = [];
  const waits: number[] = [];
  const first = linux.firstWait(at) >>> 0;
  let records = sockets;
  let record = linux.nextRecord(at, 0) >>> 0;
  for (; record !== 0; record = linux.nextRecord(at, record) >>> 0) {
    if (record === first) records = waits;
    records.push(record);
  }
  return sockets.reverse().concat(waits);
}

/** Copies of the lines of all records, one behind another. Later changes do not show. */
export function copyLines(system: Listed): { lines: Uint32Array; records: number[] } {
  const records = recordsOf(system);
  const lines = new Uint32Array(records.length * LINE_WORDS);
  for (const [index, record] of records.entries()) {
    lines.set(lineOf(system, record), index * LINE_WORDS);
  }
  return { lines, records };
}

/** The line of a record, until the next one is asked for. */
export function lineOf(system: Listed, record: number): Uint32Array {
  system.linux.readRecord(openOf(system), record);
  return system.core.offsets.subarray(0, LINE_WORDS);
}

/** A line of zeros, to be restored. */
export function emptyLine(core: Core): Uint32Array {
  core.written = undefined; // a line is restored by way of the request block
  return core.offsets.subarray(0, LINE_WORDS).fill(0);
}
