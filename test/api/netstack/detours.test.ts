// Detours: ports, groups and policies that are given back in another way than they were taken, in
// the middle of a call or by value. An object whose port is gone says so; no other is changed.

import { beforeEach, describe, expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { type PortGroup, PortGroups, PortManager, ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { caught, setting } from "../../invalid-input/fixture.ts";
import { BUILDS, freshModule } from "../../support/builds.ts";
import { collectUntil, watch } from "../../support/collecting.ts";
import { hashOf, POLICIES, SECRET } from "../../support/rfc6056.ts";
import { DNS } from "./fixture.ts";

/** Objects that are broken here are kept from the garbage collector, and so from other tests. */
const kept: unknown[] = [];

const RANGE = { first: 2000, last: 2004 };
const FLAGS = { loadBalanced: true };

describe.each(BUILDS)("%s build", (build) => {
  let module: WebAssembly.Module;
  let manager: PortManager;
  let groups: PortGroups;
  let a: PortGroup;
  let used: number;
  beforeEach(() => {
    module = freshModule(build);
    groups = PortGroups.open({ module });
    a = groups.create("/a");
    manager = PortManager.open({ module, seed: 1, portRange: RANGE });
    used = manager.stats().memory.used;
    kept.push(manager, groups);
  });

  /** The manager is as it was at open, and a group that is made next is not used. */
  function expectNothingLeft(): void {
    verify(manager);
    expect(manager.stats()).toMatchObject({ references: 0, counters: 0, memory: { used } });
    using others = PortGroups.open({ module });
    for (const name of ["/x", "/y", "/z"]) expect(others.create(name).uses).toBe(0);
    const pool = manager.pool({ ...DNS, destination: { address: "1.0.255.255" } });
    expect([pool.take(0), pool.take(0), pool.held]).toEqual([2000, 2001, 2]);
    expect(pool.freeMany(Uint16Array.of(2000, 2001))).toBe(2);
    pool.close();
    verify(manager);
    expect(manager.stats().memory.used).toBe(used);
  }

  // ── A group that goes in the middle of a call ───────────────────────────────────────────

  const goes: readonly (readonly [string, () => void])[] = [
    ["removes the group", () => a.remove()],
    ["closes its tree", () => groups.close()],
  ];

  test.each(goes)("a tester gives the port back by value and %s: the search ends", (_, go) => {
    const seen: number[] = [];
    const answer = caught(() =>
      manager.reservePort({ ...DNS, group: a, offset: 0 }, (port) => {
        if (seen.push(port) > 1) return true;
        manager.releasePort({ ...DNS, group: a, port });
        go();
        return false;
      }),
    );
    expect(answer).toMatchObject({ name: "PortError" });
    expect(seen).toEqual([2000]);
    expectNothingLeft();
  });

  test.each(goes)("a getter of a pool's options %s: no pool is opened in it", (_, go) => {
    for (const name of ["unique", "mode"]) {
      const options = { ...DNS, group: groups.get("/a") };
      Object.defineProperty(options, name, { enumerable: true, get: go });
      expect(caught(() => manager.pool(options))).toMatchObject({ name: "PortError" });
      expectNothingLeft();
      groups = PortGroups.open({ module });
      a = groups.create("/a");
    }
  });

  // ── A reservation whose port has gone another way ───────────────────────────────────────

  /** An object whose port has been released by value, and whose group is gone. */
  function stray(): { readonly object: { group: PortGroup | undefined; release(): boolean } } {
    const object = manager.reservePort({ ...DNS, flags: FLAGS, group: a, port: 2001 });
    expect(manager.releasePort({ ...DNS, flags: FLAGS, group: a, port: 2001 })).toBe(true);
    a.remove();
    return { object };
  }

  test("an object whose port and group are gone moves: it takes no use from a new group", () => {
    const { object } = stray();
    const b = groups.create("/b");
    const held = manager.reservePort({ ...DNS, group: b, port: 2002 });
    caught(setting(object, { group: undefined }));
    expect(b.uses).toBe(1);
    expect(caught(() => b.remove())).toMatchObject({ code: "EBUSY" });
    held.release();
    expectNothingLeft();
  });

  test("a reservation whose port is gone releases another holder's reference, not a use of a new group", () => {
    const { object } = stray();
    const b = groups.create("/b");
    const held = manager.reservePort({ ...DNS, group: b, port: 2002 });
    manager.reservePort({ ...DNS, flags: FLAGS, port: 2001 });
    object.release();
    expect(b.uses).toBe(1);
    held.release();
    manager.releasePort({ ...DNS, flags: FLAGS, port: 2001 });
    expectNothingLeft();
  });

  test("a reservation moves, and the records that lie where its group lay are not touched", () => {
    const group = groups.create("/b");
    const behind = Array.from({ length: 18 }, (_, number) => groups.create(`/b${number}`));
    manager.reservePort({ ...DNS, port: 2003 });
    manager.reservePort({ ...DNS, bindToDevice: 1, port: 2004 });
    const there = { ...DNS, bindToDevice: 1, port: 2001 };
    const object = manager.reservePort({ ...there, group });
    expect(manager.releasePort({ ...there, group })).toBe(true);
    // The quick list of a size has few blocks: the last two are joined, and become a record.
    for (const each of [...behind.slice(1), group, ...behind.slice(0, 1)]) each.remove();
    manager.reservePort({ ...DNS, bindToDevice: 2, destination: { port: 5 }, port: 2002 });
    const pool = manager.pool({ ...DNS, bindToDevice: 2 });
    expect(pool.take(0)).toBe(2000);
    object.group = undefined;
    verify(manager);
    expect([pool.held, pool.take(0), pool.held]).toEqual([1, 2001, 2]);
    pool.close();
    verify(manager);
    manager.close();
  });

  test.each(POLICIES)(
    "%s: a pool that has left a group picks on when the group is gone",
    (selection) => {
      using policy = PortManager.open({ module, portRange: RANGE, selection });
      const pool = policy.pool({ ...DNS, group: a });
      pool.group = groups.create("/b");
      a.remove();
      expect(pool.take()).toBeGreaterThan(0);
      pool.group = undefined;
      groups.close();
      expect(pool.takeMany(new Uint16Array(1))).toBe(1);
      expect(pool.held).toBe(2);
    },
  );

  // ── A list that is forgotten ────────────────────────────────────────────────────────────

  test("a list that no pool names any more: sets that were searched past it stay right", async () => {
    const { closeReserved: closed } = watch(coreOf(module), "closeReserved");
    manager.setPortRange(1, 300);
    const pool = manager.pool(DNS);
    expect(pool.takeMany(new Uint16Array(100))).toBe(100);
    (() => {
      const reserved = new ReservedPorts("1-40,100-200", { module });
      manager.reservePort({ ...DNS, reserved });
    })();
    manager.isAvailable({ ...DNS, port: 9 });
    await collectUntil(() => closed.length > 0);
    expect(closed).toHaveLength(1);
    // Others lie where the list lay.
    for (let number = 0; number < 200; number++) {
      const destination = { address: `255.255.255.${number}`, port: 65535 };
      manager.reserveTuple({ ...DNS, port: 5, destination });
      if (number < 20) verify(manager);
    }
    expect(pool.takeMany(new Uint16Array(300))).toBe(300 - 101);
    verify(manager);
    manager.close();
  });

  // ── Policies ────────────────────────────────────────────────────────────────────────────

  test("a tester that searches for another destination: each counter moves by its own", () => {
    const options = { algorithm: "double-hash", secret: SECRET, slots: 65_536, from: 0 } as const;
    using policy = PortManager.open({ module, selection: options });
    const to = (port: number) => ({ ...DNS, destination: { address: "9.9.9.9", port } });
    const start = (port: number): number => {
      const remote = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 9, 9, 9, 9);
      return 16_000 + (hashOf({ local: new Uint8Array(16), remote, port }, 0) % 49_536);
    };
    const inner: number[] = [];
    const outer = policy.reservePort(to(1), () => {
      inner.push(policy.reservePort(to(2)).port);
      return true;
    });
    expect([outer.port, ...inner]).toEqual([start(1), start(2)]);
    // RFC 6056 § 3.3.4: the counter of a destination goes on behind the port that it got.
    outer.release();
    expect(policy.reservePort(to(1)).port).toBe(start(1) + 1);
    expect(policy.reservePort(to(2)).port).toBe(start(2) + 1);
  });

  test("no memory for a policy: the manager that was to have it leaves none behind", () => {
    const core = coreOf(module);
    const whole = core.exports;
    const bytes = (): number => new DataView(whole.memory.buffer).getUint32(8, true);
    Object.assign(core, { exports: { ...whole, openSelector: () => 0 } });
    const before = bytes();
    expect(caught(() => PortManager.open({ module, selection: "hash" }))).toMatchObject({
      code: "ENOBUFS",
    });
    Object.assign(core, { exports: whole });
    expect(bytes()).toBe(before);
  });

  test("an offset that is given starts a whole search, also where a policy draws", () => {
    using policy = PortManager.open({ module, portRange: RANGE, selection: "random-retry" });
    policy.pool(DNS).takeMany(new Uint16Array(100));
    for (let port = 2000; port <= 2004; port++) caught(() => policy.reservePort({ ...DNS, port }));
    const refused = caught(() => policy.reservePort({ ...DNS, offset: 3 }));
    expect((refused as Error).message).toContain("all 5 of 2000..2004 are taken");
  });

  test.each(POLICIES)(
    "%s: a tester that closes the manager and refuses, or accepts, hears of the manager",
    (selection) => {
      for (const verdict of [false, true]) {
        const policy = PortManager.open({ module, portRange: RANGE, selection });
        const answer = caught(() =>
          policy.reservePort({ ...DNS, group: a }, () => {
            policy.close();
            return verdict;
          }),
        );
        expect(a.uses).toBe(0);
        if (answer instanceof Error)
          expect(answer.message).toContain("the manager has been closed");
      }
    },
  );
});
