// Setup: the values that one run of the fuzzer draws from. The sets are small, so that requests
// meet held ports, and each run has sets of its own size: a run with one address and eight flag
// sets finds other faults than one with five addresses and none.
//
// Everything is drawn as small numbers where 0 is the simplest, so that a failing run shrinks
// to the default: one manager, IPv4, UDP, any address, no device, any destination, no flags.

import fc from "fast-check";
import type { PortRange } from "../../../bindings/index.ts";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import type { Ask } from "../../support/ask.ts";
import { SECRET } from "../../support/rfc6056.ts";
import { LISTS } from "./groups.ts";

export interface Setup {
  readonly seed: number;
  readonly managers: number;
  readonly first: number;
  readonly count: number;
  readonly networks: number;
  readonly transports: number;
  readonly addresses: number;
  readonly devices: number;
  readonly destinations: number;
  readonly flags: readonly number[];
  /** Keys held at which no further one is: each costs the invariant check dear. */
  readonly rows: number;
  /** Bytes that a manager's records may take; absent: as many as they like. */
  readonly limit?: number;
  /** How many groups there may be at a time; absent: none, and no list of reserved ports. */
  readonly groups?: number;
  /** How ports are selected; absent: at random. */
  readonly selection?: SelectionOptions;
}

/** Numbers that stand for an ask, whatever the size of the pools. */
export interface AskDraw {
  readonly network: number;
  readonly transport: number;
  readonly address: number;
  readonly device: number;
  readonly destination: number;
  readonly flags: number;
  readonly group: number;
  readonly reserved: number;
}

/** Numbers that stand for a limit of a group, or for a text of reserved ports. */
export interface LimitDraw {
  readonly how: number;
  readonly first: number;
  readonly count: number;
}

export const POLICIES: readonly SelectionOptions[] = [
  { algorithm: "random" },
  { algorithm: "random-retry" },
  { algorithm: "hash", secret: SECRET, from: 2 ** 32 - 40 },
  { algorithm: "double-hash", secret: SECRET, slots: 3 },
  { algorithm: "random-increments", increment: 9 },
  { algorithm: "sequential", from: 2 ** 32 - 2 },
];

const NETWORKS = [[4], [6], [4, 6]];
const TRANSPORTS = [17, 6, 33];
const ADDRESSES = ["", "10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1"];
const DEVICES = 4;
const DESTINATIONS = [
  { address: "", port: 0 },
  { address: "9.9.9.9", port: 443 },
  { address: "", port: 80 },
  { address: "9.9.9.9", port: 80 },
  { address: "2001:db8::99", port: 443 },
  { address: "8.8.8.8", port: 443 },
  { address: "", port: 443 },
  { address: "9.9.9.9", port: 0 },
];
const FLAG_SETS = [0, 1, 2, 3, 4, 5, 6, 7];

/** First ports of ranges, chosen so that words (64) and groups (4096) begin and end inside. */
const FIRSTS = [16000, 1, 60, 63, 64, 65, 4032, 4090, 4095, 4096, 65400, 65472, 65535];

/** Ports that are named although no range may include them. */
const EDGES = [1, 63, 64, 65, 127, 128, 4095, 4096, 65535];

const PORT_MAX = 65535;
/** The lowest limit that a manager can be given. */
const LIMIT_MIN = 1024;
/** A multiple of every pool's size, so that each member is as likely as the others. */
const DRAW_MAX = 840 - 1;

/** Words for one address, all of which the implementation must take for the same. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  "": ["", "0.0.0.0", "::", "::ffff:0.0.0.0"],
  "10.0.0.1": ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"],
  "2001:db8::1": ["2001:db8::1", "2001:DB8:0:0::1"],
  "9.9.9.9": ["9.9.9.9", "::ffff:909:909"],
};

/** Setups with a range of so many ports. */
function setupOf(count: fc.Arbitrary<number>): fc.Arbitrary<Setup> {
  const all = fc.record({
    seed: fc.nat(0xffffffff),
    managers: fc.integer({ min: 1, max: 3 }),
    first: fc.nat(FIRSTS.length - 1).map((index) => FIRSTS[index] as number),
    count,
    networks: fc.integer({ min: 1, max: NETWORKS.length }),
    transports: fc.integer({ min: 1, max: TRANSPORTS.length }),
    addresses: fc.integer({ min: 1, max: ADDRESSES.length }),
    devices: fc.integer({ min: 1, max: DEVICES }),
    destinations: fc.integer({ min: 1, max: DESTINATIONS.length }),
    flags: fc.subarray(FLAG_SETS, { minLength: 1 }),
    rows: fc.integer({ min: 4, max: 20 }),
  });
  return fc.noBias(all);
}

/** Ranges of a few words at most: ports run out, and pools are sorted lists. */
export const sparse: fc.Arbitrary<Setup> = setupOf(fc.integer({ min: 1, max: 64 }));

/** Ranges of more ports than a sorted list holds, so that pools become bitmaps, and lists again. */
export const dense: fc.Arbitrary<Setup> = setupOf(fc.integer({ min: 65, max: 140 }));

/** Managers that soon have no memory for one more record, or that never have. */
export const tight: fc.Arbitrary<Setup> = fc
  .tuple(
    setupOf(fc.integer({ min: 1, max: 140 })),
    fc.integer({ min: LIMIT_MIN, max: LIMIT_MIN + 14_000 }),
  )
  .map(([setup, limit]) => ({ ...setup, limit }));

export const mixed: fc.Arbitrary<Setup> = fc.oneof(
  { arbitrary: sparse, weight: 2 },
  { arbitrary: dense, weight: 1 },
);

/** All that is asked for has one description. */
export const ALIKE = {
  networks: 1,
  transports: 1,
  addresses: 1,
  devices: 1,
  destinations: 1,
  flags: [0],
} as const;

/** Managers of one description: no record comes or goes that would make pools plan again. */
const calm: fc.Arbitrary<Setup> = dense.map((setup) => ({ ...setup, ...ALIKE }));

/** Managers in groups, with reserved lists and each policy of selection. */
export const grouped: fc.Arbitrary<Setup> = fc
  .tuple(fc.oneof(mixed, calm), fc.constantFrom(...POLICIES), fc.integer({ min: 1, max: 12 }))
  .map(([setup, selection, groups]) => ({ ...setup, selection, groups }));

export const all: fc.Arbitrary<Setup> = fc.oneof(
  { arbitrary: mixed, weight: 3 },
  { arbitrary: tight, weight: 1 },
);

/** A number that stands for one of some. */
export const draw: fc.Arbitrary<number> = fc.nat(DRAW_MAX);

export const askDraw: fc.Arbitrary<AskDraw> = fc.record({
  network: draw,
  transport: draw,
  address: draw,
  device: draw,
  destination: draw,
  flags: draw,
  group: draw,
  reserved: draw,
});

export const limitDraw: fc.Arbitrary<LimitDraw> = fc.record({
  how: fc.nat(15),
  first: draw,
  count: draw,
});

export function askOf(setup: Setup, drawn: AskDraw): Ask {
  return {
    networks: NETWORKS[drawn.network % setup.networks] as number[],
    transport: TRANSPORTS[drawn.transport % setup.transports] as number,
    address: ADDRESSES[drawn.address % setup.addresses] as string,
    device: drawn.device % setup.devices,
    destination: DESTINATIONS[drawn.destination % setup.destinations] as Ask["destination"],
    flags: flagsOf(setup, drawn.flags),
  };
}

export function flagsOf(setup: Setup, drawn: number): number {
  return setup.flags[drawn % setup.flags.length] as number;
}

/** Mostly a port of the first range; now and then one that may lie elsewhere. */
export function portOf(setup: Setup, drawn: number): number {
  if (drawn > DRAW_MAX - 60) return EDGES[drawn % EDGES.length] as number;
  return Math.min(PORT_MAX, setup.first + (drawn % setup.count));
}

export function rangeOf(first: number, count: number): { first: number; last: number } {
  return { first, last: Math.min(PORT_MAX, first + count - 1) };
}

/** A limit of a group: none, or one that leaves much, little or nothing of the first range. */
export function limitOf({ first, count }: Setup, drawn: LimitDraw): PortRange | undefined {
  const { how } = drawn;
  if (how >= 12) return undefined;
  if (how === 11) return { first: 1, last: first };
  const isLong = how >= 6;
  const low = Math.min(PORT_MAX, Math.max(1, first - 2 + (drawn.first % (isLong ? 8 : count + 4))));
  return rangeOf(low, how === 0 ? 1 : isLong ? count : 1 + (drawn.count % count));
}

/** Reserved ports: none, all, or a few short ranges. */
export function reservedOf(setup: Setup, { how, first, count }: LimitDraw): PortRange[] {
  if (how === 15) return [{ first: 0, last: PORT_MAX }];
  return Array.from({ length: how % 5 }, (_, index) => {
    const low = Math.min(PORT_MAX, setup.first + ((first * (index + 1)) % setup.count));
    return rangeOf(low, 1 + (count % (how > 10 ? 100 : 4)));
  });
}

/** The list that is passed over, or none. */
export function listOf({ groups }: Setup, drawn: number): number | undefined {
  const list = drawn % (2 * LISTS);
  return groups === undefined || list >= LISTS ? undefined : list;
}

/** A first port for a range that is changed on the way. */
export function firstOf(setup: Setup, drawn: number): number {
  const firsts = [setup.first, setup.first + 1, ...FIRSTS];
  return Math.min(PORT_MAX, firsts[drawn % firsts.length] as number);
}

/** One of the ways to write an address. */
export function spelled(address: string, turn: number): string {
  const ways = SPELLINGS[address];
  return ways === undefined ? address : (ways[turn % ways.length] as string);
}
