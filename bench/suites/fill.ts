// Fill: all ports of the ephemeral range one after another, each from a random offset, until none
// is left; what the last percent of them cost; and giving them all back.

import {
  type Allocator,
  type Opened,
  openBitmaps,
  openPools,
  openReferenceModel,
  openReservations,
  openSets,
  plainMember,
} from "../harness/allocators.ts";
import { timeOnce } from "../harness/measure.ts";
import {
  type Checked,
  draining,
  keepOnce,
  Runner,
  runOnce,
  taking,
  takingInBatches,
} from "../harness/phases.ts";
import type { RowKey, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { COUNT, FIRST, offsetsOf } from "../harness/workloads.ts";
import { FILL } from "../recorded/gvisor.ts";

const BATCH = 256;
const SAMPLING = { rounds: 50, milliseconds: 250 };
/** How many times faster than the reference model a fill is at least. */
const REFERENCE_AT_LEAST = 10000;

export const fillSuite: Suite = {
  title: "take of every port of 16000..65535 from a random offset, per port; and the drain",
  run(session) {
    const count = session.smoke ? 600 : COUNT;
    const last = count - Math.floor(count / 100);
    const offsets = offsetsOf(4, count);
    const fixture = {
      range: { first: FIRST, last: FIRST + count - 1 },
      members: [plainMember([])],
    };
    const pool = openPools(fixture);
    const bitmap = openBitmaps(fixture);
    const runners = [
      new Runner("pool", openPools(fixture), offsets),
      new Runner("reservations", openReservations(fixture), offsets),
      new Runner("Set", openSets(fixture), offsets),
      new Runner("bitmap", openBitmaps(fixture), offsets),
    ];
    session.compare(
      keyOf("all"),
      [
        ...runners.map((runner) => taking(runner, 0, count)),
        takingInBatches("pool batch", first(pool), offsets, BATCH),
        takingInBatches("bitmap batch", first(bitmap), offsets, BATCH),
      ],
      SAMPLING,
    );
    const compare = (workload: string, work: (runner: Runner) => Checked): void => {
      session.compare(keyOf(workload), runners.map(work), SAMPLING);
    };
    compare("last percent", (runner) => taking(runner, last, count));
    compare("drain", (runner) => fewer(draining(runner, count)));
    for (const { close } of [...runners, pool]) close();
    fillReferenceModel(
      session,
      new Runner("reference model", openReferenceModel(fixture), offsets),
    );
    for (const [workload, ns] of Object.entries(FILL)) {
      session.keepOne(keyOf(workload), "gVisor (recorded)", ns);
    }
    for (const system of ["pool", "pool batch"] as const) check(session, system);
  },
};

/** A Set and a loop need a tenth of a second to fill what is then drained. */
function fewer(work: Checked): Checked {
  return work.system === "Set" ? { ...work, most: 5 } : work;
}

/** One fill of the reference model takes seconds, so all its rows come from one. */
function fillReferenceModel(session: Session, runner: Runner): void {
  const count = runner.picks.length;
  const last = count - Math.floor(count / 100);
  const most = timeOnce(() => runner.goTo(last));
  const rest = runOnce(session, keyOf("last percent"), taking(runner, last, count));
  const whole = taking(runner, 0, count);
  keepOnce(session, keyOf("all"), whole, most + rest, whole.seen());
  runOnce(session, keyOf("drain"), draining(runner, count));
}

function check(session: Session, system: System): void {
  const key = keyOf("all");
  const value = session.median(key, "reference model") / session.median(key, system);
  const name = `fill/all: reference model over ${system}`;
  session.check({ name, value, atLeast: REFERENCE_AT_LEAST });
}

function keyOf(workload: string): RowKey {
  return { suite: "fill", workload };
}

function first<Ports extends Allocator>({ pools }: Opened<Ports>): Ports {
  return pools[0] as Ports;
}
