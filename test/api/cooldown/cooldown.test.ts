// Stories of ports that cool down: how long, against which requests, and what is left when all
// others are taken.

import { describe, expect, onTestFinished, test } from "vitest";
import {
  IPV4,
  IPV6,
  type OpenOptions,
  type PoolOptions,
  PortGroups,
  type PortManager,
  type PortPool,
  Refusal,
  ReservedPorts,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, closeWhole, moduleFor, openOn } from "../../support/builds.ts";

const FIRST = 4000;
const LAST = 4003;
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const PERIODS = [1, 3, 8, 100, 1000, 60_000, 86_400_000];

describe.each(BUILDS)("%s build", (build) => {
  const open = (options: OpenOptions = {}): PortManager =>
    openOn(build, { portRange: { first: FIRST, last: LAST }, ...options });

  /** A manager, which is whole in the end, and a pool. */
  function fixture(options: Partial<PoolOptions> = {}): { manager: PortManager; pool: PortPool } {
    const manager = open();
    onTestFinished(() => closeWhole(manager));
    return { manager, pool: manager.pool({ ...KEY, cooldown: 1000, ...options }) };
  }

  function takeAll(pool: PortPool): void {
    for (let port = FIRST; port <= LAST; port++) expect(pool.takeAt(port)).toBe(port);
  }

  test.each(PERIODS)("a port cools down one period, and at most a 64th more: %i ms", (period) => {
    for (const start of [0, 1, 7, 12_345.75, 1_763_000_000_123]) {
      const { pool } = fixture({ cooldown: period });
      pool.takeAt(FIRST);
      expect(pool.coolDown(FIRST, start)).toBe(true);
      expect(pool.expire(start + period - 0.5)).toBe(0);
      const due = pool.nextExpiry as number;
      expect(due).toBeGreaterThanOrEqual(start + period);
      expect(due).toBeLessThan(start + (period * 65) / 64 + 1);
      expect(pool.expire(due - 1)).toBe(0);
      expect(pool.expire(due)).toBe(1);
      expect(pool.takeAt(FIRST)).toBe(FIRST);
    }
  });

  test("a port that cools down is held no longer, and every request is refused it", () => {
    const { manager, pool } = fixture();
    const other = manager.pool({ ...KEY, address: "" });
    pool.takeAt(FIRST);
    pool.takeAt(LAST);
    expect(pool.coolDown(FIRST, 0)).toBe(true);
    expect([pool.held, pool.cooling, pool.has(FIRST), pool.has(LAST)]).toEqual([1, 1, false, true]);
    expect(other.takeAt(FIRST)).toBe(Refusal.IN_USE);
    expect(manager.isAvailable({ ...KEY, port: FIRST })).toBe(false);
    expect(pool.takeAt(FIRST)).toBe(Refusal.COOLING);
    expect(pool.free(FIRST)).toBe(false);
    expect(pool.freeMany(Uint16Array.of(FIRST, 0, LAST, LAST))).toBe(1);
    expect(pool.expire(2000)).toBe(1);
    expect(other.takeAt(FIRST)).toBe(FIRST);
  });

  test("only a port that is held can cool down, and once", () => {
    const { pool } = fixture();
    expect(pool.coolDown(FIRST, 0)).toBe(false);
    pool.takeAt(FIRST);
    expect(pool.coolDown(FIRST, 0)).toBe(true);
    expect(pool.coolDown(FIRST, 500)).toBe(false);
    expect(pool.nextExpiry).toBe(1016); // 65 slots of 1000 / 64 ms
    expect(pool.expire(1016)).toBe(1);
    expect(pool.coolDown(FIRST, 1200)).toBe(false);
  });

  test("when only cooling ports are left, take says so, or takes the one that has cooled down longest", () => {
    for (const whenCooling of ["refuse", "oldest"] as const) {
      const { pool } = fixture({ cooldown: { period: 1000, whenCooling } });
      takeAll(pool);
      expect(pool.take()).toBe(Refusal.EXHAUSTED);
      for (const port of [4002, 4000, 4003]) pool.coolDown(port, 10);
      const ports = new Uint16Array(5);
      if (whenCooling === "refuse") {
        expect(pool.take()).toBe(Refusal.COOLING);
        expect(pool.takeMany(ports)).toBe(0);
        expect(pool.cooling).toBe(3);
      } else {
        expect(pool.take()).toBe(4002);
        expect(pool.takeMany(ports)).toBe(2);
        expect([...ports.subarray(0, 2)]).toEqual([4000, 4003]);
        expect(pool.take()).toBe(Refusal.EXHAUSTED);
        expect([pool.held, pool.cooling]).toEqual([4, 0]);
      }
    }
  });

  test("a cooling port that the limits exclude is not counted as left", () => {
    const reserved = new ReservedPorts("", moduleFor(build));
    const group = PortGroups.open(moduleFor(build)).create("/g");
    const cooldown = { period: 1000, whenCooling: "oldest" } as const;
    const { pool } = fixture({ cooldown, reserved, group });
    takeAll(pool);
    pool.takeAt(80);
    pool.coolDown(80, 0);
    expect(pool.take()).toBe(Refusal.EXHAUSTED);
    pool.coolDown(4001, 0);
    pool.coolDown(4002, 0);
    reserved.text = "4001";
    expect(pool.take()).toBe(4002);
    pool.coolDown(4002, 0);
    group.bindPortRange = { first: 4000, last: 4001 };
    expect(pool.take()).toBe(Refusal.EXHAUSTED);
    group.bindPortRange = { first: 9, last: 9 };
    expect(pool.take()).toBe(Refusal.EMPTY_RANGE);
    expect(pool.expire(2000)).toBe(3);
  });

  test("free ports come first, however long others have cooled down", () => {
    const { pool } = fixture({ cooldown: { period: 1000, whenCooling: "oldest" } });
    takeAll(pool);
    pool.coolDown(4000, 0);
    pool.free(4003);
    expect(pool.take(0)).toBe(4003);
    expect(pool.take(0)).toBe(4000);
  });

  test("reuse flags do not hand out a port that cools down", () => {
    for (const flags of [{ tupleOnly: true }, { loadBalanced: true }, { mostRecent: true }]) {
      for (const destination of [{}, { address: "9.9.9.9", port: 443 }]) {
        const { manager, pool } = fixture({ flags, destination, mode: "connect" });
        takeAll(pool);
        for (let port = FIRST; port <= LAST; port++) expect(pool.coolDown(port, 0)).toBe(true);
        expect(pool.take()).toBe(Refusal.COOLING);
        expect(pool.expire(1125)).toBe(4);
        expect(manager.stats().references).toBe(0);
      }
    }
  });

  test("a port cools down in all networks of its pool", () => {
    const { manager, pool } = fixture({ networks: [IPV4, IPV6], address: "" });
    pool.takeAt(FIRST);
    pool.coolDown(FIRST, 0);
    for (const network of [IPV4, IPV6]) {
      const key = { networks: [network], transport: TCP };
      expect(manager.isAvailable({ ...key, port: FIRST })).toBe(false);
    }
    expect(pool.expire(1125)).toBe(1);
    expect(manager.stats().references).toBe(0);
  });

  test("the clock never goes back", () => {
    const { pool } = fixture();
    takeAll(pool);
    pool.coolDown(4000, 10_000);
    expect(pool.expire(0)).toBe(0);
    pool.coolDown(4001, 3000);
    expect(pool.expire(11_000)).toBe(0);
    expect(pool.expire(11_125)).toBe(2);
    pool.coolDown(4002, 0);
    expect(pool.nextExpiry).toBe(12_141); // 777 slots of 1000 / 64 ms
  });

  test("a port that another pool gives back and the pool takes again does not cool down", () => {
    const { manager, pool } = fixture();
    pool.takeAt(FIRST);
    pool.coolDown(FIRST, 0);
    manager.releasePort({ ...KEY, port: FIRST });
    expect(pool.take(0)).toBe(FIRST);
    expect([pool.has(FIRST), pool.cooling]).toEqual([true, 0]);
    expect(pool.expire(5000)).toBe(0);
    expect(pool.has(FIRST)).toBe(true);
    pool.coolDown(FIRST, 5000);
    manager.releasePort({ ...KEY, port: FIRST });
    const ports = new Uint16Array(4);
    expect(pool.takeMany(ports)).toBe(4);
    expect(pool.cooling).toBe(0);
  });

  test("thousands of ports expire in the order in which they began to cool down", () => {
    using manager = open({ portRange: { first: 1024, last: 65535 } });
    const pool = manager.pool({ ...KEY, transport: UDP, cooldown: 8000 });
    const ports = new Uint16Array(64_512);
    expect(pool.takeMany(ports)).toBe(ports.length);
    ports.forEach((port, index) => void pool.coolDown(port, index));
    verify(manager);
    let woken = 0;
    while (pool.cooling > 0) {
      const now = pool.nextExpiry as number;
      const count = pool.expire(now);
      expect(count).toBeGreaterThan(0);
      for (const port of ports.subarray(woken, woken + count)) {
        if (pool.takeAt(port) !== port) throw new Error(`${port} is not free at ${now}`);
        pool.free(port);
      }
      woken += count;
    }
    expect(woken).toBe(ports.length);
    expect(manager.stats().references).toBe(0);
  });

  test("a manager's cooldown is that of its pools, unless they say otherwise", () => {
    using manager = open({ cooldown: { period: 80, whenCooling: "oldest" } });
    const [byManager, none, own] = [
      manager.pool(KEY),
      manager.pool({ ...KEY, networks: [5], cooldown: 0 }),
      manager.pool({ ...KEY, networks: [6], cooldown: 800 }),
    ];
    for (const pool of [byManager, none, own]) {
      takeAll(pool);
      expect(pool.coolDown(FIRST, 0)).toBe(true);
    }
    expect([byManager, none, own].map(({ nextExpiry }) => nextExpiry)).toEqual([
      82, // 80 and a 64th
      undefined,
      813, // 800 and a 64th
    ]);
    expect([byManager, none, own].map((pool) => pool.take())).toEqual([
      FIRST,
      FIRST,
      Refusal.COOLING,
    ]);
  });

  test("without a cooldown coolDown() frees a port at once", () => {
    for (const options of [{}, { cooldown: 0 }, { selection: "fifo" }] as const) {
      using manager = open();
      const pool = manager.pool({ ...KEY, ...options });
      pool.takeAt(FIRST);
      expect(pool.coolDown(FIRST, 0)).toBe(true);
      expect(pool.coolDown(FIRST, 0)).toBe(false);
      expect([pool.cooling, pool.nextExpiry, pool.expire(1e6)]).toEqual([0, undefined, 0]);
      expect(pool.takeAt(FIRST)).toBe(FIRST);
    }
  });

  test("closing a pool frees what cools down, and keeps what is held", () => {
    const { manager, pool } = fixture();
    const before = manager.stats().memory.used;
    const idle = manager.pool({ ...KEY, cooldown: 1000 });
    takeAll(pool);
    pool.coolDown(FIRST, 0);
    pool.close();
    expect(manager.isAvailable({ ...KEY, port: FIRST })).toBe(true);
    expect(manager.isAvailable({ ...KEY, port: LAST })).toBe(false);
    expect(() => pool.expire(1)).toThrow("the pool has been closed");
    pool.close();
    for (let port = FIRST + 1; port <= LAST; port++) idle.free(port);
    idle.close();
    manager.pool({ ...KEY, cooldown: 1000 });
    expect(manager.stats().memory.used).toBe(before);
  });
});
