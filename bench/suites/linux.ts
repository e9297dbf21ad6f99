// Linux: what a socket's port costs as the local range fills, beside the reference model of the kernel's
// two functions, in one run and through the public API; then TIME_WAIT, and what a live kernel was
// seen to take.

import type { Benchmark } from "../harness/benchmarks.ts";
import { PERCENTS, rangeFor, scattered, searched, shareOf } from "../harness/local-range.ts";
import type { Measured } from "../harness/measure.ts";
import type { Contender, Scene, Stage, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { keepRecorded } from "../recorded/recorded.ts";
import {
  BATCH,
  KINDS,
  type Kind,
  model,
  ours,
  oursPrepared,
  picksOf,
  type Setting,
  type Side,
} from "./sockets.ts";
import { keepTimeWait } from "./time-wait.ts";

const TURNS = { rounds: 150, milliseconds: 400 };
const SPREAD_AT_MOST = 2.5;
/** How many times faster than the reference model where the range is fullest. */
const FULLEST_AT_LEAST = 1000;
const FULLEST = 99.9;
/** Where one operation takes the model up to 15 ms, its batches are shorter, as in tiny runs. */
const TWIN_SHORT = 50;
const TWIN_SMOKE = 20;
/** From so much on, the model is slow enough to be timed a few times and no oftener. */
const TWIN_SLOW_PERCENT = 99;
const TWIN_SAMPLES = 3;

export const linuxBenchmark: Benchmark = {
  title: "socket + bind(0) or connect() + close, 28,232 ports, one destination",
  run,
};

function run(stage: Stage): void {
  for (const kind of KINDS) {
    occupancy(stage, kind, "scattered");
    occupancy(stage, kind, "together");
  }
  keepTimeWait(stage);
  keepRecorded(stage);
}

/** Where the free ports lie: anywhere, or as searches from random starts leave them. */
type Free = "scattered" | "together";

interface Case {
  readonly percent: number;
  readonly whole: Contender;
  readonly prepared: Contender;
  readonly reference: Contender;
}

function occupancy(stage: Stage, kind: Kind, free: Free): void {
  const range = rangeFor(stage.smoke);
  const order = free === "scattered" ? scattered(range) : searched(range);
  const cases = PERCENTS.map((percent): Case => {
    const setting = { kind, range, held: shareOf(order, percent) };
    return caseOf(setting, percent, modelBatchAt(percent, free, stage.smoke));
  });
  const row = `${kind}/${free}`;
  const measured = stage.compareAll(
    cases.flatMap(({ percent, whole, prepared, reference }): Scene[] => [
      { place: { bench: "linux", row, occupancy: percent }, contenders: [whole, reference] },
      {
        place: { bench: "linux", row: `${row}/without-socket()`, occupancy: percent },
        contenders: [prepared],
      },
    ]),
    TURNS,
  );
  judge(stage, row, cases, measured);
}

/** All three sides do the same work, and are compared by as many picks as the model's batch has. */
function caseOf(setting: Setting, percent: number, modelBatch: number): Case {
  const as = (system: System, side: Side): Contender => ({
    system,
    ...side,
    digest: () => digestOf(picksOf(side, modelBatch)),
  });
  const slow = percent < TWIN_SLOW_PERCENT ? {} : { most: TWIN_SAMPLES };
  return {
    percent,
    whole: as("sockets", ours(setting)),
    prepared: as("sockets", oursPrepared(setting)),
    reference: { ...as("reference", model(setting, modelBatch)), ...slow },
  };
}

function modelBatchAt(percent: number, free: Free, smoke: boolean): number {
  if (smoke) return TWIN_SMOKE;
  return free === "together" && percent >= TWIN_SLOW_PERCENT ? TWIN_SHORT : BATCH;
}

function judge(stage: Stage, row: string, cases: readonly Case[], measured: Measured): void {
  const medianOf = (contender: Contender): number => measured.figure(contender).median;
  const medians = cases.map(({ whole }) => medianOf(whole));
  stage.judge({
    name: `linux/${row}: slowest occupancy over the fastest`,
    value: Math.max(...medians) / Math.min(...medians),
    atMost: SPREAD_AT_MOST,
  });
  const fullest = cases.find(({ percent }) => percent === FULLEST) as Case;
  stage.judge({
    name: `linux/${row}: reference over ours at ${FULLEST} %`,
    value: medianOf(fullest.reference) / medianOf(fullest.whole),
    atLeast: FULLEST_AT_LEAST,
  });
}
