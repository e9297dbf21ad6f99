// Pair: a source and a destination, and the flow of the core that knows their ports.
//
// A port of a pair is free, held (by a connection), resting (cooldown, in the core), or parked: in
// other hands, as far as we know, and so left alone for a while. A parked port is taken in the flow.
//
// Must stay true: held + parked + resting ports are what the flow has taken.

import { type Flow, IPV4, IPV6, UDP } from "../index.ts";
import { type Counts, newCounts } from "./counts.ts";

/**
 * A port whose tuple is taken is left alone for so many milliseconds: most likely a connection of ours is not quite
 * gone (FIN_WAIT2), or has been for less than a second (TIME_WAIT). Twice as long each time, until it connects.
 */
export const TUPLE_ASIDE_MS = { least: 20, most: 1000 };
/**
 * Parked ports are looked at so many times in the shortest period that they are set aside for; less often where there
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
  /** Until when the address is left alone, because the system did not let us bind it. */
  brokenUntil = 0;

  constructor(address: string, index: number) {
    this.address = address;
    this.family = address.includes(":") ? IPV6 : IPV4;
    this.index = index;
  }

  /** Ports that other programs have here, by transport, and until when they are left alone, in milliseconds. */
  foreign(transport: number): Map<number, number> {
    const known = this.#foreign.get(transport);
    if (known !== undefined) return known;
    const ports = new Map<number, number>();
    this.#foreign.set(transport, ports);
    return ports;
  }

  leaveAlone(until: number): void {
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
  /** Who is on the way to here, and must find what is known of it: see `Pool.destination`. */
  openings = 0;
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
  readonly flow: Flow;
  heldCount = 0;
  /** What the flow answered when it was asked for a port in vain. */
  refusal = 0;
  /** Ports in other hands, and until when they are left alone, in milliseconds. */
  readonly parked: Map<number, number> = new Map();
  #nextLook = Number.POSITIVE_INFINITY;
  #nextWake = Number.POSITIVE_INFINITY;
  readonly #lookLeast: number;
  readonly #longest: number;
  /** By port: for how long it was left alone the last time, because its tuple was taken. */
  readonly #tuplesAside: Map<number, number> = new Map();
  readonly #foreign: Map<number, number>;

  /** @param longest that a port is left alone, milliseconds. */
  constructor(source: Source, destination: Destination, flow: Flow, longest: number) {
    this.source = source;
    this.destination = destination;
    this.flow = flow;
    this.#longest = longest;
    this.#lookLeast = Math.min(TUPLE_ASIDE_MS.least, longest) / LOOKS;
    this.#foreign = source.foreign(destination.transport);
  }

  /** A port, or a negative refusal. */
  take(now: number): number {
    if (now >= this.#nextWake || now >= this.#nextLook) this.wake(now);
    let port = this.flow.take();
    if (this.#foreign.size > 0) port = this.#passOver(port, now);
    if (port < 0) this.refusal = port;
    return port;
  }

  /** Parks the ports that are known to be in other hands, until one is not. */
  #passOver(taken: number, now: number): number {
    let port = taken;
    for (; port > 0; port = this.flow.take()) {
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
  setAside(port: number, until: number, now: number): void {
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
    this.flow.free(port);
  }

  /** Gives a port back that has to rest first. */
  rest(port: number, now: number): void {
    try {
      this.flow.rest(port, now);
    } catch {
      // No memory to note it. Then the system may refuse the port once, which is noted, too.
      this.flow.free(port);
    }
    this.#nextWake = this.flow.nextWake ?? Number.POSITIVE_INFINITY;
  }

  /** Milliseconds from one look at the parked ports to the next. */
  get #lookEvery(): number {
    return Math.max(this.#lookLeast, this.parked.size * LOOK_MS_PER_PORT);
  }

  /** Gives back what has rested, and what has been parked for long enough. */
  wake(now: number): void {
    if (now >= this.#nextWake) {
      this.flow.wake(now);
      this.#nextWake = this.flow.nextWake ?? Number.POSITIVE_INFINITY;
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
      this.flow.free(port);
    }
    this.#nextLook = Math.max(next, now + this.#lookEvery);
  }

  /** When a port comes back by itself, in milliseconds; infinite if none does. */
  get nextChange(): number {
    return Math.min(this.#nextWake, this.#nextLook);
  }

  get restingCount(): number {
    return this.flow.resting;
  }

  get isIdle(): boolean {
    return this.heldCount === 0 && this.parked.size === 0 && this.flow.resting === 0;
  }
}
