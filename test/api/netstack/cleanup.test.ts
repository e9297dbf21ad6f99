// Life of what is never closed: a manager that is forgotten leaves its groups, and what an open
// pool needs is kept as long as the pool may use it.

import { describe, expect, test } from "vitest";
import { EXHAUSTED } from "../../../assembly/abi.ts";
import { coreOf } from "../../../bindings/core/core.ts";
import { PortGroups, PortManager, ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { caught } from "../../invalid-input/fixture.ts";
import { BUILDS, type Build, freshModule } from "../../support/builds.ts";
import { type Call, collectTimes, collectUntil, watch } from "../../support/collecting.ts";
import { DNS, SERVER } from "./fixture.ts";

const RANGE = { first: 1000, last: 1004 };
const FEW_ROUNDS = 15;

describe.each(BUILDS)("%s build", (build) => {
  test("a manager that is forgotten leaves the groups that it was in", async () => {
    const module = freshModule(build);
    using groups = PortGroups.open({ module });
    const [a, b] = [groups.create("/a"), groups.create("/a/b")];
    (() => {
      const manager = PortManager.open({ module });
      const held = manager.reservePort({ ...DNS, group: a });
      held.group = b;
      manager.reservePort({ ...DNS, networks: [4, 6], group: a, port: 9 });
      manager.pool({ ...DNS, group: b }).takeMany(new Uint16Array(100));
      manager.pool({ ...DNS, group: b }).group = groups.root;
    })();
    expect([groups.root.uses, a.uses, b.uses]).toEqual([1, 1, 2]);
    using other = PortManager.open({ module });
    other.isAvailable({ ...DNS, port: 80 });
    await collectUntil(() => a.uses + b.uses + groups.root.uses === 0);
    expect([groups.root.uses, a.uses, b.uses]).toEqual([0, 0, 0]);
    verify(other);
    b.remove();
  });

  test("a restored manager that is forgotten, with its pools, is garbage", async () => {
    const module = freshModule(build);
    using groups = PortGroups.open({ module });
    const group = groups.create("/a");
    const bytes = (() => {
      using manager = PortManager.open({ module });
      manager.pool({ ...DNS, group }).takeMany(new Uint16Array(100));
      manager.pool({ ...DNS, group, cooldown: 9 });
      return manager.snapshot();
    })();
    const restored = (["open", "closed"] as const).map((how) => {
      const manager = PortManager.restore(bytes, { module, groups });
      if (how === "closed") manager.close();
      return new WeakRef(manager);
    });
    // A WeakRef that is read in a task keeps its object until the task ends.
    await collectUntil(() => group.uses === 0);
    await collectTimes(FEW_ROUNDS);
    expect(restored.map((manager) => manager.deref())).toEqual([undefined, undefined]);
    expect(group.uses).toBe(0);
  });

  test("a thousand forgotten managers leave no use and no memory behind", async () => {
    const module = freshModule(build);
    const groups = PortGroups.open({ module });
    const group = groups.create("/a");
    const fill = (): number => {
      const manager = PortManager.open({ module, selection: "double-hash" });
      manager.reservePort({ ...DNS, group });
      manager.pool({ ...DNS, group });
      return manager.stats().memory.taken;
    };
    const figures: number[] = [];
    for (let round = 0; round < 5; round++) {
      for (let turn = 0; turn < 200; turn++) figures[round] = fill();
      await collectUntil(() => group.uses < 10);
      expect(group.uses).toBeLessThan(10);
    }
    // 200 managers with a policy's table each are 400 KB; five times that would be seen.
    expect(figures[4]).toBeLessThan((figures[0] as number) * 2);
    await collectUntil(() => group.uses === 0);
  });

  test("a forgotten reservation stays held, and a forgotten pool is closed", async () => {
    const module = freshModule(build);
    using groups = PortGroups.open({ module });
    const group = groups.create("/a");
    using manager = PortManager.open({ module });
    (() => {
      manager.reservePort({ ...DNS, group, port: 80 });
      manager.pool({ ...DNS, destination: SERVER, group }).takeAt(90);
    })();
    await collectUntil(() => group.uses < 2);
    expect(group.uses).toBe(1);
    expect(caught(() => group.remove())).toMatchObject({ code: "EBUSY" });
    expect(manager.releasePort({ ...DNS, group, port: 80 })).toBe(true);
    expect(group.uses).toBe(0);
    expect(manager.releasePort({ ...DNS, destination: SERVER, port: 90 })).toBe(true);
    verify(manager);
  });

  test("a list of which only a pool knows serves it until the manager is gone", async () => {
    const { module, lists } = watched(build);
    using manager = PortManager.open({ module, portRange: RANGE });
    const pools = ["1000-1002", "1003-1004", "0-65535"].map((text) =>
      manager.pool({ ...DNS, reserved: new ReservedPorts(text, { module }) }),
    );
    manager.isAvailable({ ...DNS, port: 80 });
    await collectTimes(FEW_ROUNDS);
    expect(lists).toEqual([]);
    // The next list would get the memory of a list that has been given back.
    const others = Array.from({ length: 3 }, () => new ReservedPorts("1-65535", { module }));
    expect(pools.map((pool) => pool.take(0))).toEqual([1003, 1000, EXHAUSTED]);
    expect(others.map(({ size }) => size)).toEqual([65535, 65535, 65535]);
    verify(manager);
  });

  test("a list that is forgotten with its pools and their manager is given back", async () => {
    const { module, lists } = watched(build);
    (() => {
      const manager = PortManager.open({ module });
      const reserved = new ReservedPorts("80", { module });
      manager.pool({ ...DNS, reserved }).takeMany(new Uint16Array(100));
      manager.reservePort({ ...DNS, reserved });
    })();
    using other = PortManager.open({ module });
    other.isAvailable({ ...DNS, port: 80 });
    await collectUntil(() => lists.length > 0);
    expect(lists).toHaveLength(1);
    verify(other);
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A module of its own, and which lists of reserved ports its core has been given back. */
function watched(build: Build): { module: WebAssembly.Module; lists: Call[] } {
  const module = freshModule(build);
  return { module, lists: watch(coreOf(module), "closeReserved").closeReserved };
}
