// A memory limit that is reached in the middle of a change. Each story runs under the limits
// that give each outcome, found in steps of a few bytes, from one that hardly lets a manager open
// to one where nothing is refused. So each allocation is refused once, behind those that came
// before it.
//
// Whatever is refused has changed no figure, all else is answered as the reference model answers,
// the invariants hold after each step, and when all is released no byte is in use. A drained
// manager then refuses and grants what it did at first.

import { afterAll, describe, expect, test } from "vitest";
import { NO_MEMORY } from "../../assembly/abi.ts";
import { PortError, PortManager, TCP, UDP } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import type { Action } from "../fuzz/netstack/operations.ts";
import { NetstackSession, type SessionOptions } from "../fuzz/netstack/session.ts";
import { ALIKE } from "../fuzz/netstack/setup.ts";
import { sessionOptions } from "../fuzz/netstack/subject.ts";
import type { GroupedAsk, System } from "../fuzz/netstack/system.ts";
import { caught } from "../invalid-input/fixture.ts";
import { openOn } from "../support/builds.ts";
import { askOf, type Who } from "../support/story.ts";
import { type Outcome, outcomeOf, refusalsIn, sweep } from "./sweep.ts";

interface Story {
  readonly name: string;
  /** What fills the manager up to the least limit there is; never refused. */
  readonly ballast?: readonly Action[];
  readonly actions: readonly Action[];
  /** Bytes between two limits. */
  readonly step: number;
}

const LIMIT_MIN = 1024;
const LIMIT_MAX = 400_000;
const BOTH = [4, 6];
/** More than a manager's table has room for at first. */
const GROUPS = 60;

const SETUP = { ...ALIKE, seed: 1, managers: 1, first: 1, count: 65535, rows: 1000 };

// ── Actions ────────────────────────────────────────────────────────────────────────────────

function action(says: string, does: (system: System) => unknown): Action {
  return { says, does };
}

/** A request for a port, in a group perhaps. */
type Grouped = Who & { readonly group?: number };

function groupedAsk({ group, ...who }: Grouped): GroupedAsk {
  return { ...askOf(who), ...(group !== undefined && { group }) };
}

function reserve(who: Grouped & { port: number }): Action {
  const ask = groupedAsk(who);
  return action(`reserve ${JSON.stringify(who)}`, (system) => system.reserve(ask, who.port));
}

/** What was reserved last with that port, if it was not refused, moves to another group. */
function move(port: number, group?: number): Action {
  return action(`${port} moves to ${group}`, (system) => {
    const ago = system.agoOf(port);
    return ago < 0 ? undefined : system.move(ago, group);
  });
}

/** It is given back by itself. */
function giveBack(port: number): Action {
  return action(`give back ${port}`, (system) => system.giveBack(system.agoOf(port)));
}

function movePool(pool: number, group?: number): Action {
  return action(`pool ${pool} moves to ${group}`, (system) => {
    return pool < system.poolCount ? system.movePool(pool, group) : undefined;
  });
}

function tuple(who: Who & { port: number }): Action {
  return action(`tuple ${JSON.stringify(who)}`, (system) => system.tuple(askOf(who), who.port));
}

function release(who: Who & { port: number }): Action {
  return action(`release ${JSON.stringify(who)}`, (system) => system.release(askOf(who), who.port));
}

function open(who: Grouped): Action {
  const mode = who.group === undefined ? "connect" : "bind";
  return action(`open ${JSON.stringify(who)}`, (system) =>
    system.open(groupedAsk(who), mode, false),
  );
}

function takeAt(pool: number, port: number): Action {
  return action(`pool ${pool}: take ${port}`, (system) => {
    return pool < system.poolCount ? system.takeAt(pool, port) : undefined;
  });
}

function take(pool: number, offset: number): Action {
  return action(`pool ${pool}: take from ${offset}`, (system) => system.take(pool, offset));
}

function ports(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index * 3);
}

const DUAL = { networks: BOTH, transport: UDP };
const SHARED = { ...DUAL, address: "10.0.0.1", flags: 2 };

/** The first space of the manager is another one, so that its place is vacant when it goes. */
const FIRST = tuple({ port: 1, networks: [9] });

/** Holds about as much as the lowest limit lets, out of everyone's way. */
const BALLAST = ports(1, 7).map((port) => tuple({ port, networks: [9], to: `9.9.9.9:${port}` }));

const GROUPED = Array.from({ length: GROUPS }, () =>
  action("a group", (system) => system.groups.create(0)),
);

/** Groups, and so many records that conflict with none. */
function inGroups(count: number): Action[] {
  const whos = Array.from({ length: count }, (_, index) => {
    return { port: 1 + index, networks: [9], transport: UDP, address: "1.1.1.1", to: `:${index}` };
  });
  return [...GROUPED, ...whos.map(reserve)];
}

// ── Setups ────────────────────────────────────────────────────────────────────────────────

const STORIES: readonly Story[] = [
  {
    name: "records of two networks, an any-address aggregate of three, and devices",
    ballast: BALLAST,
    step: 8,
    actions: [
      reserve({ port: 80, networks: BOTH, flags: 3 }),
      reserve({ port: 80, networks: BOTH, address: "10.0.0.1", flags: 3 }),
      reserve({ port: 80, networks: BOTH, address: "10.0.0.2", flags: 3 }),
      reserve({ port: 80, networks: BOTH, address: "10.0.0.2", device: 2, flags: 3 }),
      reserve({ port: 81, networks: [6, 4, 7], address: "10.0.0.3", device: 2 }),
      release({ port: 80, networks: BOTH, address: "10.0.0.1", flags: 3 }),
      reserve({ port: 82, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1" }),
      tuple({ port: 82, networks: BOTH, address: "10.0.0.4", device: 1, to: "9.9.9.9:1" }),
    ],
  },
  {
    name: "records whose first neighbour has gone, in two networks at once",
    ballast: [FIRST, ...ports(2, 8).map((port) => tuple({ port, networks: [10], to: ":1" }))],
    step: 8,
    actions: [
      release({ port: 1, networks: [9] }),
      reserve({ port: 80, flags: 7 }),
      reserve({ port: 80, transport: UDP, flags: 7 }),
      release({ port: 80, flags: 7 }),
      reserve({ port: 80, networks: BOTH, flags: 7 }),
      release({ port: 80, networks: BOTH, flags: 7 }),
      reserve({ port: 80, networks: [7, 8, 6, 4], address: "10.0.0.1" }),
      reserve({ port: 80, networks: [7, 8], address: "10.0.0.2", device: 1 }),
      release({ port: 80, networks: [7, 8], address: "10.0.0.1" }),
      reserve({ port: 80, networks: [8, 6, 7], address: "10.0.0.3", device: 1, to: ":1" }),
    ],
  },
  {
    name: "aggregates of wildcards and tuples, at any address too",
    ballast: BALLAST,
    step: 8,
    actions: [
      reserve({ port: 80, flags: 4 }),
      reserve({ port: 80, to: ":1", flags: 4 }),
      reserve({ port: 80, to: ":2", flags: 5 }),
      reserve({ port: 80, address: "10.0.0.1", to: ":1", flags: 4 }),
      reserve({ port: 80, address: "10.0.0.1", to: ":2", flags: 4 }),
      reserve({ port: 80, address: "10.0.0.2", to: ":2", flags: 4 }),
      reserve({ port: 81, address: "10.0.0.2", to: ":2", flags: 4 }),
      tuple({ port: 80, address: "10.0.0.2", to: "9.9.9.9:1" }),
      tuple({ port: 80, address: "10.0.0.2", to: "9.9.9.9:2" }),
      tuple({ port: 80, address: "10.0.0.2", to: "9.9.9.9:3", flags: 2 }),
      release({ port: 80, address: "10.0.0.2", to: "9.9.9.9:1" }),
      tuple({ port: 80, address: "10.0.0.1", to: "9.9.9.9:4", flags: 2 }),
    ],
  },
  {
    name: "counts above one: pages, and a table of pages",
    ballast: BALLAST,
    step: 24,
    actions: [80, 720].flatMap((port) => [
      tuple({ port, networks: BOTH, to: "9.9.9.9:1", flags: 6 }),
      tuple({ port, networks: BOTH, to: "9.9.9.9:1", flags: 6 }),
      tuple({ port, address: "10.0.0.1", to: ":1", flags: 6 }),
      tuple({ port, address: "10.0.0.1", to: ":1", flags: 2 }),
      reserve({ port, address: "10.0.0.2", to: ":1", flags: 6 }),
      reserve({ port, address: "10.0.0.3", to: ":1", flags: 6 }),
    ]),
  },
  {
    name: "releases with other flags, which count below zero",
    ballast: BALLAST,
    step: 24,
    actions: [80, 200].flatMap((port) => [
      tuple({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 1 }),
      tuple({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 1 }),
      tuple({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 1 }),
      release({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 2 }),
      release({ port, networks: [6, 4], address: "10.0.0.1", to: "9.9.9.9:1", flags: 3 }),
      tuple({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 3 }),
      reserve({ port, networks: BOTH, address: "10.0.0.1", to: "9.9.9.9:1", flags: 1 }),
    ]),
  },
  {
    name: "lists of 1, 2, 9, 17 and 33 ports, in two networks, with aggregates at any address",
    ballast: [
      reserve({ port: 1, networks: BOTH, transport: UDP, address: "10.0.0.1" }),
      open({ networks: BOTH, transport: UDP, address: "10.0.0.2", to: ":1" }),
      open({ networks: BOTH, transport: UDP, address: "10.0.0.2", to: ":2", flags: 4 }),
    ],
    step: 8,
    actions: ports(100, 34).map((port) => takeAt(1, port)),
  },
  {
    name: "bitmaps of 65 ports, in two networks, with aggregates at any address",
    ballast: [
      reserve({ port: 1, networks: BOTH, transport: UDP, address: "10.0.0.1" }),
      open({ networks: BOTH, transport: UDP, address: "10.0.0.2", to: ":1" }),
      open({ networks: BOTH, transport: UDP, address: "10.0.0.2", to: ":2", flags: 4 }),
      ...ports(100, 64).map((port) => takeAt(1, port)),
    ],
    step: 456,
    actions: [takeAt(1, 5000), take(1, 5000), takeAt(1, 5000), take(1, 65000)],
  },
  {
    name: "a table that grows, with one node and with many at a time",
    ballast: [
      ...ports(1, 42).map((port) => tuple({ port: 80, to: `9.9.9.9:${port}` })),
      tuple({ port: 80, address: "10.0.0.1" }),
    ],
    step: 24,
    actions: [
      reserve({ port: 81, networks: BOTH, transport: UDP, address: "10.0.0.2", device: 1 }),
      tuple({ port: 80, to: "9.9.9.9:2" }),
      release({ port: 81, networks: BOTH, transport: UDP, address: "10.0.0.2", device: 1 }),
      ...ports(2, 8).map((port) => tuple({ port: 80, to: `8.8.8.8:${port}` })),
      reserve({ port: 82, networks: BOTH, transport: UDP, address: "10.0.0.3", device: 1 }),
    ],
  },
  {
    name: "pools of several networks, with and without ports",
    ballast: BALLAST,
    step: 8,
    actions: [
      open({ networks: [4, 6, 7], address: "10.0.0.1", to: "9.9.9.9:1", flags: 4 }),
      open({ networks: [6, 4], address: "10.0.0.2", to: "9.9.9.9:1", flags: 4 }),
      open({ networks: [7, 4], to: ":1" }),
    ],
  },
  {
    name: "reservations that come into groups, one after the other",
    ballast: inGroups(6),
    step: 48,
    actions: [
      reserve({ group: 1, port: 80, transport: UDP }),
      reserve({ group: 1, port: 81, transport: UDP }),
      reserve({ group: 2, port: 82, ...SHARED }),
      reserve({ group: 3, port: 82, ...SHARED }),
      giveBack(80),
      reserve({ group: 4, port: 83, ...DUAL, networks: [6, 4, 7], address: "10.0.0.2" }),
      giveBack(81),
      reserve({ group: 1, port: 90, to: "9.9.9.9:443", device: 2 }),
    ],
  },
  {
    name: "reservations that move",
    ballast: inGroups(10),
    step: 8,
    actions: [
      reserve({ port: 80, transport: UDP }),
      move(80, 1),
      reserve({ group: 1, port: 81, transport: UDP }),
      ...[move(80, 2), move(80, 2), move(81, 2), move(80, 3), move(81), move(81, 3), move(80)],
      reserve({ group: 3, port: 80 }),
      move(80, 1),
    ],
  },
  {
    name: "pools in groups: a group costs them nothing, reservations beside them pay",
    ballast: inGroups(4),
    step: 48,
    actions: [
      open({ group: 1, ...DUAL, address: "10.0.0.3" }),
      open({ group: 1, ...DUAL }),
      reserve({ group: 1, port: 80, ...DUAL }),
      movePool(0, 2),
      ...Array.from({ length: 10 }, (_, index) => takeAt(0, 100 + index)),
      ...[movePool(1, 3), movePool(1), takeAt(1, 200), move(80, 2), takeAt(1, 201)],
    ],
  },
  {
    name: "so many groups that the table grows, with one of them or with several nodes",
    ballast: inGroups(41),
    step: 48,
    actions: [
      ...Array.from({ length: 6 }, (_, index) =>
        reserve({ group: 1 + index, port: 100 + index, transport: UDP }),
      ),
      ...Array.from({ length: 4 }, (_, index) => move(104, 51 + index)),
      reserve({ group: 58, port: 80, networks: [4, 6, 7, 8], device: 1 }),
      ...[move(101, 59), move(102, 60), giveBack(103), move(104, 4)],
    ],
  },
];

describe("under every memory limit a port manager changes as a whole or not at all", () => {
  let limits = 0;
  let refusals = 0;

  test.each(STORIES.map((story) => [story.name, story] as const))("%s", (_name, story) => {
    // An instance of its own, so that what breaks one story does not break the next.
    const options = sessionOptions("debug");
    const grid = { least: LIMIT_MIN, step: story.step, below: LIMIT_MAX };
    const outcomes = sweep(grid, (limit) => playUnder(limit, story, options));
    limits += outcomes.size;
    refusals += refusalsIn(outcomes);
  });

  afterAll(() => {
    console.log(`memory: ${refusals} refusals under ${limits} limits`);
    expect(refusals).toBeGreaterThan(limits);
  });
});

/** What was refused; undefined when there was no room for the ballast. */
function playUnder(
  limit: number,
  { ballast = [], actions }: Story,
  options: SessionOptions,
): Outcome {
  const session = new NetstackSession({ ...SETUP, limit }, options);
  try {
    if (ballast.some((action) => isRefused(session, action))) return undefined;
    const first = actions.map((action) => isRefused(session, action));
    session.finish();
    for (const action of ballast) expect(isRefused(session, action)).toBe(false);
    expect(actions.map((action) => isRefused(session, action))).toEqual(first);
    session.finish();
    return outcomeOf(first);
  } finally {
    session.abandon();
  }
}

function isRefused(session: NetstackSession, action: Action): boolean {
  const before = session.figures.refusals;
  session.step(0, action);
  return session.figures.refusals > before;
}

// ── Alone ─────────────────────────────────────────────────────────────────────────────────

const WEB = { networks: [4], transport: UDP };

test("at its memory limit a manager says ENOBUFS, a pool answers NO_MEMORY, and both go on later", () => {
  using manager = openOn("debug", { memoryLimit: 1024, portRange: { first: 1, last: 1000 } });
  const pool = manager.pool(WEB);
  const taken: number[] = [];
  for (let port = pool.take(0); port > 0; port = pool.take(0)) taken.push(port);
  expect(taken).toHaveLength(64);
  expect(pool.take(0)).toBe(NO_MEMORY);
  expect(pool.takeAt(999)).toBe(NO_MEMORY);
  expect(pool.takeMany(new Uint16Array(10))).toBe(0);

  const refused = caught(() => manager.reservePort({ ...WEB, port: 999 }));
  expect(refused).toBeInstanceOf(PortError);
  expect(refused).toMatchObject({ code: "ENOBUFS", reason: "no-memory" });
  expect((refused as PortError).message).toContain("udp 0.0.0.0:999, limit 1024 bytes");
  expect(caught(() => manager.reservePort(WEB))).toMatchObject({ code: "ENOBUFS" });
  expect(manager.stats()).toMatchObject({ references: 64, memory: { limit: 1024 } });
  expect(manager.stats().memory.used).toBeLessThanOrEqual(1024);

  expect(pool.free(5)).toBe(true);
  expect(pool.takeAt(999)).toBe(999);
  expect(pool.free(999)).toBe(true);
  expect(manager.reservePort(WEB).port).toBeGreaterThan(0);
  verify(manager);
});

test("one manager's limit is not another's", () => {
  using small = openOn("debug", { memoryLimit: 1024 });
  using large = openOn("debug");
  const answer = caught(() => {
    for (let port = 1; ; port++) small.reserveTuple({ ...WEB, port, destination: { port } });
  });
  expect(answer).toMatchObject({ code: "ENOBUFS" });
  expect(large.pool(WEB).takeMany(new Uint16Array(5000))).toBe(5000);
  expect(caught(() => small.pool({ ...WEB, networks: [4, 6] }))).toMatchObject({ code: "ENOBUFS" });
  verify(small);
  verify(large);
});

test("a batch is filled from the front, as far as memory goes", () => {
  using manager = openOn("debug", { memoryLimit: 1024, seed: 4 });
  const pool = manager.pool(WEB);
  const ports = new Uint16Array(100);
  expect(pool.takeMany(ports)).toBe(64);
  expect(pool.held).toBe(64);
  expect([...ports.subarray(0, 64)].every((port) => pool.has(port))).toBe(true);
  expect(ports.subarray(64)).toEqual(new Uint16Array(36));
  expect(pool.freeMany(ports)).toBe(64);
  verify(manager);
});

test("a table that could not shrink in time does so before the last record is gone", () => {
  using manager = openOn("debug", { memoryLimit: 100_000 });
  const atOpen = manager.stats().memory.used;
  const tuple = (port: number) => ({ ...WEB, transport: TCP, port: 80, destination: { port } });
  let tuples = 0;
  caught(() => {
    for (;;) manager.reserveTuple(tuple(++tuples));
  });
  // What tuples leave is taken by pages at once, so that there is no room for a smaller table.
  const hog = { ...WEB, transport: TCP, address: "10.0.0.1", flags: { tupleOnly: true } };
  const held: { release(): boolean }[] = [];
  for (let port = tuples - 1; port > 0; port--) {
    manager.releasePort(tuple(port));
    caught(() => {
      for (;;) held.push(manager.reserveTuple({ ...hog, port: 1 + 32 * held.length }));
    });
    caught(() => {
      for (;;) held.push(manager.reserveTuple({ ...hog, port: 1 + 32 * held.length - 32 }));
    });
  }
  for (const reservation of held) reservation.release();
  expect(manager.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
  expect(manager.stats().memory.used).toBe(atOpen);
});

test("a thousand managers leave nothing behind when they close, whatever they hold", () => {
  const first = openOn("debug");
  first.close();
  let taken = 0;
  for (let round = 0; round < 1000; round++) {
    using manager = openOn("debug", { seed: round });
    const pool = manager.pool({ ...WEB, networks: [4, 6] });
    pool.takeMany(new Uint16Array(round % 100));
    manager.reserveTuple({ ...WEB, address: "10.0.0.1", port: 80 });
    manager.reserveTuple({ ...WEB, address: "10.0.0.2", port: 80, flags: { tupleOnly: true } });
    manager.reserveTuple({ ...WEB, address: "10.0.0.2", port: 80, flags: { tupleOnly: true } });
    if (round === 200) taken = manager.stats().memory.taken;
    if (round > 200) expect(manager.stats().memory.taken).toBe(taken);
  }
  using last = PortManager.open();
  expect(last.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
});
