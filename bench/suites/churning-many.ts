// Churning over many pools: as `churning.ts`, and the port that comes is taken by a pool that is
// drawn, too.
//
// For one tenth of the run the first half of the pools takes most ports, then the other half, so
// that short lists become bitmaps and bitmaps short lists: what is given back must serve for both.

import { SeededRandom } from "../../bindings/core/random.ts";
import { IPV4, PortManager, type PortPool, TCP } from "../../bindings/index.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { type Churn, churnOf, type Lots, type Size } from "../harness/lots.ts";

const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;

/** Who holds what: the port `ports[at]` is held by the pool `owners[at]`. */
interface Held {
  readonly ports: Uint16Array;
  readonly owners: Uint16Array;
}

export function churnHandles(size: Size): Churn {
  const manager = PortManager.open({ portRange: size.range });
  const pools = Array.from({ length: size.pools }, (_, index) => {
    const destination = { address: `93.0.${index >> 8}.${index & 255}`, port: 443 };
    return manager.pool({ ...KEY, destination });
  });
  const held = spread(size);
  for (const [at, port] of held.ports.entries()) pools[held.owners[at] as number]?.takeAt(port);
  const run = (lots: Lots): void => runHandles(pools, held, lots);
  return churnOf("handles", size, run, held.ports, manager);
}

function runHandles(pools: readonly PortPool[], { ports, owners }: Held, lots: Lots): void {
  const { victims, offsets, takers } = lots;
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    (pools[owners[victim] as number] as PortPool).free(ports[victim] as number);
    const taker = takers[at] as number;
    owners[victim] = taker;
    ports[victim] = (pools[taker] as PortPool).take(offsets[at] as number);
  }
}

export function churnBitmaps(size: Size): Churn {
  const { first, last } = size.range;
  const pools = Array.from({ length: size.pools }, () => new JsBitmap(first, last));
  const held = spread(size);
  for (const [at, port] of held.ports.entries()) pools[held.owners[at] as number]?.takeAt(port);
  return churnOf("js-bitmap", size, (lots) => runBitmaps(pools, held, lots), held.ports);
}

function runBitmaps(pools: readonly JsBitmap[], { ports, owners }: Held, lots: Lots): void {
  const { victims, offsets, takers } = lots;
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    (pools[owners[victim] as number] as JsBitmap).free(ports[victim] as number);
    const taker = takers[at] as number;
    owners[victim] = taker;
    ports[victim] = (pools[taker] as JsBitmap).take(offsets[at] as number);
  }
}

/** Equal shares, each port once in each pool. */
function spread({ range, live, pools }: Size): Held {
  const share = live / pools;
  const count = range.last - range.first + 1;
  const ports = new Uint16Array(live);
  const owners = new Uint16Array(live);
  const random = new SeededRandom(6);
  for (let pool = 0; pool < pools; pool++) {
    const start = random.next() % count;
    for (let index = 0; index < share; index++) {
      // Some ports apart, so that they do not lie side by side in a bitmap.
      ports[pool * share + index] = range.first + ((start + index * 97) % count);
      owners[pool * share + index] = pool;
    }
  }
  return { ports, owners };
}
