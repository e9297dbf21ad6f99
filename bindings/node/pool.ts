// Pool: sources x ports as one resource. For each pair of a source and a destination there is one
// flow of the core, which knows the ports that the pair may use.
//
//   Source  127.0.0.2 ─┐            ┌─ Destination  127.0.0.1:80
//                      ├─── Pair ───┤
//   Source  127.0.0.3 ─┘   a flow   └─ Destination  127.0.0.1:81
//
// Must stay true: a lease ends once; the manager lives as long as a lease does.

import { performance } from "node:perf_hooks";
import { type Flow, IPV4, IPV6, type PortManager, TCP, UDP } from "../index.ts";
import type { ConnectorSettings } from "./connector-options.ts";
import { type Counts, newCounts, Remembered } from "./counts.ts";
import { Destination, Pair, Source } from "./pair.ts";
import { orderFor } from "./spread.ts";

/** Destinations that are kept although nothing of ours goes there any more. */
const IDLE_MAX = 1024;

/** What is asked for: a port to a destination, perhaps from a certain source. */
export interface Wish {
  readonly destination: Destination;
  /** The one source that will do. */
  readonly source: Source | undefined;
}

/** A port of a pair, until it is given back, which happens once. */
export class Lease {
  readonly pair: Pair;
  readonly port: number;
  #isOver = false;
  readonly #pool: Pool;

  constructor(pool: Pool, pair: Pair, port: number) {
    this.#pool = pool;
    this.pair = pair;
    this.port = port;
  }

  /** Gives the port back; it may be picked again at once. A second end of a lease does nothing. */
  free(): void {
    if (!this.#end()) return;
    this.pair.free(this.port);
    this.#after();
  }

  /** Gives the port back: there was no file for a socket. */
  freeUnopened(): void {
    if (!this.#end()) return;
    this.pair.free(this.port);
    this.#after(false);
  }

  /** Gives the port back, and lets it rest: the system keeps the tuple in TIME_WAIT, but for UDP. */
  rest(): void {
    if (!this.#pool.rests || this.pair.destination.transport === UDP) {
      this.free();
    } else if (this.#end()) {
      this.#pool.count(this.pair, "rested");
      this.pair.rest(this.port, this.#pool.now());
      // It can be taken over where that is the policy.
      this.#after();
    }
  }

  /** The port is in other hands: leaves it alone for a while, for this destination or for all. */
  setAside(isForAll: boolean): void {
    if (!this.#end()) return;
    const now = this.#pool.now();
    this.#pool.count(this.pair, "conflicts");
    if (isForAll) this.pair.setAside(this.port, now + this.#pool.setAside, now);
    else this.pair.setTupleAside(this.port, now);
    this.#pool.onSetAside(this.pair);
    this.#pool.closeIfUnused();
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.pair.heldCount--;
    this.pair.source.heldCount--;
    this.#pool.count(this.pair, "released");
    return true;
  }

  #after(hasFile = true): void {
    this.#pool.closeIfUnused();
    this.#pool.onFreed(this.pair, hasFile);
  }
}

export class Pool {
  readonly manager: PortManager;
  readonly sources: readonly Source[];
  readonly counts: Counts = newCounts();
  readonly destinations: Set<Destination> = new Set();
  /** By transport, address and port, without a key that has to be put together for each connection. */
  readonly #known: ReadonlyMap<number, Map<string, Map<number, Destination>>> = new Map([
    [TCP, new Map()],
    [UDP, new Map()],
  ]);
  readonly setAside: number;
  /** Do ports rest after a connection that goes through TIME_WAIT here? */
  readonly rests: boolean;
  /** Told when a pair may have a port again, and whether a file was closed, too. */
  onFreed: (pair: Pair, hasFile: boolean) => void = () => {};
  /** Told when a port, or its source, has been set aside. */
  onSetAside: (pair: Pair) => void = () => {};
  readonly now: () => number = () => performance.now();
  readonly #settings: ConnectorSettings;
  readonly #ofFamily: ReadonlyMap<number, readonly Source[]>;
  readonly #remembered: Remembered = new Remembered();
  #sweepAt = IDLE_MAX;
  #isClosing = false;

  constructor(manager: PortManager, settings: ConnectorSettings) {
    this.manager = manager;
    this.#settings = settings;
    this.setAside = settings.setAside;
    this.rests = settings.cooldown > 0;
    this.sources = settings.sources.map((address, index) => new Source(address, index));
    this.#ofFamily = new Map(
      [IPV4, IPV6].map((family) => [family, this.sources.filter((one) => one.family === family)]),
    );
  }

  /** How many sources of a network are not left alone. */
  livingSources(family: number): number {
    const now = this.now();
    return this.sourcesOf(family).filter(({ brokenUntil }) => brokenUntil <= now).length;
  }

  /** The sources of a network, in order. */
  sourcesOf(family: number): readonly Source[] {
    return this.#ofFamily.get(family) ?? [];
  }

  /**
   * The destination of that address and port, for an opening, which counts down its `openings` in the end; before that
   * it is not forgotten. `text` is the address in canonical form.
   */
  destination(transport: number, text: string, port: number): Destination {
    return this.known(transport, text, port) ?? this.#newDestination(transport, text, port);
  }

  /** The same, if there is one; any other text will not find one. */
  known(transport: number, text: string, port: number): Destination | undefined {
    const destination = this.find(transport, text, port);
    if (destination !== undefined) destination.openings++;
    return destination;
  }

  #newDestination(transport: number, text: string, port: number): Destination {
    const counts = this.#remembered.recall(keyOf(transport, text, port));
    const destination = new Destination(transport, text, port, counts);
    if (this.destinations.size >= this.#sweepAt) this.#sweep();
    this.#remember(destination);
    destination.openings++;
    return destination;
  }

  /** That destination as it is, for who only looks. */
  find(transport: number, text: string, port: number): Destination | undefined {
    return this.#known.get(transport)?.get(text)?.get(port);
  }

  /**
   * A port for that wish, or nothing; `Explain.noPort` says why.
   * @throws PortError `ENOBUFS`: no memory for one more record; `ENOENT`, `EBADF`: the group is gone.
   */
  pick(wish: Wish): Lease | undefined {
    const now = this.now();
    const { destination } = wish;
    const sources = this.sourcesOf(destination.family);
    for (const source of orderFor(this.#settings.spread, sources, wish)) {
      if (source.brokenUntil > now) continue;
      const pair = this.pair(source, destination);
      const port = pair.take(now);
      if (port > 0) return this.#lease(pair, port);
    }
    return undefined;
  }

  #lease(pair: Pair, port: number): Lease {
    pair.heldCount++;
    pair.source.heldCount++;
    this.count(pair, "picks");
    return new Lease(this, pair, port);
  }

  pair(source: Source, destination: Destination): Pair {
    const known = destination.pairs[source.index];
    if (known !== undefined) return known;
    const flow = this.#makeFlow(source, destination);
    const pair = new Pair(source, destination, flow, this.setAside);
    destination.pairs[source.index] = pair;
    return pair;
  }

  /** Where there is no memory for one more, idle destinations give theirs. */
  #makeFlow(source: Source, destination: Destination): Flow {
    try {
      return this.#openFlow(source, destination);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOBUFS" || !this.#sweep()) throw error;
      return this.#openFlow(source, destination);
    }
  }

  #openFlow(source: Source, destination: Destination): Flow {
    const { transport, address, port, family } = destination;
    const { group, reserved, cooldown, whenResting, selection } = this.#settings;
    const zone = address.indexOf("%");
    const to = zone < 0 ? address : address.slice(0, zone);
    return this.manager.flow({
      networks: [family],
      transport,
      address: source.address,
      reserved,
      ...(transport === TCP && { destination: { address: to, port } }),
      ...(group !== undefined && { group }),
      ...(cooldown > 0 && { cooldown: { period: cooldown, whenResting } }),
      ...(selection === "fifo" && { selection }),
    });
  }

  /** The pairs that a wish could be met by, as far as they have been used. */
  pairsFor({ destination, source }: Wish): Pair[] {
    const pairs = source === undefined ? destination.pairs : [destination.pairs[source.index]];
    return pairs.filter((pair) => pair !== undefined);
  }

  /** Adds one to a counter of the whole, the source and the destination. */
  count(pair: Pair, what: keyof Counts): void {
    this.counts[what]++;
    pair.source.counts[what]++;
    pair.destination.counts[what]++;
  }

  /** All pairs, brought up to date. */
  *pairs(): Generator<Pair> {
    const now = this.now();
    for (const { pairs } of this.destinations.values()) {
      for (const pair of pairs) {
        if (pair === undefined) continue;
        pair.wake(now);
        yield pair;
      }
    }
  }

  /** Forgets destinations that nothing of ours goes to any more; says whether there were any. */
  #sweep(): boolean {
    const before = this.destinations.size;
    const now = this.now();
    for (const destination of this.destinations) {
      const used = destination.pairs.filter((pair) => pair !== undefined);
      for (const pair of used) pair.wake(now);
      if (destination.openings > 0 || used.some((pair) => !pair.isIdle)) continue;
      for (const pair of used) pair.flow.close();
      const { transport, address, port, counts } = destination;
      this.#remembered.keep(keyOf(transport, address, port), counts);
      this.#forget(destination);
    }
    this.#sweepAt = Math.max(IDLE_MAX, 2 * this.destinations.size);
    return this.destinations.size < before;
  }

  #remember(destination: Destination): void {
    const { transport, address, port } = destination;
    this.destinations.add(destination);
    const byAddress = this.#known.get(transport);
    const byPort = byAddress?.get(address) ?? new Map<number, Destination>();
    byAddress?.set(address, byPort.set(port, destination));
  }

  #forget(destination: Destination): void {
    const { transport, address, port } = destination;
    this.destinations.delete(destination);
    const byAddress = this.#known.get(transport);
    const byPort = byAddress?.get(address);
    byPort?.delete(port);
    if (byPort?.size === 0) byAddress?.delete(address);
  }

  /** How many ports are held by connections. */
  get heldCount(): number {
    return this.sources.reduce((sum, { heldCount }) => sum + heldCount, 0);
  }

  /** Gives back all records, as soon as no connection is left. */
  close(): void {
    this.#isClosing = true;
    this.closeIfUnused();
  }

  closeIfUnused(): void {
    if (!this.#isClosing || this.heldCount > 0) return;
    for (const destination of this.destinations) this.#forget(destination);
    this.manager.close();
  }
}

function keyOf(transport: number, text: string, port: number): string {
  return `${transport} ${text} ${port}`;
}
