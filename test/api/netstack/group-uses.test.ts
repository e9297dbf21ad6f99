// Uses of a group: by reservation objects, open pools, and keys that are reserved and released by
// value. Each use is counted once and ends once, in any way; while one is left the group stays.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import type { PortGroup, PortGroups, PortManager } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { caught, setting } from "../../invalid-input/fixture.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { openGroups } from "../groups/fixture.ts";
import { DNS, reservedOn, SERVER, WEB } from "./fixture.ts";

const BUSY = { code: "EBUSY", reason: "busy" };
const GONE = { code: "ENOENT", reason: "not-found" };
const CLOSED = { code: "EBADF", reason: "closed" };
const RANGE = { first: 1000, last: 1003 };

describe.each(BUILDS)("%s build", (build) => {
  let manager: PortManager;
  let groups: PortGroups;
  let a: PortGroup;
  let b: PortGroup;
  let used: number;
  beforeEach(() => {
    groups = openGroups(build);
    a = groups.create("/a");
    b = groups.create("/b");
    manager = openOn(build, { seed: 1, portRange: RANGE });
    used = manager.stats().memory.used;
  });
  /** Every story ends with no port in any group, and then all groups may be removed. */
  afterEach(() => {
    expect([groups.root.uses, a.uses, b.uses]).toEqual([0, 0, 0]);
    verify(manager);
    expect(manager.stats().memory.used).toBe(used);
    manager.close();
    for (const name of ["/a", "/b"]) groups.get(name).remove();
    groups.close();
  });

  function expectUses(ofA: number, ofB = 0): void {
    verify(manager);
    expect([a.uses, b.uses]).toEqual([ofA, ofB]);
    for (const group of [a, b]) {
      if (group.uses > 0) expect(caught(() => group.remove())).toMatchObject(BUSY);
    }
    if (ofA + ofB === 0) return;
    const error = caught(() => groups.close());
    expect(error).toMatchObject(BUSY);
    expect((error as Error).message).toContain(ofA > 0 ? `/a (${ofA})` : `/b (${ofB})`);
  }

  // ── Reservations ────────────────────────────────────────────────────────────────────────

  test("a reservation uses its group until it is released, and once", () => {
    const one = manager.reservePort({ ...DNS, group: a, port: 1000 });
    expectUses(1);
    const other = manager.reservePort({ ...WEB, networks: [4, 6, 7], group: a });
    expectUses(2);
    expect([one.release(), one.release(), one.release()]).toEqual([true, false, false]);
    expectUses(1);
    other[Symbol.dispose]();
    other[Symbol.dispose]();
    expectUses(0);
  });

  test("`using` ends the use with the block", () => {
    {
      using _one = manager.reservePort({ ...DNS, group: a });
      using _other = manager.reservePort({ ...DNS, group: a, destination: SERVER });
      using _flow = manager.pool({ ...DNS, group: b });
      expectUses(2, 1);
    }
    expectUses(0);
  });

  test("a refused request uses no group", () => {
    a.bindPortRange = { first: 1000, last: 1001 };
    const held = [1000, 1001].map((port) => manager.reservePort({ ...DNS, port }));
    const before = manager.stats();
    for (const request of [
      { ...DNS, port: 1000, group: a },
      { ...DNS, port: 1002, group: a },
      { ...DNS, group: a },
      { ...DNS, group: a, offset: 1, networks: [6, 4] },
      { ...DNS, group: a, reserved: reservedOn(build, "1-9999"), networks: [6] },
    ]) {
      expect(caught(() => manager.reservePort(request))).toMatchObject({ name: "PortError" });
      expectUses(0);
    }
    a.bindPortRange = { first: 1, last: 1 };
    expect(caught(() => manager.reservePort({ ...DNS, group: a }))).toMatchObject({
      code: "EACCES",
      reason: "empty-range",
      searched: { first: expect.any(Number), last: expect.any(Number) },
    });
    expectUses(0);
    expect(manager.stats()).toEqual({ ...before, totals: expect.anything() });
    for (const reservation of held) reservation.release();
  });

  test("a test for a port uses no group", () => {
    expect(manager.isAvailable({ ...DNS, group: a, port: 1000 })).toBe(true);
    expectUses(0);
  });

  // ── By value ────────────────────────────────────────────────────────────────────────────

  test("a release by value that names the group takes the use back", () => {
    const reservation = manager.reservePort({ ...DNS, group: a, port: 1000 });
    expect(manager.releasePort({ ...DNS, group: a, port: 1000 })).toBe(true);
    expectUses(0);
    expect(manager.releasePort({ ...DNS, group: a, port: 1000 })).toBe(false);
    expectUses(0);
    // The object gives it back once, without effect.
    expect(reservation.release()).toBe(true);
    expectUses(0);
  });

  test("a release that does not name the group gives the port back and leaves the use behind", () => {
    // The use stays, on the safe side, until the manager closes.
    const acts: readonly (() => unknown)[] = [
      () => manager.releasePort({ ...DNS, port: 1000 }),
      () => manager.releasePort({ ...DNS, group: b, port: 1000 }),
      () => {
        using pool = manager.pool({ ...DNS, group: a });
        return pool.free(1000);
      },
    ];
    for (const [index, act] of acts.entries()) {
      const reservation = manager.reservePort({ ...DNS, group: a, port: 1000 });
      expect(act()).toBe(true);
      expect(reservation.release()).toBe(true);
      expectUses(index + 1);
    }
    const refused = caught(() =>
      manager.reservePort({ ...DNS, group: a, port: 1000 }, (port) => {
        expect(manager.releasePort({ ...DNS, port })).toBe(true);
        return false;
      }),
    );
    expect(refused).toMatchObject({ code: "EADDRINUSE" });
    expectUses(4);
    manager.close();
    expect(a.uses).toBe(0);
    manager = openOn(build, { portRange: RANGE });
  });

  test("one of several networks, released by value with the group, takes the use with it", () => {
    const both = { ...DNS, networks: [4, 6], group: a, port: 1000 };
    const reservation = manager.reservePort(both);
    const other = manager.reservePort({ ...both, port: 1001 });
    expect(manager.releasePort({ ...both, networks: [6] })).toBe(true);
    expectUses(1);
    other.release();
    expectUses(0);
    expect(reservation.release()).toBe(true);
    expectUses(0);
  });

  test("a release by value of what is not held takes no use", () => {
    const reservation = manager.reservePort({ ...DNS, group: a, port: 1000 });
    for (const miss of [
      { ...DNS, port: 1001 },
      { ...WEB, port: 1000 },
      { ...DNS, networks: [6], port: 1000 },
      { ...DNS, address: "10.0.0.1", port: 1000 },
      { ...DNS, bindToDevice: 1, port: 1000 },
      { ...DNS, destination: SERVER, port: 1000 },
    ]) {
      expect(manager.releasePort({ ...miss, group: a })).toBe(false);
      expectUses(1);
    }
    reservation.release();
  });

  test("a group that has no reservation of the manager loses none", () => {
    using other = openOn(build);
    const theirs = other.reservePort({ ...DNS, group: b, port: 1000 });
    const pool = other.pool({ ...DNS, group: a });
    const mine = manager.reservePort({ ...DNS, port: 1000 });
    expect(manager.releasePort({ ...DNS, group: b, port: 1000 })).toBe(true);
    expectUses(1, 1);
    mine.release();
    manager.reservePort({ ...DNS, port: 1000 });
    // A pool keeps its group itself.
    expect(manager.releasePort({ ...DNS, group: a, port: 1000 })).toBe(true);
    expectUses(1, 1);
    pool.close();
    theirs.release();
  });

  test("one of several holders of a key goes with one use", () => {
    const flags = { loadBalanced: true };
    for (const group of [a, a, b]) manager.reservePort({ ...DNS, flags, group, port: 1000 });
    expectUses(2, 1);
    const release = (group: PortGroup): boolean =>
      manager.releasePort({ ...DNS, flags, group, port: 1000 });
    expect(release(a)).toBe(true);
    expectUses(1, 1);
    expect(release(b)).toBe(true);
    expectUses(1, 0);
    expect(release(a)).toBe(true);
    expectUses(0, 0);
    expect([release(a), release(b)]).toEqual([false, false]);
  });

  test("several networks are one use, whichever of them was still held", () => {
    const request = { ...DNS, networks: [4, 6], group: a, port: 1000 };
    const one = manager.reservePort(request);
    expectUses(1);
    expect(manager.releasePort({ ...DNS, networks: [6], port: 1000 })).toBe(true);
    expectUses(1);
    expect(one.release()).toBe(true);
    expectUses(0);
  });

  test("a tuple has no group, and takes none with it", () => {
    const held = manager.reservePort({ ...DNS, group: a, port: 1000 });
    manager.reserveTuple({ ...DNS, destination: SERVER, port: 1000 }).release();
    expectUses(1);
    held.release();
  });

  // ── Pools ───────────────────────────────────────────────────────────────────────────────

  test("a pool uses its group until it is closed, and once, whatever it holds", () => {
    const pool = manager.pool({ ...DNS, networks: [4, 6], group: a });
    const model = manager.pool({ ...DNS, networks: [4, 6], group: a });
    expectUses(2);
    const ports = new Uint16Array(3);
    expect(pool.takeMany(ports)).toBe(3);
    expectUses(2);
    pool.close();
    pool.close();
    pool[Symbol.dispose]();
    expectUses(1);
    expect(model.held).toBe(3);
    expect(model.freeMany(ports)).toBe(3);
    expectUses(1);
    model.close();
    expectUses(0);
  });

  test("ports that a closed pool leaves use no group", () => {
    const pool = manager.pool({ ...DNS, group: a });
    pool.takeAt(1000);
    pool.close();
    expectUses(0);
    expect(manager.releasePort({ ...DNS, group: a, port: 1000 })).toBe(true);
    expectUses(0);
  });

  // ── Moving ──────────────────────────────────────────────────────────────────────────────

  test("a reservation moves: the port stays held, and the use moves with it", () => {
    b.bindPortRange = { first: 5, last: 5 };
    const held = manager.reservePort({ ...DNS, group: a, port: 1000 });
    expect(held.group).toBe(a);
    held.group = b;
    expect(held.group).toBe(b);
    expectUses(0, 1);
    held.group = b;
    expectUses(0, 1);
    expect(manager.isAvailable({ ...DNS, port: 1000 })).toBe(false);
    held.group = undefined;
    expectUses(0, 0);
    held.group = undefined;
    held.group = groups.root;
    expect(groups.root.uses).toBe(1);
    held.group = a;
    expectUses(1, 0);
    expect(held.release()).toBe(true);
    expectUses(0, 0);
    const error = caught(setting(held, { group: b }));
    expect(error).toMatchObject({ code: "EINVAL", reason: "wrong-state" });
    expect(held.group).toBe(a);
  });

  test("reservations without a group, and tuples, may come into one", () => {
    const held = [
      manager.reservePort({ ...DNS, networks: [4, 6] }),
      manager.reserveTuple({ ...DNS, port: 9, destination: SERVER }),
    ];
    for (const reservation of held) reservation.group = a;
    expectUses(2);
    for (const reservation of held) reservation.release();
    expectUses(0);
  });

  test("a reservation that has moved is released by value in the group where it is", () => {
    const held = manager.reservePort({ ...DNS, group: a, port: 1000 });
    held.group = b;
    expect(manager.releasePort({ ...DNS, group: b, port: 1000 })).toBe(true);
    expectUses(0, 0);
  });

  test("a pool moves: what it holds stays, and what it takes follows the new group", () => {
    a.bindPortRange = { first: 1000, last: 1000 };
    b.bindPortRange = { first: 1001, last: 1001 };
    const pool = manager.pool({ ...DNS, group: a });
    expect([pool.group, pool.take(), pool.take(), pool.takeAt(1001)]).toEqual([
      a,
      1000,
      EXHAUSTED,
      OUTSIDE_GROUP,
    ]);
    pool.group = b;
    expectUses(0, 1);
    expect([pool.group, pool.takeAt(1000), pool.take(), pool.held]).toEqual([
      b,
      OUTSIDE_GROUP,
      1001,
      2,
    ]);
    pool.group = b;
    expectUses(0, 1);
    pool.group = undefined;
    expectUses(0, 0);
    expect([pool.group, pool.takeAt(1000), pool.take(0)]).toEqual([undefined, IN_USE, 1002]);
    b.bindPortRange = { first: 5, last: 5 };
    pool.group = b;
    expect([pool.take(), pool.take(7), pool.free(1000)]).toEqual([EMPTY_RANGE, EMPTY_RANGE, true]);
    pool.group = a;
    expectUses(1, 0);
    expect(pool.freeMany(Uint16Array.of(1001, 1002))).toBe(2);
    pool.close();
    expect(pool.group).toBe(a);
    const error = caught(setting(pool, { group: b }));
    expect(error).toMatchObject(CLOSED);
    expectUses(0, 0);
  });

  test("moving into a group that is not there changes nothing", () => {
    const gone = groups.create("/gone");
    gone.remove();
    const held = manager.reservePort({ ...DNS, group: a });
    using pool = manager.pool({ ...DNS, group: a });
    for (const holder of [held, pool]) {
      const error = caught(setting(holder, { group: gone }));
      expect(error).toMatchObject(GONE);
      expect(holder.group).toBe(a);
      expectUses(2);
    }
    held.release();
  });

  // ── The end of a manager, a group, a tree ───────────────────────────────────────────────

  test("a manager that closes takes its uses back, and no other manager's", () => {
    const other = openOn(build, { portRange: RANGE });
    for (const each of [manager, other]) {
      each.reservePort({ ...DNS, group: a });
      each.reservePort({ ...DNS, group: a }).group = b;
      each.reservePort({ ...WEB, networks: [4, 6], group: groups.root }).group = undefined;
      each.pool({ ...DNS, group: b }).takeMany(new Uint16Array(2));
      each.pool({ ...DNS, group: a }).group = undefined;
    }
    expectUses(2, 4);
    manager.close();
    manager.close();
    expect([a.uses, b.uses]).toEqual([1, 2]);
    other[Symbol.dispose]();
    expect([a.uses, b.uses]).toEqual([0, 0]);
    manager = openOn(build, { portRange: RANGE });
  });

  test.each([10, 60, 300])("a manager that closes leaves all of %i groups", (count) => {
    using others = openGroups(build);
    const many = Array.from({ length: count }, (_, number) => others.create(`/${number}`));
    const other = openOn(build);
    for (const [number, group] of many.entries()) {
      for (let turn = 0; turn <= number % 3; turn++) other.reservePort({ ...DNS, group });
      if (number % 5 === 0) other.pool({ ...DNS, destination: { port: number }, group });
    }
    verify(other);
    const uses = many.map(({ uses }) => uses);
    expect(uses).toEqual(many.map((_, number) => 1 + (number % 3) + (number % 5 ? 0 : 1)));
    other.close();
    expect(many.filter(({ uses }) => uses > 0)).toEqual([]);
  });

  test("what is left of a manager that has closed changes no use", () => {
    const other = openOn(build);
    const held = other.reservePort({ ...DNS, group: a });
    const pool = other.pool({ ...DNS, group: a });
    other.close();
    const acts = [
      () => held.release(),
      () => pool.take(),
      setting(held, { group: b }),
      setting(pool, { group: b }),
      () => other.reservePort({ ...DNS, group: a }),
      () => other.pool({ ...DNS, group: a }),
      () => other.releasePort({ ...DNS, group: a, port: held.port }),
      () => other.isAvailable({ ...DNS, group: a, port: held.port }),
    ];
    for (const act of acts) expect(caught(act)).toMatchObject(CLOSED);
    expectUses(0, 0);
    pool.close();
    expect([held.group, pool.group]).toEqual([a, a]);
  });

  test("a group goes when the last user has gone, and another of its name is another", () => {
    const held = manager.reservePort({ ...DNS, group: b });
    const pool = manager.pool({ ...DNS, group: b });
    expectUses(0, 2);
    held.release();
    expectUses(0, 1);
    pool.close();
    b.remove();
    expect(caught(() => manager.reservePort({ ...DNS, group: b }))).toMatchObject(GONE);
    const old = b;
    b = groups.create("/b");
    expect(old).not.toBe(b);
    expect(caught(() => old.uses)).toMatchObject(GONE);
    const again = manager.reservePort({ ...DNS, group: b });
    expectUses(0, 1);
    again.release();
  });

  test("a group above one that is used stays, although no port is in it", () => {
    const child = groups.create("/a/c");
    const pool = manager.pool({ ...DNS, group: child });
    expect([a.uses, child.uses]).toEqual([0, 1]);
    expect(caught(() => a.remove())).toMatchObject(BUSY);
    expect(caught(() => groups.close())).toMatchObject(BUSY);
    pool.close();
    expect(caught(() => a.remove())).toMatchObject(BUSY);
    child.remove();
  });

  test("a tree closes once it is not used; then its groups serve no manager", () => {
    const tree = openGroups(build);
    const group = tree.create("/x");
    const held = manager.reservePort({ ...DNS, group });
    using pool = manager.pool({ ...DNS, group: tree.root });
    expect(caught(() => tree.close())).toMatchObject({
      ...BUSY,
      message: "EBUSY: the tree is in use, by / (1), /x (1)",
    });
    held.release();
    expect(caught(() => tree.close())).toMatchObject(BUSY);
    pool.group = a;
    tree.close();
    for (const request of [{ group }, { group: tree.root }]) {
      expect(caught(() => manager.reservePort({ ...DNS, ...request }))).toMatchObject(CLOSED);
      expect(caught(() => manager.pool({ ...DNS, ...request }))).toMatchObject(CLOSED);
    }
  });
});
