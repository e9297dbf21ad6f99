// Limits: what a group, or reserved ports, add to a pick. With and without are sampled in turn, and
// their ratio is judged.
//
// The group lies three levels deep and allows the whole local range, so that the same ports are
// searched. Where ports are reserved, the same share of the others is held.

import {
  type PortGroup,
  PortGroups,
  type PortRange,
  type ReservedPorts,
} from "../bindings/index.ts";
import { measureInTurn, type Turns, type Work } from "./interleaved.ts";
import {
  PERCENTS,
  rangeFor,
  reservedAsBlock,
  reservedAtRandom,
  scattered,
  shareOf,
} from "./local-range.ts";
import type { Figure } from "./measure.ts";
import { type Report, time } from "./report.ts";
import { BATCH, CALLS, KINDS, ours, oursPrepared } from "./sockets.ts";

/** How many times as long as without. */
const AT_MOST = 1.1;
/** Where records come to lie makes a difference, so each comparison is made several times. */
const RUNS = 5;

/** What limits a pick. */
export interface Limit {
  readonly name: string;
  readonly group?: PortGroup;
  readonly reserved?: ReservedPorts;
}

/** Makes what is compared: the first work is judged, the others are shown beside it. */
export type WorksFor = (limit: Limit, held: readonly number[]) => readonly Work[];

interface Compared {
  /** How many times as long as without, for each of the works. */
  readonly ratios: readonly number[];
  /** Of the first work. */
  readonly without: Figure;
  readonly limited: Figure;
}

/** Rows for sockets. */
export function socketLimits(report: Report, smoke: boolean): void {
  const range = rangeFor(smoke);
  const turns = { operations: BATCH, rounds: smoke ? 1 : 100 };
  for (const kind of KINDS) {
    report.heading(
      `${CALLS[kind]} + close, with a limit over without; whole: the ratio with socket()`,
    );
    showLimits(report, smoke, turns, ({ group, reserved }, held) => {
      const setting = { kind, range, held, socket: { group }, ...(reserved && { reserved }) };
      return [oursPrepared(setting), ours(setting)];
    });
  }
}

/** A row for each limit at each share of the range that is held. */
export function showLimits(report: Report, smoke: boolean, turns: Turns, worksFor: WorksFor): void {
  const range = rangeFor(smoke);
  const order = scattered(range);
  const limits = limitsFor(range, smoke ? 100 : 1000);
  for (const percent of PERCENTS) {
    const at = (limit: Limit): readonly Work[] =>
      worksFor(limit, heldBeside(order, percent, limit));
    const runs = Array.from({ length: smoke ? 1 : RUNS }, () => compare(turns, limits, at));
    for (const [index, { name }] of limits.entries()) {
      const { ratios, without, limited } = middleOf(runs.map((run) => run[index] as Compared));
      const [value, whole] = ratios as [number, number?];
      const beside = whole === undefined ? "" : `; whole ${whole.toFixed(2)}`;
      const figures = `${time(without)}, with ${time(limited)}${beside}`;
      report.row(`${percent} % held, ${name}`, figures, { value, atMost: AT_MOST });
    }
  }
}

/** One comparison for each limit, all in one run. */
function compare(
  turns: Turns,
  limits: readonly Limit[],
  worksFor: (limit: Limit) => readonly Work[],
): Compared[] {
  const without = worksFor({ name: "none" });
  const limited = limits.map(worksFor);
  const timed = measureInTurn(turns, [...without, ...limited.flat()]);
  return limited.map((works) => ({
    ratios: works.map((work, index) => timed.ratio(work, without[index] as Work)),
    without: timed.figure(without[0] as Work),
    limited: timed.figure(works[0] as Work),
  }));
}

function middleOf(runs: readonly Compared[]): Compared {
  const sorted = [...runs].sort((a, b) => (a.ratios[0] as number) - (b.ratios[0] as number));
  return sorted[sorted.length >> 1] as Compared;
}

// ── What limits ───────────────────────────────────────────────────────────────────────────

function limitsFor(range: PortRange, count: number): Limit[] {
  return [
    { name: "group", group: groupFor(range) },
    { name: `${count} reserved at random`, reserved: reservedAtRandom(range, count) },
    { name: `${count} reserved side by side`, reserved: reservedAsBlock(range, count) },
  ];
}

/** Three levels deep; what it comes to is the range. */
function groupFor({ first, last }: PortRange): PortGroup {
  const groups = PortGroups.open();
  const limit = (path: string, range: PortRange): PortGroup =>
    groups.create(path, { bindPortRange: range, connectPortRange: range });
  limit("/a", { first: 1024, last: 65535 });
  limit("/a/b", { first, last: 65535 });
  return limit("/a/b/c", { first: 1024, last });
}

/** What is held at a share of those ports that are not reserved. */
function heldBeside(order: readonly number[], percent: number, { reserved }: Limit): number[] {
  return shareOf(reserved ? order.filter((port) => !reserved.has(port)) : order, percent);
}
