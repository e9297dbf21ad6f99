// Chart: what a connection costs, drawn over how much of the range is in use.

import plot from "simple-ascii-chart";
import type { Filling } from "./measures.ts";

/** How a way is drawn: its mark, and how that is coloured. */
export interface Mark {
  readonly symbol: string;
  readonly paint: (text: string) => string;
}

const WIDTH = 64;
const HEIGHT = 14;
const PERCENTS = [0, 25, 50, 75, 100];

/** Lines of text; where ways coincide, the mark of the last one is seen. */
export function chart(fillings: readonly Filling[], markOf: (filling: Filling) => Mark): string {
  const points: [percent: number, decade: number][] = [];
  const marks = new Map<string, string>();
  for (const filling of fillings) {
    const { symbol, paint } = markOf(filling);
    for (const { percent, ms } of filling.steps) {
      const point: [number, number] = [percent, Math.log10(ms)];
      points.push(point);
      marks.set(point.join(), paint(symbol));
    }
  }
  if (points.length === 0) return "";
  const decades = points.map(([, decade]) => decade);
  const lowest = Math.floor(Math.min(...decades));
  const highest = Math.max(lowest + 1, Math.ceil(Math.max(...decades)));
  // The library scales the axis by the points: two that are not seen stand for its ends.
  const ends: [number, number][] = [
    [0, lowest],
    [100, lowest],
  ];
  for (const end of ends) marks.set(end.join(), " ");
  // Of points of the same percentage it keeps the order, which is that of the ways.
  const text = plot([...ends, ...points], {
    width: WIDTH,
    height: HEIGHT,
    yRange: [lowest, highest],
    customXAxisTicks: PERCENTS,
    customYAxisTicks: Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index),
    formatter: (value, { axis }) => (axis === "x" ? `${value} %` : `${10 ** value} ms`),
    lineFormatter: ({ x, y, plotX, plotY }) => ({
      x: plotX,
      y: plotY,
      symbol: marks.get([x, y].join()) ?? " ",
    }),
  });
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "")
    .join("\n");
}
