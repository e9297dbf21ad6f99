// Connect tables: the workloads, what gVisor's own manager took for them, and how much of each is
// given to those that look at one port after the other.

import type { Way } from "./connect-order.ts";

/** The shares of the range, in percent, between which connections are timed. */
export const PHASES: readonly (readonly [from: number, to: number])[] = [
  [0, 50],
  [50, 90],
  [90, 99],
];

export interface Setting {
  readonly way: Way;
  readonly destinations: number;
  /** Fewer ports for more destinations, because a probe of gVisor's walks all that hold a port. */
  readonly range: number;
  /** Nanoseconds per connection of gVisor's own manager, by phase. */
  readonly recorded: readonly number[];
  /**
   * For how many of the destinations those that look at port after port make the connections of a
   * phase, so that it takes them a few seconds at most; all others hold what they held at its
   * beginning. 0: none.
   */
  readonly slow: readonly number[];
}

export const SETTINGS: readonly Setting[] = [
  setting("random", 1, 49536, [1552, 11_800, 633_800], [1, 1, 1]),
  setting("random", 10, 10000, [1341, 10_200, 440_200], [10, 10, 1]),
  setting("random", 100, 2000, [1991, 26_100, 768_500], [100, 20, 2]),
  setting("random", 1000, 200, [11_400, 239_900, 1_210_000], [100, 20, 10]),
  setting("udp0", 1, 49536, [1202, 10_900, 593_100], [1, 1, 0]),
  setting("udp0", 10, 10000, [2140, 19_900, 657_900], [10, 10, 1]),
  setting("udp0", 100, 2000, [4289, 44_700, 835_900], [100, 10, 2]),
  setting("stable", 1, 49536, [774, 2025, 1328], [1, 1, 1]),
  setting("stable", 10, 10000, [1845, 5962, 10_800], [10, 10, 10]),
  setting("stable", 100, 2000, [27_800, 208_200, 346_000], [20, 5, 5]),
];

function setting(
  way: Way,
  destinations: number,
  range: number,
  recorded: readonly number[],
  slow: readonly number[],
): Setting {
  return { way, destinations, range, recorded, slow };
}
