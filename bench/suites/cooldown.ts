// Cooldown: what a port costs that is taken, cools down and expires, while a share of the range is
// held or cools down; and one that is taken and freed where ports come back in the order of their
// release.
//
// Half of the share is held, the other half cools down: the clock moves by one millisecond an
// operation, and the period is so long that so many cool down. Each operation asks what is due.
// Every system has been at that for a while before it is timed, so that as many ports expire as
// begin to cool down.

import { IPV4, PortManager, type PortRange, UDP } from "../../bindings/index.ts";
import {
  BitmapCooling,
  type JsOrder,
  RingOrder,
  SetCooling,
  SetOrder,
} from "../baselines/js-cooling.ts";
import { countOf, rangeFor, scattered, shareOf } from "../harness/local-range.ts";
import { copyFor } from "../harness/loops.ts";
import type { Comparison, Implementation, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";

const PERCENTS = [0, 50, 90, 99];
const SAMPLING = { rounds: 40 };
const BATCH = 2000;
const OFFSETS: Uint32Array = offsetsOf(5, BATCH);
const DESCRIPTION = { networks: [IPV4], transport: UDP, address: "10.0.0.1" } as const;
/** At 0 %: a few, in each slot one. */
const PERIOD_MIN = 64;
/** A port cools down up to so many periods. */
const LONGEST = 65 / 64;
/** A Set and a loop ask a hundred ports at 99 %. */
const SET_AT_LEAST = 5;
/** The search is flat, but what it meets lies further apart in the cache. */
const FULL_AT_MOST = 3;
const OVER_BITMAP_AT_MOST = { coolDown: 1.3, fifo: 3 } as const;

export const cooldownSuite: Suite = {
  title: "take + coolDown + expire per port, UDP, 28,232 ports, by percent held or cooling; fifo",
  run(session) {
    const range = rangeFor(session.smoke);
    const order = scattered(range);
    const cooling = PERCENTS.map((occupancy) => coolingOf(range, order, occupancy));
    const fifo = PERCENTS.map((occupancy) => fifoOf(range, order, occupancy));
    const measured = session.compareAll([...cooling, ...fifo], SAMPLING);
    const [pool, set] = (cooling.at(-1) as Comparison).implementations;
    const value = measured.ratio(set as Implementation, pool as Implementation);
    session.check({ name: "cooldown at 99 %: Set over pool", value, atLeast: SET_AT_LEAST });
    for (const workload of ["coolDown", "fifo"] as const) {
      checkFlat(session, workload);
      checkOverBitmap(session, workload);
    }
  },
};

function checkFlat(session: Session, workload: string): void {
  const [empty, full] = [0, 99].map((occupancy) =>
    session.median({ suite: "cooldown", workload, occupancy }, "pool"),
  ) as [number, number];
  const name = `cooldown/${workload} at 99 % over 0 %`;
  session.check({ name, value: full / empty, atMost: FULL_AT_MOST });
}

/** Over the same in typed arrays, where half of the range is held or cools down. */
function checkOverBitmap(session: Session, workload: keyof typeof OVER_BITMAP_AT_MOST): void {
  const [pool, bitmap] = (["pool", "bitmap"] as const).map((system) =>
    session.median({ suite: "cooldown", workload, occupancy: 50 }, system),
  ) as [number, number];
  const atMost = OVER_BITMAP_AT_MOST[workload];
  session.check({ name: `cooldown/${workload}: over typed arrays`, value: pool / bitmap, atMost });
}

// ── Cooling ───────────────────────────────────────────────────────────────────────────────

/** What has ports that cool down. */
interface Cooling {
  take(offset: number): number;
  takeAt(port: number): number;
  coolDown(port: number, now: number): boolean;
  expire(now: number): number;
}

function coolingOf(range: PortRange, order: readonly number[], occupancy: number): Comparison {
  const held = shareOf(order, occupancy / 2);
  const period = Math.max(PERIOD_MIN, Math.floor(held.length / LONGEST));
  const { first, last } = range;
  const manager = PortManager.open({ portRange: range });
  const pool = manager.pool({ ...DESCRIPTION, cooldown: period });
  return {
    key: { suite: "cooldown", workload: "coolDown", occupancy },
    implementations: [
      { ...cooling("pool", pool, held, period), close: () => manager.close() },
      cooling("Set", new SetCooling(first, last, period), held, period),
      cooling("bitmap", new BitmapCooling(first, last, period), held, period),
    ],
  };
}

function cooling(
  system: System,
  ports: Cooling,
  held: readonly number[],
  period: number,
): Implementation {
  const picked = new Uint16Array(BATCH);
  const loop = copyFor(system, takeAndCoolDown);
  let now = 0;
  for (const port of held) ports.takeAt(port);
  const run = (): void => {
    loop(ports, OFFSETS, picked, now);
    now += BATCH;
  };
  while (now < 2 * period) run();
  return implementationOf(system, picked, run);
}

function takeAndCoolDown(
  ports: Cooling,
  offsets: Uint32Array,
  picked: Uint16Array,
  now: number,
): void {
  for (let index = 0; index < offsets.length; index++) {
    const port = ports.take(offsets[index] as number);
    picked[index] = port;
    ports.coolDown(port, now + index);
    ports.expire(now + index);
  }
}

// ── In the order of release ───────────────────────────────────────────────────────────────

/** All ports have been had; those that are not held have been released in the order given. */
function fifoOf(portRange: PortRange, order: readonly number[], occupancy: number): Comparison {
  const held = shareOf(order, occupancy);
  const waiting = order.slice(held.length);
  const manager = PortManager.open({ portRange });
  const pool = manager.pool({ ...DESCRIPTION, selection: "fifo" });
  for (const port of [...held, ...waiting]) pool.takeAt(port);
  if (pool.held !== countOf(portRange)) throw new Error("some port is not held");
  for (const port of waiting) pool.free(port);
  const { first, last } = portRange;
  return {
    key: { suite: "cooldown", workload: "fifo", occupancy },
    implementations: [
      { ...inOrder("pool", pool), close: () => manager.close() },
      inOrder("Set", new SetOrder(waiting)),
      inOrder("bitmap", new RingOrder(first, last, waiting)),
    ],
  };
}

function inOrder(system: System, ports: JsOrder): Implementation {
  const picked = new Uint16Array(BATCH);
  const loop = copyFor(system, takeAndFree);
  return implementationOf(system, picked, () => loop(ports, OFFSETS, picked));
}

function takeAndFree(ports: JsOrder, offsets: Uint32Array, picked: Uint16Array): void {
  for (let index = 0; index < offsets.length; index++) {
    const port = ports.take(offsets[index] as number);
    picked[index] = port;
    ports.free(port);
  }
}

function implementationOf(system: System, picked: Uint16Array, run: () => void): Implementation {
  const digest = (): string => {
    run();
    return digestOf(picked);
  };
  return { system, operations: BATCH, run, digest };
}
