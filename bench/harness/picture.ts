// Picture: what a port costs as the range fills, drawn by Apache ECharts as SVG.
//
// Colours are those of Okabe and Ito, which differ for any kind of colour vision; lines of one
// colour have different symbols.

import * as echarts from "echarts";
import { machineLine, time } from "./format.ts";
import type { Results } from "./results.ts";
import type { System } from "./session.ts";

const SIZE = { width: 900, height: 470 };
const OCCUPANCIES = [0, 50, 90, 99, 99.9, 99.998];
const NAMES = ["0", "50", "90", "99", "99.9", "one port free"];
const INK = { color: "#222222", fontSize: 12, fontFamily: "Arial, Helvetica, sans-serif" };
const GRID = { lineStyle: { color: "#dddddd" } };

const LOOKS: readonly (readonly [system: System, color: string, symbol: string])[] = [
  ["pool", "#0072b2", "circle"],
  ["pool batch", "#0072b2", "emptyCircle"],
  ["reservations", "#009e73", "triangle"],
  ["bitmap", "#e69f00", "rect"],
  ["bitmap batch", "#e69f00", "emptyRect"],
  ["Set", "#cc79a7", "rect"],
  ["reference model", "#d55e00", "diamond"],
  ["gVisor (recorded)", "#333333", "emptyTriangle"],
];

/** The SVG; undefined if the suite `ephemeral` was not run. */
export function drawOccupancy({ machine, smoke, rows }: Results): string | undefined {
  const found = rows.filter(({ suite, workload }) => suite === "ephemeral" && workload === "tcp");
  if (found.length === 0) return undefined;
  const series = LOOKS.map(([name, color, symbol]) => {
    const own = found.filter(({ system }) => system === name);
    const at = (percent: number) => own.find(({ occupancy }) => occupancy === percent)?.median;
    return {
      ...{ type: "line" as const, name, symbol, symbolSize: 9, color, connectNulls: true },
      ...{
        animation: false,
        silent: true,
        data: OCCUPANCIES.map((percent) => at(percent) || null),
      },
    };
  });
  const warning = smoke ? "A tiny run: its figures mean nothing. " : "";
  const notes =
    "An operation takes a port from a random offset, and frees it; a batch has up to 256. " +
    "gVisor: recorded on another machine.";
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, ...SIZE });
  chart.setOption({
    backgroundColor: "#ffffff",
    title: [
      {
        ...{ text: "One port of 49,536, TCP: what it costs as the range fills", left: 16, top: 12 },
        textStyle: { ...INK, fontSize: 17 },
      },
      {
        ...{ text: `${warning}${notes}\n${machineLine(machine)}`, left: 16, bottom: 6 },
        textStyle: { ...INK, fontSize: 11, fontWeight: "normal" },
      },
    ],
    legend: { left: 12, top: 44, textStyle: INK },
    grid: { left: 84, right: 24, top: 82, bottom: 88 },
    xAxis: {
      ...{ type: "category", data: NAMES, axisLabel: INK, nameTextStyle: INK },
      ...{ name: "percent of the range that is held", nameLocation: "middle", nameGap: 28 },
    },
    yAxis: {
      ...{ type: "log", axisLabel: { ...INK, formatter: time }, nameTextStyle: INK },
      ...{ name: "time per operation", nameLocation: "middle", nameGap: 64, splitLine: GRID },
    },
    series,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
