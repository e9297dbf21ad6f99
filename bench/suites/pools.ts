// Pools: what the limits and policies benchmarks do to an open pool. One operation takes a port and
// frees it.

import {
  IPV4,
  type PoolOptions,
  PortManager,
  type PortRange,
  type SelectionName,
  TCP,
} from "../../bindings/index.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { portsOf } from "../harness/local-range.ts";
import { offsetsOf } from "../harness/workloads.ts";
import type { Setting, Side } from "./sockets.ts";

/** A machine's ports before the first operation. */
type PoolSetting = Pick<Setting, "range" | "held" | "reserved"> & Pick<PoolOptions, "group">;

/** Operations in a batch: one is short. */
const BATCH = 5000;
const OFFSETS: Uint32Array = offsetsOf(2, BATCH);
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;
const DESTINATION = { address: "10.9.0.1", port: 443 };

/** A pool that may be limited, with an offset for each operation. */
export function poolSide({ range, held, group, reserved }: PoolSetting): Side {
  const manager = PortManager.open({ portRange: range });
  const pool = manager.pool({ ...KEY, group, reserved });
  for (const port of held) pool.takeAt(port);
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

/** The same ports, picked from a bitmap in which those that are reserved count as held. */
export function bitmapSide({ range, held, reserved }: PoolSetting): Side {
  const bitmap = new JsBitmap(range.first, range.last);
  for (const port of held) bitmap.takeAt(port);
  if (reserved) {
    for (const port of portsOf(range)) if (reserved.has(port)) bitmap.takeAt(port);
  }
  const picked = new Uint16Array(BATCH);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = bitmap.take(OFFSETS[index] as number);
      picked[index] = port;
      bitmap.free(port);
    }
  };
  return { operations: BATCH, picked, run };
}

/** A pool of a manager that picks by a policy. */
export function selectingSide(
  selection: SelectionName,
  range: PortRange,
  held: readonly number[],
): Side {
  const manager = PortManager.open({ portRange: range, selection, seed: 6 });
  const pool = manager.pool({ ...KEY, destination: DESTINATION });
  for (const port of held) pool.takeAt(port);
  const picked = new Uint16Array(BATCH);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const port = pool.take();
      picked[index] = port;
      pool.free(port);
    }
  };
  return { operations: BATCH, picked, run, close: () => manager.close() };
}
