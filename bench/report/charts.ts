// Charts: which of the figures are drawn, and how their rows are found.

import { machineLine } from "../harness/format.ts";
import type { Results } from "../harness/results.ts";
import type { Row, System } from "../harness/setup.ts";
import { COUNT } from "../harness/workloads.ts";
import {
  type Axis,
  drawLines,
  drawPoints,
  type Frame,
  type Line,
  type PointPanel,
} from "./draw.ts";

export interface Chart {
  readonly file: string;
  readonly title: string;
  /** Undefined where too few of its rows were measured. */
  readonly svg: string | undefined;
}

/** All of them, in the order of the page. */
export function chartsOf(results: Results): Chart[] {
  // A figure below what the clock costs is 0, which has no place on a log scale.
  const rows = results.rows.filter(({ median }) => median > 0);
  return DRAWINGS.map(({ file, title, note, draw }) => {
    const told = results.smoke ? `A tiny run: its figures mean nothing. ${note}` : note;
    const frame = { title, notes: [told, machineLine(results.machine)] };
    return { file, title, svg: draw(frame, rows) };
  });
}

interface Drawing {
  readonly file: string;
  readonly title: string;
  /** Under the chart. */
  readonly note: string;
  draw(frame: Frame, rows: readonly Row[]): string | undefined;
}

const DRAWINGS: readonly Drawing[] = [
  {
    file: "occupancy.svg",
    title: "One port of 49,536, TCP: what it costs as the range fills",
    note:
      "An operation takes a port from a random offset, and frees it; a batch has up to 256. " +
      "gvisor (recorded): Go, another machine.",
    draw: occupancy,
  },
  {
    file: "linux.svg",
    title: "One socket of 28,232 ports, Linux rules: what it costs as the range fills",
    note: "Free ports lie together, as searches leave them. linux (recorded): 6.18, another machine.",
    draw: linux,
  },
  {
    file: "fill.svg",
    title: "All 49,536 ports one after another: how long that takes in total",
    note: "Each from a random offset, until none is left. gvisor (recorded): Go, another machine.",
    draw: fill,
  },
  {
    file: "memory.svg",
    title: "Memory for each live reservation",
    note: "gvisor (recorded): the heap in use, Go, another machine.",
    draw: memory,
  },
  {
    file: "throughput.svg",
    title: "Ports taken and freed per second, by the size of a batch",
    note: "An operation takes a port from a random offset, and frees it.",
    draw: throughput,
  },
];

const TIME: Axis = { name: "time per operation, log scale", scale: "log", show: shortTime };

// ── Each chart ────────────────────────────────────────────────────────────────────────────

const OCCUPANCY_SYSTEMS: readonly System[] = [
  "handles",
  "batch",
  "words",
  "reference",
  "js-set",
  "js-bitmap",
  "js-bitmap batch",
  "gvisor (recorded)",
];
const OCCUPANCIES = [0, 50, 90, 99, 99.9, 99.998];
const ONE_FREE = 99.998;

function occupancy(frame: Frame, rows: readonly Row[]): string | undefined {
  const found = rows.filter(({ bench, row }) => bench === "ephemeral" && row === "tcp");
  const lines = linesOf(found, OCCUPANCY_SYSTEMS, OCCUPANCIES);
  if (lines.length === 0) return undefined;
  const categories = OCCUPANCIES.map((percent) =>
    percent === ONE_FREE ? "one free" : `${percent}`,
  );
  return drawLines(frame, "percent of the range that is held", TIME, [
    { title: "", categories, lines },
  ]);
}

const LINUX_SYSTEMS: readonly System[] = ["sockets", "reference", "linux (recorded)"];

function linux(frame: Frame, rows: readonly Row[]): string | undefined {
  const panels = [
    { title: "bind(0)", row: "bind/together" },
    { title: "connect()", row: "connect/together" },
  ].map(({ title, row }) => {
    const found = rows.filter((item) => item.bench === "linux" && item.row === row && isOpen(item));
    const percents = [...new Set(found.map((item) => item.occupancy as number))];
    percents.sort((a, b) => a - b);
    return {
      title,
      categories: percents.map(String),
      lines: linesOf(found, LINUX_SYSTEMS, percents),
    };
  });
  if (panels.some(({ lines }) => lines.length === 0)) return undefined;
  return drawLines(frame, "percent of the range that is held", TIME, panels);
}

/** Where a port is free: a refusal is another matter. */
function isOpen({ occupancy }: Row): boolean {
  return occupancy !== null && occupancy < 100;
}

function fill(frame: Frame, rows: readonly Row[]): string | undefined {
  const found = rows.filter(({ bench, row }) => bench === "fill" && row === "tcp-v4/all");
  if (found.length === 0) return undefined;
  const axis: Axis = { name: "time in total, log scale", scale: "log", show: shortTime };
  const points = found.map(({ system, median }) => ({ system, value: median * COUNT }));
  return drawPoints(frame, axis, [panelOf("", points)]);
}

function memory(frame: Frame, rows: readonly Row[]): string | undefined {
  const found = rows.filter((row) => row.bench === "memory" && row.unit === "bytes");
  if (found.length === 0) return undefined;
  const names = [...new Set(found.map(({ row }) => row))];
  const panels = names.map((name) => {
    const those = found.filter(({ row }) => row === name);
    return panelOf(
      name,
      those.map(({ system, median }) => ({ system, value: median })),
    );
  });
  return drawPoints(
    frame,
    { name: "bytes per reservation, log scale", scale: "log", show: shortBytes },
    panels,
  );
}

const THROUGHPUT_SYSTEMS: readonly System[] = ["batch", "js-bitmap batch"];
const BATCH_ROW = /^batch-(\d+)$/;

function throughput(frame: Frame, rows: readonly Row[]): string | undefined {
  const sizeOf = ({ row }: Row): number => Number(BATCH_ROW.exec(row)?.[1]);
  const found = rows.filter((row) => row.bench === "throughput" && sizeOf(row) > 0);
  const sizes = [...new Set(found.map(sizeOf))].sort((a, b) => a - b);
  const lines = THROUGHPUT_SYSTEMS.map((system): Line => {
    const own = found.filter((row) => row.system === system);
    const values = sizes.map((size) => own.find((row) => sizeOf(row) === size)?.median);
    return { system, values: values.map((ns) => (ns === undefined ? null : 1000 / ns)) };
  }).filter(hasValues);
  if (lines.length === 0) return undefined;
  const axis: Axis = { name: "million operations per second", scale: "value", show: String };
  return drawLines(frame, "ports in a batch", axis, [
    { title: "", categories: sizes.map(String), lines },
  ]);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A line for each system that has a figure, with one place for each occupancy. */
function linesOf(
  rows: readonly Row[],
  systems: readonly System[],
  occupancies: readonly number[],
): Line[] {
  return systems
    .map((system): Line => {
      const own = rows.filter((row) => row.system === system);
      const at = (percent: number): number | null =>
        own.find((row) => row.occupancy === percent)?.median ?? null;
      return { system, values: occupancies.map(at) };
    })
    .filter(hasValues);
}

function hasValues({ values }: Line): boolean {
  return values.some((value) => value !== null);
}

/** The least first. */
function panelOf(title: string, points: PointPanel["points"]): PointPanel {
  return { title, points: [...points].sort((a, b) => a.value - b.value) };
}

/** Three digits, and the unit. */
function shortTime(ns: number): string {
  if (ns < 1e3) return `${digits(ns)} ns`;
  if (ns < 1e6) return `${digits(ns / 1e3)} us`;
  return ns < 1e9 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e9)} s`;
}

function shortBytes(bytes: number): string {
  return `${bytes < 1000 ? digits(bytes) : Math.round(bytes).toLocaleString("en-US")} B`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(3)));
}
