// Pair: a source and a destination, and the pool of the core that knows their ports.
//
// A port of a pair is free, held (by a connection), cooling (cooldown, in the core), or parked: in
// other hands, as far as we know, and so quarantined for a while. A parked port is taken in the pool.
//
// Must stay true: held + parked + cooling ports are what the pool has taken.

import { IPV4, IPV6, type PortPool, UDP } from "../../index.ts";
import { type Counts, newCounts } from "../metrics/counts.ts";

/**
 * A port whose tuple is taken is quarantined for so many milliseconds: most likely a connection of ours is not quite
 * gone (FIN_WAIT2), or has been for less than a second (TIME_WAIT). Twice as long each time, until it connects.
 */
export const TUPLE_ASIDE_MS = { least: 20, most: 1000 };
/**
 * Parked ports are looked at so many times in the shortest period that they are quarantined for; less often where there
 * are many: after so many milliseconds for each.
 */
const LOOKS = 8;
const LOOK_MS_PER_PORT = 0.005;

/** A local address. */
export class Source {
  readonly address: string;
  readonly family: number;
  readonly index: number;
  readonly counts: Counts = newCounts();
  /** Connections and attempts from here, to all destinations. */
  heldCount = 0;
  readonly #foreign: Map<number, Map<number, number>> = new Map();
  /** Until when the address is quarantined, because the system did not let us bind it. */
  brokenUntil = 0;

  constructor(address: string, index: number) {
    this.address = address;
    this.family = address.includes(":") ? IPV6 : IPV4;
    this.index = index;
  }

  /** Ports that other programs have here, by transport, and until when they are quarantined, in milliseconds. */
  foreign(transport: number): Map<number, number> {
    const known = this.#foreign.get(transport);
    if (known !== undefined) return known;
    const ports = new Map<number, number>();
    this.#foreign.set(transport, ports);
    return ports;
  }

  quarantine(until: number): void {
    this.brokenUntil = until;
  }
}

/** Where connections go; for UDP sockets, which have no destination, anywhere. */
export class Destination {
  readonly transport: number;
  readonly address: string;
  readonly port: number;
  readonly family: number;
  readonly counts: Counts;
  /** Who is on the way to here, and must find what is known of it: see `PairTable.destination`. */
  operations = 0;
  /** By the index of the source, as far as they have been used. */
  readonly pairs: (Pair | undefined)[] = [];
  /** Whose turn it is. */
  turn = 0;
  /** Who waits for a port to here. */
  waiting = 0;

  constructor(transport: number, address: string, port: number, counts: Counts) {
    this.transport = transport;
    this.address = address;
    this.port = port;
    this.family = address.includes(":") ? IPV6 : IPV4;
    this.counts = counts;
  }

  /** As messages and metrics name it. */
  get name(): string {
    if (this.transport === UDP) return this.family === IPV6 ? "udp6" : "udp4";
    return this.family === IPV6 ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`;
  }
}

/** The address of the destination that UDP sockets of a network have. */
export function anywhere(family: number): string {
  return family === IPV6 ? "::" : "0.0.0.0";
}

/** A source and a destination. */
export class Pair {
  readonly source: Source;
  readonly destination: Destination;
  readonly pool: PortPool;
  heldCount = 0;
  /** What the pool answered when it was asked for a port in vain. */
  refusal = 0;
  /** Ports held by another program, and until when they are quarantined, in milliseconds. */
  readonly parked: Map<number, number> = new Map();
  #nextLook = Number.POSITIVE_INFINITY;
  #nextExpiry = Number.POSITIVE_INFINITY;
  readonly #lookLeast: number;
  readonly #longest: number;
  /** By port: for how long it was quarantined the last time, because its tuple was taken. */
  readonly #tuplesAside: Map<number, number> = new Map();
  readonly #foreign: Map<number, number>;

  /** @param longest that a port is quarantined, milliseconds. */
  constructor(source: Source, destination: Destination, pool: PortPool, longest: number) {
    this.source = source;
    this.destination = destination;
    this.pool = pool;
    this.#longest = longest;
    this.#lookLeast = Math.min(TUPLE_ASIDE_MS.least, longest) / LOOKS;
    this.#foreign = source.foreign(destination.transport);
  }

  /** A port, or a negative refusal. */
  take(now: number): number {
    if (now >= this.#nextExpiry || now >= this.#nextLook) this.expire(now);
    let port = this.pool.take();
    if (this.#foreign.size > 0) port = this.#passOver(port, now);
    if (port < 0) this.refusal = port;
    return port;
  }

  /** Parks the ports that are known to be held by another program, until one is not. */
  #passOver(taken: number, now: number): number {
    let port = taken;
    for (; port > 0; port = this.pool.take()) {
      const until = this.#foreign.get(port);
      if (until === undefined) return port;
      if (until <= now) {
        this.#foreign.delete(port);
        return port;
      }
      this.park(port, until, now);
    }
    return port;
  }

  /** Leaves a taken port alone until then, whatever the destination. */
  quarantine(port: number, until: number, now: number): void {
    this.#foreign.set(port, until);
    this.park(port, until, now);
  }

  /** Leaves a taken port alone whose tuple is in use. */
  setTupleAside(port: number, now: number): void {
    const last = this.#tuplesAside.get(port) ?? 0;
    const { least, most } = TUPLE_ASIDE_MS;
    const aside = Math.min(Math.max(least, 2 * last), most, this.#longest);
    this.#tuplesAside.set(port, aside);
    this.park(port, now + aside, now);
  }

  onConnected(port: number): void {
    if (this.#tuplesAside.size > 0) this.#tuplesAside.delete(port);
  }

  park(port: number, until: number, now: number): void {
    this.parked.set(port, until);
    this.#nextLook = Math.min(this.#nextLook, Math.max(until, now + this.#lookEvery));
  }

  free(port: number): void {
    this.pool.free(port);
  }

  /** Gives a port back that has to rest first. */
  coolDown(port: number, now: number): void {
    try {
      this.pool.coolDown(port, now);
    } catch {
      // No memory to note it. Then the system may refuse the port once, which is noted, too.
      this.pool.free(port);
    }
    this.#nextExpiry = this.pool.nextExpiry ?? Number.POSITIVE_INFINITY;
  }

  /** Milliseconds from one look at the parked ports to the next. */
  get #lookEvery(): number {
    return Math.max(this.#lookLeast, this.parked.size * LOOK_MS_PER_PORT);
  }

  /** Gives back what has cooled down, and what has been parked for long enough. */
  expire(now: number): void {
    if (now >= this.#nextExpiry) {
      this.pool.expire(now);
      this.#nextExpiry = this.pool.nextExpiry ?? Number.POSITIVE_INFINITY;
    }
    if (now >= this.#nextLook) this.#unpark(now);
  }

  #unpark(now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const [port, until] of this.parked) {
      if (until > now) {
        next = Math.min(next, until);
        continue;
      }
      this.parked.delete(port);
      this.pool.free(port);
    }
    this.#nextLook = Math.max(next, now + this.#lookEvery);
  }

  /** When a port comes back by itself, in milliseconds; infinite if none does. */
  get nextChange(): number {
    return Math.min(this.#nextExpiry, this.#nextLook);
  }

  get coolingCount(): number {
    return this.pool.cooling;
  }

  get isIdle(): boolean {
    return this.heldCount === 0 && this.parked.size === 0 && this.pool.cooling === 0;
  }
}
