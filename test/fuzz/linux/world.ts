// World: what one battle about Linux' ports is about. Pools are small, so that what is asked meets
// what is held, and each battle has pools of its own size: one with a single address and
// sockets that all reuse finds other things than one with four addresses where few do.

import type { Dice } from "./dice.ts";

export interface World {
  readonly operations: number;
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
  readonly weights: Weights;
  /** Bytes that the records may take; absent: as many as they like. */
  readonly limit?: number;
}

export type Move =
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
  | "setTwReuse";

export type Weights = Readonly<Record<Move, number>>;

/** What battles dwell on. */
export type Theme = "mixed" | "binding" | "connecting" | "tight" | "wide";

export const THEMES: Readonly<Record<Theme, Weights>> = {
  mixed: weights({}),
  binding: weights({ bindAny: 40, listen: 1, connect: 3, closeToTimeWait: 1 }),
  // Who has no memory to let a TIME_WAIT ripen cannot tell whether it may be taken over.
  tight: weights({ setTwReuse: 0 }),
  // Hundreds of sockets, so that what a pool holds becomes a bitmap with summaries.
  wide: weights({ socket: 60, bindAny: 40, connect: 30, close: 14, setReserved: 1, setGroup: 1 }),
  connecting: weights({ bind: 4, bindAny: 3, connect: 36, closeToTimeWait: 12, setNow: 8 }),
};

/** Sockets that bind and stay: little keeps them from filling the range. */
const BINDS_ONLY = weights({
  ...{ socket: 240, bind: 20, bindAny: 240, listen: 4, connect: 0, close: 40, closeToTimeWait: 0 },
  ...{ setReuse: 0, setGroup: 1, setReserved: 4, setLocalRange: 1 },
});

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

export function worldOf(dice: Dice, theme: Theme): World {
  if (theme === "wide") return wideWorld(dice);
  /** Many who share, so that there are more sockets than ports, and in each other's way. */
  const crowds = dice.chance(theme === "binding" ? 60 : 25);
  const first = dice.pick(FIRSTS);
  const count = Math.min(dice.pick(COUNTS), PORT_MAX - first + 1);
  return {
    operations: dice.between(100, 800),
    hint: dice.pick([0, dice.u32(), U32_MAX, U32_MAX - dice.below(200)]),
    first,
    count,
    sockets: crowds ? 2 * count + 20 : dice.pick([count >> 1, count, count + 5]) + 2,
    fewest: 0,
    addresses: ADDRESSES.slice(0, dice.between(1, crowds ? 2 : ADDRESSES.length)),
    devices: crowds ? 1 : dice.between(1, 3),
    destinations: DESTINATIONS.slice(0, dice.between(1, DESTINATIONS.length)),
    destinationPorts: dice.between(1, 3),
    groups: GROUPS.slice(0, dice.between(1, crowds ? 2 : GROUPS.length)),
    reuse: crowds ? dice.between(80, 100) : dice.pick([0, 30, 80, 100]),
    clears: dice.chance(50),
    weights: THEMES[theme],
    ...(theme === "tight" && { limit: LIMIT_MIN + dice.below(1500) }),
  };
}

/** Few addresses and destinations, so that single pools hold many ports. */
function wideWorld(dice: Dice): World {
  const count = dice.pick([100, 130, 200, 320]);
  const first = dice.pick([32768, 4000, 60, 65000]);
  /** Sockets that only bind, at one address: one pool then holds all. */
  const bindsOnly = dice.chance(50);
  return {
    operations: dice.between(1000, 2500),
    hint: dice.pick([0, dice.u32(), U32_MAX - dice.below(500)]),
    first,
    count,
    sockets: count + 10,
    fewest: Math.floor(count * 0.7),
    addresses: ADDRESSES.slice(1, dice.pick([2, 3])),
    devices: 1,
    destinations: DESTINATIONS.slice(0, 1),
    destinationPorts: 1,
    groups: GROUPS.slice(0, 2),
    reuse: bindsOnly ? 0 : dice.pick([0, 20]),
    clears: true,
    weights: bindsOnly ? BINDS_ONLY : THEMES.wide,
  };
}

function weights(changed: Partial<Weights>): Weights {
  return {
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
    ...changed,
  };
}
