// Connect order: connections to destination after destination, round and round, and the systems
// that take a port for each.

import type { Destination } from "../../bindings/index.ts";
import type { Taker } from "./takers.ts";

/** The local address of all connections. */
export const ADDRESS = "10.0.0.1";
/** Ports that a batch takes for one destination. */
const BATCH = 64;

/** How a connection gets its port. */
export type Way =
  /** TCP: gVisor offers each port from a random offset on to a tester that reserves it. */
  | "random"
  /** The same from an offset that each destination keeps, plus a hint that moves on. */
  | "stable"
  /** UDP: gVisor reserves port 0 with a destination. */
  | "udp0";

/** Connections to `destinations` destinations in turn, from as many ports as each may use. */
export interface Workload {
  readonly way: Way;
  readonly destinations: number;
  /** The number of ports. */
  readonly range: number;
  /** Where the search of each connection starts, by its place: round after round. */
  readonly offsets: Uint32Array;
}

/** A taker whose stretches are whole rounds, or rounds of the first destinations alone. */
export interface ConnectTaker extends Taker {
  take(first: number, end: number, destinations?: number): void;
  free(first: number, end: number, destinations?: number): number;
}

/** How many connections there are, of rounds to every destination, when so much of each is held. */
export function placeAt(
  { destinations, range }: Pick<Workload, "destinations" | "range">,
  percent: number,
): number {
  return Math.floor((range * percent) / 100) * destinations;
}

export function destinationOf(index: number): Required<Destination> {
  return { address: `93.0.${index >> 8}.${index & 255}`, port: 443 };
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────

export interface Chunk {
  /** Of the destination. */
  readonly index: number;
  readonly ports: Uint16Array;
  readonly from: Uint32Array;
}

export interface Chunked {
  chunksOf(first: number, end: number): readonly Chunk[];
  portAt(place: number): number;
}

/** The order, with the rounds of one destination side by side, in batches. */
export function chunked({ destinations, offsets }: Workload): Chunked {
  const rounds = offsets.length / destinations;
  const at = (place: number): number =>
    (place % destinations) * rounds + Math.floor(place / destinations);
  const picks = new Uint16Array(offsets.length);
  const turned = new Uint32Array(offsets.length);
  for (const [place, offset] of offsets.entries()) turned[at(place)] = offset;
  const chunksOf = (first: number, end: number): Chunk[] => {
    const chunks: Chunk[] = [];
    for (let round = first / destinations; round < end / destinations; round += BATCH) {
      const stop = Math.min(round + BATCH, end / destinations);
      for (let index = 0; index < destinations; index++) {
        const [from, to] = [index * rounds + round, index * rounds + stop];
        chunks.push({ index, ports: picks.subarray(from, to), from: turned.subarray(from, to) });
      }
    }
    return chunks;
  };
  // Made when a stretch is met for the first time, which is not when it is timed.
  const made = new Map<string, Chunk[]>();
  return {
    chunksOf(first, end) {
      const name = `${first} ${end}`;
      const chunks = made.get(name) ?? chunksOf(first, end);
      made.set(name, chunks);
      return chunks;
    },
    portAt: (place) => picks[at(place)] as number,
  };
}
