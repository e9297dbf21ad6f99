// Stories of pools that offer their ports in the order of release ("fifo").

import { describe, expect, onTestFinished, test } from "vitest";
import {
  IPV4,
  type PoolOptions,
  PortGroups,
  type PortManager,
  type PortPool,
  Refusal,
  ReservedPorts,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { BUILDS, closeWhole, moduleFor, openOn } from "../../support/builds.ts";

const FIRST = 4000;
const LAST = 4005;
const COUNT = LAST - FIRST + 1;
const KEY = { networks: [IPV4], transport: UDP, address: "10.0.0.1" };

describe.each(BUILDS)("%s build", (build) => {
  /** A manager, which is whole in the end, and a pool. */
  function fixture(options: Partial<PoolOptions> = {}): { manager: PortManager; pool: PortPool } {
    const manager = openOn(build, { portRange: { first: FIRST, last: LAST }, seed: 5 });
    onTestFinished(() => closeWhole(manager));
    return { manager, pool: manager.pool({ ...KEY, selection: "fifo", ...options }) };
  }

  /** Takes until it is refused. */
  function rest(pool: PortPool): number[] {
    const ports = new Uint16Array(COUNT + 1);
    return [...ports.subarray(0, pool.takeMany(ports))];
  }

  test("each port is offered once before any comes back", () => {
    const { pool } = fixture();
    const met: number[] = [];
    for (let round = 0; round < COUNT; round++) {
      const port = pool.take();
      met.push(port);
      pool.free(port);
    }
    expect([...met].sort()).toEqual([4000, 4001, 4002, 4003, 4004, 4005]);
    for (let round = 0; round < 3 * COUNT; round++) {
      const port = pool.take();
      expect(port).toBe(met[round % COUNT]);
      pool.free(port);
    }
  });

  test("fresh ports are met from the offset on, then those released, oldest first", () => {
    const { pool } = fixture();
    expect(pool.take(2)).toBe(4002);
    pool.free(4002);
    expect(pool.take(2)).toBe(4003);
    expect(pool.take(5)).toBe(4005);
    pool.free(4005);
    expect(pool.take(5)).toBe(4000);
    const others = rest(pool);
    expect(others.slice(0, 2).sort()).toEqual([4001, 4004]);
    expect(others.slice(2)).toEqual([4002, 4005]);
    expect(pool.take()).toBe(Refusal.EXHAUSTED);
    for (const port of [4003, 4000, 4005, 4001]) pool.free(port);
    expect(rest(pool)).toEqual([4003, 4000, 4005, 4001]);
  });

  test("a port comes back when its cooldown ends, behind those that are free already", () => {
    const { pool } = fixture({ cooldown: 800 });
    rest(pool);
    pool.coolDown(4001, 0);
    pool.free(4003);
    expect(pool.expire(900)).toBe(1);
    pool.free(4000);
    expect(rest(pool)).toEqual([4003, 4001, 4000]);
    for (const port of [4005, 4002]) pool.coolDown(port, 1000);
    expect(pool.take()).toBe(Refusal.COOLING);
  });

  test("a port that was taken explicitly is not offered again before its turn", () => {
    const { pool } = fixture();
    rest(pool);
    for (const port of [4000, 4001, 4002]) pool.free(port);
    expect(pool.takeAt(4001)).toBe(4001);
    expect(pool.takeAt(4001)).toBe(Refusal.IN_USE);
    pool.free(4001);
    expect(rest(pool)).toEqual([4000, 4002, 4001]);
  });

  test("ports that others hold go behind, and nothing changes when they hold all", () => {
    const { manager, pool } = fixture();
    const other = manager.pool({ ...KEY, address: "" });
    rest(pool);
    for (const port of [4003, 4001, 4002]) pool.free(port);
    other.takeAt(4003);
    expect(pool.take()).toBe(4001);
    pool.free(4001);
    for (const port of [4001, 4002]) other.takeAt(port);
    expect(pool.take()).toBe(Refusal.EXHAUSTED);
    for (const port of [4001, 4002, 4003]) other.free(port);
    expect(rest(pool)).toEqual([4002, 4003, 4001]);
  });

  test("a fresh port that was refused because others hold all is as fresh as before", () => {
    const { manager, pool } = fixture();
    const other = manager.pool({ ...KEY, address: "" });
    rest(other);
    expect(pool.take(0)).toBe(Refusal.EXHAUSTED);
    for (let port = FIRST; port <= LAST; port++) other.free(port);
    expect(pool.take(3)).toBe(4003);
    expect(pool.take(0)).toBe(4000);
  });

  test("reserved ports and those outside of the range are passed over, and fresh when they come back", () => {
    const reserved = new ReservedPorts("4000-4003", moduleFor(build));
    const group = PortGroups.open(moduleFor(build)).create("/g");
    const { pool } = fixture({ reserved, group });
    expect(pool.take(0)).toBe(4004);
    expect(pool.take(0)).toBe(4005);
    expect(pool.take(0)).toBe(Refusal.EXHAUSTED);
    pool.free(4004);
    pool.free(4005);
    reserved.text = "4004";
    group.bindPortRange = { first: 4003, last: 4005 };
    expect(pool.take(0)).toBe(4003);
    expect(pool.take(0)).toBe(4005);
    expect(pool.take(0)).toBe(Refusal.EXHAUSTED);
    reserved.text = "";
    expect(pool.take(0)).toBe(4004);
    group.bindPortRange = { first: 9, last: 9 };
    expect(pool.take(0)).toBe(Refusal.EMPTY_RANGE);
  });

  test("a port that is released by value, and not by the pool, is not lost", () => {
    const { manager, pool } = fixture();
    rest(pool);
    manager.releasePort({ ...KEY, port: 4002 });
    expect(pool.take()).toBe(4002);
    manager.releasePort({ ...KEY, port: 4004 });
    pool.free(4001);
    expect(rest(pool)).toEqual([4001, 4004]);
  });

  test("an ephemeral TCP port is never shared, whatever the order", () => {
    const flags = { loadBalanced: true };
    const { manager, pool } = fixture({ transport: TCP, flags, mode: "bind" });
    const model = manager.pool({ ...KEY, transport: TCP, flags, address: "" });
    expect(model.takeAt(4002)).toBe(4002);
    expect(rest(pool).sort()).toEqual([4000, 4001, 4003, 4004, 4005]);
    expect(pool.takeAt(4002)).toBe(4002);
  });

  test("TCP shares ports between destinations", () => {
    const destination = { address: "9.9.9.9", port: 443 };
    const { manager, pool } = fixture({ transport: TCP, destination });
    const other = manager.pool({ ...KEY, transport: TCP, destination: { address: "9.9.9.8" } });
    expect(rest(pool)).toHaveLength(COUNT);
    expect(rest(other)).toHaveLength(COUNT);
  });

  test("where fresh ports begin is random, and repeatable by a seed", () => {
    const firsts = Array.from({ length: 40 }, (_, seed) => {
      const take = (): number => {
        const manager = openOn(build, { seed });
        const port = manager.pool({ ...KEY, selection: "fifo" }).take();
        manager.close();
        return port;
      };
      expect(take()).toBe(take());
      return take();
    });
    expect(new Set(firsts).size).toBeGreaterThan(30);
  });
});
