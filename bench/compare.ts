// Compare: two runs row by row. Figures of different machines, or of a busy and a quiet one, do not
// compare; ratios within one run do, so read these with care.

import { format, machineLine, time } from "./format.ts";
import type { Results } from "./results.ts";
import type { Row } from "./stage.ts";

/** Prints each row that both runs have, and how many times as long it takes now. */
export function compareWith(old: Results, now: Results): void {
  console.log(`\nbefore: ${machineLine(old.machine)}\nnow:    ${machineLine(now.machine)}\n`);
  const before = new Map(measured(old).map((row) => [keyOf(row), row]));
  const ratios: number[] = [];
  for (const row of measured(now)) {
    const was = before.get(keyOf(row));
    if (was === undefined) console.log(`${keyOf(row).padEnd(64)} new`);
    else ratios.push(showPair(was, row));
    before.delete(keyOf(row));
  }
  for (const key of before.keys()) console.log(`${key.padEnd(64)} not measured now`);
  if (ratios.length > 0) console.log(`\ngeometric mean of ${ratios.length} rows: ${mean(ratios)}`);
}

/** What was recorded on another machine never changes. */
function measured({ rows }: Results): Row[] {
  return rows.filter(({ system }) => !system.endsWith("(recorded)"));
}

function showPair(was: Row, row: Row): number {
  const ratio = row.median / was.median;
  const show = row.unit === "ns" ? time : format;
  const figures = `${show(was.median).padStart(12)} ${show(row.median).padStart(12)}`;
  const changed = was.digest === row.digest ? "" : "  another digest";
  console.log(`${keyOf(row).padEnd(64)} ${figures}  ${ratio.toFixed(2)}${changed}`);
  return ratio;
}

/** Without those of figures that are 0, which is below what the clock costs. */
function mean(ratios: readonly number[]): string {
  const logs = ratios.map(Math.log).filter(Number.isFinite);
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length).toFixed(3);
}

function keyOf({ bench, row, occupancy, system }: Row): string {
  return `${bench}/${row}${occupancy === null ? "" : ` ${occupancy} %`} ${system}`;
}
