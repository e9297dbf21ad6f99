// Page: a run's results for people to read, with its charts and its file beside it.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BENCHMARKS } from "../benchmarks.ts";
import { format, time } from "../format.ts";
import { type Results, writeResults } from "../results.ts";
import { type Bar, isMet, type Row, type System, showLimit } from "../stage.ts";
import { type Chart, chartsOf } from "./charts.ts";

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
  writeFileSync(join(directory, "README.md"), page(results, charts));
}

function page(results: Results, charts: readonly Chart[]): string {
  const sections = [
    "# Benchmark",
    intro(results),
    "## Bars",
    barTable(results),
    "## Charts",
    chartList(charts),
    "## Where portwarden does not win",
    losses(results.rows),
    "## All rows",
    "Medians. In brackets: how many times as much as the first of ours in the same line.",
    ...benchesOf(results.rows).flatMap((bench) => [
      benchHeading(bench),
      benchTable(bench, results),
    ]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function intro({ machine, smoke }: Results): string {
  const { cpu, cores, node, v8, system, commit } = machine;
  const facts = [
    ["Machine", `${cpu}, ${cores} cores, ${system}`],
    ["Node", `${node} (V8 ${v8})`],
    ["Commit", `\`${commit}\``],
  ];
  const how = [
    "Read ratios rather than nanoseconds: systems that stand side by side did the same work in turn,",
    "in one run, with equal results. Columns with “(recorded)” come from other machines. Everything is",
    "in [results.json](results.json), with the 10th and 90th percentiles.",
  ].join(" ");
  const warning = smoke
    ? ["**A tiny run, to show that all works: its figures mean nothing.**"]
    : [];
  return [table(["", ""], facts), how, ...warning].join("\n\n");
}

// ── Bars and charts ───────────────────────────────────────────────────────────────────────

function barTable({ bars, smoke }: Results): string {
  if (bars.length === 0) return "There are none in this run.";
  const all = folded(barLines(bars, smoke), bars.length);
  if (smoke) return `Not judged.\n\n${all}`;
  const missed = bars.filter((bar) => !isMet(bar));
  const summary = `${bars.length - missed.length} met, ${missed.length} missed.`;
  if (missed.length === 0) return `${summary}\n\n${all}`;
  return `${summary}\n\n${barLines(missed, smoke)}\n\nAll of them:\n\n${all}`;
}

function barLines(bars: readonly Bar[], smoke: boolean): string {
  const verdict = (bar: Bar): string => (smoke ? "" : isMet(bar) ? "met" : "**missed**");
  return table(
    ["", "value", "limit", ""],
    bars.map((bar) => [bar.name, format(bar.value), showLimit(bar), verdict(bar)]),
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

/** Ours; the first of them that is in a line is what the others there are compared with. */
const OURS: readonly System[] = ["handles", "sockets", "words", "batch"];

/** Rows of one bench, row and occupancy: one line of a table. */
type Line = readonly Row[];

function benchesOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ bench }) => bench))];
}

function benchHeading(bench: string): string {
  const title = Object.hasOwn(BENCHMARKS, bench) ? `\n\n${BENCHMARKS[bench]?.title}.` : "";
  return `### ${bench}${title}`;
}

/** Systems side by side. */
function benchTable(bench: string, { rows }: Results): string {
  const own = rows.filter((row) => row.bench === bench);
  const systems = [...new Set(own.map(({ system }) => system))];
  systems.sort((a, b) => rankOf(a) - rankOf(b));
  const lines = linesOf(own).map((line) => {
    const place = line[0] as Row;
    const cells = systems.map((system) => cellOf(line, system));
    return [place.row, heldAt(place), ...cells];
  });
  return folded(table(["", "held", ...systems], lines), lines.length);
}

/** Ours on the left, the others as they came. */
function rankOf(system: System): number {
  const rank = OURS.indexOf(system);
  return rank < 0 ? OURS.length : rank;
}

function linesOf(rows: readonly Row[]): Line[] {
  const lines = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.bench, row.row, row.occupancy]);
    const line = lines.get(key);
    if (line === undefined) lines.set(key, [row]);
    else line.push(row);
  }
  return [...lines.values()];
}

function cellOf(line: Line, system: System): string {
  const row = line.find((item) => item.system === system);
  if (row === undefined) return "";
  const reference = OURS.map((our) => line.find((item) => item.system === our)).find(Boolean);
  if (reference === undefined || reference === row || row.unit === "ratio") return show(row);
  return `${show(row)} (${format(row.median / reference.median)} x)`;
}

function heldAt({ occupancy }: Row): string {
  return occupancy === null ? "" : `${occupancy} %`;
}

function show({ unit, median }: Row): string {
  if (unit === "ns") return time(median);
  return unit === "bytes" ? `${format(median)} B` : format(median);
}

// ── Where others are better ───────────────────────────────────────────────────────────────

function losses(rows: readonly Row[]): string {
  const lines = linesOf(rows).flatMap((line) =>
    line.filter(({ system }) => OURS.includes(system)).flatMap((our) => lossOf(our, line)),
  );
  if (lines.length === 0) return "In none of these rows.";
  const told =
    "Each row in which another system that did the same work took less, and how many times as long ours takes.";
  return `${told}\n\n${table(["", "held", "ours", "took less"], lines)}`;
}

/** A line with those that did the same work better than ours, if anybody did. */
function lossOf(our: Row, line: Line): string[][] {
  const better = line.filter((other) => isRival(other, our) && other.median < our.median);
  if (better.length === 0) return [];
  const told = better.map(
    (other) => `${other.system} ${show(other)} (${format(our.median / other.median)} x)`,
  );
  return [[`${our.bench}/${our.row}`, heldAt(our), `${our.system} ${show(our)}`, told.join(", ")]];
}

/** Not ours and not recorded elsewhere, and with the same results. */
function isRival(other: Row, our: Row): boolean {
  if (OURS.includes(other.system) || other.system.endsWith("(recorded)")) return false;
  return other.unit === our.unit && other.unit !== "ratio" && other.digest === our.digest;
}

// ── Text ──────────────────────────────────────────────────────────────────────────────────

function table(columns: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...lines.map(line)].join("\n");
}

/** A long one is opened by a click. */
function folded(text: string, lines: number): string {
  if (lines <= LINES_SHOWN) return text;
  return `<details><summary>${lines} lines</summary>\n\n${text}\n\n</details>`;
}
