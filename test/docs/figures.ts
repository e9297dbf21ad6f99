// Figures: the tables of README and docs/benchmarks.md that are made of bench/results. Each follows
// a comment that names it; `npm run figures` writes them again when there are new results.
//
//   <!-- figures: connector -->
//   | range in use | connector | … |

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Results, readResults } from "../../bench/harness/results.ts";
import type { Row } from "../../bench/harness/session.ts";

const RESULTS = "bench/results/results.json";
export const PAGES: readonly string[] = ["README.md", "docs/benchmarks.md"];

/** What a cell shows of a suite: a line and a column have all of it together. */
interface Shown {
  readonly workload?: string;
  readonly system?: string;
  /** Or one of several. */
  readonly occupancy?: number | readonly number[];
}

/** A title, and what is below or beside it. */
type Titled = readonly [title: string, shown: Shown];

interface Figure {
  readonly suite: string;
  /** The title of the first column. */
  readonly first: string;
  readonly lines: readonly Titled[];
  readonly columns: readonly Titled[];
}

const held = (...percents: number[]): Titled[] =>
  percents.map((occupancy) => [`${occupancy} %`, { occupancy }]);
const LINES = held(0, 50, 90, 99, 99.9);
/** The kernel was recorded just beyond half of the range, where its cost jumps. */
const CURVE: Titled[] = held(0, 50, 90, 99, 99.9).map(([title, { occupancy }]) => [
  title,
  { occupancy: occupancy === 50 ? [50, 50.1] : (occupancy as number) },
]);
const TOOLS = ["autocannon", "autocannon localAddress", "autocannon portwarden"]
  .concat("undici", "undici localAddress", "undici portwarden")
  .concat("wrk", "h2load");

export const FIGURES: Readonly<Record<string, Figure>> = {
  "ephemeral, in short": {
    suite: "ephemeral",
    first: "ports held",
    lines: LINES,
    columns: [
      ["pool", { workload: "tcp", system: "pool" }],
      ["batch of 256", { workload: "tcp", system: "pool batch" }],
      ["JavaScript bitmap", { workload: "tcp", system: "bitmap" }],
      ["Set and a loop", { workload: "tcp", system: "Set" }],
      ["gVisor (recorded)", { workload: "tcp", system: "gVisor (recorded)" }],
    ],
  },
  ephemeral: {
    suite: "ephemeral",
    first: "ports held",
    lines: [
      ...LINES,
      ["one port free", { occupancy: 99.998 }],
      ["none free: refused", { occupancy: 100 }],
    ],
    columns: [
      ["pool", { workload: "tcp", system: "pool" }],
      ["batch of 256", { workload: "tcp", system: "pool batch" }],
      ["reservations", { workload: "tcp", system: "reservations" }],
      ["bitmap", { workload: "tcp", system: "bitmap" }],
      ["its batch", { workload: "tcp", system: "bitmap batch" }],
      ["Set", { workload: "tcp", system: "Set" }],
      ["model", { workload: "tcp", system: "reference model" }],
      ["gVisor (recorded)", { workload: "tcp", system: "gVisor (recorded)" }],
    ],
  },
  linux: {
    suite: "linux",
    first: "ports held",
    lines: LINES,
    columns: [
      ["bind(0)", { workload: "bind/scattered", system: "sockets" }],
      ["reference model", { workload: "bind/scattered", system: "reference model" }],
      ["connect()", { workload: "connect/scattered", system: "sockets" }],
      ["reference model", { workload: "connect/scattered", system: "reference model" }],
    ],
  },
  "linux, beside the kernel": {
    suite: "linux-6.18",
    first: "ports held",
    lines: CURVE,
    columns: [
      ["connect()", { workload: "connect/together", system: "sockets" }],
      ["Linux (recorded)", { workload: "connect/together", system: "Linux (recorded)" }],
      ["bind(0)", { workload: "bind/together", system: "sockets" }],
      ["Linux (recorded)", { workload: "bind/together", system: "Linux (recorded)" }],
      ["UDP bind(0)", { workload: "udp/together", system: "sockets" }],
    ],
  },
  "linux, in short": {
    suite: "linux-6.18",
    first: "ports held",
    lines: ["connect", "bind"].flatMap((call): Titled[] => [
      [
        `${call}(${call === "bind" ? "0" : ""})`,
        { workload: `${call}/together`, system: "sockets" },
      ],
      ["Linux 6.18", { workload: `${call}/together`, system: "Linux (recorded)" }],
    ]),
    columns: CURVE,
  },
  connector: {
    suite: "connector",
    first: "range in use",
    lines: held(10, 50, 90, 99),
    columns: [
      ["connector", { workload: "connect", system: "connector" }],
      ["`localAddress`", { workload: "connect", system: "localAddress" }],
      ["the kernel's choice", { workload: "connect", system: "net.connect" }],
    ],
  },
  "tools, in short": toolsOf(TOOLS.slice(0, 3)),
  tools: toolsOf(TOOLS),
};

/** Some tools, where ports are plenty and where they are few. */
function toolsOf(systems: readonly string[]): Figure {
  return {
    suite: "tools",
    first: "tool",
    lines: systems.map((system) => [
      system.replace(" local", ", local").replace(" port", ", port"),
      { system },
    ]),
    columns: [10, 95].flatMap((occupancy): Titled[] => [
      [`${occupancy} %: requests/s`, { workload: "requests per second", occupancy }],
      ["failed", { workload: "failed of a million", occupancy }],
      ["CPU", { workload: "CPU per request", occupancy }],
      ["p99", { workload: "latency, 99 of 100", occupancy }],
    ]),
  };
}

/** A page with its figures made of these results. */
export function withFigures(page: string, results: Results): string {
  return page.replace(/(<!-- figures: (.+) -->\n)(?:\|.*\n)*/g, (_all, mark, name) => {
    const figure = FIGURES[name];
    if (figure === undefined) throw new Error(`no figures are named ${name}`);
    return `${mark}${tableOf(figure, results)}\n`;
  });
}

function tableOf({ suite, first, lines, columns }: Figure, results: Results): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const titles = [first, ...columns.map(([title]) => title)];
  const cell = (shown: Shown): string => {
    const wanted = Object.entries({ suite, ...shown });
    const row = results.rows.find((one) =>
      wanted.every(([name, value]) => [value].flat().includes(one[name as keyof Row] as never)),
    );
    if (row === undefined) return "";
    return row.unit === "ns" ? time(row.median) : Math.round(row.median).toLocaleString("en-US");
  };
  return [
    line(titles),
    line(titles.map(() => "---")),
    ...lines.map(([name, beside]) =>
      line([name, ...columns.map(([, below]) => cell({ ...beside, ...below }))]),
    ),
  ].join("\n");
}

/** Nanoseconds in two or three digits. */
export function time(ns: number): string {
  if (ns < 999.5) return `${Math.round(ns)} ns`;
  if (ns < 999_500) return `${digits(ns / 1e3)} us`;
  return `${digits(ns / 1e6)} ms`;
}

function digits(value: number): string {
  return value < 99.95 ? value.toFixed(1) : String(Math.round(value));
}

/** Writes the figures of the pages in a folder again. */
function renew(root: string): void {
  const results = readResults(join(root, RESULTS));
  for (const page of PAGES) {
    const path = join(root, page);
    writeFileSync(path, withFigures(readFileSync(path, "utf8"), results));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) renew(process.cwd());
