// Objects from their making to their end: constructors, refusals that are no errors, and lists of
// reserved ports.

import { describe, expect, test } from "vitest";
import { PortGroups, PortManager, Refusal, ReservedPorts, TCP } from "../../bindings/index.ts";
import { caught } from "../invalid-input/fixture.ts";
import { BUILDS, freshModule, openOn } from "../support/builds.ts";

const WEB = { networks: [4], transport: TCP };
type AnyClass = new (...values: unknown[]) => unknown;

test("classes that are opened by a method cannot be made with new", () => {
  using manager = PortManager.open();
  using groups = PortGroups.open();
  const objects = [
    manager,
    groups,
    groups.root,
    manager.pool(WEB),
    manager.pool({ ...WEB, cooldown: 9 }),
    manager.reservePort(WEB),
  ];
  for (const object of objects) {
    const make = (): unknown => new (object.constructor as AnyClass)({ seed: 1 });
    expect(caught(make)).toMatchObject({
      name: "PortError",
      code: "ERR_ILLEGAL_CONSTRUCTOR",
      reason: "invalid-argument",
      message: expect.stringContaining("has no constructor for callers"),
    });
  }
});

describe.each(BUILDS)("on the %s build", (build) => {
  test("tryReserve answers a reservation or a refusal, and never throws one", () => {
    using manager = openOn(build, { portRange: { first: 1000, last: 1001 } });
    const first = manager.tryReserve({ ...WEB, port: 80 });
    expect(first).toMatchObject({ port: 80, released: false });
    expect(manager.tryReserve({ ...WEB, port: 80 })).toBe(Refusal.IN_USE);
    expect(manager.tryReserve({ ...WEB, port: 81 }, () => false)).toBe(Refusal.IN_USE);
    expect(manager.tryReserve(WEB, () => false)).toBe(Refusal.EXHAUSTED);
    expect(manager.stats().references).toBe(1);
    expect(caught(() => manager.tryReserve({ ...WEB, port: -1 }))).toMatchObject({
      code: "ERR_SOCKET_BAD_PORT",
    });
  });

  test("tryReserve tells what a group leaves", () => {
    const module = freshModule(build);
    using groups = PortGroups.open({ module });
    using manager = PortManager.open({ module });
    const group = groups.create("/a", { bindPortRange: { first: 1, last: 9 } });
    expect(manager.tryReserve({ ...WEB, group, port: 80 })).toBe(Refusal.OUTSIDE_GROUP);
    expect(manager.tryReserve({ ...WEB, group })).toBe(Refusal.EMPTY_RANGE);
    manager.close();
  });

  test("tryReserve tells when there is no memory", () => {
    using manager = openOn(build, { memoryLimit: 1024 });
    const answers = Array.from({ length: 200 }, (_, index) =>
      manager.tryReserve({ ...WEB, address: `10.0.0.${index + 1}`, port: 80 + index }),
    );
    expect(answers).toContain(Refusal.NO_MEMORY);
  });
});

test("an error says how many ports the tester refused, and how many were taken", () => {
  using manager = PortManager.open({ portRange: { first: 1000, last: 1003 } });
  const messageOf = (): string =>
    (caught(() => manager.reservePort({ ...WEB, offset: 0 }, () => false)) as Error).message;
  expect(messageOf()).toContain("the tester refused all 4 of 1000..1003");
  manager.reservePort({ ...WEB, port: 1001 });
  expect(messageOf()).toContain("the tester refused 3 of 1000..1003, and the other is taken");
  manager.reservePort({ ...WEB, port: 1002 });
  expect(messageOf()).toContain("the tester refused 2 of 1000..1003, and the other 2 are taken");
  for (const port of [1000, 1003]) manager.reservePort({ ...WEB, port });
  expect(messageOf()).toContain("all 4 of 1000..1003 are taken");
});

describe("a list of reserved ports", () => {
  test("takes no linear memory unless it is used", () => {
    using manager = PortManager.open();
    new ReservedPorts("80");
    const before = manager.stats().memory.taken;
    for (let count = 0; count < 100_000; count++) new ReservedPorts("80,8080-8090");
    expect(manager.stats().memory.taken).toBe(before);
  });

  test("gives back its memory with the last pool that uses it", () => {
    const module = freshModule("release");
    using manager = PortManager.open({ module });
    const taken: number[] = [];
    for (let count = 0; count < 2000; count++) {
      const list = new ReservedPorts("80", { module });
      const pools = [
        manager.pool({ ...WEB, reserved: list }),
        manager.pool({ ...WEB, reserved: list }),
      ];
      for (const pool of pools) pool.close();
      taken.push(manager.stats().memory.taken);
    }
    expect(taken.at(-1)).toBe(taken[0]);
  });

  test("cannot be closed while a pool uses it, and is dead when it is closed", () => {
    using manager = PortManager.open();
    const list = new ReservedPorts("80");
    const pool = manager.pool({ ...WEB, reserved: list });
    expect(caught(() => list.close())).toMatchObject({ code: "EBUSY", reason: "busy" });
    expect(list.text).toBe("80");
    pool.close();
    list.close();
    list.close();
    const uses = [
      () => list.text,
      () => list.size,
      () => list.has(80),
      () => manager.reservePort({ ...WEB, reserved: list }),
      () => manager.pool({ ...WEB, reserved: list }),
      () => Object.assign(list, { text: "81" }),
    ];
    for (const use of uses) expect(caught(use)).toMatchObject({ code: "EBADF", reason: "closed" });
  });

  test("that a tester closes ends the search", () => {
    using manager = PortManager.open();
    const list = new ReservedPorts("80");
    const act = (): unknown =>
      manager.reservePort({ ...WEB, reserved: list }, () => {
        list.close();
        return false;
      });
    expect(caught(act)).toMatchObject({ code: "EBADF" });
    expect(manager.stats().references).toBe(0);
  });
});
