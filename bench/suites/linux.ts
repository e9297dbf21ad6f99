// Linux: what a socket's port costs as the local range fills, by the rules of 2.6.32 and of 6.18,
// beside their reference models, in one run and through the public API; then TIME_WAIT, sockets
// that share a port, and what a live kernel was seen to take.

import type { PortRange } from "../../bindings/index.ts";
import { PERCENTS, rangeFor, scattered, searched, shareOf } from "../harness/local-range.ts";
import type { Measured } from "../harness/measure.ts";
import type { Implementation, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf } from "../harness/workloads.ts";
import { keepRecorded } from "../recorded/kernel.ts";
import { keepSharers } from "./sharers.ts";
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
import { KINDS_618, linuxModel618, linuxPorts618, searched618 } from "./sockets-618.ts";
import { keepMillion, keepTimeWait } from "./time-wait.ts";

const SAMPLING = { rounds: 150, milliseconds: 400 };
const MODEL_TINY = 20;
const MODEL_SAMPLES = 3;

/** What differs between the two kernels. */
interface Rules {
  readonly suite: string;
  readonly kinds: readonly Kind[];
  sockets(setting: Setting): Picking;
  model(setting: Setting, batch: number): Picking;
  /** The order in which searches of that kind find all ports of a range. */
  searched(range: PortRange, kind: Kind): number[];
  /** From so many percent on, the model is slow enough to be timed a few times and no oftener. */
  readonly slowPercent: number;
  /** There its batches are shorter where free ports lie together. */
  readonly slowBatch: number;
  readonly spreadAtMost: number;
  /** How many times faster than the reference model where the range is fullest. */
  readonly referenceAtLeast: number;
}

const RULES_2632: Rules = {
  suite: "linux",
  kinds: KINDS,
  sockets: linuxPorts,
  model: linuxModel,
  searched,
  slowPercent: 99,
  slowBatch: 50,
  spreadAtMost: 2.5,
  referenceAtLeast: 1000,
};

const RULES_618: Rules = {
  suite: "linux-6.18",
  kinds: KINDS_618,
  sockets: linuxPorts618,
  model: linuxModel618,
  searched: searched618,
  slowPercent: 50,
  slowBatch: 10,
  spreadAtMost: 3,
  referenceAtLeast: 500,
};

export const linuxSuite: Suite = {
  title: "socket + bind(0) or connect() + close, 28,232 ports, one destination",
  run(session) {
    asRangesFill(session, RULES_2632);
    keepTimeWait(session);
  },
};

export const linux618Suite: Suite = {
  title: "the same by the rules of Linux 6.18, TCP and UDP; a million TIME_WAITs; SO_REUSEPORT",
  run(session) {
    asRangesFill(session, RULES_618);
    keepMillion(session);
    keepSharers(session);
    keepRecorded(session);
  },
};

/** Where the free ports lie: anywhere, or as searches from random starts leave them. */
type Free = "scattered" | "together";

type Pair = readonly [sockets: Implementation, model: Implementation];

function asRangesFill(session: Session, rules: Rules): void {
  for (const kind of rules.kinds) {
    asTheRangeFills(session, rules, kind, "scattered");
    asTheRangeFills(session, rules, kind, "together");
  }
}

function asTheRangeFills(session: Session, rules: Rules, kind: Kind, free: Free): void {
  const { suite } = rules;
  const range = rangeFor(session.smoke);
  const order = free === "scattered" ? scattered(range) : rules.searched(range, kind);
  const pairs = PERCENTS.map((percent) => {
    const setting = { kind, range, held: shareOf(order, percent) };
    const batch = session.smoke ? MODEL_TINY : modelBatchAt(rules, percent, free);
    return pairOf(rules, setting, percent, batch);
  });
  const workload = `${kind}/${free}`;
  const measured = session.compareAll(
    pairs.map((implementations, index) => ({
      key: { suite, workload, occupancy: PERCENTS[index] as number },
      implementations,
    })),
    SAMPLING,
  );
  check(session, rules, workload, pairs, measured);
}

/** Both do the same work, and are compared by as many picks as the model's batch has. */
function pairOf(rules: Rules, setting: Setting, percent: number, modelBatch: number): Pair {
  const as = (system: System, picking: Picking): Implementation => ({
    system,
    ...picking,
    digest: () => digestOf(picksOf(picking, modelBatch)),
  });
  const slow = percent < rules.slowPercent ? {} : { most: MODEL_SAMPLES };
  const model = as("reference model", rules.model(setting, modelBatch));
  return [as("sockets", rules.sockets(setting)), { ...model, ...slow }];
}

function modelBatchAt(rules: Rules, percent: number, free: Free): number {
  return free === "together" && percent >= rules.slowPercent ? rules.slowBatch : BATCH;
}

function check(
  session: Session,
  { suite, spreadAtMost, referenceAtLeast }: Rules,
  workload: string,
  pairs: readonly Pair[],
  measured: Measured,
): void {
  const medianOf = (work: Implementation): number => measured.figure(work).median;
  const medians = pairs.map(([sockets]) => medianOf(sockets));
  session.check({
    name: `${suite}/${workload}: slowest occupancy over the fastest`,
    value: Math.max(...medians) / Math.min(...medians),
    atMost: spreadAtMost,
  });
  const [sockets, model] = pairs.at(-1) as Pair;
  session.check({
    name: `${suite}/${workload}: reference model over sockets at ${PERCENTS.at(-1)} %`,
    value: medianOf(model) / medianOf(sockets),
    atLeast: referenceAtLeast,
  });
}
