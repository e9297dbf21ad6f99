// Memory limits that are reached on the way into a group: each story is played under every limit,
// from the lowest to one where nothing is refused. What is refused has changed no figure and no
// use; what is granted is what it would be without a limit. When all is given back no byte is in
// use, and the drained manager grants and refuses what it did at first.

import { afterAll, describe, expect, test } from "vitest";
import {
  type PortGroup,
  type PortGroups,
  type PortManager,
  type PortPool,
  Refusal,
  type Reservation,
} from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { openGroups } from "../api/groups/fixture.ts";
import { type AnyRequest, DNS, SERVER, WEB } from "../api/netstack/fixture.ts";
import { caught, setting } from "../invalid-input/fixture.ts";
import { openOn } from "../support/builds.ts";
import { type Outcome, outcomeOf, refusalsIn, sweep } from "./sweep.ts";

const LIMIT_MIN = 1024;
const LIMIT_MAX = 60_000;
const BOTH = { ...DNS, networks: [4, 6] };

// ── The fixture ───────────────────────────────────────────────────────────────────────────────

class Fixture {
  readonly groups: PortGroups = openGroups("debug");
  readonly group: readonly PortGroup[] = Array.from({ length: 60 }, (_, number) =>
    this.groups.create(`/${number}`),
  );
  readonly manager: PortManager;
  readonly usedAtOpen: number;
  readonly held = new Map<string, Reservation>();
  readonly pools = new Map<string, PortPool>();

  constructor(limit: number) {
    this.manager = openOn("debug", { seed: 1, memoryLimit: limit });
    this.usedAtOpen = this.manager.stats().memory.used;
  }

  figures(): unknown {
    return [
      { ...this.manager.stats(), totals: 0 },
      this.group.map(({ uses }) => uses),
      [...this.held.values()].map(({ group }) => group?.path),
      [...this.pools.values()].map(({ group, held }) => [group?.path, held]),
    ];
  }

  /** Gives back all, in the order in which it came. */
  drain(): void {
    for (const [name, reservation] of this.held) {
      // One half by itself, the other by value.
      if (name.length % 2) expect(reservation.release()).toBe(true);
      else this.#releaseByValue(reservation);
    }
    for (const pool of this.pools.values()) {
      for (let port = 100; pool.held > 0; port++) pool.free(port);
      pool.close();
    }
    verify(this.manager);
    this.held.clear();
    this.pools.clear();
    expect(this.group.some(({ uses }) => uses > 0)).toBe(false);
    expect(this.manager.stats()).toMatchObject({ references: 0, counters: 0, descriptors: 0 });
    expect(this.manager.stats().memory.used).toBe(this.usedAtOpen);
  }

  close(): void {
    this.manager.close();
    expect(this.group.some(({ uses }) => uses > 0)).toBe(false);
    this.groups.close();
  }

  #releaseByValue(reservation: Reservation): void {
    const { networks, transport, address, bindToDevice, destination, flags, group, port } =
      reservation;
    const request = { networks, transport, address, bindToDevice, destination, flags, group, port };
    if (address === "::") request.address = "";
    expect(this.manager.releasePort(request)).toBe(true);
  }
}

// ── Operations ───────────────────────────────────────────────────────────────────────────────────

interface Operation {
  readonly says: string;
  /** Whether it was granted; what it answers besides that is checked here. */
  does(fixture: Fixture): boolean;
}

/** A word: false if it was refused for want of memory. */
function granted(act: () => void): boolean {
  const error = caught(act);
  if (error === "nothing was thrown") return true;
  expect(error).toMatchObject({ name: "PortError", code: "ENOBUFS", reason: "no-memory" });
  return false;
}

function reserve(
  name: string,
  group: number | undefined,
  port: number,
  request: AnyRequest,
): Operation {
  return {
    says: `${name}: port ${port} in ${group}`,
    does: ({ manager, held, ...fixture }) =>
      granted(() => {
        const inGroup = group === undefined ? {} : { group: fixture.group[group] };
        const reservation = manager.reservePort({ ...request, ...inGroup, port });
        expect(reservation.port).toBe(port);
        held.set(name, reservation);
      }),
  };
}

function move(name: string, group: number | undefined): Operation {
  return {
    says: `${name} moves to ${group}`,
    does: ({ held, ...fixture }) =>
      granted(() => {
        const reservation = held.get(name);
        if (reservation === undefined) return;
        const to = group === undefined ? undefined : fixture.group[group];
        reservation.group = to;
        expect(reservation.group).toBe(to);
      }),
  };
}

function release(name: string): Operation {
  return {
    says: `${name} is released`,
    does: ({ held }) => {
      const reservation = held.get(name);
      if (reservation !== undefined) expect(reservation.release()).toBe(true);
      held.delete(name);
      return true;
    },
  };
}

function open(name: string, group: number, request: AnyRequest): Operation {
  return {
    says: `${name} opens in ${group}`,
    does: ({ manager, pools, ...fixture }) =>
      granted(() => {
        pools.set(name, manager.pool({ ...request, group: fixture.group[group] }));
      }),
  };
}

function takeAt(name: string, port: number): Operation {
  return {
    says: `${name} takes ${port}`,
    does: ({ pools }) => {
      const answer = pools.get(name)?.takeAt(port) ?? port;
      expect([port, Refusal.NO_MEMORY]).toContain(answer);
      return answer === port;
    },
  };
}

function movePool(name: string, group: number | undefined): Operation {
  return {
    says: `${name} moves to ${group}`,
    does: ({ pools, ...fixture }) => {
      const pool = pools.get(name);
      if (pool !== undefined) pool.group = group === undefined ? undefined : fixture.group[group];
      return true;
    },
  };
}

/** So many nodes that are in nobody's way. */
function ballast(count: number): Operation[] {
  return Array.from({ length: count }, (_, index) => {
    const request = { ...DNS, networks: [9], address: "1.1.1.1", destination: { port: index } };
    return reserve(`ballast ${index}`, undefined, 1 + index, request);
  });
}

/** Bytes between two limits, what is done, and what has filled the manager up before. */
const SETUPS: readonly (readonly [string, number, readonly Operation[], readonly Operation[]])[] = [
  [
    "reservations that come into groups, one after the other",
    48,
    [
      reserve("one", 0, 80, DNS),
      reserve("two", 0, 81, DNS),
      reserve("three", 1, 82, { ...BOTH, address: "10.0.0.1", flags: { loadBalanced: true } }),
      reserve("four", 2, 82, { ...BOTH, address: "10.0.0.1", flags: { loadBalanced: true } }),
      release("one"),
      reserve("five", 3, 83, { ...BOTH, networks: [6, 4, 7], address: "10.0.0.2" }),
      release("two"),
      reserve("six", 0, 90, { ...WEB, destination: SERVER, bindToDevice: 2 }),
    ],
    ballast(6),
  ],
  [
    "reservations that move",
    8,
    [
      reserve("one", undefined, 80, DNS),
      move("one", 0),
      reserve("other", 0, 81, DNS),
      move("one", 1),
      move("one", 1),
      move("other", 1),
      move("one", 2),
      move("other", undefined),
      move("other", 2),
      move("one", undefined),
      reserve("last", 2, 80, WEB),
      move("last", 0),
    ],
    ballast(10),
  ],
  [
    "pools in groups: a group costs them nothing, reservations beside them pay",
    48,
    [
      open("one", 0, { ...BOTH, address: "10.0.0.3" }),
      open("other", 0, BOTH),
      reserve("word", 0, 80, BOTH),
      movePool("one", 1),
      ...Array.from({ length: 10 }, (_, index) => takeAt("one", 100 + index)),
      movePool("other", 2),
      movePool("other", undefined),
      takeAt("other", 200),
      move("word", 1),
      takeAt("other", 201),
    ],
    ballast(4),
  ],
  [
    "so many groups that the table grows, with one of them or with several nodes",
    48,
    [
      ...Array.from({ length: 6 }, (_, index) => reserve(`in ${index}`, index, 100 + index, DNS)),
      ...Array.from({ length: 4 }, (_, index) => move("in 4", 50 + index)),
      reserve("new records", 57, 80, { ...WEB, networks: [4, 6, 7, 8], bindToDevice: 1 }),
      move("in 1", 58),
      move("in 2", 59),
      release("in 3"),
      move("in 4", 3),
    ],
    ballast(41),
  ],
];

// ── Every limit ─────────────────────────────────────────────────────────────────────────────

describe("under every limit a group is entered as a whole, or not at all", () => {
  let limits = 0;
  let refusals = 0;

  test.each(SETUPS)("%s", (_name, step, operations, before) => {
    const grid = { least: LIMIT_MIN, step, below: LIMIT_MAX };
    const outcomes = sweep(grid, (limit) => playUnder(limit, operations, before));
    limits += outcomes.size;
    refusals += refusalsIn(outcomes);
  });

  afterAll(() => {
    expect(refusals).toBeGreaterThan(limits);
    console.log(`groups: ${refusals} refusals under ${limits} limits`);
  });
});

/** What was refused; undefined when there was no room for what comes before. */
function playUnder(
  limit: number,
  operations: readonly Operation[],
  before: readonly Operation[],
): Outcome {
  const fixture = new Fixture(limit);
  try {
    if (!before.every((operation) => operation.does(fixture))) return undefined;
    const first = refusedIn(fixture, operations);
    fixture.drain();
    for (const operation of before) expect(operation.does(fixture)).toBe(true);
    expect(refusedIn(fixture, operations)).toEqual(first);
    fixture.drain();
    return outcomeOf(first);
  } finally {
    fixture.close();
  }
}

/** Which of the operations are refused. */
function refusedIn(fixture: Fixture, operations: readonly Operation[]): boolean[] {
  let before = fixture.figures();
  return operations.map((operation) => {
    const isGranted = operation.does(fixture);
    verify(fixture.manager);
    const after = fixture.figures();
    if (!isGranted) expect(after, operation.says).toEqual(before);
    before = after;
    return !isGranted;
  });
}

// ── Alone ───────────────────────────────────────────────────────────────────────────────────

test("the group alone is what there is no room for", () => {
  const outcomes = new Set<string>();
  const flags = { loadBalanced: true };
  for (let limit = LIMIT_MIN; limit < LIMIT_MIN + 400; limit += 8) {
    const { manager, groups, group, usedAtOpen } = new Fixture(limit);
    const first = manager.reservePort({ ...DNS, flags, port: 80 });
    for (let port = 1; manager.stats().memory.used < 900; port++) {
      manager.reserveTuple({ ...DNS, port: 80, destination: { port } });
    }
    const used = manager.stats().memory.used;
    const another = (inGroup: object): boolean =>
      granted(() => manager.reservePort({ ...DNS, flags, port: 80, ...inGroup }).release());
    const without = another({});
    const within = another({ group: group[0] });
    const moved = granted(setting(first, { group: group[1] }));
    outcomes.add(`${without} ${within} ${moved}`);
    expect(group[0]?.uses).toBe(0);
    expect(group[1]?.uses).toBe(moved ? 1 : 0);
    first.group = undefined;
    expect(manager.stats().memory.used).toBe(used);
    expect(usedAtOpen).toBeLessThan(used);
    verify(manager);
    manager.close();
    groups.close();
  }
  expect(outcomes).toContain("true false true");
  expect(outcomes).toContain("true true true");
});

test("a release and a move out of a group need no memory", () => {
  const { manager, groups, group } = new Fixture(LIMIT_MIN);
  const held: Reservation[] = [];
  const isGranted = (): boolean =>
    granted(() => {
      const number = held.length;
      held.push(manager.reservePort({ ...DNS, port: 80 + number, group: group[number] }));
    });
  while (isGranted());
  expect(held.length).toBeGreaterThan(5);
  expect(group.filter(({ uses }) => uses === 1)).toHaveLength(held.length);
  for (const [number, reservation] of held.entries()) {
    if (number % 3 === 0) reservation.group = undefined;
    if (number % 3 === 1) reservation.group = group[number];
    expect(reservation.release()).toBe(true);
    expect(group[number]?.uses).toBe(0);
    verify(manager);
  }
  manager.close();
  groups.close();
});

test("reserved ports and policies are not on the manager's bill", () => {
  const { manager, groups } = new Fixture(LIMIT_MIN);
  const policies = openOn("debug", {
    memoryLimit: LIMIT_MIN,
    selection: { algorithm: "double-hash", slots: 65_536 },
  });
  expect(policies.stats().memory.used).toBe(manager.stats().memory.used);
  for (const each of [manager, policies]) each.close();
  groups.close();
});
