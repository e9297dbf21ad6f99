// TupleCheck: frees cooling ports early whose tuples the system does not keep.
//
// A port cools down after a connection that this side ended first, as far as the socket shows. Only
// the kernel's table (Linux /proc/net/tcp) shows whether the system really keeps the tuple: it does
// not if the connection was reset in the end, or if there were too many in TIME_WAIT. Where only
// cooling ports are left, one look at the table finds the ports that need not cool down.

import { type PortManager, Refusal, TCP } from "../../index.ts";
import type { PortRange } from "../../requests/range.ts";
import type { SocketRow } from "../host/proc.ts";
import type { Pair } from "./pair.ts";
import { withoutZone } from "./source.ts";

/** The table is read this often at most, milliseconds; */
const PERIOD_MS = 1000;
/** and it may take this share of the time. */
const SHARE = 0.02;

/** The functions that a check needs. */
interface TupleCheckOptions {
  readonly manager: PortManager;
  readonly range: PortRange;
  /** Reads the kernel's table of TCP sockets; `undefined` where it cannot be read. */
  readonly readSockets: () => readonly SocketRow[] | undefined;
  /** Milliseconds. */
  readonly now: () => number;
}

export class TupleCheck {
  readonly #options: TupleCheckOptions;
  #nextLook = Number.NEGATIVE_INFINITY;

  constructor(options: TupleCheckOptions) {
    this.#options = options;
  }

  /** Frees ports that need not cool down. @returns whether there was one. */
  freeUnkept(pairs: readonly Pair[]): boolean {
    const { now, readSockets } = this.#options;
    const began = now();
    if (began < this.#nextLook) return false;
    const cooling = pairs.filter(isShortOfCooling);
    if (cooling.length === 0) return false;
    const rows = readSockets();
    const kept = rows === undefined ? undefined : byTuple(rows);
    let freed = 0;
    if (kept !== undefined) for (const pair of cooling) freed += this.#freeOf(pair, kept);
    const ended = now();
    this.#nextLook = ended + Math.max(PERIOD_MS, (ended - began) / SHARE);
    return freed > 0;
  }

  /** No port of the pair is free: one that `takeAt` refuses as cooling is. */
  #freeOf(pair: Pair, kept: ReadonlyMap<string, Set<number>>): number {
    const { pool, source, destination } = pair;
    const { manager, range } = this.#options;
    const ports = kept.get(keyOf(source.bare, withoutZone(destination.address), destination.port));
    let freed = 0;
    for (let port = range.first; port <= range.last; port++) {
      if (ports?.has(port)) continue;
      const answer = pool.takeAt(port);
      if (answer > 0) pool.free(port);
      if (answer !== Refusal.COOLING) continue;
      manager.releasePort({
        networks: [destination.family],
        transport: destination.transport,
        address: source.bare,
        destination: { address: withoutZone(destination.address), port: destination.port },
        port,
      });
      pair.onReleased(port);
      freed++;
    }
    return freed;
  }
}

function isShortOfCooling({ refusal, source, destination, coolingCount }: Pair): boolean {
  const isTcp = destination.transport === TCP && !source.isWildcard;
  return isTcp && refusal === Refusal.COOLING && coolingCount > 0;
}

function byTuple(rows: readonly SocketRow[]): Map<string, Set<number>> {
  const ports = new Map<string, Set<number>>();
  for (const { address, port, remoteAddress, remotePort } of rows) {
    const key = keyOf(address, remoteAddress, remotePort);
    const known = ports.get(key);
    if (known === undefined) ports.set(key, new Set([port]));
    else known.add(port);
  }
  return ports;
}

function keyOf(address: string, remoteAddress: string, remotePort: number): string {
  return `${address} ${remoteAddress} ${remotePort}`;
}
