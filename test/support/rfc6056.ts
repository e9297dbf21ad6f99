// RFC 6056, plainly: its algorithms, each as one loop over ports, for tests of the policies.

import { EXHAUSTED } from "../../assembly/abi.ts";
import { SeededRandom } from "../../bindings/core/random.ts";
import type { PortRange } from "../../bindings/index.ts";
import type { PolicyName, SelectionOptions } from "../../bindings/selection.ts";
import { sipHash } from "./siphash.ts";

/** What a keyed policy looks at. */
export interface Tuple {
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly port: number;
}

/** The secret of all policies in these tests. */
export const SECRET: Uint8Array = Uint8Array.from({ length: 32 }, (_, index) => 200 - index * 3);
/** All policies. */
export const POLICIES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash", "double-hash"] as const),
  ...(["random-increments", "sequential"] as const),
];
/** Those that meet each port once. */
export const LINEAR: readonly PolicyName[] = ["random", "hash", "double-hash", "sequential"];
/** Those with counters. */
export const COUNTED: readonly PolicyName[] = [
  "hash",
  "double-hash",
  "random-increments",
  "sequential",
];

export type IsFree = (port: number) => boolean;

interface Search {
  readonly first: number;
  readonly count: number;
  readonly isFree: IsFree;
  readonly tuple: Tuple;
  readonly options: SelectionOptions;
  /** What lasts from search to search: the counter, or the table of them. */
  readonly table: number[];
  random(): number;
}

/** The port that each finds, or none; the table is changed as it goes. */
export const PLAIN: Record<PolicyName, (search: Search) => number | undefined> = {
  random({ first, count, isFree, random }) {
    let index = random() % count;
    for (let left = count; left > 0; left--) {
      if (isFree(first + index)) return first + index;
      index = index === count - 1 ? 0 : index + 1;
    }
    return undefined;
  },

  "random-retry"({ first, count, isFree, random }) {
    for (let left = count; left > 0; left--) {
      const port = first + (random() % count);
      if (isFree(port)) return port;
    }
    return undefined;
  },

  hash(search) {
    return hashed(search, 0);
  },

  "double-hash"(search) {
    return hashed(search, hashOf(search.tuple, 1) % search.table.length);
  },

  "random-increments"({ first, count, isFree, random, table, options }) {
    for (let left = count; left > 0; left--) {
      const step = 1 + (random() % (options.increment ?? 500));
      const next = ((table[0] as number) + step) % 2 ** 32;
      table[0] = next;
      const port = first + (next % count);
      if (isFree(port)) return port;
    }
    return undefined;
  },

  sequential({ first, count, isFree, table }) {
    let index = (table[0] as number) % count;
    for (let left = count; left > 0; left--) {
      if (isFree(first + index)) {
        table[0] = index + 1;
        return first + index;
      }
      index = (index + 1) % count;
    }
    return undefined;
  },
};

/**
 * Algorithms 3 and 4. The sum is reduced once, since the RFC's own, reduced for each port, would
 * jump where it passes 2^32; and a search that fails leaves the counter where it was.
 */
function hashed({ first, count, isFree, tuple, table }: Search, slot: number): number | undefined {
  const offset = hashOf(tuple, 0);
  let next = table[slot] as number;
  let index = ((next + offset) % 2 ** 32) % count;
  for (let left = count; left > 0; left--) {
    const port = first + index;
    next = (next + 1) % 2 ** 32;
    if (isFree(port)) {
      table[slot] = next;
      return port;
    }
    index = (index + 1) % count;
  }
  return undefined;
}

/** The counters as they begin. */
export function plainTable(options: SelectionOptions, random: () => number): number[] {
  const { algorithm, from, slots = 256 } = options;
  if (!COUNTED.includes(algorithm)) return [];
  const length = algorithm === "double-hash" ? slots : 1;
  return Array.from({ length }, () => from ?? (algorithm === "sequential" ? 0 : random()));
}

/** F with the first half of the secret, G with the second. */
export function hashOf(tuple: Tuple, half: 0 | 1): number {
  const { local, remote, port } = tuple;
  const message = Uint8Array.from([...remote, ...local, port & 255, port >> 8]);
  const key = SECRET.slice(half * 16, half * 16 + 16);
  return Number(BigInt.asUintN(32, sipHash(key, message)));
}

/** A policy with that secret, as many slots or increments, and a counter that begins there. */
export function optionsOf(algorithm: PolicyName, size: number, from?: number): SelectionOptions {
  return {
    algorithm,
    ...(COUNTED.includes(algorithm) && from !== undefined ? { from } : {}),
    ...(algorithm === "hash" || algorithm === "double-hash" ? { secret: SECRET } : {}),
    ...(algorithm === "double-hash" ? { slots: size } : {}),
    ...(algorithm === "random-increments" ? { increment: size } : {}),
  };
}

/** The policy of a manager or system that was opened with that seed, plainly. */
export class Plain {
  readonly #options: SelectionOptions;
  readonly #random: SeededRandom;
  readonly #table: number[];
  readonly taken: Set<number> = new Set();
  range: PortRange = { first: 1, last: 65535 };
  reserved: ReadonlySet<number> = new Set();

  constructor(seed: number, options: SelectionOptions) {
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#table = plainTable(options, () => this.#random.next());
  }

  /** Takes what it picks within range and reserved ports. */
  pick(tuple: Tuple): number {
    const isFree = (port: number): boolean => !this.taken.has(port) && !this.reserved.has(port);
    const port = this.search(this.range, tuple, isFree);
    if (port === undefined) return EXHAUSTED;
    this.taken.add(port);
    return port;
  }

  search({ first, last }: PortRange, tuple: Tuple, isFree: IsFree): number | undefined {
    return PLAIN[this.#options.algorithm]({
      ...{ first, count: last - first + 1, isFree, tuple },
      ...{ options: this.#options, table: this.#table, random: () => this.#random.next() },
    });
  }
}
