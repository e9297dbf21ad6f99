// Heap: how much JavaScript memory a load takes, in a process of its own.
//
//     node --expose-gc heap.js full|tiny SYSTEM/LOAD...
//
// answers a JSON array with the live reservations and the bytes of each, in turn. Bytes are what
// the heap, and what hangs on it outside (buffers, linear memory), has grown by when all garbage is
// gone; nothing else runs here that could make them grow.

import { setImmediate } from "node:timers/promises";
import { PortManager } from "../../bindings/index.ts";
import type { System } from "../harness/setup.ts";
import { acceptAndKeep, fillBitmaps, fillReference, fillSets, type Held } from "./memory-fill.ts";
import { type Load, liveOf, loadsOf, withPorts } from "./memory-loads.ts";

export type HeapSystem = Extract<System, "reference" | "js-set" | "js-bitmap" | "words">;

export interface Grown {
  readonly live: number;
  readonly bytes: number;
}

type Fill = (load: Load) => Held;

const FILLS: Readonly<Record<HeapSystem, Fill>> = {
  reference: fillReference,
  "js-set": fillSets,
  "js-bitmap": fillBitmaps,
  words: (load) => acceptAndKeep(PortManager.open(), load),
};

const WARM_UPS = 3;
/** A reservation of the reference model takes as much among so many as among a million. */
const NAIVE_MOST = 100_000;

async function main([size, ...jobs]: readonly string[]): Promise<void> {
  const loads = loadsOf(size === "tiny");
  const found: Grown[] = [];
  for (const job of jobs) {
    const [system, name] = job.split("/") as [HeapSystem, string];
    const load = loads.find((item) => item.name === name) as Load;
    const some = system === "reference" ? fewer(load) : load;
    // Linear memory never shrinks, so it must be little there.
    await warmUp(FILLS[system], system === "words" ? withPorts(load, 10) : some);
    const copies = system === "js-bitmap" && size !== "tiny" ? copiesOf(load) : 1;
    found.push(await grown(FILLS[system], some, copies));
  }
  console.log(JSON.stringify(found));
}

function fewer(load: Load): Load {
  const perPort = load.addresses.length * load.destinations.length;
  return withPorts(load, Math.floor(NAIVE_MOST / perPort));
}

/** What is compiled and remembered the first times is not counted. */
async function warmUp(fill: Fill, load: Load): Promise<void> {
  for (let time = 0; time < WARM_UPS; time++) {
    fill(load);
    await bytesNow();
  }
}

/** A bitmap is so small that many of them are needed to tell it from what V8 itself adds. */
function copiesOf(load: Load): number {
  return Math.min(400, Math.floor(20_000_000 / liveOf(load)));
}

async function grown(fill: Fill, load: Load, copies: number): Promise<Grown> {
  const live = liveOf(load);
  const before = await bytesNow();
  const held = Array.from({ length: copies }, () => fill(load));
  const bytes = (await bytesNow()) - before;
  const wrong = held.find(({ count }) => count !== live * load.networks.length);
  if (wrong !== undefined) throw new Error(`${load.name}: ${wrong.count} are held`);
  return { live, bytes: bytes / copies };
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
