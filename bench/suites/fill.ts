// Fill: all ports of the ephemeral range one after another, each from a random offset, until none
// is left; what the last percent of them cost; and giving them all back.

import type { Benchmark } from "../harness/benchmarks.ts";
import { timeOnce } from "../harness/measure.ts";
import type { Place, Stage, System } from "../harness/setup.ts";
import { COUNT, offsetsOf } from "../harness/workloads.ts";
import { fastTakers, KINDS, type Kind, reference } from "./fill-takers.ts";
import { draining, keepOnce, Runner, runOnce, type Stint, type Stretch, taking } from "./takers.ts";

const BENCH = "fill";
/** How many times faster than the reference model a fill is. */
const FILL_BAR = 10000;
const TURNS = { rounds: 50, milliseconds: 250 };

/** Nanoseconds per port of gVisor's own manager: all, the last percent, giving back. */
const RECORDED: Readonly<Record<string, readonly [number, number, number]>> = {
  "tcp-v4": [188_700, 12_030_000, 389],
  "udp-v4": [184_600, 12_230_000, 424],
  "tcp-dual-any": [221_900, 14_510_000, 854],
};

export const fillBenchmark: Benchmark = {
  title: "Fill: every port of 16000..65535 from a random offset, per port, and the drain",
  run(stage) {
    const count = stage.smoke ? 600 : COUNT;
    const offsets = offsetsOf(4, count);
    for (const kind of KINDS) fill(stage, kind, offsets);
    judge(stage, "handles");
    judge(stage, "batch");
  },
};

function fill(stage: Stage, kind: Kind, offsets: Uint32Array): void {
  const count = offsets.length;
  const runners = fastTakers(kind, offsets).map((taker) => new Runner(taker));
  // 495 ports of 49,536: short for a sample, but the last percent has no more.
  const last = { first: count - Math.floor(count / 100), end: count };
  const compare = (row: string, stintOf: (runner: Runner) => Stint): void => {
    stage.compare(place(kind, row), runners.map(stintOf), TURNS);
  };
  compare("all", (runner) => taking(runner, { first: 0, end: count }));
  compare("last-1pct", (runner) => taking(runner, last));
  compare("drain", (runner) => fewer(draining(runner, count)));
  for (const { taker } of runners) taker.close();
  if (kind.name === "tcp-v4") fillNaively(stage, kind, offsets, last);
  recorded(stage, kind);
}

/** A Set and a loop need a tenth of a second to fill what is then drained. */
function fewer(stint: Stint): Stint {
  return stint.system === "js-set" ? { ...stint, most: 5 } : stint;
}

/** One fill of the reference model takes seconds, so all its rows come from one. */
function fillNaively(stage: Stage, kind: Kind, offsets: Uint32Array, last: Stretch): void {
  const count = offsets.length;
  const runner = new Runner(reference(kind, offsets));
  const whole = taking(runner, { first: 0, end: count });
  const most = timeOnce(() => void runner.goTo(last.first));
  const rest = runOnce(stage, place(kind, "last-1pct"), taking(runner, last));
  keepOnce(stage, place(kind, "all"), whole, most + rest, whole.seen());
  runOnce(stage, place(kind, "drain"), draining(runner, count));
}

function recorded(stage: Stage, kind: Kind): void {
  const [all, last, drain] = RECORDED[kind.name] as readonly [number, number, number];
  const keep = (row: string, ns: number, operations: number): void => {
    stage.keepOne(place(kind, row), "gvisor (recorded)", ns, { operations });
  };
  keep("all", all, COUNT);
  keep("last-1pct", last, Math.floor(COUNT / 100));
  keep("drain", drain, COUNT);
}

function judge(stage: Stage, system: System): void {
  const row = "tcp-v4/all";
  const value = stage.median(BENCH, row, "reference") / stage.median(BENCH, row, system);
  stage.judge({ name: `${BENCH}/${row}: reference over ${system}`, value, atLeast: FILL_BAR });
}

function place({ name }: Kind, row: string): Place {
  return { bench: BENCH, row: `${name}/${row}` };
}
