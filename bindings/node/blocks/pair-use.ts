// PairUse: which ports of one pair of a source and a destination are in use.

import { BLOCK_PORTS, firstPortOf } from "./block-store.ts";

/** Counts the uses of all pairs of a source. */
interface UseCounter {
  onTaken(port: number): void;
  onFreed(port: number): void;
}

/** The ports of one pair that are in use: held, cooling, quarantined or lent. */
export class PairUse {
  /** A bit for each port, in words of 32: few where ports are of few blocks. */
  readonly #words: Map<number, number> = new Map();
  /** Those of them that were taken from blocks of other holders. */
  readonly #foreign: Set<number> = new Set();
  readonly #counter: UseCounter;
  #size = 0;

  constructor(counter: UseCounter) {
    this.#counter = counter;
  }

  get size(): number {
    return this.#size;
  }

  /** Without those from blocks of other holders. */
  get ownSize(): number {
    return this.#size - this.#foreign.size;
  }

  has(port: number): boolean {
    return (this.#wordOf(port) & (1 << (port & 31))) !== 0;
  }

  /** How many ports of a block. */
  countIn(block: number): number {
    let count = 0;
    const first = firstPortOf(block);
    for (let port = first; port < first + BLOCK_PORTS; port += 32)
      for (let word = this.#wordOf(port); word !== 0; word &= word - 1) count++;
    return count;
  }

  /** A port that was taken over from its cooldown is in use already. */
  add(port: number): void {
    if (this.has(port)) return;
    this.#words.set(port >> 5, this.#wordOf(port) | (1 << (port & 31)));
    this.#size++;
    this.#counter.onTaken(port);
  }

  /** A port of a block that another holder has. */
  addForeign(port: number): void {
    if (!this.has(port)) this.#foreign.add(port);
    this.add(port);
  }

  delete(port: number): void {
    if (!this.has(port)) return;
    this.#words.set(port >> 5, this.#wordOf(port) & ~(1 << (port & 31)));
    this.#size--;
    if (this.#foreign.size > 0) this.#foreign.delete(port);
    this.#counter.onFreed(port);
  }

  #wordOf(port: number): number {
    return this.#words.get(port >> 5) ?? 0;
  }
}
