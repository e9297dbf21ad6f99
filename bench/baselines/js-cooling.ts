// Ports that cool down, in JavaScript: as programs usually do it, and the core's own structure in
// typed arrays. Both keep to portwarden's slots of a 64th of the period, so that the same ports are
// picked.

import { JsBitmap } from "./js-bitmap.ts";
import { JsSet } from "./js-set.ts";

const SLOT_COUNT = 64;
const AGE_COUNT = SLOT_COUNT + 1;
const RING_PLACES = 65536;

/**
 * A Set of ports that are held, and a Map of when each port began to cool down, which keeps the
 * order.
 */
export class SetCooling {
  readonly #held: JsSet;
  readonly #since: Map<number, number> = new Map();
  readonly #period: number;

  constructor(first: number, last: number, period: number) {
    this.#held = new JsSet(first, last);
    this.#period = period;
  }

  take(offset: number): number {
    return this.#held.take(offset);
  }

  takeAt(port: number): number {
    return this.#held.takeAt(port);
  }

  coolDown(port: number, now: number): boolean {
    if (!this.#held.has(port) || this.#since.has(port)) return false;
    this.#since.set(port, this.#slotOf(now));
    return true;
  }

  expire(now: number): number {
    const slot = this.#slotOf(now);
    let expired = 0;
    for (const [port, since] of this.#since) {
      if (slot < since + AGE_COUNT) break;
      this.#since.delete(port);
      this.#held.free(port);
      expired++;
    }
    return expired;
  }

  #slotOf(now: number): number {
    return Math.floor((now * SLOT_COUNT) / this.#period);
  }
}

/** Bitmaps of what is held and what cools down, a ring in order, and a count for each slot. */
export class BitmapCooling {
  readonly #held: JsBitmap;
  readonly #cooling: Uint8Array = new Uint8Array(65536);
  readonly #ring: Uint16Array = new Uint16Array(RING_PLACES);
  readonly #ages: Uint16Array = new Uint16Array(AGE_COUNT);
  readonly #period: number;
  #head = 0;
  #length = 0;
  #due = 0;
  #slot = 0;
  #clock = 0;

  constructor(first: number, last: number, period: number) {
    this.#held = new JsBitmap(first, last);
    this.#period = period;
  }

  take(offset: number): number {
    return this.#held.take(offset);
  }

  takeAt(port: number): number {
    return this.#held.takeAt(port);
  }

  coolDown(port: number, now: number): boolean {
    if (this.#cooling[port] !== 0 || !this.#held.has(port)) return false;
    this.#moveClock(now);
    this.#cooling[port] = 1;
    this.#ring[(this.#head + this.#length) & (RING_PLACES - 1)] = port;
    this.#length++;
    (this.#ages[0] as number)++;
    return true;
  }

  expire(now: number): number {
    this.#moveClock(now);
    const expired = this.#due;
    for (; this.#due > 0; this.#due--) {
      const port = this.#ring[this.#head] as number;
      this.#head = (this.#head + 1) & (RING_PLACES - 1);
      this.#length--;
      this.#cooling[port] = 0;
      this.#held.free(port);
    }
    return expired;
  }

  #moveClock(now: number): void {
    if (now <= this.#clock) return;
    this.#clock = now;
    const slot = Math.floor((now * SLOT_COUNT) / this.#period);
    for (let begun = Math.min(slot - this.#slot, AGE_COUNT); begun > 0; begun--) {
      this.#due += this.#ages[SLOT_COUNT] as number;
      this.#ages.copyWithin(1, 0, SLOT_COUNT);
      this.#ages[0] = 0;
    }
    this.#slot = slot;
  }
}

/** One pool whose ports come back in the order of their release. */
export interface JsOrder {
  take(offset: number): number;
  free(port: number): unknown;
}

/** A Set keeps the order in which its members came. */
export class SetOrder implements JsOrder {
  readonly #free: Set<number>;

  constructor(ports: Iterable<number>) {
    this.#free = new Set(ports);
  }

  take(): number {
    for (const port of this.#free) {
      this.#free.delete(port);
      return port;
    }
    return -1;
  }

  free(port: number): void {
    this.#free.add(port);
  }
}

/** A ring, and a bitmap of what is held, so that nothing is freed twice. */
export class RingOrder implements JsOrder {
  readonly #held: JsBitmap;
  readonly #ring: Uint16Array = new Uint16Array(RING_PLACES);
  #head = 0;
  #length = 0;

  constructor(first: number, last: number, ports: Iterable<number>) {
    this.#held = new JsBitmap(first, last);
    for (const port of ports) this.#ring[this.#length++] = port;
  }

  take(): number {
    if (this.#length === 0) return -1;
    const port = this.#ring[this.#head] as number;
    this.#head = (this.#head + 1) & (RING_PLACES - 1);
    this.#length--;
    return this.#held.takeAt(port);
  }

  free(port: number): void {
    if (!this.#held.free(port)) return;
    this.#ring[(this.#head + this.#length++) & (RING_PLACES - 1)] = port;
  }
}
