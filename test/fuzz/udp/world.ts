// World: what one battle about UDP ports is about. Pools are small, so that what is asked meets
// what is held, and each battle has pools of its own size.

import type { Dice } from "../linux/dice.ts";

export interface World {
  readonly operations: number;
  readonly first: number;
  readonly last: number;
  readonly hint: number;
  readonly unprivilegedStart: number;
  readonly localAddress: string;
  /** Where draws come from; absent: each operation brings its own. */
  readonly seed?: number;
  /** How many sockets there may be at a time. */
  readonly sockets: number;
  readonly addresses: readonly string[];
  readonly devices: number;
  readonly groups: readonly string[];
  /** How many sockets in a hundred are UDP, have SO_REUSEADDR, and are privileged. */
  readonly udp: number;
  readonly reuse: number;
  readonly privileged: number;
  /** Bytes of memory that are left at the beginning; absent: as many as there are. */
  readonly spare?: number;
}

/** First ports of ranges, chosen so that words (64) and groups (4096) begin and end inside. */
const FIRSTS = [32768, 40000, 1, 60, 63, 64, 65, 1000, 4032, 4090, 4095, 4096, 65472, 65535];
const COUNTS = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 40, 63, 64];
const PORT_MAX = 65535;

const ADDRESSES = ["", "127.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1"];
const GROUPS = ["/", "/a", "/a/b", "/x", "/x/y"];
const U32_MAX = 0xffffffff;

export function worldOf(dice: Dice, isTight: boolean): World {
  const first = dice.pick(FIRSTS);
  const count = Math.min(dice.pick(COUNTS), PORT_MAX - first + 1);
  const addresses = ADDRESSES.slice(0, dice.between(1, ADDRESSES.length));
  // Many addresses make many records, so that their table grows.
  if (dice.chance(isTight ? 30 : 10)) addresses.push(...manyAddresses());
  return {
    operations: dice.between(100, 600),
    first,
    last: first + count - 1,
    hint: dice.pick([0, dice.u32(), U32_MAX - dice.below(200)]),
    unprivilegedStart: dice.pick([0, 1, first, Math.min(first, 1024)]),
    localAddress: dice.pick(["127.0.0.1", "10.0.0.1", "10.9.9.9"]),
    sockets: dice.pick([count >> 1, count, count + 5, 2 * count + 20]) + 2,
    addresses,
    devices: dice.between(1, 3),
    groups: GROUPS.slice(0, dice.between(1, GROUPS.length)),
    udp: dice.pick([60, 80, 100]),
    reuse: dice.pick([0, 20, 50, 80, 100]),
    privileged: dice.pick([20, 50, 100]),
    // What is refused for want of memory has drawn already, which the reference side cannot know.
    ...(isTight
      ? { spare: dice.below(dice.pick([600, 1500, 5000])) }
      : dice.chance(50) && { seed: dice.u32() }),
  };
}

function manyAddresses(): string[] {
  return Array.from({ length: 24 }, (_, index) => `10.1.0.${index + 1}`);
}
