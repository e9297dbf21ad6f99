// The JS set, as programs usually do it: the ports of one pool in a Set, and a loop round the range
// that asks it about one port after the other.
//
// With few ports held it is hard to beat for its size. The price comes as the range fills: a search
// asks 1 / (share of free ports) times, and a full range is asked to the end before it is refused.

/** Where a search found nothing. */
const NONE = -1;

export class JsSet {
  readonly #first: number = 0;
  readonly #count: number = 0;
  readonly #held: Set<number> = new Set();

  constructor(first: number, last: number) {
    this.#first = first;
    this.#count = last - first + 1;
  }

  /** Takes the first free port from an offset on, round the range; -1 when there is none. */
  take(offset: number): number {
    if (offset >>> 0 !== offset) throw new RangeError("offset");
    const held = this.#held;
    const first = this.#first;
    const count = this.#count;
    // Unsigned, or one offset above 2^31 makes every division a slow one from then on.
    const start = (offset >>> 0) % (count >>> 0);
    for (let step = 0; step < count; step++) {
      const port = first + ((start + step) % count);
      if (held.has(port)) continue;
      held.add(port);
      return port;
    }
    return NONE;
  }

  /** Takes an explicit port; -1 if it is held. */
  takeAt(port: number): number {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    if (this.#held.has(port)) return NONE;
    this.#held.add(port);
    return port;
  }

  /** Frees a port; whether it was held. */
  free(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    return this.#held.delete(port);
  }

  has(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    return this.#held.has(port);
  }
}
