// Report: what the demo says before and after, from what has been measured.

import type { PortRange } from "../../index.ts";
import { counted, figure } from "../../node/connector/words.ts";
import { bullet, type Cell, paint, seconds, table, title } from "../output.ts";
import { chart, type Mark } from "./chart.ts";
import { type Capacity, type End, type Filling, STEPS } from "./measures.ts";
import type { WayName } from "./options.ts";
import type { Plan, Portion } from "./plan.ts";
import type { Findings } from "./run.ts";

const TITLES: Record<WayName, string> = {
  kernel: "the kernel's choice",
  localAddress: "localAddress only",
  portwarden: "portwarden",
};
const SYMBOLS: Record<WayName, string> = { kernel: "○", localAddress: "×", portwarden: "●" };
const COLOURS = { kernel: "yellow", localAddress: "red", portwarden: "green" } as const;
const CALLS: Record<WayName, string> = {
  kernel: "net.connect({ host, port })",
  localAddress: "net.connect({ host, port, localAddress })",
  portwarden: "createConnector({ sources }).connect({ host, port })",
};
const PERCENTS = [1, 25, 49, 51, 75, 99];

export function titleOf(way: WayName): string {
  return TITLES[way];
}

// ── Before ────────────────────────────────────────────────────────────────────────────────

export function introduction(plan: Plan): string {
  const { place, ways, source, destinations, leftOut } = plan;
  const where = place.inside
    ? "All of it inside a network namespace of its own: this machine's ports are not touched."
    : `Among this machine's own ports, not in a network namespace: ${place.why}.\n` +
      "While it runs, other programs may find no port; --connections limits what it takes.";
  return [
    `Real connections inside this machine, opened in ${counted(ways.length, "way")}:`,
    "",
    table(
      ["way", "call"],
      ways.map((way) => [TITLES[way], CALLS[way]]),
    ),
    "",
    where,
    `They go to ${counted(destinations, "server")}; where the source can be chosen, it is ${source}.`,
    "Ctrl-C closes everything.",
    ...(leftOut.length === 0 ? [] : ["", "Left out:", ...leftOut.map((what) => bullet(what))]),
    "",
  ].join("\n");
}

// ── After ─────────────────────────────────────────────────────────────────────────────────

export function summary(findings: Findings, faults: readonly string[]): string {
  const { capacities, fillings, stop } = findings;
  return [
    ...(capacities.length === 0 ? [] : capacitySection(findings)),
    ...(fillings.length === 0 ? [] : fillingSection(findings)),
    ...(stop === undefined ? [] : [`Cut short, because ${stop}. Everything is closed.`]),
    ...faults.map((fault) => paint("red", `WRONG: ${fault}.`)),
    ...(stop === undefined && faults.length === 0
      ? ["Everything is closed, and every port has come back."]
      : []),
  ].join("\n");
}

function capacitySection({ plan, capacities }: Findings): string[] {
  const heading = ["way", "open at once", "local ports", "per port", "ended by"];
  const rows = capacities.map(({ way, opened, localPorts, sharedBy, end, errors }): Cell[] => [
    TITLES[way],
    opened,
    localPorts,
    sharedBy,
    endShown(end, errors),
  ]);
  return [
    title(`Capacity: connections to ${counted(plan.destinations, "destination")} at once`),
    `  ${rangesOf(plan.capacity)}`,
    "",
    table(heading, rows),
    "",
    ...capacities.map((capacity) => `  ${TITLES[capacity.way]}: ${seenOf(capacity, plan)}.`),
    "",
  ];
}

function fillingSection(findings: Findings): string[] {
  const { plan, fillings } = findings;
  const markOf = ({ way }: Filling): Mark => ({
    symbol: SYMBOLS[way],
    paint: (text) => paint(COLOURS[way], text),
  });
  const legend = fillings.map(({ way }) => paint(COLOURS[way], `${SYMBOLS[way]} ${TITLES[way]}`));
  return [
    title("Time per connect to one destination as the range fills, in milliseconds: medians"),
    `  ${rangesOf(plan.filling)}`,
    "",
    ...timesTable(findings),
    "",
    ...fillings.map(ending),
    "",
    chart(fillings, markOf),
    `  ${legend.join("   ")}`,
    "  time per connect (logarithmic) over the part of the range in use; later marks on top",
    `  before, each way has opened and closed ${counted(plan.warmUp, "connection")} to another server, ` +
      "so that code is compiled",
    "",
  ];
}

/** The abilities and limits of the way, as measured. */
function seenOf({ way, sources, sharedBy }: Capacity, { destinations }: Plan): string {
  const from = sources.length === 0 ? "none" : sources.join(", ");
  if (way === "kernel") return `the source cannot be chosen; it was ${from}`;
  const source = `the source was chosen, ${from}`;
  if (destinations === 1) return source;
  if (sharedBy > 1) return `${source}; a port served up to ${sharedBy} destinations`;
  return `${source}; no port served two destinations`;
}

/**
 * The times at some percentages; of few ports, or few connections, not all of them are ever in use.
 */
function timesTable({ plan, fillings }: Findings): string[] {
  const percents = PERCENTS.filter((percent) =>
    fillings.some((filling) => timeAt(filling, percent) !== undefined),
  );
  const rows = fillings.map((filling): Cell[] => [
    TITLES[filling.way],
    ...percents.map((percent) => timeAt(filling, percent) ?? "-"),
  ]);
  const heading = ["of the range in use:", ...percents.map((percent) => `${percent} %`)];
  const { first, last } = plan.filling.portwardenRange;
  const ports = last - first + 1;
  const few = `${counted(ports, "port")} are too few for more percentages: it takes ${STEPS}.`;
  return [
    ...(percents.length === 0 ? [] : [table(heading, rows)]),
    ...(ports < STEPS ? [`  ${few}`] : []),
  ];
}

function timeAt({ steps }: Filling, percent: number): number | undefined {
  return steps.find((step) => Math.abs(step.percent - percent) < 1)?.ms;
}

function ending({ way, opened, end, errors, refusalMs, ms }: Filling): string {
  const last = refusalMs === undefined ? "" : ` (after ${seconds(refusalMs / 1000)})`;
  return `  ${TITLES[way]}: ${figure(opened)} in ${seconds(ms / 1000)}; ${endShown(end, errors)}${last}`;
}

const ENDS: Record<Exclude<End, "refused">, string> = {
  enough: "not used up",
  time: "out of time",
  stopped: "stopped",
};

function endShown(end: End, errors: Readonly<Record<string, number>>): string {
  if (end !== "refused") return ENDS[end];
  return Object.entries(errors)
    .map(([code, count]) => `${code} x ${count}`)
    .join(", ");
}

function rangesOf({ kernelRange, portwardenRange }: Portion): string {
  const kernel = `local ports ${shown(kernelRange)}`;
  const isSame = shown(kernelRange) === shown(portwardenRange);
  return isSame ? kernel : `${kernel}, portwarden's ${shown(portwardenRange)}`;
}

function shown({ first, last }: PortRange): string {
  return `${first}..${last}`;
}
