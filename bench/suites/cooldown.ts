// Cooldown: what a port costs that is taken, cools down and wakes, while a share of the range is held or cools down;
// and one that is taken and freed where ports come back in the order of their release.
//
// Half of the share is held, the other half cools down: the clock moves by one millisecond an operation, and the
// period is so long that so many rest. Each operation asks whom to wake. Every side has been at that
// for a while before it is timed, so that as many ports wake as come to rest.

import { IPV4, PortManager, type PortPool, type PortRange, UDP } from "../../bindings/index.ts";
import {
  BitmapCooling,
  type JsOrder,
  RingOrder,
  SetCooling,
  SetOrder,
} from "../baselines/js-cooling.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { countOf, rangeFor, scattered, shareOf } from "../harness/local-range.ts";
import type { Contender, Scene, Stage, System } from "../harness/setup.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";
import { picksOf, type Side } from "./sockets.ts";

const PERCENTS = [0, 50, 90, 99];
const TURNS = { rounds: 40 };
const BATCH = 2000;
const OFFSETS: Uint32Array = offsetsOf(5, BATCH);
const KEY = { networks: [IPV4], transport: UDP, address: "10.0.0.1" } as const;
/** At 0 %: a few, in each slot one. */
const PERIOD_MIN = 8;
/** A port cools down up to so many periods. */
const LONGEST = 9 / 8;

export const cooldownBenchmark: Benchmark = {
  title: "take + rest + wake per port, UDP, 28,232 ports, by share held or cooling; fifo",
  run(stage) {
    const range = rangeFor(stage.smoke);
    const order = scattered(range);
    const cooling = PERCENTS.map((occupancy) => restScene(range, order, occupancy));
    const fifo = PERCENTS.map((occupancy) => orderScene(range, order, occupancy));
    const measured = stage.compareAll([...cooling, ...fifo], TURNS);
    for (const { place, contenders } of [...cooling, ...fifo]) {
      const [ours, set] = contenders as [Contender, Contender];
      const { row, occupancy } = place;
      const name = `cooldown/${row}: times faster than a Set at ${occupancy} %`;
      if (occupancy === 99 && row === "coolDown") {
        stage.judge({ name, value: measured.ratio(set, ours), atLeast: SET_AT_LEAST });
      }
    }
    judgeFlat(stage);
  },
};

/** A Set and a loop ask a hundred ports at 99 %. */
const SET_AT_LEAST = 5;
/** The search is flat, but what it meets lies further apart in the cache. */
const FULL_AT_MOST = 3;

function judgeFlat(stage: Stage): void {
  for (const row of ["coolDown", "fifo"]) {
    const [empty, full] = [0, 99].map((share) => stage.median("cooldown", row, "handles", share));
    const value = (full as number) / (empty as number);
    stage.judge({ name: `cooldown/${row} at 99 % over 0 %`, value, atMost: FULL_AT_MOST });
  }
}

// ── Cooling ───────────────────────────────────────────────────────────────────────────────

function restScene(range: PortRange, order: readonly number[], occupancy: number): Scene {
  const held = shareOf(order, occupancy / 2);
  const period = Math.max(PERIOD_MIN, Math.floor(held.length / LONGEST));
  const { first, last } = range;
  const set = new SetCooling(first, last, period);
  const bitmap = new BitmapCooling(first, last, period);
  return {
    place: { bench: "cooldown", row: "coolDown", occupancy },
    contenders: [
      contender("handles", coolingSide(range, held, period)),
      contender("js-set", setSide(set, held, period)),
      contender("js-bitmap", bitmapSide(bitmap, held, period)),
    ],
  };
}

function coolingSide(portRange: PortRange, held: readonly number[], period: number): Side {
  const manager = PortManager.open({ portRange });
  const pool = manager.pool({ ...KEY, cooldown: period });
  return { ...poolSide(pool, held, period), close: () => manager.close() };
}

// One function for each kind of side: a loop over objects of several kinds would be slow for all.

function poolSide(pool: PortPool, held: readonly number[], period: number): Side {
  const picked = new Uint16Array(BATCH);
  let now = 0;
  for (const port of held) pool.takeAt(port);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = pool.take(OFFSETS[index] as number);
      picked[index] = port;
      pool.coolDown(port, now);
      pool.expire(now);
      now++;
    }
  };
  while (now < 2 * period) run();
  return { operations: BATCH, picked, run };
}

function setSide(cooling: SetCooling, held: readonly number[], period: number): Side {
  const picked = new Uint16Array(BATCH);
  let now = 0;
  for (const port of held) cooling.takeAt(port);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = cooling.take(OFFSETS[index] as number);
      picked[index] = port;
      cooling.coolDown(port, now);
      cooling.expire(now);
      now++;
    }
  };
  while (now < 2 * period) run();
  return { operations: BATCH, picked, run };
}

function bitmapSide(cooling: BitmapCooling, held: readonly number[], period: number): Side {
  const picked = new Uint16Array(BATCH);
  let now = 0;
  for (const port of held) cooling.takeAt(port);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = cooling.take(OFFSETS[index] as number);
      picked[index] = port;
      cooling.coolDown(port, now);
      cooling.expire(now);
      now++;
    }
  };
  while (now < 2 * period) run();
  return { operations: BATCH, picked, run };
}

// ── In the order of release ───────────────────────────────────────────────────────────────

/** All ports have been had; those that are not held have been released in the order given. */
function orderScene(range: PortRange, order: readonly number[], occupancy: number): Scene {
  const held = shareOf(order, occupancy);
  const waiting = order.slice(held.length);
  const { first, last } = range;
  return {
    place: { bench: "cooldown", row: "fifo", occupancy },
    contenders: [
      contender("handles", fifoSide(range, held, waiting)),
      contender("js-set", setOrderSide(new SetOrder(waiting))),
      contender("js-bitmap", ringSide(new RingOrder(first, last, waiting))),
    ],
  };
}

function fifoSide(portRange: PortRange, held: readonly number[], waiting: readonly number[]): Side {
  const manager = PortManager.open({ portRange });
  const pool = manager.pool({ ...KEY, selection: "fifo" });
  for (const port of [...held, ...waiting]) pool.takeAt(port);
  if (pool.held !== countOf(portRange)) throw new Error("some port is not held");
  for (const port of waiting) pool.free(port);
  const picked = new Uint16Array(BATCH);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = pool.take(OFFSETS[index] as number);
      picked[index] = port;
      pool.free(port);
    }
  };
  return { operations: BATCH, picked, run, close: () => manager.close() };
}

function setOrderSide(order: SetOrder): Side {
  const picked = new Uint16Array(BATCH);
  const run = (): void => orderBatch(order, picked);
  return { operations: BATCH, picked, run };
}

function ringSide(order: RingOrder): Side {
  const picked = new Uint16Array(BATCH);
  const run = (): void => orderBatch(order, picked);
  return { operations: BATCH, picked, run };
}

function orderBatch(order: JsOrder, picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const port = order.take();
    picked[index] = port;
    order.free(port);
  }
}

function contender(system: System, side: Side): Contender {
  return { ...side, system, digest: () => digestOf(picksOf(side, side.operations)) };
}
