// Compare: two runs row by row. Figures of different machines, or of a busy and a quiet one, do not
// compare; ratios within one run do, so read these with care.

import { format, machineLine, time } from "./format.ts";
import type { Results } from "./results.ts";
import { isRecorded, labelOf } from "./rows.ts";
import type { Row } from "./session.ts";

/** Prints each row that both runs have, and how many times as long it takes now. */
export function compareWith(old: Results, now: Results): void {
  console.log(`\nbefore: ${machineLine(old.machine)}\nnow:    ${machineLine(now.machine)}`);
  console.log("*: the median is outside the 10th to 90th percentile of the run before\n");
  const rows = measured(now);
  const suites = new Set(rows.map(({ suite }) => suite));
  const earlier = measured(old).filter(({ suite }) => suites.has(suite));
  const before = new Map(earlier.map((row) => [labelOf(row), row]));
  const ratios = new Map<string, number[]>();
  for (const row of rows) {
    const was = before.get(labelOf(row));
    if (was === undefined) console.log(`${labelOf(row).padEnd(64)} new`);
    else ratios.set(row.system, [...(ratios.get(row.system) ?? []), showPair(was, row)]);
    before.delete(labelOf(row));
  }
  for (const key of before.keys()) console.log(`${key.padEnd(64)} not measured now`);
  showMeans(ratios);
}

/** What was recorded on another machine never changes. */
function measured({ rows }: Results): Row[] {
  return rows.filter((row) => !isRecorded(row));
}

function showPair(was: Row, row: Row): number {
  const ratio = row.median / was.median;
  const show = row.unit === "ns" ? time : format;
  const figures = `${show(was.median).padStart(12)} ${show(row.median).padStart(12)}`;
  const changed = was.digest === row.digest ? "" : "  another digest";
  const apart = row.median < was.p10 || row.median > was.p90 ? " *" : "";
  console.log(`${labelOf(row).padEnd(64)} ${figures}  ${ratio.toFixed(2)}${apart}${changed}`);
  return ratio;
}

/**
 * For each system, since what changes here should not change others. Without ratios of figures that
 * are 0, which is below what the clock costs.
 */
function showMeans(ratios: ReadonlyMap<string, readonly number[]>): void {
  const lines = [...ratios].flatMap(([system, values]) => {
    const logs = values.map(Math.log).filter(Number.isFinite);
    if (logs.length === 0) return [];
    const mean = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
    return [`${system.padEnd(17)} ${mean.toFixed(3)}  of ${logs.length} rows`];
  });
  if (lines.length > 0) console.log(`\ngeometric means:\n${lines.join("\n")}`);
}
