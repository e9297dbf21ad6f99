// The setup of one session on UDP ports: that of a session on TCP ports, and what UDP alone has.

import type fc from "fast-check";
import { type Setup as LinuxSetup, setupOf as linuxSetupOf } from "../linux/setup.ts";
import { anySalt, Random } from "../random.ts";

export interface Setup extends LinuxSetup {
  readonly unprivilegedStart: number;
  readonly localAddress: string;
  /** Where draws come from; absent: each operation brings its own. */
  readonly seed?: number;
  /** How many sockets in a hundred are UDP, and are privileged. */
  readonly udp: number;
  readonly privileged: number;
  /** Bytes of memory that are left at the beginning; absent: as many as there are. */
  readonly spare?: number;
}

/** A limit of memory, most of which is filled at once. */
export const LIMIT = 10_000;

export function setups(isTight: boolean): fc.Arbitrary<Setup> {
  return anySalt.map((salt) => setupOf(salt, isTight));
}

function setupOf(salt: number, isTight: boolean): Setup {
  const tcp = linuxSetupOf(salt, "mixed");
  const random = new Random(~salt);
  // Many addresses make many records, so that their table grows.
  const more = random.chance(isTight ? 30 : 10) ? manyAddresses() : [];
  return {
    ...tcp,
    addresses: [...tcp.addresses, ...more],
    unprivilegedStart: random.pick([0, 1, tcp.first, Math.min(tcp.first, 1024)]),
    localAddress: random.pick(["127.0.0.1", "10.0.0.1", "10.9.9.9"]),
    udp: random.pick([60, 80, 100]),
    privileged: random.pick([20, 50, 100]),
    clears: true,
    // What is refused for want of memory has drawn already, which the reference side cannot know.
    ...(isTight
      ? { limit: LIMIT, spare: random.below(random.pick([600, 1500, 5000])) }
      : random.chance(50) && { seed: random.u32() }),
  };
}

function manyAddresses(): string[] {
  return Array.from({ length: 24 }, (_, index) => `10.1.0.${index + 1}`);
}
