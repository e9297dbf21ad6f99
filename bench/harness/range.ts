// Range: ports of which some are held, the same for every system, and offsets to search from.

import { TCP } from "../../bindings/index.ts";
import { COUNT, FIRST, offsetsOf, shuffledPorts } from "./workloads.ts";

/** Percent of the range that is held when all but one port are. */
export const ONE_FREE = 99.998;
export const FULL = 100;

/** What a pool finds when it looks for a port. */
export interface Scene {
  readonly transport: number;
  /** Has the pool SO_REUSEADDR? What is held is held without, by another pool. */
  readonly shares: boolean;
  readonly occupancy: number;
  readonly first: number;
  readonly last: number;
  /** Ports that are held, in a random order. */
  readonly held: readonly number[];
  /** How many are not. */
  readonly free: number;
  /** Where the searches start. More than a branch predictor learns by heart. */
  readonly offsets: Uint32Array;
  /** How many of the searches are digested. */
  readonly digested: number;
}

/** What a scene is made for. */
export interface Occupied {
  readonly transport?: number;
  readonly shares?: boolean;
  readonly occupancy: number;
  /** A few hundred ports and offsets. */
  readonly smoke: boolean;
  /** A limit for scenes in which somebody is very slow. */
  readonly digested?: number;
}

const SMOKE_COUNT = 512;
const OFFSETS = 64000;
const SMOKE_OFFSETS = 2000;

/** Flags or not, the same ports are held. */
export function sceneOf({ occupancy, smoke, ...more }: Occupied): Scene {
  const { transport = TCP, shares = false } = more;
  const count = smoke ? SMOKE_COUNT : COUNT;
  const last = FIRST + count - 1;
  const order = shuffledPorts().filter((port) => port <= last);
  const held = order.slice(0, heldOf(occupancy, count));
  return {
    transport,
    shares,
    occupancy,
    first: FIRST,
    last,
    held,
    free: count - held.length,
    offsets: offsetsOf(2, smoke ? SMOKE_OFFSETS : OFFSETS),
    digested: Math.min(more.digested ?? 1000, smoke ? 100 : 1000),
  };
}

function heldOf(occupancy: number, count: number): number {
  return occupancy === ONE_FREE ? count - 1 : Math.round((count * occupancy) / 100);
}

/** A loop over the next piece of a list with each call, round and round. */
export function inPieces(
  total: number,
  length: number,
  loop: (from: number, to: number) => void,
): () => void {
  let from = 0;
  return () => {
    loop(from, from + length);
    from = from + 2 * length > total ? 0 : from + length;
  };
}
