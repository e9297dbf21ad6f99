// Random numbers from a seed, in the shapes that operations and setups are drawn in.

import fc from "fast-check";
import { SeededRandom } from "../../bindings/core/random.ts";

/**
 * A seed for each operation, in which nothing is simpler than anything else: it does not shrink.
 */
export const anySalt: fc.Arbitrary<number> = fc.noShrink(fc.noBias(fc.nat(0x7fffffff)));

export class Random {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  u32(): number {
    return this.#random.next();
  }

  /** 0 to `count - 1`. */
  below(count: number): number {
    return this.#random.next() % count;
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** So often in a hundred. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
