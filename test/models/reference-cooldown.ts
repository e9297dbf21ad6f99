// The reference model of a cooling pool: sets, an array in order, and loops. It says what
// cooldown.wasm and bindings/cooling.ts are to answer.

import { COOLING, EMPTY_RANGE, EXHAUSTED, IN_USE } from "../../assembly/abi.ts";

const SLOT_COUNT = 64;

/** What a pool may take: as it is at that moment. */
export interface Limits {
  readonly first: number;
  readonly last: number;
  isReserved(port: number): boolean;
}

export interface ReferenceOptions {
  /** Milliseconds; 0: no cooldown. */
  readonly period: number;
  readonly takesOldest: boolean;
  readonly isOrdered: boolean;
  limits(): Limits;
}

/** One pool, and what others hold that it must not take. */
export class ReferenceCooling {
  /** Ports under the pool's description, cooling ones among them. */
  readonly holders: Set<number> = new Set();
  readonly foreign: Set<number> = new Set();
  readonly #options: ReferenceOptions;
  /** Oldest first. */
  #coolsDown: { readonly port: number; readonly slot: number }[] = [];
  #queue: number[] = [];
  readonly #seen = new Set<number>();
  #clock = 0;

  constructor(options: ReferenceOptions) {
    this.#options = options;
  }

  take(offset: number): number {
    const port = this.#options.isOrdered ? this.#takeNext(offset) : this.#search(offset);
    if (port > 0) this.#endCooldown(port);
    else if (port === EXHAUSTED) return this.#takeCooling();
    return port;
  }

  takeAt(port: number): number {
    if (this.isCooling(port)) return COOLING;
    if (!this.#isFree(port)) return IN_USE;
    this.holders.add(port);
    this.#seen.add(port);
    this.#queue = this.#queue.filter((other) => other !== port);
    return port;
  }

  free(port: number): boolean {
    if (this.isCooling(port) || !this.holders.delete(port)) return false;
    this.#release(port);
    return true;
  }

  coolDown(port: number, now: number): boolean {
    if (this.#options.period === 0) return this.free(port);
    if (!this.has(port)) return false;
    this.#clock = Math.max(this.#clock, now);
    this.#coolsDown.push({ port, slot: this.#slot() });
    return true;
  }

  expire(now: number): number {
    this.#clock = Math.max(this.#clock, now);
    let woken = 0;
    for (const { port, slot } of [...this.#coolsDown]) {
      if (this.#slot() < slot + SLOT_COUNT + 1) break;
      this.#coolsDown.shift();
      if (this.holders.delete(port)) woken++;
      this.#release(port);
    }
    return woken;
  }

  has(port: number): boolean {
    return this.holders.has(port) && !this.isCooling(port);
  }

  isCooling(port: number): boolean {
    return this.#coolsDown.some((cooling) => cooling.port === port);
  }

  get held(): number {
    return Math.max(0, this.holders.size - this.cooling);
  }

  get cooling(): number {
    return this.#coolsDown.length;
  }

  get nextExpiry(): number | undefined {
    const [oldest] = this.#coolsDown;
    if (oldest === undefined) return undefined;
    const due = oldest.slot + SLOT_COUNT + 1;
    const time = Math.ceil((due * this.#options.period) / SLOT_COUNT);
    return due <= this.#slot() ? this.#clock : time;
  }

  close(): void {
    for (const { port } of this.#coolsDown) this.holders.delete(port);
    this.#coolsDown = [];
  }

  #slot(): number {
    return Math.floor((this.#clock * SLOT_COUNT) / this.#options.period);
  }

  #isFree(port: number): boolean {
    return !this.holders.has(port) && !this.foreign.has(port);
  }

  #isAllowed(port: number): boolean {
    const { first, last, isReserved } = this.#options.limits();
    return port >= first && port <= last && !isReserved(port);
  }

  /** The ports that may be taken, those free and those not, from an offset on. */
  *#allowed(offset: number): Generator<number> {
    const { first, last } = this.#options.limits();
    const count = last - first + 1;
    for (let step = 0; step < count; step++) {
      const port = first + ((offset + step) % count);
      if (this.#isAllowed(port)) yield port;
    }
  }

  #search(offset: number): number {
    const { first, last } = this.#options.limits();
    if (first > last) return EMPTY_RANGE;
    for (const port of this.#allowed(offset)) {
      if (!this.#isFree(port)) continue;
      this.holders.add(port);
      return port;
    }
    return EXHAUSTED;
  }

  #takeNext(offset: number): number {
    const { first, last } = this.#options.limits();
    if (first > last) return EMPTY_RANGE;
    const canTake = [...this.#allowed(offset)].some((port) => this.#isFree(port));
    for (let tries = last - first + 1; tries > 0; tries--) {
      const fresh = [...this.#allowed(offset)].find((port) => !this.#seen.has(port));
      const port = fresh ?? this.#oldest();
      if (port === undefined) break;
      if (!this.#isFree(port) && !canTake) {
        if (fresh === undefined) this.#queue.unshift(port);
        return EXHAUSTED;
      }
      this.#seen.add(port);
      if (this.#isFree(port)) {
        this.holders.add(port);
        return port;
      }
      this.#queue.push(port);
    }
    const port = this.#search(offset);
    if (port > 0) {
      this.#seen.add(port);
      this.#queue = this.#queue.filter((other) => other !== port);
    }
    return port;
  }

  /** The port that was released first; those that are not allowed are forgotten on the way. */
  #oldest(): number | undefined {
    for (;;) {
      const port = this.#queue.shift();
      if (port === undefined || this.#isAllowed(port)) return port;
      this.#seen.delete(port);
    }
  }

  #takeCooling(): number {
    for (const { port } of [...this.#coolsDown]) {
      if (!this.#isAllowed(port)) continue;
      if (this.holders.has(port) && !this.#options.takesOldest) return COOLING;
      this.#endCooldown(port);
      if (this.holders.has(port)) return port;
      this.#release(port);
    }
    return EXHAUSTED;
  }

  #endCooldown(port: number): void {
    this.#coolsDown = this.#coolsDown.filter((cooling) => cooling.port !== port);
  }

  /** Goes behind all others, unless it waits already. */
  #release(port: number): void {
    if (!this.#options.isOrdered || this.#queue.includes(port)) return;
    this.#seen.add(port);
    this.#queue.push(port);
  }
}
