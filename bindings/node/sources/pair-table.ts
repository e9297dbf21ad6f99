// PairTable: sources x ports as one resource. For each pair of a source and a destination there is
// one pool of the core, which knows the ports that the pair may use.
//
//   Source  127.0.0.2 ─┐            ┌─ Destination  127.0.0.1:80
//                      ├─── Pair ───┤
//   Source  127.0.0.3 ─┘   a pool   └─ Destination  127.0.0.1:81
//
// Must stay true: a checkout ends once; the manager lives as long as a checkout does.

import { performance } from "node:perf_hooks";
import { type PortManager, type PortPool, type ReservedPorts, TCP, UDP } from "../../index.ts";
import type { BlockScope } from "../blocks/block-store.ts";
import { Leases } from "../blocks/leases.ts";
import type { Lent, LoanRequest } from "../blocks/loans.ts";
import type { ConnectorSettings } from "../connector/connector-options.ts";
import { effectiveRange } from "../connector/effective-range.ts";
import type { SocketRow } from "../host/proc.ts";
import { type Counts, countOne, newCounts, Remembered } from "../metrics/counts.ts";
import { Checkout } from "./checkout.ts";
import { Destination } from "./destination.ts";
import { Pair } from "./pair.ts";
import { Source, withoutZone } from "./source.ts";
import { SourceTable } from "./source-table.ts";
import { TupleCheck } from "./tuple-check.ts";

/** So many destinations without connections are kept. */
const IDLE_MAX = 1024;

/** A request: a port to a destination, perhaps from a certain source. */
export interface PairRequest {
  readonly destination: Destination;
  /** The required source. */
  readonly source: Source | undefined;
}

export class PairTable {
  readonly manager: PortManager;
  readonly sources: SourceTable;
  readonly counts: Counts = newCounts();
  readonly destinations: Set<Destination> = new Set();
  /** By transport, address and port, so that no key has to be composed for each connection. */
  readonly #known: ReadonlyMap<number, Map<string, Map<number, Destination>>> = new Map([
    [TCP, new Map()],
    [UDP, new Map()],
  ]);
  readonly quarantine: number;
  /** Do ports cool down after a connection that goes through TIME_WAIT here? */
  readonly coolsDown: boolean;
  /** Called when a pair may have a port again, and whether a file was closed, too. */
  onFreed: (pair: Pair, hasFile: boolean) => void = () => {};
  /** Called when a port, or its source, has been quarantined. */
  onQuarantine: (pair: Pair) => void = () => {};
  /** Called when blocks have come, or cannot come now. */
  onBlocks: () => void = () => {};
  /** Is a connection waiting? */
  isWaited: () => boolean = () => false;
  /** The leases that ports come from, if blocks are leased. */
  readonly leases: Leases | undefined;
  readonly now: () => number = () => performance.now();
  readonly #settings: ConnectorSettings;
  readonly #remembered: Remembered = new Remembered();
  readonly #tuples: TupleCheck | undefined;
  /** By pair and port: how many picks there had been when the port was given back as lost. */
  readonly #lost: Map<Pair, Map<number, number>> = new Map();
  #sweepAt = IDLE_MAX;
  /** How many ports are held by connections. */
  #heldCount = 0;
  #isClosing = false;
  #isClosed = false;

  /**
   * @param readSockets reads the kernel's table of TCP sockets; `undefined` where it cannot be
   * read.
   */
  constructor(
    manager: PortManager,
    settings: ConnectorSettings,
    readSockets: () => readonly SocketRow[] | undefined,
  ) {
    this.manager = manager;
    this.#settings = settings;
    this.quarantine = settings.quarantine;
    this.coolsDown = settings.cooldown > 0;
    if (this.coolsDown && settings.skipUsed) {
      const { now } = this;
      this.#tuples = new TupleCheck({ manager, range: settings.portRange, readSockets, now });
    }
    if (settings.blocks !== undefined) {
      this.leases = new Leases({
        store: settings.blocks,
        reserved: settings.reserved,
        seed: settings.seed,
        range: () => effectiveRange(settings),
        destroys: settings.blocksLost === "destroy",
        isWaited: () => this.isWaited(),
        onChange: () => this.onBlocks(),
        expire: () => this.#expire(),
        lend: (scope, request) => this.#lend(scope, request),
      });
    }
    this.sources = new SourceTable(
      settings.sources.map((address, index) => new Source(address, index)),
      settings.spread,
      settings.sourceBlocks,
      settings.seed,
    );
  }

  /** How many sources of a family can be bound, as far as is known. */
  presentSources(family: number): number {
    return this.sources.presentCount(family, this.now());
  }

  /** All sources of a family, in order. */
  sourcesOf(family: number): readonly Source[] {
    return this.sources.of(family);
  }

  /**
   * The destination of that address and port, for one more operation: it is kept until the
   * operation has counted down its `operations`.
   * @param text the address in canonical form.
   */
  use(transport: number, text: string, port: number): Destination {
    const known = this.useKnown(transport, text, port);
    if (known !== undefined) return known;
    const destination = this.#newDestination(transport, text, port);
    destination.operations++;
    return destination;
  }

  /** The same for a known destination. */
  useKnown(transport: number, text: string, port: number): Destination | undefined {
    const destination = this.find(transport, text, port);
    if (destination !== undefined) destination.operations++;
    return destination;
  }

  #newDestination(transport: number, text: string, port: number): Destination {
    const counts = this.#remembered.recall(keyOf(transport, text, port));
    const destination = new Destination(transport, text, port, counts);
    if (this.destinations.size >= this.#sweepAt) this.#sweep();
    this.#remember(destination);
    return destination;
  }

  /** The destination of that address and port, if there is one. Only canonical text finds one. */
  find(transport: number, text: string, port: number): Destination | undefined {
    return this.#known.get(transport)?.get(text)?.get(port);
  }

  /**
   * A port for that request, or `undefined`; `ExhaustionErrors.noPort` says why.
   * @param maySpill a port of a block that another holder has will do.
   * @throws PortError `ENOBUFS`: no memory for one more record; `ENOENT`, `EBADF`: the group is
   * gone.
   */
  pick(request: PairRequest, maySpill = false): Checkout | undefined {
    const own = this.#pickOnce(request) ?? this.#pickUnkept(request);
    if (own !== undefined || !this.#settings.spills) return own;
    const borrowed = this.#pickBorrowed(request);
    if (borrowed !== undefined || !maySpill) return borrowed;
    // Holders of idle blocks, or with ports to spare, are asked first.
    const isHopeful = this.pairsFor(request).some((pair) => pair.isHopeful);
    return isHopeful ? undefined : this.#pickSpilled(request);
  }

  /** If only cooling ports are left, some of them may not need to cool down. */
  #pickUnkept(request: PairRequest): Checkout | undefined {
    if (this.#tuples === undefined) return undefined;
    return this.#tuples.freeUnkept(this.pairsFor(request)) ? this.#pickOnce(request) : undefined;
  }

  /** A port that another holder has lent; if there is none, some are asked for. */
  #pickBorrowed(request: PairRequest): Checkout | undefined {
    const { destination } = request;
    const pairs: Pair[] = [];
    for (const source of this.sources.orderFor(request, this.now())) {
      const pair = this.pair(source, destination);
      const port = pair.takeBorrowed();
      if (port > 0) return this.#checkout(pair, port);
      pairs.push(pair);
    }
    // One after the other: mostly the first has enough.
    if (!pairs.some(({ loans }) => loans?.isAsking))
      pairs.find(({ loans }) => loans?.ask(destination.waiting));
    return undefined;
  }

  /** Lends ports of a source to another holder of its blocks. */
  #lend({ source: text, transport }: BlockScope, request: LoanRequest): Lent | undefined {
    const source = this.sources.all.find(({ address }) => address === text);
    if (source === undefined || this.#isClosing) return undefined;
    const { address, port } = request;
    if (address.includes(":") !== text.includes(":")) return undefined;
    if (transport === TCP && port === 0) return undefined;
    const destination = this.use(transport, address, port);
    try {
      const pair = this.pair(source, destination);
      return this.#lent(pair, pair.lend(request));
    } catch {
      return undefined; // no memory for one more pool, or no such destination can be
    } finally {
      destination.operations--;
    }
  }

  #lent(pair: Pair, ports: readonly number[]): Lent {
    let left = ports.length;
    if (left > 0) pair.destination.operations++;
    return {
      ports,
      takeBack: (back, isBroken) => {
        if (this.#isClosed) return;
        left -= back.length;
        if (left === 0) pair.destination.operations--;
        pair.takeBack(back, isBroken, this.now());
        this.onFreed(pair, false);
      },
    };
  }

  #pickSpilled(request: PairRequest): Checkout | undefined {
    for (const source of this.sources.orderFor(request, this.now())) {
      const pair = this.pair(source, request.destination);
      const port = pair.takeSpilled();
      if (port === 0) continue;
      this.leases?.onSpilled();
      return this.#checkout(pair, port, true);
    }
    return undefined;
  }

  /** Will the store of blocks answer shortly whether there is another block? */
  isAsking(request: PairRequest): boolean {
    return this.pairsFor(request).some((pair) => pair.isAsking);
  }

  #pickOnce(request: PairRequest): Checkout | undefined {
    const now = this.now();
    const { destination } = request;
    for (const source of this.sources.orderFor(request, now)) {
      const pair = this.pair(source, destination);
      const port = pair.take(now);
      if (port > 0) return this.#checkout(pair, port);
    }
    return undefined;
  }

  /** Leaves a source out for a while, because the system does not let the connector bind it. */
  quarantineSource(pair: Pair): void {
    this.sources.leaveOut(pair.source, this.now() + this.quarantine);
    this.onQuarantine(pair);
  }

  #checkout(pair: Pair, port: number, isSpilled = false): Checkout {
    this.countHeld(pair, 1);
    this.count(pair, "picks");
    return new Checkout(pair, port, this.counts.picks, isSpilled);
  }

  pair(source: Source, destination: Destination): Pair {
    const known = destination.pairs[source.index];
    if (known !== undefined) return known;
    const leased = this.leases?.of(source.address, destination.transport);
    const pool = this.#makePool(source, destination, leased?.mask ?? this.#settings.reserved);
    const { cooldown } = this.#settings;
    const pair = new Pair(this, source, destination, pool, this.quarantine, cooldown, leased);
    destination.pairs[source.index] = pair;
    if (source.prefix !== undefined) source.pairs.push(pair);
    return pair;
  }

  /** If there is no memory for one more, idle destinations are freed. */
  #makePool(source: Source, destination: Destination, reserved: ReservedPorts): PortPool {
    try {
      return this.#openPool(source, destination, reserved);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOBUFS" || !this.#sweep()) throw error;
      return this.#openPool(source, destination, reserved);
    }
  }

  #openPool(source: Source, destination: Destination, reserved: ReservedPorts): PortPool {
    const { transport, address, port, family } = destination;
    const { group, cooldown, whenCooling, selection } = this.#settings;
    return this.manager.pool({
      networks: [family],
      transport,
      address: source.bare,
      reserved,
      ...(transport === TCP && { destination: { address: withoutZone(address), port } }),
      ...(group !== undefined && { group }),
      ...(cooldown > 0 && { cooldown: { period: cooldown, whenCooling } }),
      ...(selection === "fifo" && { selection }),
      ...(meetsItself(source, destination) && { avoid: port }),
    });
  }

  /** The used pairs that could serve a request. */
  pairsFor({ destination, source }: PairRequest): Pair[] {
    const pairs = source === undefined ? destination.pairs : [destination.pairs[source.index]];
    return pairs.filter((pair) => pair !== undefined);
  }

  /** Adds one to a counter of the table, the source and the destination. */
  count(pair: Pair, what: keyof Counts): void {
    countOne(this.counts, what);
    countOne(pair.source.counts, what);
    countOne(pair.destination.counts, what);
  }

  /** All pairs, brought up to date. */
  *pairs(): Generator<Pair> {
    const now = this.now();
    for (const { pairs } of this.destinations.values()) {
      for (const pair of pairs) {
        if (pair === undefined) continue;
        pair.expire(now);
        yield pair;
      }
    }
  }

  #expire(): void {
    const now = this.now();
    for (const { pairs } of this.destinations) for (const pair of pairs) pair?.expire(now);
  }

  /** Forgets destinations without connections. @returns whether there were any. */
  #sweep(): boolean {
    const before = this.destinations.size;
    const now = this.now();
    for (const destination of this.destinations) {
      const used = destination.pairs.filter((pair) => pair !== undefined);
      for (const pair of used) pair.expire(now);
      if (destination.operations > 0 || used.some((pair) => !pair.isIdle)) continue;
      for (const pair of used) pair.close();
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

  /** Counts that one more connection, or one less, holds a port of the pair. */
  countHeld(pair: Pair, change: 1 | -1): void {
    pair.heldCount += change;
    pair.source.heldCount += change;
    this.#heldCount += change;
    this.sources.onUse(pair.source);
  }

  /**
   * Gives back the port of a checkout that has been lost. If the checkout ends after all, nothing
   * more happens.
   */
  giveBackLost(pair: Pair, port: number): void {
    const lost = this.#lost.get(pair) ?? new Map<number, number>();
    this.#lost.set(pair, lost.set(port, this.counts.picks));
    this.countHeld(pair, -1);
    this.count(pair, "released");
    pair.free(port);
    this.onFreed(pair, false);
  }

  /** Has the port of a checkout been given back as lost? `pick` is its number among all picks. */
  isLost(pair: Pair, port: number, pick: number): boolean {
    return this.#lost.size > 0 && pick <= (this.#lost.get(pair)?.get(port) ?? 0);
  }

  /** Frees all records as soon as no connection is left. */
  close(): void {
    this.#isClosing = true;
    this.closeIfUnused();
  }

  closeIfUnused(): void {
    if (!this.#isClosing || this.#heldCount > 0) return;
    for (const destination of this.destinations) this.#forget(destination);
    this.#isClosed = true;
    this.manager.close();
    this.leases?.close();
  }
}

/** Could a connection from that source have both ends at one address and port? */
export function meetsItself(source: Source, { transport, address }: Destination): boolean {
  return transport === TCP && (source.isWildcard || source.bare === withoutZone(address));
}

function keyOf(transport: number, text: string, port: number): string {
  return `${transport} ${text} ${port}`;
}
