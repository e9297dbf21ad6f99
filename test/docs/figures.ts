// Figures: the tables of README and docs/benchmarks.md that are made of bench/results. Each follows
// a comment that names it; `npm run figures` writes them anew when there are new results.
//
//   <!-- figures: connector -->
//   | range in use | connector | … |

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Results, readResults } from "../../bench/harness/results.ts";

const RESULTS = "bench/results/results.json";
export const PAGES: readonly string[] = ["README.md", "docs/benchmarks.md"];

/** A column: its title, and the rows of the results that it shows. */
type Column = readonly [title: string, workload: string, system: string];

interface Figure {
  readonly suite: string;
  /** The title of the first column. */
  readonly held: string;
  /** Percent of the range that is held, and what the line is called. */
  readonly lines: readonly (readonly [percent: number, name: string])[];
  readonly columns: readonly Column[];
}

const LINES = [0, 50, 90, 99, 99.9].map((percent) => [percent, `${percent} %`] as const);

export const FIGURES: Readonly<Record<string, Figure>> = {
  "ephemeral, in short": {
    suite: "ephemeral",
    held: "ports held",
    lines: LINES,
    columns: [
      ["pool", "tcp", "pool"],
      ["batch of 256", "tcp", "pool batch"],
      ["JavaScript bitmap", "tcp", "bitmap"],
      ["Set and a loop", "tcp", "Set"],
      ["gVisor (recorded)", "tcp", "gVisor (recorded)"],
    ],
  },
  ephemeral: {
    suite: "ephemeral",
    held: "ports held",
    lines: [...LINES, [99.998, "one port free"], [100, "none free: refused"]],
    columns: [
      ["pool", "tcp", "pool"],
      ["batch of 256", "tcp", "pool batch"],
      ["reservations", "tcp", "reservations"],
      ["bitmap", "tcp", "bitmap"],
      ["its batch", "tcp", "bitmap batch"],
      ["Set", "tcp", "Set"],
      ["model", "tcp", "reference model"],
      ["gVisor (recorded)", "tcp", "gVisor (recorded)"],
    ],
  },
  linux: {
    suite: "linux",
    held: "ports held",
    lines: LINES,
    columns: [
      ["bind(0)", "bind/scattered", "sockets"],
      ["reference model", "bind/scattered", "reference model"],
      ["connect()", "connect/scattered", "sockets"],
      ["reference model", "connect/scattered", "reference model"],
    ],
  },
  "linux, beside the kernel": {
    suite: "linux-6.18",
    held: "ports held",
    lines: [0, 90, 99, 99.9].map((percent) => [percent, `${percent} %`] as const),
    columns: [
      ["connect()", "connect/together", "sockets"],
      ["Linux (recorded)", "connect/together", "Linux (recorded)"],
      ["bind(0)", "bind/together", "sockets"],
      ["Linux (recorded)", "bind/together", "Linux (recorded)"],
      ["UDP bind(0)", "udp/together", "sockets"],
    ],
  },
  connector: {
    suite: "connector",
    held: "range in use",
    lines: [10, 50, 90, 99].map((percent) => [percent, `${percent} %`] as const),
    columns: [
      ["connector", "connect", "connector"],
      ["`localAddress`", "connect", "localAddress"],
      ["the kernel's choice", "connect", "net.connect"],
    ],
  },
};

/** A page with its figures made of these results. */
export function withFigures(page: string, results: Results): string {
  return page.replace(/(<!-- figures: (.+) -->\n)(?:\|.*\n)*/g, (_all, mark, name) => {
    const figure = FIGURES[name];
    if (figure === undefined) throw new Error(`no figures are named ${name}`);
    return `${mark}${tableOf(figure, results)}\n`;
  });
}

function tableOf({ suite, held, lines, columns }: Figure, results: Results): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const titles = [held, ...columns.map(([title]) => title)];
  const cell = (percent: number, [, workload, system]: Column): string => {
    const row = results.rows.find(
      (one) =>
        one.suite === suite &&
        one.workload === workload &&
        one.system === system &&
        one.occupancy === percent,
    );
    return row === undefined ? "" : time(row.median);
  };
  return [
    line(titles),
    line(titles.map(() => "---")),
    ...lines.map(([percent, name]) =>
      line([name, ...columns.map((column) => cell(percent, column))]),
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

/** Writes the figures of the pages in a folder anew. */
function renew(root: string): void {
  const results = readResults(join(root, RESULTS));
  for (const page of PAGES) {
    const path = join(root, page);
    writeFileSync(path, withFigures(readFileSync(path, "utf8"), results));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) renew(process.cwd());
