// Pair: a source and a destination, and the pool of the core that knows their ports.
//
// A port of a pair is free; held, by a connection; cooling, which the core knows; or quarantined:
// another program holds it, or the system still keeps its tuple, as far as is known. In the pool a
// quarantined port is taken.
//
// Must stay true: held + lent + quarantined + cooling ports are what the pool has taken.

import { type PortPool, Refusal } from "../../index.ts";
import { isRandomPool } from "../../pool.ts";
import type { LeasedPorts } from "../blocks/leased-ports.ts";
import type { LoanRequest, Loans } from "../blocks/loans.ts";
import type { PairUse } from "../blocks/pair-use.ts";
import type { Destination } from "./destination.ts";
import type { PairTable } from "./pair-table.ts";
import type { Source } from "./source.ts";

/**
 * A port whose tuple is taken is quarantined for so many milliseconds: most likely a connection of
 * the connector has not ended (FIN_WAIT2), or ended less than a second ago (TIME_WAIT). Twice as
 * long each time, until it connects.
 */
export const TUPLE_QUARANTINE_MS = { least: 20, most: 1000 };
/**
 * Quarantined ports are checked so many times in the shortest period of quarantine; less often
 * where there are many: after so many milliseconds for each.
 */
const LOOKS = 8;
const LOOK_MS_PER_PORT = 0.005;
/** A cooling port may be tried by this part of its period before its time is over. */
const EARLY = 64;
/** So many ports are freed early at a time. */
const ONE_PORT = new Uint16Array(1);
/** So many cooling ports are freed at a time where each is counted. */
const SOME_PORTS = new Uint16Array(256);
/** So many ports from blocks of other holders are tried to find one that is not taken here. */
const SPILL_LOOKS = 64;

/** A source and a destination. */
export class Pair {
  readonly table: PairTable;
  readonly source: Source;
  readonly destination: Destination;
  readonly pool: PortPool;
  heldCount = 0;
  /** Ports lent to other holders of blocks. */
  lentCount = 0;
  /** The pool's last refusal. */
  refusal = 0;
  /** Ports quarantined, and until when; milliseconds. */
  readonly quarantined: Map<number, number> = new Map();
  #nextLook = Number.POSITIVE_INFINITY;
  #nextExpiry = Number.POSITIVE_INFINITY;
  readonly #lookLeast: number;
  readonly #earlyMs: number;
  readonly #longest: number;
  /** By port: for how long its tuple was quarantined the last time. */
  readonly #tuplePeriods: Map<number, number> = new Map();
  readonly #ofSource: Map<number, number>;
  /** The leased ports of the source, if blocks are leased. */
  readonly leased: LeasedPorts | undefined;
  readonly #use: PairUse | undefined;
  /** The ports that it borrows, if holders of blocks lend to each other. */
  readonly loans: Loans | undefined;

  /**
   * @param table the table that the pair belongs to.
   * @param longest milliseconds that a port is quarantined.
   * @param cooldown milliseconds that a port cools down.
   * @param leased the leased ports of the source, if blocks are leased.
   */
  constructor(
    table: PairTable,
    source: Source,
    destination: Destination,
    pool: PortPool,
    longest: number,
    cooldown: number,
    leased?: LeasedPorts,
  ) {
    this.table = table;
    this.source = source;
    this.destination = destination;
    this.pool = pool;
    this.#longest = longest;
    this.#earlyMs = cooldown / EARLY;
    this.#lookLeast = Math.min(TUPLE_QUARANTINE_MS.least, longest) / LOOKS;
    this.#ofSource = source.quarantined(destination.transport);
    this.leased = leased;
    this.#use = leased?.join();
    this.loans = this.#use && leased?.loansOf(this.#use, destination);
  }

  /** Takes a port; a negative refusal if there is none. */
  take(now: number): number {
    if (now >= this.nextChange) this.expire(now);
    if (this.leased === undefined || this.#use === undefined) return this.#takeOnce(now);
    return this.#takeLeased(now, this.leased, this.#use);
  }

  /** Takes a port of a leased block, and opens another where they are used up. */
  #takeLeased(now: number, leased: LeasedPorts, use: PairUse): number {
    // If the term of the blocks is over, this masks all their ports.
    leased.isUsable();
    // A new block is better than a cooling port that may be taken over.
    if (leased.isFull(use)) leased.grow();
    for (;;) {
      const offset = isRandomPool(this.pool) ? leased.startOffset() : undefined;
      const port = this.#takeOnce(now, offset);
      if (port > 0) {
        use.add(port);
        leased.askAhead(use);
        return port;
      }
      if (port !== Refusal.EXHAUSTED && port !== Refusal.COOLING) return port;
      if (!leased.grow()) return port;
    }
  }

  /** Takes a port of a block that another holder has; 0 if there is none to try. */
  takeSpilled(): number {
    for (let looks = 0; looks < SPILL_LOOKS; looks++) {
      const port = this.leased?.nextSpilled() ?? 0;
      if (port === 0) return 0;
      if (this.#takeForeign(port)) return port;
    }
    return 0;
  }

  /** Takes a port that another holder has lent; 0 if there is none. */
  takeBorrowed(): number {
    return this.loans?.take((port) => this.#takeForeign(port)) ?? 0;
  }

  #takeForeign(port: number): boolean {
    if (this.#ofSource.has(port) || this.pool.takeAt(port) < 0) return false;
    this.#use?.addForeign(port);
    return true;
  }

  /** Takes ports for another holder, as far as they can be spared. */
  lend({ want, first, last }: LoanRequest): number[] {
    const ports: number[] = [];
    if (this.leased === undefined || this.#use === undefined) return ports;
    for (const port of this.leased.portsToLend(this.#use, first, last)) {
      if (ports.length === want) break;
      if (!this.#ofSource.has(port) && this.pool.takeAt(port) > 0) ports.push(port);
    }
    for (const port of ports) this.#use.add(port);
    this.#countLent(ports.length);
    return ports;
  }

  /** Takes lent ports back; `isBroken`: the borrower is gone, and has perhaps just used them. */
  takeBack(ports: readonly number[], isBroken: boolean, now: number): void {
    this.#countLent(-ports.length);
    for (const port of ports) {
      if (isBroken && this.#earlyMs > 0) this.coolDown(port, now);
      else this.free(port);
    }
  }

  #countLent(change: number): void {
    this.lentCount += change;
    if (this.leased !== undefined) this.leased.lentPorts += change;
  }

  /** Will an answer come shortly that may bring ports? */
  get isAsking(): boolean {
    return this.loans?.isAsking || this.leased?.isAsking || false;
  }

  /** The same, unless the last request for blocks was refused. */
  get isHopeful(): boolean {
    return this.loans?.isAsking || this.leased?.isHopeful || false;
  }

  /** @param offset where the search begins; by default the pool draws it. */
  #takeOnce(now: number, offset?: number): number {
    let port = this.pool.take(offset);
    if (port === Refusal.COOLING) port = this.#takeEarly(now);
    if (this.#ofSource.size > 0) port = this.#passOver(port, now);
    if (port < 0) this.refusal = port;
    return port;
  }

  /**
   * Only cooling ports are left. The one that has cooled longest is tried when its time is nearly
   * over: a port cools down for up to 1/64 of the period longer than it must, and the system may
   * have freed the tuple meanwhile. If it has not, the port is quarantined for some milliseconds.
   */
  #takeEarly(now: number): number {
    const expiry = this.pool.nextExpiry;
    if (expiry === undefined || expiry - now > this.#earlyMs) return Refusal.COOLING;
    const freed = this.pool.expire(Math.max(now, expiry), ONE_PORT);
    if (freed > 0) this.#use?.delete(ONE_PORT[0] as number);
    return this.pool.take();
  }

  /** Quarantines here the ports that are quarantined at the source, until one is not. */
  #passOver(taken: number, now: number): number {
    let port = taken;
    for (; port > 0; port = this.pool.take()) {
      const until = this.#ofSource.get(port);
      if (until === undefined) return port;
      if (until <= now) {
        this.#ofSource.delete(port);
        return port;
      }
      this.#quarantine(port, until, now);
    }
    return port;
  }

  /** Quarantines a taken port until then, for all destinations. */
  quarantinePort(port: number, until: number, now: number): void {
    this.#ofSource.set(port, until);
    this.#quarantine(port, until, now);
  }

  /** Quarantines a taken port whose tuple is in use. */
  quarantineTuple(port: number, now: number): void {
    const last = this.#tuplePeriods.get(port) ?? 0;
    const { least, most } = TUPLE_QUARANTINE_MS;
    const period = Math.min(Math.max(least, 2 * last), most, this.#longest);
    this.#tuplePeriods.set(port, period);
    this.#quarantine(port, now + period, now);
  }

  #quarantine(port: number, until: number, now: number): void {
    this.quarantined.set(port, until);
    this.#use?.add(port);
    this.#nextLook = Math.min(this.#nextLook, Math.max(until, now + this.#lookEvery));
  }

  onConnected(port: number): void {
    if (this.#tuplePeriods.size > 0) this.#tuplePeriods.delete(port);
  }

  free(port: number): void {
    this.pool.free(port);
    this.#use?.delete(port);
  }

  /** A cooling port has been released by its number. */
  onReleased(port: number): void {
    this.#use?.delete(port);
  }

  /** Frees its records. */
  close(): void {
    this.pool.close();
    if (this.#use !== undefined) this.leased?.leave(this.#use, this.loans);
  }

  /** Gives a port back, which cools down first. */
  coolDown(port: number, now: number): void {
    try {
      this.pool.coolDown(port, now);
    } catch {
      // There is no memory for the cooldown. If the system refuses the port, it is quarantined
      // then.
      this.free(port);
    }
    this.#nextExpiry = this.pool.nextExpiry ?? Number.POSITIVE_INFINITY;
  }

  /** Milliseconds from one look at the quarantined ports to the next. */
  get #lookEvery(): number {
    return Math.max(this.#lookLeast, this.quarantined.size * LOOK_MS_PER_PORT);
  }

  /**
   * Frees the ports that have cooled down, and those that have been quarantined for long enough.
   */
  expire(now: number): void {
    if (now >= this.#nextExpiry) {
      this.#expireCooling(now);
      this.#nextExpiry = this.pool.nextExpiry ?? Number.POSITIVE_INFINITY;
    }
    if (now >= this.#nextLook) this.#endQuarantines(now);
  }

  #expireCooling(now: number): void {
    if (this.#use === undefined) {
      this.pool.expire(now);
      return;
    }
    let count = 0;
    do {
      count = this.pool.expire(now, SOME_PORTS);
      for (let at = 0; at < count; at++) this.#use.delete(SOME_PORTS[at] as number);
    } while (count === SOME_PORTS.length);
  }

  #endQuarantines(now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const [port, until] of this.quarantined) {
      if (until > now) {
        next = Math.min(next, until);
        continue;
      }
      this.quarantined.delete(port);
      this.free(port);
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
    return (
      this.heldCount + this.lentCount === 0 &&
      this.quarantined.size === 0 &&
      this.pool.cooling === 0
    );
  }
}
