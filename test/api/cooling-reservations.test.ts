// Reservations and tuples that cool down, as a user-space stack keeps its TIME_WAIT: exact times.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../bindings/core/random.ts";
import { PortManager, Refusal, type Reservation, TCP } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { caught } from "../invalid-input/fixture.ts";
import { BUILDS, openOn } from "../support/builds.ts";

const WEB = { networks: [4], transport: TCP, address: "10.0.0.1" };
const MINUTE = 60_000;

describe.each(BUILDS)("on the %s build", (build) => {
  test("a reservation in cooldown holds its port until the very millisecond", () => {
    using manager = openOn(build, { cooldown: MINUTE });
    const held = manager.reservePort({ ...WEB, port: 80 });
    expect([held.coolDown(1000), held.coolDown(2000)]).toEqual([true, false]);
    expect([held.isCooling, held.released, manager.nextExpiry]).toEqual([true, false, 61_000]);
    expect(manager.tryReserve({ ...WEB, port: 80 })).toBe(Refusal.IN_USE);
    expect(manager.expire(60_999)).toBe(0);
    const freed: Reservation[] = [];
    expect(manager.expire(61_000, freed)).toBe(1);
    expect(freed).toEqual([held]);
    expect([held.isCooling, held.released, manager.nextExpiry]).toEqual([false, true, undefined]);
    expect(manager.isAvailable({ ...WEB, port: 80 })).toBe(true);
    verify(manager);
  });

  test("an accepted tuple cools down beside its listener", () => {
    using manager = openOn(build);
    manager.reservePort({ ...WEB, port: 80 });
    const destination = { address: "10.9.0.1", port: 50_000 };
    const accepted = manager.reserveTuple({ ...WEB, port: 80, destination });
    expect(accepted.coolDown(0, MINUTE)).toBe(true);
    const again = (): Reservation => manager.reserveTuple({ ...WEB, port: 80, destination });
    expect(caught(again)).toMatchObject({ code: "EADDRINUSE" });
    expect(manager.expire(MINUTE)).toBe(1);
    expect(again().port).toBe(80);
  });

  test("release ends a cooldown at once", () => {
    using manager = openOn(build, { cooldown: MINUTE });
    const [one, other] = [80, 81].map((port) => manager.reservePort({ ...WEB, port }));
    one?.coolDown(0);
    other?.coolDown(5);
    expect(one?.release()).toBe(true);
    expect(manager.nextExpiry).toBe(60_005);
    expect(manager.isAvailable({ ...WEB, port: 80 })).toBe(true);
    expect([one?.release(), one?.coolDown(9)]).toEqual([false, false]);
    expect(manager.expire(MINUTE)).toBe(0);
  });

  test("without a period a reservation is released at once, and the clock never goes back", () => {
    using manager = openOn(build);
    expect(manager.reservePort({ ...WEB, port: 80 }).coolDown(5000)).toBe(true);
    expect(manager.isAvailable({ ...WEB, port: 80 })).toBe(true);
    manager.reservePort({ ...WEB, port: 80 }).coolDown(0, 10);
    expect(manager.nextExpiry).toBe(5010);
  });

  test("reservations come back in the order of their times, whatever they were given", () => {
    const entry = fc.record({ period: fc.nat(200), wait: fc.nat(50), ends: fc.boolean() });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), fc.nat(20), (entries, step) => {
        using manager = openOn(build);
        let now = 0;
        const cooling = new Map<Reservation, number>();
        for (const [index, { period, wait, ends }] of entries.entries()) {
          now += wait;
          const held = manager.reservePort({ ...WEB, port: 1000 + index });
          held.coolDown(now, period + 1);
          if (ends) held.release();
          else cooling.set(held, now + period + 1);
        }
        while (cooling.size > 0) {
          now += step + 1;
          const freed: Reservation[] = [];
          manager.expire(now, freed);
          const due = [...cooling].filter(([, time]) => time <= now);
          expect(new Set(freed)).toEqual(new Set(due.map(([held]) => held)));
          expect(freed.map((held) => cooling.get(held))).toEqual(
            due.map(([, time]) => time).sort((a, b) => a - b),
          );
          for (const [held] of due) cooling.delete(held);
        }
        expect(manager.stats().references).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("a pool says which ports it frees, as many as there are places for", () => {
    using manager = openOn(build, { portRange: { first: 1000, last: 1009 } });
    for (const selection of [undefined, "fifo"] as const) {
      using pool = manager.pool({ ...WEB, cooldown: 64, selection });
      const wanted = [1004, 1001, 1009, 1002, 1000];
      for (const [index, port] of wanted.entries()) {
        pool.takeAt(port);
        pool.coolDown(port, index);
      }
      manager.releasePort({ ...WEB, port: 1001 }); // by value: the pool does not free it
      const freed = new Uint16Array(3);
      expect(pool.expire(200, freed)).toBe(3);
      expect([...freed]).toEqual([1004, 1009, 1002]);
      expect([pool.expire(200, freed), freed[0], pool.cooling]).toEqual([1, 1000, 0]);
      expect([pool.expire(200, freed), pool.expire(200, new Uint16Array(0))]).toEqual([0, 0]);
      verify(manager);
    }
  });

  test("a fifo pool at its memory limit says that there is no memory", () => {
    const portRange = { first: 1000, last: 1199 };
    const refusals = new Set<number>();
    for (let memoryLimit = 1500; memoryLimit <= 12_000; memoryLimit += 500) {
      using manager = openOn(build, { memoryLimit, portRange });
      const pool = manager.pool({ ...WEB, selection: "fifo", cooldown: MINUTE });
      const taken = new Set<number>();
      let port = pool.take(0);
      for (; port > 0; port = pool.take(taken.size)) {
        taken.add(port);
        if (taken.size === 64) manager.tryReserve({ ...WEB, port: 1064 });
      }
      refusals.add(port);
      // All have been taken, and one belongs to another holder; else there is no memory.
      expect(port).toBe(taken.size >= 199 ? Refusal.EXHAUSTED : Refusal.NO_MEMORY);
      verify(manager);
    }
    expect(refusals).toEqual(new Set([Refusal.EXHAUSTED, Refusal.NO_MEMORY]));
  });
});

test("times and periods that are none are refused", () => {
  using manager = PortManager.open();
  const held = manager.reservePort({ ...WEB, port: 80 });
  for (const act of [
    () => held.coolDown(-1, 5),
    () => held.coolDown(0, 86_400_001),
    () => held.coolDown(0, 0.5),
    () => manager.expire(Number.NaN),
  ]) {
    expect(caught(act)).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
  }
  expect(held.isCooling).toBe(false);
  manager.close();
  expect(caught(() => manager.expire(0))).toMatchObject({ code: "EBADF" });
  expect(caught(() => manager.nextExpiry)).toMatchObject({ code: "EBADF" });
  expect(caught(() => held.coolDown(0, 5))).toMatchObject({ code: "EBADF" });
});

/** How many of so many connections are refused, where each keeps a port for a minute. */
function refusalsOf(count: number, load: number) {
  const portRange = { first: 20_000, last: 20_999 };
  const destination = { address: "10.9.0.1", port: 443 };
  using manager = PortManager.open({ portRange, seed: 1 });
  using pools = PortManager.open({ portRange, seed: 1 });
  const pool = pools.pool({ ...WEB, destination, cooldown: MINUTE });
  const random = new SeededRandom(5);
  const exact: number[] = [];
  const refused = { exact: 0, reservations: 0, pool: 0 };
  let now = 0;
  for (let index = 0; index < count; index++) {
    now += (-Math.log(1 - random.next() / 2 ** 32) * MINUTE) / (1000 * load);
    while ((exact[0] ?? Infinity) <= now) exact.shift();
    if (exact.length < 1000) exact.push(now + MINUTE);
    else refused.exact++;
    manager.expire(now);
    const reservation = manager.tryReserve(WEB);
    if (typeof reservation === "number") refused.reservations++;
    else reservation.coolDown(now, MINUTE);
    pool.expire(now);
    const port = pool.take();
    if (port < 0) refused.pool++;
    else pool.coolDown(port, now);
  }
  return refused;
}

test("on a range that is nearly full reservations are refused as exact timers are, and a pool hardly more", () => {
  const { exact, reservations, pool } = refusalsOf(100_000, 0.92);
  expect(exact).toBeGreaterThan(30);
  expect(reservations).toBe(exact);
  // Its ports cool down for up to 1/64 longer: as if the load were so much higher.
  expect(pool).toBeGreaterThan(exact);
  expect(pool).toBeLessThanOrEqual(refusalsOf(100_000, 0.92 * (1 + 1 / 64)).exact);
});
