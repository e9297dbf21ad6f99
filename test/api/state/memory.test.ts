// A restored manager uses as much memory as its original, within a page, whatever the original has
// held before. A snapshot frees memory that is kept and not needed, and records where the first
// records are gone and no others have replaced them.

import { describe, expect, test } from "vitest";
import { IPV4, PortManager, type PortPool, TCP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, type Build, openOn, optionsFor } from "../../support/builds.ts";

const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const PAGE = 65_536;

/** Address number so many: 10.1.0.0 is the first. */
function address(index: number): string {
  return `10.1.${index >> 8}.${index & 255}`;
}

function end(index: number): { address: string; port: number } {
  return { address: address(index), port: 443 };
}

function taken(pool: PortPool, count: number): Uint16Array {
  const ports = new Uint16Array(count);
  pool.takeMany(ports);
  return ports;
}

/** Pools of one address, each of which has held all ports of the others. */
function sharingPools(manager: PortManager, count: number): [PortPool, Uint16Array][] {
  return Array.from({ length: 3 }, (_, index) => {
    const pool = manager.pool({ ...WEB, destination: end(index) });
    return [pool, taken(pool, count)] as const;
  }) as [PortPool, Uint16Array][];
}

type Fills = Record<string, (manager: PortManager) => void>;

/** What fills a manager so that it keeps more than a page of what it does not need. */
const KEEPING: Fills = {
  "200 sets that have grown to 70 ports, and shrunk to 30": (manager) => {
    for (let index = 0; index < 200; index++) {
      const pool = manager.pool({ ...WEB, address: address(index) });
      pool.freeMany(taken(pool, 70).subarray(30));
    }
  },
  "2,000 sets that have grown to 64 ports, and shrunk to none, one and two": (manager) => {
    for (let index = 0; index < 2000; index++) {
      const pool = manager.pool({ ...WEB, destination: end(index) });
      pool.freeMany(taken(pool, 64).subarray(index % 3));
    }
  },
  "counts of an aggregate whose flows hold nothing any more": (manager) => {
    manager.reservePort({ ...WEB, port: 80 });
    for (const [pool, ports] of sharingPools(manager, 28_000)) pool.freeMany(ports);
  },
  "counts of an aggregate whose flows are gone": (manager) => {
    manager.reservePort({ ...WEB, port: 80 });
    for (const [pool, ports] of sharingPools(manager, 28_000)) {
      pool.freeMany(ports);
      pool.close();
    }
  },
  "25,000 tuples, of which 9,000 are left": (manager) => {
    for (let index = 0; index < 25_000; index++) {
      manager.reserveTuple({ ...WEB, port: 80, destination: end(index) });
    }
    for (let index = 9000; index < 25_000; index++) {
      manager.releasePort({ ...WEB, port: 80, destination: end(index) });
    }
  },
  "the page tables of 20 aggregates, of which a page is left": (manager) => {
    for (let index = 0; index < 20; index++) {
      const at = { ...WEB, address: address(index) };
      for (const port of [80, 8080]) {
        for (const which of [0, 1, 2])
          manager.reserveTuple({ ...at, port, destination: end(which) });
      }
      for (const which of [0, 1, 2]) {
        manager.releasePort({ ...at, port: 8080, destination: end(which) });
      }
    }
  },
  "the ring of a cooldown after a burst": (manager) => {
    const pool = manager.pool({ ...WEB, cooldown: 1000 });
    const ports = taken(pool, 28_000);
    for (const port of ports.subarray(7)) pool.coolDown(port, 0);
    pool.expire(2000);
    for (const port of ports.subarray(0, 7)) pool.coolDown(port, 2000);
  },
  "the ring of an order of which most is taken again": (manager) => {
    const pool = manager.pool({ ...WEB, selection: "fifo" });
    pool.freeMany(taken(pool, 28_000));
    taken(pool, 49_500);
  },
  "the second of two connections of 2,000 addresses is gone": (manager) => {
    for (let index = 0; index < 2000; index++) {
      const at = { ...WEB, port: 80, address: address(index) };
      for (const which of [0, 1]) manager.reserveTuple({ ...at, destination: end(which) });
      manager.releasePort({ ...at, destination: end(1) });
    }
  },
};

/** What fills a manager so that it needs more than a page more than one that never held more. */
const LOSING: Fills = {
  "the first of two pools of 20 addresses is closed": (manager) => {
    for (const [pool, ports] of pairsOfPools(manager)) {
      pool.freeMany(ports);
      pool.close();
    }
  },
  "the first of two pools of 20 addresses holds nothing": (manager) => {
    for (const [pool, ports] of pairsOfPools(manager)) pool.freeMany(ports);
  },
  "the first of two addresses is gone": (manager) => {
    const first = manager.reservePort({ ...WEB, address: address(0) });
    sharingPools(manager, 20_000);
    first.release();
  },
  "the first of two devices of 1,000 addresses is gone": (manager) => {
    for (let index = 0; index < 1000; index++) {
      const at = { ...WEB, address: address(index), port: 80 };
      manager.reservePort(at);
      manager.reservePort({ ...at, port: 81, bindToDevice: 1 });
      manager.releasePort(at);
    }
  },
};

/** Two pools of each address, of which the first is to go. */
function pairsOfPools(manager: PortManager): [PortPool, Uint16Array][] {
  return Array.from({ length: 20 }, (_, index) => {
    const [first, second] = [0, 1].map((which) =>
      manager.pool({ ...WEB, address: address(index), destination: end(which) }),
    ) as [PortPool, PortPool];
    taken(second, 70);
    return [first, taken(first, 70)];
  });
}

/** The bytes of a manager that holds the same, and has never held more. */
function usedByAnother(build: Build, original: PortManager): number {
  using other = openOn(build, { seed: 1 });
  for (const { count: _count, cooling: _cooling, ...held } of original.reservations()) {
    other.reserveTuple(held);
  }
  return other.stats().memory.used;
}

describe.each(BUILDS)("a restored manager uses the memory of its original (%s build)", (build) => {
  function expectSame(original: PortManager): number {
    const bytes = original.snapshot();
    using copy = PortManager.restore(bytes, optionsFor(build));
    const [was, is] = [original, copy].map((one) => one.stats().memory.used) as [number, number];
    expect(Math.abs(is - was)).toBeLessThan(PAGE);
    for (const manager of [original, copy]) verify(manager);
    expect(original.snapshot()).toEqual(bytes);
    expect(original.stats().memory.used).toBe(was);
    using again = PortManager.restore(copy.snapshot(), optionsFor(build));
    expect(Math.abs(again.stats().memory.used - is)).toBeLessThan(PAGE);
    return was;
  }

  test.each(Object.keys(KEEPING))("%s", (name) => {
    using original = openOn(build, { seed: 1 });
    KEEPING[name]?.(original);
    const before = original.stats().memory.used;
    // The control: were nothing freed, it would be found.
    expect(before - expectSame(original)).toBeGreaterThan(PAGE);
  });

  test.each(Object.keys(LOSING))("%s", (name) => {
    using original = openOn(build, { seed: 1 });
    LOSING[name]?.(original);
    // The control: were it not said what is gone, it would be found.
    expect(expectSame(original) - usedByAnother(build, original)).toBeGreaterThan(PAGE);
  });

  test("a snapshot that finds no memory for smaller arrays leaves the bitmaps", () => {
    using original = openOn(build, { memoryLimit: 40_000 });
    const pools = [0, 1].map((index) => original.pool({ ...WEB, address: address(index) }));
    for (const pool of pools) pool.freeMany(taken(pool, 70).subarray(30));
    const left = (): number => original.stats().memory.limit - original.stats().memory.used;
    // An array for 32 ports takes 72 bytes, and a tuple less.
    for (let index = 0; left() >= 72; index++) {
      original.reserveTuple({ ...WEB, port: 80, destination: end(index) });
    }
    const bytes = original.snapshot();
    // Those of both pools, and of the aggregate that counts the second.
    expect(verify(original)).toBe(build === "debug" ? 3 * 8344 : 0);
    expect(original.snapshot()).toEqual(bytes);
    expect(pools.map(({ held }) => held)).toEqual([30, 30]);
    original.releasePort({ ...WEB, port: 80, destination: end(0) });
    original.releasePort({ ...WEB, port: 80, destination: end(1) });
    expect(original.snapshot()).not.toEqual(bytes);
    expect(verify(original)).toBe(0);
  });
});
