// Report: a run's results for people to read, with one picture and the results beside it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "./format.ts";
import { drawOccupancy } from "./picture.ts";
import { type Results, writeResults } from "./results.ts";
import { heldAt, isPortwarden, isSameWork, PORTWARDEN } from "./rows.ts";
import { isMet, type Row, type System, show, showLimit, type Threshold } from "./session.ts";
import { rowsSideBySide, type SideBySide, thresholdsSideBySide } from "./side-by-side.ts";
import { SUITES } from "./suites.ts";

const PICTURE = "occupancy.svg";

/** What the names of systems mean, and what these leave out. */
const SYSTEMS: readonly (readonly [name: string, what: string])[] = [
  ["pool", "`PortManager.pool`, a call for each port"],
  ["pool batch", "`takeMany` and `freeMany` of a pool, up to 256 ports at a time"],
  ["reservations", "`reservePort` and `release`, with an object for each port"],
  ["listener", "`accept` and `close` of `PortManager.listener`, with addresses as numbers"],
  ["sockets", "`Linux2632Ports`: sockets by the rules of Linux"],
  ["reference model", "nested maps and a loop over the ports, with all rules"],
  ["Set", "a Set and a loop: one pool, exclusive ports, no conflict with other pools"],
  ["bitmap", "the core's own search in typed arrays: one pool, exclusive ports, as Set"],
  ["bitmap batch", "the same, up to 256 ports at a time"],
  [
    "connector",
    "portwarden's connector, real connections; `promise`: by `connect`; `sequential`: its selection",
  ],
  ["net.connect", "Node and the system alone, without a choice of the source"],
  ["localAddress", "`net.connect` with `localAddress`; `localPort`: and a port counted up"],
  ["gVisor (recorded)", "gVisor's own Go code, Go 1.19.8, recorded on another machine"],
  ["Linux (recorded)", "a kernel, Linux 6.18, recorded on another machine"],
];

/**
 * Writes the page, its picture and the results into a directory.
 *
 * @param runs The first is the one that is reported; the others stand beside it.
 * @returns The path of the page.
 */
export function writeReport(directory: string, runs: readonly Results[]): string {
  const [first, ...others] = runs as [Results, ...Results[]];
  mkdirSync(directory, { recursive: true });
  writeResults(join(directory, "results.json"), first);
  for (const results of others) {
    const [major] = results.machine.node.split(".");
    writeResults(join(directory, `results.node${major}.json`), results);
  }
  const picture = drawOccupancy(first);
  if (picture !== undefined) writeFileSync(join(directory, PICTURE), picture);
  const path = join(directory, "report.md");
  writeFileSync(path, `${sectionsOf(first, others, picture !== undefined).join("\n\n")}\n`);
  return path;
}

function sectionsOf(first: Results, others: readonly Results[], hasPicture: boolean): string[] {
  const { rows, thresholds, smoke } = first;
  const suites = [...new Set(rows.map(({ suite }) => suite))];
  return [
    "# Benchmarks",
    table(["", ""], factsOf(first)),
    ...(smoke ? ["**A tiny run, to show that all works: its figures mean nothing.**"] : []),
    "Read ratios rather than nanoseconds: systems that stand in one line worked by turns in one " +
      "run.\nWhat was recorded comes from other machines. All figures, with the 10th and 90th " +
      "percentiles, are in [results.json](results.json).",
    table(["system", "what it is"], SYSTEMS),
    ...(hasPicture ? [`![One port as the range fills](${PICTURE})`] : []),
    "## Thresholds",
    ...(smoke ? ["Not checked."] : thresholdsOf(thresholds)),
    ...(others.length === 0 ? [] : besideOf([first, ...others])),
    "## All rows",
    "Medians. In brackets: how many times as much as the first of portwarden's in the same line " +
      "that had the same results.",
    ...suites.flatMap((suite) => [
      `### ${suite}`,
      `${SUITES[suite]?.title ?? suite}.`,
      suiteTable(rows.filter((row) => row.suite === suite)),
    ]),
  ];
}

function factsOf({ machine }: Results): string[][] {
  const { cpu, cores, memory, node, v8, system, commit, date } = machine;
  return [
    ["Processor", `${cpu}, ${cores} cores, ${memory} GiB`],
    ["System", system],
    ["Node", `${node} (V8 ${v8})`],
    ["Commit", `\`${commit}\``],
    ["Date", date],
  ];
}

/** Those that are missed stand first, each by its name. */
function thresholdsOf(all: readonly Threshold[]): string[] {
  const missed = all.filter((threshold) => !isMet(threshold));
  const met = all.filter(isMet);
  const lines = (some: readonly Threshold[]): string =>
    table(
      ["threshold", "value", "limit"],
      some.map((threshold) => [threshold.name, format(threshold.value), showLimit(threshold)]),
    );
  return [
    `${met.length} met, ${missed.length} missed.`,
    ...(missed.length === 0 ? [] : ["Missed:", lines(missed)]),
    ...(met.length === 0 ? [] : ["Met:", lines(met)]),
  ];
}

/** What portwarden takes under each Node, and each threshold. */
function besideOf(runs: readonly Results[]): string[] {
  const tableOf = ({ columns, lines }: SideBySide): string => table(["", ...columns], lines);
  return [
    "## Under several Nodes",
    tableOf(rowsSideBySide(runs, (row) => isPortwarden(row) && row.unit === "ns")),
    tableOf(thresholdsSideBySide(runs)),
  ];
}

/** Systems side by side, portwarden's on the left. */
function suiteTable(rows: readonly Row[]): string {
  const systems = [...new Set(rows.map(({ system }) => system))];
  const others = systems.filter((system) => !PORTWARDEN.includes(system));
  const columns = [...PORTWARDEN.filter((system) => systems.includes(system)), ...others];
  const lines = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.workload} ${heldAt(row)}`.trim();
    lines.set(key, [...(lines.get(key) ?? []), row]);
  }
  return table(
    ["", ...columns],
    [...lines].map(([key, line]) => [key, ...columns.map((system) => cellOf(line, system))]),
  );
}

function cellOf(line: readonly Row[], system: System): string {
  const row = line.find((item) => item.system === system);
  if (row === undefined) return "";
  const same = line.filter((item) => isSameWork(item, row));
  const base = PORTWARDEN.map((system) => same.find((item) => item.system === system)).find(
    Boolean,
  );
  if (base === undefined || base === row || base.median <= 0) return show(row);
  return `${show(row)} (${format(row.median / base.median)} x)`;
}

function table(columns: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...lines.map(line)].join("\n");
}
