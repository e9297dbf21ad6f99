// Draw: the look that all charts share, and Apache ECharts, which turns it into SVG.
//
// The same figures give the same bytes. ECharts numbers its style classes and clip paths, and counts
// on from chart to chart: so there are none of them.

import * as echarts from "echarts";
import type { System } from "../harness/setup.ts";
import { LOOKS } from "./looks.ts";

/** One system in a chart of lines; a place without a figure is null. On a log scale none is 0. */
export interface Line {
  readonly system: System;
  readonly values: readonly (number | null)[];
}

/** One coordinate system with its lines. */
export interface Panel {
  readonly title: string;
  readonly categories: readonly string[];
  readonly lines: readonly Line[];
}

export interface Axis {
  readonly name: string;
  readonly scale: "value" | "log";
  /** How a figure is written. */
  readonly show: (value: number) => string;
}

/** What is written above and below a chart. */
export interface Frame {
  readonly title: string;
  readonly notes: readonly string[];
}

/** One figure of each system, from the top downward. */
export interface PointPanel {
  readonly title: string;
  readonly points: readonly { readonly system: System; readonly value: number }[];
}

const WIDTH = 900;
const INK = "#222222";
const GRID = "#dddddd";
const FONT = "Arial, Helvetica, sans-serif";
const LINES_TOP = 82;
const LINES_HEIGHT = 300;
const BOTTOM = 88;
const SIDE = 84;
const GAP = 76;
const POINTS_TOP = 48;
const POINTS_LEFT = 150;
const LINE = 22;
const POINTS_GAP = 14;
const HEADING = 22;

// ── Lines ─────────────────────────────────────────────────────────────────────────────────

/** Panels side by side, with the same axes. */
export function drawLines(frame: Frame, x: string, y: Axis, panels: readonly Panel[]): string {
  const top = LINES_TOP + headingOver(panels);
  const width = (WIDTH - SIDE - 24 - GAP * (panels.length - 1)) / panels.length;
  const left = (index: number): number => SIDE + index * (width + GAP);
  const limits = limitsOf(
    y,
    panels.flatMap(({ lines }) => lines.flatMap(({ values }) => values)),
  );
  return render(top + LINES_HEIGHT + BOTTOM, {
    ...shared(),
    title: [
      ...titles(frame),
      ...panels.map(({ title }, index) => heading(title, LINES_TOP, left(index))),
    ],
    legend: legendOf(panels),
    grid: panels.map((_, index) => ({ left: left(index), width, top, height: LINES_HEIGHT })),
    xAxis: panels.map(({ categories }, gridIndex) => ({
      type: "category",
      gridIndex,
      data: [...categories],
      name: x,
      nameLocation: "middle",
      nameGap: 28,
      ...INKS,
      axisTick: { alignWithLabel: true },
    })),
    yAxis: panels.map((_, gridIndex) => ({
      ...valueAxis(y, limits),
      gridIndex,
      name: gridIndex === 0 ? y.name : "",
      nameGap: 60,
    })),
    series: panels.flatMap(({ lines }, index) => lines.map((line) => seriesOf(line, index))),
  });
}

/** Each system once, in whichever panel it is. */
function legendOf(panels: readonly Panel[]): echarts.LegendComponentOption {
  const systems = new Set(panels.flatMap(({ lines }) => lines.map(({ system }) => system)));
  return {
    data: [...systems],
    left: 12,
    top: 44,
    itemWidth: 28,
    itemGap: 16,
    selectedMode: false,
    textStyle: { color: INK, fontSize: 12, fontFamily: FONT },
  };
}

function seriesOf({ system, values }: Line, panel: number): echarts.LineSeriesOption {
  const { color, symbol, dash } = LOOKS[system];
  return {
    type: "line",
    name: system,
    data: [...values],
    xAxisIndex: panel,
    yAxisIndex: panel,
    connectNulls: true,
    showAllSymbol: true,
    symbol,
    symbolSize: 9,
    itemStyle: { color },
    lineStyle: { color, width: 2, type: dash },
    ...STILL,
  };
}

// ── Points ────────────────────────────────────────────────────────────────────────────────

/**
 * Panels one below the other, with the same axis: a point for each system, its figure behind it. Not
 * bars, because a log scale has no zero for them to begin at.
 */
export function drawPoints(frame: Frame, x: Axis, panels: readonly PointPanel[]): string {
  const limits = limitsOf(
    x,
    panels.flatMap(({ points }) => points.map(({ value }) => value)),
  );
  const headed = headingOver(panels);
  const heights = panels.map(({ points }) => points.length * LINE);
  const top = (index: number): number =>
    POINTS_TOP + headed + sum(heights.slice(0, index)) + index * (headed + POINTS_GAP);
  const isLast = (index: number): boolean => index === panels.length - 1;
  return render(top(panels.length) - headed - POINTS_GAP + BOTTOM, {
    ...shared(),
    title: [
      ...titles(frame),
      ...panels.map(({ title }, index) => heading(title, top(index) - headed, POINTS_LEFT)),
    ],
    grid: heights.map((height, index) => ({
      left: POINTS_LEFT,
      right: 110,
      top: top(index),
      height,
    })),
    xAxis: panels.map((_, gridIndex) => ({
      ...valueAxis(x, limits, isLast(gridIndex)),
      gridIndex,
      name: isLast(gridIndex) ? x.name : "",
      nameGap: 28,
    })),
    yAxis: panels.map(({ points }, gridIndex) => ({
      type: "category",
      gridIndex,
      data: points.map(({ system }) => system),
      inverse: true,
      ...INKS,
      axisTick: { show: false },
      splitLine: { show: true, lineStyle: { color: GRID } },
    })),
    series: panels.map(({ points }, index) => pointsOf(x, points, index)),
  });
}

function pointsOf(
  x: Axis,
  points: PointPanel["points"],
  panel: number,
): echarts.ScatterSeriesOption {
  return {
    type: "scatter",
    xAxisIndex: panel,
    yAxisIndex: panel,
    data: points.map(({ system, value }, index) => ({
      value: [value, index],
      symbol: LOOKS[system].symbol,
      itemStyle: { color: LOOKS[system].color, opacity: 1 },
    })),
    symbolSize: 11,
    label: {
      show: true,
      position: "right",
      color: INK,
      fontFamily: FONT,
      formatter: ({ value }) => x.show((value as [number, number])[0]),
    },
    ...STILL,
  };
}

// ── What they share ───────────────────────────────────────────────────────────────────────

const STILL = {
  silent: true,
  animation: false,
  clip: false,
  emphasis: { disabled: true },
} as const;

const INKS = {
  nameTextStyle: { color: INK, fontSize: 13, fontFamily: FONT },
  axisLabel: { color: INK, fontSize: 12, fontFamily: FONT },
  axisLine: { lineStyle: { color: INK } },
} as const;

const NOTE = { color: "#555555", fontSize: 11, lineHeight: 15, fontWeight: "normal" } as const;

function shared(): echarts.EChartsOption {
  return { backgroundColor: "#ffffff", animation: false };
}

function titles({ title, notes }: Frame): echarts.TitleComponentOption[] {
  return [
    {
      text: title,
      left: 16,
      top: 14,
      padding: 0,
      textStyle: { color: INK, fontSize: 17, fontFamily: FONT },
    },
    {
      text: notes.join("\n"),
      left: 16,
      bottom: 8,
      padding: 0,
      textStyle: { ...NOTE, fontFamily: FONT },
    },
  ];
}

function heading(text: string, top: number, left: number): echarts.TitleComponentOption {
  const textStyle = { color: INK, fontSize: 13, fontFamily: FONT };
  return { text, top, left, padding: 0, textStyle };
}

/** What headings need above the panels. */
function headingOver(panels: readonly { readonly title: string }[]): number {
  return panels.some(({ title }) => title !== "") ? HEADING : 0;
}

interface Limits {
  readonly min: number;
  readonly max?: number;
}

/** Whole powers of ten round all figures, or from nothing. */
function limitsOf({ scale }: Axis, values: readonly (number | null)[]): Limits {
  if (scale === "value") return { min: 0 };
  const logs = values.filter((value) => value !== null).map(Math.log10);
  const low = Math.floor(Math.min(...logs));
  const high = Math.ceil(Math.max(...logs));
  return { min: 10 ** low, max: 10 ** Math.max(high, low + 1) };
}

function valueAxis({ scale, show }: Axis, limits: Limits, isLabelled = true): object {
  return {
    type: scale,
    ...limits,
    nameLocation: "middle",
    ...INKS,
    axisLabel: { ...INKS.axisLabel, show: isLabelled, formatter: show },
    splitLine: { lineStyle: { color: GRID } },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function render(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  try {
    chart.setOption(option);
    const { storage, painter } = chart.getZr();
    for (const root of storage.getRoots()) root.traverse((element) => element.removeClipPath());
    // `renderToSVGString` has no option that leaves out the styles, which are for a mouse.
    const svgPainter = painter as unknown as SvgPainter;
    return `${svgPainter.renderToString({ cssAnimation: false, cssEmphasis: false })}\n`;
  } finally {
    chart.dispose();
  }
}

interface SvgPainter {
  renderToString(options: { cssAnimation: boolean; cssEmphasis: boolean }): string;
}
