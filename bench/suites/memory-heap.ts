// Memory heap: how much JavaScript memory a load takes, in a process of its own.
//
//     node --expose-gc memory-heap.js full|tiny SYSTEM/LOAD...
//
// answers a JSON array with the live reservations and the bytes of each, in turn. Bytes are what
// the heap, and what hangs on it outside (buffers, linear memory), has grown by when all garbage is
// gone; nothing else runs here that could make them grow.

import { setImmediate } from "node:timers/promises";
import type { System } from "../harness/session.ts";
import {
  type Hold,
  holdInBitmaps,
  holdInReferenceModel,
  holdInSets,
  holdReservations,
  type Load,
  liveOf,
  loadsOf,
  withPorts,
} from "./memory-loads.ts";

export type HeapSystem = Extract<System, "reference model" | "Set" | "bitmap" | "reservations">;

export interface Grown {
  readonly live: number;
  readonly bytes: number;
}

const HOLDS: Readonly<Record<HeapSystem, Hold>> = {
  "reference model": holdInReferenceModel,
  Set: holdInSets,
  bitmap: holdInBitmaps,
  reservations: holdReservations,
};

const WARM_UPS = 3;
/** A reservation of the reference model takes as much among so many as among a million. */
const MODEL_MOST = 100_000;
/** A bitmap is so small that only many of them show beside what V8 itself adds. */
const BITMAPS_MOST = 400;
const BITMAP_PORTS_MOST = 20_000_000;

async function main([size, ...jobs]: readonly string[]): Promise<void> {
  const loads = loadsOf(size === "tiny");
  const found: Grown[] = [];
  for (const job of jobs) {
    const [system, name] = job.split("/") as [HeapSystem, string];
    const load = loads.find((item) => item.name === name) as Load;
    const some = system === "reference model" ? fewer(load) : load;
    // Linear memory never shrinks, so it must be little before.
    await warmUp(HOLDS[system], system === "reservations" ? withPorts(load, 10) : some);
    const copies = system === "bitmap" && size !== "tiny" ? copiesOf(load) : 1;
    found.push(await grown(HOLDS[system], some, copies));
  }
  console.log(JSON.stringify(found));
}

function fewer(load: Load): Load {
  return withPorts(load, Math.floor(MODEL_MOST / load.destinations.length));
}

function copiesOf(load: Load): number {
  return Math.min(BITMAPS_MOST, Math.floor(BITMAP_PORTS_MOST / liveOf(load)));
}

/** What is compiled and remembered the first times is not counted. */
async function warmUp(hold: Hold, load: Load): Promise<void> {
  for (let time = 0; time < WARM_UPS; time++) {
    hold(load);
    await bytesNow();
  }
}

async function grown(hold: Hold, load: Load, copies: number): Promise<Grown> {
  const before = await bytesNow();
  const held = Array.from({ length: copies }, () => hold(load));
  const bytes = (await bytesNow()) - before;
  return { live: liveOf(load), bytes: bytes / held.length };
}

/** When all garbage is gone; what has been compiled aside comes in between. */
async function bytesNow(): Promise<number> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("node needs --expose-gc");
  gc();
  await setImmediate();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  // The array buffers are among what is external.
  return heapUsed + external;
}

await main(process.argv.slice(2));
