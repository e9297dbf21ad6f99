// Page: a run's results for people to read, with its charts and its file beside it.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BENCHMARKS } from "../harness/benchmarks.ts";
import { format } from "../harness/format.ts";
import { type Results, writeResults } from "../harness/results.ts";
import { type Bar, isMet, type Row, type System, showLimit, type Unit } from "../harness/setup.ts";
import { type Chart, chartsOf } from "./charts.ts";
import { benchesOf, heldAt, isSameWork, type Line, linesOf, OURS, show } from "./lines.ts";
import { comparedLines, losses } from "./losses.ts";
import { glossary, systemTable } from "./systems.ts";
import { folded, table } from "./text.ts";

/** Not the name of a page that somebody may have in that directory. */
export const PAGE = "report.md";

/** Longer tables are folded. */
const LINES_SHOWN = 40;

export function writeReport(directory: string, results: Results): void {
  mkdirSync(directory, { recursive: true });
  writeResults(join(directory, "results.json"), results);
  const charts = chartsOf(results);
  for (const { file, svg } of charts) {
    // One of an earlier report would not belong to this page.
    if (svg === undefined) rmSync(join(directory, file), { force: true });
    else writeFileSync(join(directory, file), svg);
  }
  writeFileSync(join(directory, PAGE), page(results, charts));
}

function page(results: Results, charts: readonly Chart[]): string {
  const { rows } = results;
  const sections = [
    "# Benchmark",
    intro(results),
    "## Systems",
    systemTable(rows),
    ...glossary(rows),
    "## Bars",
    ...bars(results),
    "## Charts",
    chartList(charts),
    "## Where portwarden does not win",
    losses(rows),
    "## All rows",
    [
      "Medians. In brackets: how many times as much as the first of ours in the same line that had the",
      "same results, or where neither has a digest of them. No ratio: other work or another machine.",
    ].join(" "),
    ...benchesOf(rows).flatMap((bench) => [benchHeading(bench, rows), benchTable(bench, rows)]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function intro({ machine, smoke, rows }: Results): string {
  const { cpu, cores, memory, node, v8, system, commit, date } = machine;
  const facts = [
    ["CPU", cpu],
    ["Cores", `${cores}`],
    ...(memory === undefined ? [] : [["Memory", `${memory} GiB`]]),
    ["System", system],
    ["Node", `${node} (V8 ${v8})`],
    ["Commit", `\`${commit}\``],
    ...(date === undefined ? [] : [["Date", date]]),
  ];
  const how = [
    "Read ratios rather than nanoseconds: systems that stand side by side worked in turn, in one run.",
    comparedLines(rows),
    "Columns with “(recorded)” come from other machines. Everything is in",
    "[results.json](results.json), with the 10th and 90th percentiles.",
  ].join(" ");
  const warning = smoke
    ? ["**A tiny run, to show that all works: its figures mean nothing.**"]
    : [];
  return [table(["", ""], facts), how, ...warning].join("\n\n");
}

// ── Bars and charts ───────────────────────────────────────────────────────────────────────

function bars({ bars: all, smoke }: Results): string[] {
  if (all.length === 0) return ["There are none in this run."];
  if (smoke) return ["Not judged.", folded(`all ${all.length}`, barTable(all))];
  const missed = all.filter((bar) => !isMet(bar));
  const met = all.filter(isMet);
  return [
    [
      `${met.length} met, ${missed.length} missed. Bars of ephemeral, explicit, churn, company, limits and connector`,
      "that compare times are made of medians of paired samples; the other ones, and the ratios of rows",
      "below, are ratios of medians, so that the two may differ a little.",
    ].join(" "),
    ...(missed.length === 0 ? [] : ["Missed:", barTable(missed)]),
    ...(met.length === 0 ? [] : [folded(`${met.length} met`, barTable(met))]),
  ];
}

function barTable(some: readonly Bar[]): string {
  return table(
    ["", "value", "limit"],
    some.map((bar) => [bar.name, format(bar.value), showLimit(bar)]),
  );
}

function chartList(charts: readonly Chart[]): string {
  const drawn = charts.filter(({ svg }) => svg !== undefined);
  const missing = charts.filter(({ svg }) => svg === undefined);
  return [
    ...drawn.map(({ file, title }) => `[![${title}](${file})](${file})`),
    ...missing.map(({ title }) => `Left out, because its rows were not measured: ${title}.`),
  ].join("\n\n");
}

// ── Rows ──────────────────────────────────────────────────────────────────────────────────

const UNITS: Readonly<Record<Unit, string>> = {
  ns: "time per operation",
  bytes: "bytes",
  ratio: "ratios",
};

function benchHeading(bench: string, rows: readonly Row[]): string {
  const units = new Set(rows.filter((row) => row.bench === bench).map(({ unit }) => UNITS[unit]));
  const title = Object.hasOwn(BENCHMARKS, bench) ? `\n\n${BENCHMARKS[bench]?.title}.` : "";
  return `### ${bench}: ${[...units].join(", ")}${title}`;
}

/** Systems side by side. */
function benchTable(bench: string, rows: readonly Row[]): string {
  const own = rows.filter((row) => row.bench === bench);
  const systems = [...new Set(own.map(({ system }) => system))];
  systems.sort((a, b) => rankOf(a) - rankOf(b));
  const isHeld = own.some(({ occupancy }) => occupancy !== null);
  const lines = linesOf(own).map((line) => {
    const place = line[0] as Row;
    const held = isHeld ? [heldAt(place)] : [];
    return [place.row, ...held, ...systems.map((system) => cellOf(line, system))];
  });
  const text = table(["", ...(isHeld ? ["held"] : []), ...systems], lines);
  return lines.length > LINES_SHOWN ? folded(`${lines.length} lines`, text) : text;
}

/** Ours on the left, the others as they came. */
function rankOf(system: System): number {
  const rank = OURS.indexOf(system);
  return rank < 0 ? OURS.length : rank;
}

function cellOf(line: Line, system: System): string {
  const row = line.find((item) => item.system === system);
  if (row === undefined) return "";
  const same = line.filter((item) => isSameWork(item, row));
  const reference = OURS.map((our) => same.find((item) => item.system === our)).find(Boolean);
  if (reference === undefined || reference === row || reference.median <= 0) return show(row);
  return `${show(row)} (${format(row.median / reference.median)} x)`;
}
