// Linux: what a socket's port costs as the local range fills, beside the reference model of the
// kernel's two functions, in one run and through the public API; then TIME_WAIT, and what a live
// kernel was seen to take.

import { PERCENTS, rangeFor, scattered, searched, shareOf } from "../harness/local-range.ts";
import type { Measured } from "../harness/measure.ts";
import type { Implementation, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf } from "../harness/workloads.ts";
import { keepRecorded } from "../recorded/kernel.ts";
import {
  BATCH,
  KINDS,
  type Kind,
  linuxModel,
  linuxPorts,
  type Picking,
  picksOf,
  type Setting,
} from "./sockets.ts";
import { keepTimeWait } from "./time-wait.ts";

const SAMPLING = { rounds: 150, milliseconds: 400 };
const SPREAD_AT_MOST = 2.5;
/** How many times faster than the reference model where the range is fullest. */
const REFERENCE_AT_LEAST = 1000;
/** Where one operation takes the model up to 15 ms, its batches are shorter, as in tiny runs. */
const MODEL_SHORT = 50;
const MODEL_TINY = 20;
/** From so much on, the model is slow enough to be timed a few times and no oftener. */
const MODEL_SLOW_PERCENT = 99;
const MODEL_SAMPLES = 3;

export const linuxSuite: Suite = {
  title: "socket + bind(0) or connect() + close, 28,232 ports, one destination",
  run(session) {
    for (const kind of KINDS) {
      asTheRangeFills(session, kind, "scattered");
      asTheRangeFills(session, kind, "together");
    }
    keepTimeWait(session);
    keepRecorded(session);
  },
};

/** Where the free ports lie: anywhere, or as searches from random starts leave them. */
type Free = "scattered" | "together";

type Pair = readonly [sockets: Implementation, model: Implementation];

function asTheRangeFills(session: Session, kind: Kind, free: Free): void {
  const range = rangeFor(session.smoke);
  const order = free === "scattered" ? scattered(range) : searched(range);
  const pairs = PERCENTS.map((percent) => {
    const setting = { kind, range, held: shareOf(order, percent) };
    return pairOf(setting, percent, modelBatchAt(percent, free, session.smoke));
  });
  const workload = `${kind}/${free}`;
  const measured = session.compareAll(
    pairs.map((implementations, index) => ({
      key: { suite: "linux", workload, occupancy: PERCENTS[index] as number },
      implementations,
    })),
    SAMPLING,
  );
  check(session, workload, pairs, measured);
}

/** Both do the same work, and are compared by as many picks as the model's batch has. */
function pairOf(setting: Setting, percent: number, modelBatch: number): Pair {
  const as = (system: System, picking: Picking): Implementation => ({
    system,
    ...picking,
    digest: () => digestOf(picksOf(picking, modelBatch)),
  });
  const slow = percent < MODEL_SLOW_PERCENT ? {} : { most: MODEL_SAMPLES };
  const model = as("reference model", linuxModel(setting, modelBatch));
  return [as("sockets", linuxPorts(setting)), { ...model, ...slow }];
}

function modelBatchAt(percent: number, free: Free, smoke: boolean): number {
  if (smoke) return MODEL_TINY;
  return free === "together" && percent >= MODEL_SLOW_PERCENT ? MODEL_SHORT : BATCH;
}

function check(
  session: Session,
  workload: string,
  pairs: readonly Pair[],
  measured: Measured,
): void {
  const medianOf = (work: Implementation): number => measured.figure(work).median;
  const medians = pairs.map(([sockets]) => medianOf(sockets));
  session.check({
    name: `linux/${workload}: slowest occupancy over the fastest`,
    value: Math.max(...medians) / Math.min(...medians),
    atMost: SPREAD_AT_MOST,
  });
  const [sockets, model] = pairs.at(-1) as Pair;
  session.check({
    name: `linux/${workload}: reference model over sockets at ${PERCENTS.at(-1)} %`,
    value: medianOf(model) / medianOf(sockets),
    atLeast: REFERENCE_AT_LEAST,
  });
}
