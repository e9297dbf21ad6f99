// Limits: what a group, or reserved ports, add to a pick. With and without are sampled in turn, and
// their ratio is judged.
//
// The group lies three levels deep and allows the whole local range, so that the same ports are
// searched. Where ports are reserved, the same share of the others is held. Every side's picks are
// checked against those of a baseline before anything is timed.

import {
  type PortGroup,
  PortGroups,
  type PortRange,
  type ReservedPorts,
} from "../../bindings/index.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import {
  PERCENTS,
  rangeFor,
  reservedAsBlock,
  reservedAtRandom,
  scattered,
  shareOf,
} from "../harness/local-range.ts";
import { figureOf, measureInTurn, type Turns } from "../harness/measure.ts";
import type { Stage, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { bitmapSide, poolSide } from "./pools.ts";
import { KINDS, model, ours, oursPrepared, picksOf, type Side } from "./sockets.ts";

/** How many times as long as without. */
const AT_MOST = 1.1;
/** Where records come to lie makes a difference, so each comparison is made several times. */
const SOCKET_RUNS = 5;
/** A pool's pick is so short that what is added comes close to the bar. */
const FLOW_RUNS = 15;
const TURNS = { rounds: 80 };
/** Of sockets so many picks are checked: one may take the model a millisecond. Of pools all are. */
const SOCKETS_CHECKED = 250;

export const limitsBenchmark: Benchmark = {
  title: "a pick within three levels of groups, or past 1,000 reserved ports, over one without",
  run,
};

function run(stage: Stage): void {
  const range = rangeFor(stage.smoke);
  for (const kind of KINDS) {
    showLimits(stage, {
      name: kind,
      system: "sockets",
      runs: SOCKET_RUNS,
      sides({ group, reserved }, held) {
        const setting = { kind, range, held, socket: { group }, ...(reserved && { reserved }) };
        return [oursPrepared(setting), ours(setting)];
      },
      baseline: ({ reserved }, held) =>
        model({ kind, range, held, ...(reserved && { reserved }) }, SOCKETS_CHECKED),
    });
  }
  showLimits(stage, {
    name: "pool",
    system: "handles",
    runs: FLOW_RUNS,
    sides: (limit, held) => [poolSide({ range, held, ...limit })],
    baseline: (limit, held) => bitmapSide({ range, held, ...limit }),
  });
}

// ── With over without ─────────────────────────────────────────────────────────────────────

/** What limits a pick. */
interface Limit {
  readonly name: string;
  readonly group?: PortGroup;
  readonly reserved?: ReservedPorts;
}

type Held = readonly number[];

/** Whose picks are limited. */
interface Subject {
  readonly name: string;
  readonly system: System;
  /** How many comparisons are made. */
  readonly runs: number;
  /** The first is judged; a second is shown beside it, and makes its sockets, too. */
  sides(limit: Limit, held: Held): readonly Side[];
  /** Its first batch is what all sides must pick. */
  baseline(limit: Limit, held: Held): Side;
}

/** What one run says of one limit. */
interface Compared {
  readonly operations: number;
  readonly ns: number;
  /** How many times as long as without, for each of the sides. */
  readonly ratios: readonly number[];
}

function showLimits(stage: Stage, subject: Subject): void {
  const range = rangeFor(stage.smoke);
  const order = scattered(range);
  const limits = [{ name: "none" }, ...limitsFor(range, stage.smoke ? 100 : 1000)];
  for (const percent of PERCENTS) {
    const scenes = limits.map((limit) =>
      sceneOf(subject, limit, heldBeside(order, percent, limit)),
    );
    const [length, turns] = stage.smoke ? [1, { rounds: 1 }] : [subject.runs, TURNS];
    const runs = Array.from({ length }, () => compare(turns, scenes));
    for (const [index, scene] of scenes.entries()) {
      const all = runs.map((run) => run[index] as Compared);
      keepLimit(stage, subject, percent, scene, all);
    }
  }
}

/** A limit, and who picks within it. */
interface Limited {
  readonly limit: Limit;
  /** Of the baseline's picks, and how many those are. */
  readonly digest: string;
  readonly checked: number;
  /** Sides that have not done anything yet. */
  open(): readonly Side[];
}

function sceneOf(subject: Subject, limit: Limit, held: Held): Limited {
  const baseline = subject.baseline(limit, held);
  const checked = baseline.operations;
  const digest = digestOf(picksOf(baseline, checked));
  return { limit, digest, checked, open: () => subject.sides(limit, held) };
}

/** All limits in one run; the first is none. */
function compare(turns: Turns, scenes: readonly Limited[]): Compared[] {
  const sides = scenes.map(openChecked);
  const timed = measureInTurn(turns, sides.flat());
  const without = sides[0] as readonly Side[];
  return sides.map((those) => ({
    operations: (those[0] as Side).operations,
    ns: timed.figure(those[0] as Side).median,
    ratios: those.map((side, index) => timed.ratio(side, without[index] as Side)),
  }));
}

function openChecked({ limit, digest, checked, open }: Limited): readonly Side[] {
  const sides = open();
  for (const side of sides) {
    const own = digestOf(picksOf(side, checked));
    if (own !== digest) throw new Error(`${limit.name}: our digest ${own}, not ${digest}`);
  }
  return sides;
}

/** Rows with the medians over all runs. */
function keepLimit(
  stage: Stage,
  { name, system }: Subject,
  occupancy: number,
  { limit, digest }: Limited,
  runs: readonly Compared[],
): void {
  const row = `${name}/${limit.name}`;
  const operations = (runs[0] as Compared).operations;
  const own = { bench: "limits", system, occupancy, operations };
  stage.keep({ ...own, row, digest, ...figureOf(runs.map(({ ns }) => ns)) });
  if (limit.name === "none") return;

  const keepRatio = (of: string, side: number): number => {
    const figure = figureOf(runs.flatMap(({ ratios }) => ratios[side] ?? []));
    if (figure.samples > 0) stage.keep({ ...own, row: of, unit: "ratio", ...figure });
    return figure.median;
  };
  const value = keepRatio(`${row} over none`, 0);
  keepRatio(`${row} over none, whole`, 1);
  stage.judge({ name: `limits/${row} over none at ${occupancy} %`, value, atMost: AT_MOST });
}

// ── What limits ───────────────────────────────────────────────────────────────────────────

function limitsFor(range: PortRange, count: number): Limit[] {
  return [
    { name: "group", group: groupFor(range) },
    { name: "reserved-at-random", reserved: reservedAtRandom(range, count) },
    { name: "reserved-side-by-side", reserved: reservedAsBlock(range, count) },
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
