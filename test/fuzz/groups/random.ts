// What is asked of managers in groups, at random but from few numbers, so that things meet: ports
// lie about the edges of words of 64, addresses and destinations are three each.

import { SeededRandom } from "../../../bindings/core/random.ts";
import type { PortRange } from "../../../bindings/index.ts";
import type { Ask } from "../../support/ask.ts";

const BASE = 960;
const SPAN = 256;
const EDGES = [960, 1023, 1024, 1025, 1087, 1088, 1100, 1151, 1152, 1215];
const OFFSETS = [0, 1, 63, 64, 65, 2 ** 31, 2 ** 32 - 1];

const ADDRESSES = ["", "10.0.0.1", "2001:db8::1"];
const DESTINATIONS = [
  { address: "", port: 0 },
  { address: "", port: 443 },
  { address: "9.9.9.9", port: 443 },
  { address: "2001:db8::9", port: 80 },
];
const NETWORKS = [[4], [6], [4, 6]];

export class GroupsRandom {
  readonly #random: SeededRandom;
  readonly #isDense: boolean;

  constructor(seed: number, isDense: boolean) {
    this.#random = new SeededRandom(seed);
    this.#isDense = isDense;
  }

  below(count: number): number {
    return this.#random.next() % count;
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  one<Item>(items: readonly [Item, ...Item[]]): Item;
  one<Item>(items: readonly Item[]): Item | undefined;
  one<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length || 1)];
  }

  /** Takes one out of a list. */
  pull<Item>(items: Item[]): Item | undefined {
    return items.splice(this.below(items.length || 1), 1)[0];
  }

  word(): number {
    return this.#random.next();
  }

  offset(): number {
    return this.isOneIn(2) ? (this.one(OFFSETS) as number) : this.below(2 * SPAN);
  }

  port(): number {
    return this.isOneIn(2) ? (this.one(EDGES) as number) : BASE + this.below(SPAN);
  }

  /** Mostly long where things are dense; sometimes one port, sometimes what nobody picks from. */
  range(): PortRange {
    if (this.isOneIn(12)) return { first: 1, last: 1 + this.below(BASE) };
    const first = this.#isDense && !this.isOneIn(4) ? BASE + this.below(16) : this.port();
    const last = this.#isDense && !this.isOneIn(4) ? BASE + SPAN - this.below(32) : this.port();
    if (this.isOneIn(8)) return { first, last: first };
    return { first: Math.min(first, last), last: Math.max(first, last) };
  }

  /** A few short ranges, nothing, or everything. */
  reserved(): PortRange[] {
    if (this.isOneIn(16)) return [{ first: 0, last: 65535 }];
    return Array.from({ length: this.below(5) }, () => {
      const first = this.port();
      return { first, last: first + this.below(this.isOneIn(4) ? 100 : 4) };
    });
  }

  ask(): Ask {
    const isOpen = !this.#isDense || this.isOneIn(8);
    const transport = this.isOneIn(3) ? 6 : 17;
    return {
      networks: isOpen ? (this.one(NETWORKS) as number[]) : [4],
      transport,
      address: isOpen ? (this.one(ADDRESSES) as string) : "",
      device: isOpen ? this.below(4) >> 1 : 0,
      destination: isOpen
        ? (this.one(DESTINATIONS) as Ask["destination"])
        : { address: "", port: 0 },
      flags: isOpen ? (this.one([0, 0, 1, 2, 4, 6, 7]) as number) : 0,
    };
  }
}
