// Memory of cooling pools: what a cooling port costs, that all of it comes back, and that a manager
// at its limit refuses without changing anything.

import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../bindings/core/random.ts";
import { PortError, type PortManager, type PortPool, Refusal, UDP } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { compare } from "../fuzz/mismatch.ts";
import { BUILDS, openOn } from "../support/builds.ts";

const KEY = { networks: [4], transport: UDP, address: "10.0.0.1" };
const ALL = { first: 1024, last: 65535 };
const COOLING = { cooldown: 1000, selection: "fifo" } as const;

describe.each(BUILDS)("%s build", (build) => {
  const usedBy = (manager: PortManager): number => manager.stats().memory.used;

  test("a cooling port costs a bit and two bytes", () => {
    using manager = openOn(build, { portRange: ALL });
    const pool = manager.pool({ ...KEY, cooldown: 1000 });
    const ports = new Uint16Array(32_768);
    pool.takeMany(ports);
    const before = usedBy(manager);
    for (const port of ports) pool.coolDown(port, 0);
    expect(usedBy(manager) - before).toBeLessThan(32_768 * 2 + 8400);
  });

  test.each([{ cooldown: 1000 }, { selection: "fifo" }] as const)(
    "seventy ports that wait in order, as with %o, take no second bitmap",
    (options) => {
      const most = 8900;
      using manager = openOn(build, { portRange: ALL });
      const pool = manager.pool({ ...KEY, ...options });
      const before = usedBy(manager);
      const ports = new Uint16Array(70);
      for (let at = 0; at < 70; at++) ports[at] = pool.take(at * 7919);
      for (const port of ports) pool.coolDown(port, 0);
      expect(usedBy(manager) - before).toBeLessThan(most);
      for (let at = 0; at < 200; at++) pool.take(at);
      for (const port of pool.ports()) pool.coolDown(port, 1);
      expect(usedBy(manager) - before).toBeGreaterThan(most);
      verify(manager);
    },
  );

  test("a pool that is closed gives back all its memory", () => {
    using manager = openOn(build, { portRange: ALL });
    manager.pool(KEY).close();
    const before = usedBy(manager);
    for (const count of [0, 1, 2, 9, 17, 64, 65, 66, 5000]) {
      const pool = manager.pool({ ...KEY, ...COOLING });
      const ports = new Uint16Array(count);
      expect(pool.takeMany(ports)).toBe(count);
      ports.forEach((port, at) => void (at % 3 ? pool.coolDown(port, at) : pool.free(port)));
      verify(manager);
      pool.expire(1500);
      pool.close();
      expect(usedBy(manager), `${count} ports`).toBe(before);
    }
    verify(manager);
  });

  test("a manager that is closed gives back what its pools kept", () => {
    const fill = (): void => {
      const manager = openOn(build, { portRange: ALL });
      for (let transport = 30; transport < 40; transport++) {
        const pool = manager.pool({ ...KEY, ...COOLING, transport });
        const ports = new Uint16Array(3000);
        pool.takeMany(ports);
        for (const port of ports) pool.coolDown(port, 0);
      }
      manager.close();
    };
    fill();
    using probe = openOn(build);
    const { taken } = probe.stats().memory;
    for (let round = 0; round < 20; round++) fill();
    expect(probe.stats().memory.taken).toBe(taken);
  });

  test("a manager at its limit refuses to let a port cool down, and the port is still held", () => {
    using manager = openOn(build, { portRange: ALL, memoryLimit: 1200 });
    manager.pool({ ...KEY, transport: 99 });
    const pool = manager.pool({ ...KEY, cooldown: 1000 });
    let held = 0;
    while (pool.take() > 0) held++;
    expect(pool.take()).toBe(Refusal.NO_MEMORY);
    const ports = Array.from({ length: 65536 - 1024 }, (_, at) => 1024 + at);
    const own = ports.filter((port) => pool.has(port));
    expect(own).toHaveLength(held);
    let cooling = 0;
    for (const port of own) {
      try {
        compare(`${port} cools`, pool.coolDown(port, 0), true);
        cooling++;
      } catch (error) {
        if (!(error instanceof PortError)) throw error;
        compare(`${port}`, [error.code, error.reason], ["ENOBUFS", "no-memory"]);
        compare(`${port} is held`, pool.has(port), true);
      }
    }
    expect(cooling).toBeGreaterThan(0);
    expect(cooling).toBeLessThan(held);
    expect([pool.held, pool.cooling]).toEqual([held - cooling, cooling]);
    verify(manager);
    expect(pool.expire(1125)).toBe(cooling);
    expect(pool.held).toBe(held - cooling);
  });

  test("a pool for whose cooldown there is no memory is not opened", () => {
    for (let limit = 1024; limit < 1200; limit += 8) {
      using manager = openOn(build, { memoryLimit: limit });
      const pools: PortPool[] = [];
      for (let transport = 0; ; transport++) {
        const before = usedBy(manager);
        try {
          pools.push(manager.pool({ ...KEY, ...COOLING, transport }));
        } catch (error) {
          expect(error).toMatchObject({ code: "ENOBUFS" });
          expect(usedBy(manager)).toBe(before);
          break;
        }
      }
      for (const pool of pools) pool.close();
      verify(manager);
    }
  });

  test("at a tight limit no port is lost and none is given twice", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const range = { first: 3000, last: 3199 };
      const memoryLimit = 1200 + seed * 2000;
      using manager = openOn(build, { portRange: range, memoryLimit });
      const random = new SeededRandom(seed);
      const pool = manager.pool({ ...KEY, ...COOLING });
      const held = new Set<number>();
      const cooling = new Set<number>();
      let refused = 0;
      for (let step = 0; step < 3000; step++) {
        const [port = 0] = [...held].slice(random.next() % (held.size + 1));
        const kind = random.next() % 8;
        if (kind < 4) {
          const taken = pool.take();
          if (taken === Refusal.NO_MEMORY) refused++;
          if (taken > 0) {
            compare(`${taken} is taken`, held.has(taken) || cooling.has(taken), false);
            held.add(taken);
          }
        } else if (port !== 0 && kind < 6) {
          try {
            compare(`${port} cools`, pool.coolDown(port, step), true);
            held.delete(port);
            cooling.add(port);
          } catch (error) {
            compare("code", (error as PortError).code, "ENOBUFS");
            refused++;
          }
        } else if (port !== 0 && kind === 6) {
          compare(`${port} is freed`, pool.free(port), true);
          held.delete(port);
        } else if (step % 5 === 0) {
          pool.expire(step);
          for (const port of cooling) {
            if (manager.isAvailable({ ...KEY, port })) cooling.delete(port);
          }
        }
        compare("counts", [pool.held, pool.cooling], [held.size, cooling.size]);
        if (build === "debug" && step % 4 === 0) verify(manager);
      }
      pool.expire(1e6);
      for (const port of held) pool.free(port);
      expect(manager.stats().references).toBe(0);
      if (seed < 9) expect(refused).toBeGreaterThan(0);
      let all = 0;
      while (pool.take() > 0) all++;
      if (seed === 12) expect(all).toBe(200);
    }
  });
});
