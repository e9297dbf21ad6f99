// What one session on UDP ports is about. Pools are small, so that what is asked meets what is
// held, and each session has pools of its own size.

import type fc from "fast-check";
import { anySalt, Random } from "../random.ts";

export interface Setup {
  /** Where it was drawn from. */
  readonly salt: number;
  /** Whether all is closed at once in the end, and not socket by socket. */
  readonly isAbrupt: boolean;
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

export function setups(isTight: boolean): fc.Arbitrary<Setup> {
  return anySalt.map((salt) => setupOf(salt, isTight));
}

function setupOf(salt: number, isTight: boolean): Setup {
  const random = new Random(salt);
  const first = random.pick(FIRSTS);
  const count = Math.min(random.pick(COUNTS), PORT_MAX - first + 1);
  const addresses = ADDRESSES.slice(0, random.between(1, ADDRESSES.length));
  // Many addresses make many records, so that their table grows.
  if (random.chance(isTight ? 30 : 10)) addresses.push(...manyAddresses());
  return {
    salt,
    isAbrupt: random.chance(25),
    first,
    last: first + count - 1,
    hint: random.pick([0, random.u32(), U32_MAX - random.below(200)]),
    unprivilegedStart: random.pick([0, 1, first, Math.min(first, 1024)]),
    localAddress: random.pick(["127.0.0.1", "10.0.0.1", "10.9.9.9"]),
    sockets: random.pick([count >> 1, count, count + 5, 2 * count + 20]) + 2,
    addresses,
    devices: random.between(1, 3),
    groups: GROUPS.slice(0, random.between(1, GROUPS.length)),
    udp: random.pick([60, 80, 100]),
    reuse: random.pick([0, 20, 50, 80, 100]),
    privileged: random.pick([20, 50, 100]),
    // What is refused for want of memory has drawn already, which the reference side cannot know.
    ...(isTight
      ? { spare: random.below(random.pick([600, 1500, 5000])) }
      : random.chance(50) && { seed: random.u32() }),
  };
}

function manyAddresses(): string[] {
  return Array.from({ length: 24 }, (_, index) => `10.1.0.${index + 1}`);
}
