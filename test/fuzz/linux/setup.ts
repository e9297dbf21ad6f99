// The setup of one session on Linux' ports. The sets of values are small, so that requests meet
// held ports, and each session has sets of its own size: one with a single address and sockets that
// all reuse finds other faults than one with four addresses where few do.

import type fc from "fast-check";
import { anySalt, Random } from "../random.ts";

export interface Setup {
  /** Where it was drawn from. */
  readonly salt: number;
  /** Whether all is closed at once in the end, and not socket by socket. */
  readonly isAbrupt: boolean;
  readonly now: number;
  readonly hint: number;
  readonly first: number;
  readonly count: number;
  /** How many sockets there may be at a time. */
  readonly sockets: number;
  /** How many at least are wanted, once there are so many. */
  readonly fewest: number;
  readonly addresses: readonly string[];
  readonly devices: number;
  readonly destinations: readonly string[];
  readonly destinationPorts: number;
  readonly groups: readonly string[];
  /** How many sockets in a hundred have the reuse bit. */
  readonly reuse: number;
  /** Whether sockets may lose the reuse bit after they have got their port. */
  readonly clears: boolean;
  /** Bytes that the records may take; absent: as many as they like. */
  readonly limit?: number;
}

export type Kind =
  | "want"
  | "socket"
  | "bind"
  | "bindAny"
  | "listen"
  | "connect"
  | "close"
  | "closeToTimeWait"
  | "expireTimeWait"
  | "setReuse"
  | "moveSocket"
  | "setGroup"
  | "setReserved"
  | "setLocalRange"
  | "setNow"
  | "setTwReuse"
  | "setUnprivilegedStart";

export type Weights = Readonly<Record<Kind, number>>;

/** The kinds of sessions, by the operations that are frequent in them. */
export type Theme = "mixed" | "binding" | "connecting" | "tight" | "wide" | "wide binding";

export const THEMES: Readonly<Record<Theme, Weights>> = {
  mixed: weights({}),
  binding: weights({ bindAny: 40, listen: 1, connect: 3, closeToTimeWait: 1 }),
  // Without memory to move a TIME_WAIT that is due, a system cannot say whether it may be reused.
  tight: weights({ setTwReuse: 0 }),
  // Hundreds of sockets, so that what a pool holds becomes a bitmap with summaries.
  wide: weights({ socket: 60, bindAny: 40, connect: 30, close: 14, setReserved: 1, setGroup: 1 }),
  // Sockets that bind and stay: little keeps them from filling the range.
  "wide binding": weights({
    ...{
      socket: 240,
      bind: 20,
      bindAny: 240,
      listen: 4,
      connect: 0,
      close: 40,
      closeToTimeWait: 0,
    },
    ...{ setReuse: 0, setGroup: 1, setReserved: 4, setLocalRange: 1 },
  }),
  connecting: weights({ bind: 4, bindAny: 3, connect: 36, closeToTimeWait: 12, setNow: 8 }),
};

/** First ports of ranges, chosen so that words (64) and groups (4096) begin and end inside. */
const FIRSTS = [32768, 1, 60, 63, 64, 65, 1000, 4032, 4090, 4095, 4096, 65400, 65472, 65535];
const COUNTS = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 40, 63, 64];

const ADDRESSES = ["", "127.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1"];
const DESTINATIONS = ["192.0.2.1", "192.0.2.2", "198.51.100.3"];
const GROUPS = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/x", "/x/y"];
const PORT_MAX = 65535;
/** The lowest limit that a system can be given. */
const LIMIT_MIN = 8192;
const U32_MAX = 0xffffffff;

export function setups(theme: Theme): fc.Arbitrary<Setup> {
  return anySalt.map((salt) => setupOf(salt, theme));
}

export function setupOf(salt: number, theme: Theme): Setup {
  const random = new Random(salt);
  if (theme.startsWith("wide")) return wideSetup(salt, random, theme === "wide binding");
  /** Many sockets that share, so that there are more sockets than ports, with conflicts. */
  const isFull = random.chance(theme === "binding" ? 60 : 25);
  const first = random.pick(FIRSTS);
  const count = Math.min(random.pick(COUNTS), PORT_MAX - first + 1);
  return {
    salt,
    isAbrupt: random.chance(25),
    now: random.between(0, 100_000),
    hint: random.pick([0, random.u32(), U32_MAX, U32_MAX - random.below(200)]),
    first,
    count,
    sockets: isFull ? 2 * count + 20 : random.pick([count >> 1, count, count + 5]) + 2,
    fewest: 0,
    addresses: ADDRESSES.slice(0, random.between(1, isFull ? 2 : ADDRESSES.length)),
    devices: isFull ? 1 : random.between(1, 3),
    destinations: DESTINATIONS.slice(0, random.between(1, DESTINATIONS.length)),
    destinationPorts: random.between(1, 3),
    groups: GROUPS.slice(0, random.between(1, isFull ? 2 : GROUPS.length)),
    reuse: isFull ? random.between(80, 100) : random.pick([0, 30, 80, 100]),
    clears: random.chance(50),
    ...(theme === "tight" && { limit: LIMIT_MIN + random.below(1500) }),
  };
}

/** Few addresses and destinations, so that single pools hold many ports. */
function wideSetup(salt: number, random: Random, bindsOnly: boolean): Setup {
  const count = random.pick([100, 130, 200, 320]);
  const first = random.pick([32768, 4000, 60, 65000]);
  return {
    salt,
    isAbrupt: random.chance(25),
    now: random.between(0, 100_000),
    hint: random.pick([0, random.u32(), U32_MAX - random.below(500)]),
    first,
    count,
    sockets: count + 10,
    fewest: Math.floor(count * 0.7),
    addresses: ADDRESSES.slice(1, random.pick([2, 3])),
    devices: 1,
    destinations: DESTINATIONS.slice(0, 1),
    destinationPorts: 1,
    groups: GROUPS.slice(0, 2),
    reuse: bindsOnly ? 0 : random.pick([0, 20]),
    clears: true,
  };
}

export function weights(changed: Partial<Weights>): Weights {
  return {
    want: 2,
    socket: 24,
    bind: 10,
    bindAny: 12,
    listen: 5,
    connect: 16,
    close: 20,
    closeToTimeWait: 4,
    expireTimeWait: 2,
    setReuse: 5,
    moveSocket: 3,
    setGroup: 4,
    setReserved: 2,
    setLocalRange: 1,
    setNow: 4,
    setTwReuse: 1,
    // Of UDP alone: all others may have every port.
    setUnprivilegedStart: 0,
    ...changed,
  };
}
