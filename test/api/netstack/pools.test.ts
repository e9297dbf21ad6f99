// A pool and reservations of one description hold the same ports; a pool is one way to them.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../../assembly/abi.ts";
import { PortError, type PortManager, type PortPool, TCP, UDP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { atEnd } from "../../../bindings/pool.ts";
import { BUILDS, openOn } from "../../support/builds.ts";

const WEB = { networks: [4], transport: UDP };
const SERVER = { address: "9.9.9.9", port: 443 };
const RANGE = { first: 2000, last: 2004 };

describe.each(BUILDS)("%s build", (build) => {
  function open(): PortManager {
    return openOn(build, { seed: 1, portRange: RANGE });
  }

  // ── One state ───────────────────────────────────────────────────────────────────────────

  test("a pool has the ports that reservations hold, and may free them", () => {
    using manager = open();
    const reservation = manager.reservePort({ ...WEB, port: 2001 });
    const pool = manager.pool(WEB);
    expect(pool.has(2001)).toBe(true);
    expect(pool.held).toBe(1);
    expect(pool.takeAt(2001)).toBe(IN_USE);
    expect(pool.take(1)).toBe(2002);
    expect(pool.free(2001)).toBe(true);
    expect(manager.isAvailable({ ...WEB, port: 2001 })).toBe(true);
    // The object does not know that its port went another way: it gives it back once, without
    // effect.
    expect(reservation.release()).toBe(true);
    expect(reservation.release()).toBe(false);
  });

  test("a port that a pool has taken is refused to reservations, and can be released by value", () => {
    using manager = open();
    const pool = manager.pool(WEB);
    expect(pool.take(3)).toBe(2003);
    expect(() => manager.reservePort({ ...WEB, port: 2003 })).toThrow("EADDRINUSE");
    expect(manager.releasePort({ ...WEB, port: 2003 })).toBe(true);
    expect(pool.has(2003)).toBe(false);
    expect(pool.free(2003)).toBe(false);
  });

  test("two pools of one description hold the same ports", () => {
    using manager = open();
    const one = manager.pool({ ...WEB, address: "10.0.0.1" });
    const other = manager.pool({ ...WEB, address: "::ffff:10.0.0.1" });
    expect(one.take(0)).toBe(2000);
    expect(other.has(2000)).toBe(true);
    expect(other.take(0)).toBe(2001);
    expect(one.held).toBe(2);
    one.close();
    expect(other.free(2000)).toBe(true);
    expect(other.held).toBe(1);
  });

  test("a pool has what is held with its own flags, and frees a key that others hold", () => {
    using manager = open();
    const one = manager.pool({ ...WEB, flags: { loadBalanced: true } });
    const other = manager.pool({ ...WEB, flags: { loadBalanced: true, mostRecent: true } });
    expect(one.takeAt(2000)).toBe(2000);
    expect(other.has(2000)).toBe(false);
    expect(other.takeAt(2000)).toBe(2000);
    expect([one.held, other.held]).toEqual([1, 1]);
    expect(one.free(2000)).toBe(true);
    expect(one.has(2000)).toBe(false);
    // The key is held with other flags; it is freed all the same, as gVisor releases it.
    expect(one.free(2000)).toBe(true);
    expect(other.has(2000)).toBe(false);
  });

  test("a dual-stack pool has a port where both networks hold it", () => {
    using manager = open();
    const both = manager.pool({ ...WEB, networks: [4, 6] });
    expect(both.takeAt(2000)).toBe(2000);
    expect(both.has(2000)).toBe(true);
    expect(manager.releasePort({ ...WEB, networks: [6], port: 2000 })).toBe(true);
    expect(both.has(2000)).toBe(false);
    expect(both.held).toBe(1);
    expect(both.free(2000)).toBe(true);
    expect(both.free(2000)).toBe(false);
  });

  // ── Life of a pool ────────────────────────────────────────────────────────────────────

  test("ports stay held when their pool closes", () => {
    using manager = open();
    const pool = manager.pool(WEB);
    pool.take(0);
    pool.close();
    pool.close();
    expect(manager.isAvailable({ ...WEB, port: 2000 })).toBe(false);
    const again = manager.pool(WEB);
    expect(again.has(2000)).toBe(true);
  });

  test("a pool that is told of its end is closed by then, and stays so if that throws", () => {
    using manager = open();
    const pool = manager.pool(WEB);
    atEnd(pool, () => pool.take());
    expect(() => pool.close()).toThrow("EBADF: the pool has been closed");
    const other = manager.pool({ ...WEB, address: "10.0.0.1" });
    expect(() => pool.take()).toThrow("EBADF: the pool has been closed");
    expect(other.held).toBe(0);
  });

  test("an open pool without ports is not counted, and its memory goes when it closes", () => {
    using manager = open();
    const used = manager.stats().memory.used;
    const pools = [4, 6].flatMap((network) =>
      ["10.0.0.1", "10.0.0.2", ""].map((address) =>
        manager.pool({ ...WEB, networks: [network], address, destination: SERVER }),
      ),
    );
    verify(manager);
    expect(manager.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
    expect(manager.stats().memory.used).toBeGreaterThan(used);
    for (const pool of pools) {
      pool.close();
      verify(manager);
    }
    expect(manager.stats().memory.used).toBe(used);
  });

  test("`using` closes a pool and a manager, and releases a reservation", () => {
    const manager = open();
    const pool = manager.pool(WEB);
    pool[Symbol.dispose]();
    expect(() => pool.held).toThrow("closed");
    const reservation = manager.reservePort(WEB);
    reservation[Symbol.dispose]();
    reservation[Symbol.dispose]();
    expect(reservation.released).toBe(true);
    expect(manager.stats().references).toBe(0);
    manager[Symbol.dispose]();
    expect(() => manager.stats()).toThrow("closed");
  });

  // ── How it picks ────────────────────────────────────────────────────────────────────────

  test("a TCP pool binds by default, and connects where it has a destination", () => {
    using manager = open();
    const binding = manager.pool({ networks: [4], transport: TCP, flags: { tupleOnly: true } });
    const to = { networks: [4], transport: TCP, reuseAddr: true, destination: SERVER };
    const connecting = manager.pool(to);
    const strict = manager.pool({ ...to, mode: "bind" });
    expect(binding.take(0)).toBe(2000);
    expect(binding.take(0)).toBe(2001);
    expect(connecting.take(0)).toBe(2000);
    expect(strict.take(0)).toBe(2002);
  });

  test("a wildcard with a port is no destination to connect to", () => {
    using manager = open();
    const request = { networks: [4], transport: TCP, flags: { tupleOnly: true } };
    const pool = manager.pool({ ...request, destination: { port: 443 } });
    expect([pool.take(0), pool.take(0)]).toEqual([2000, 2001]);
    const connecting = manager.pool({ ...request, mode: "connect" });
    expect([connecting.take(0), connecting.take(0)]).toEqual([2000, 2000]);
  });

  describe("a unique pool", () => {
    const tuple = { networks: [4], transport: TCP, reuseAddr: true, destination: SERVER };

    test("never holds a tuple twice, where TupleOnly would let it through", () => {
      using manager = open();
      const plain = manager.pool(tuple);
      const unique = manager.pool({ ...tuple, unique: true });
      expect([plain.take(0), plain.take(0)]).toEqual([2000, 2000]);
      expect(unique.take(0)).toBe(2001);
      expect(unique.takeAt(2000)).toBe(IN_USE);
      expect(unique.takeAt(2001)).toBe(IN_USE);
      expect([unique.take(0), unique.take(0), unique.take(0)]).toEqual([2002, 2003, 2004]);
      expect(unique.take(0)).toBe(EXHAUSTED);
      expect(plain.take(0)).toBe(2000);
    });

    test("minds the tuple under any flags", () => {
      using manager = open();
      manager.reserveTuple({ ...WEB, transport: TCP, destination: SERVER, port: 2000, flags: ALL });
      const unique = manager.pool({ ...tuple, unique: true });
      expect(unique.takeAt(2000)).toBe(IN_USE);
      expect(unique.take(0)).toBe(2001);
    });

    test("shares its ports with other destinations", () => {
      using manager = open();
      for (let port = 1; port <= 20; port++) {
        const pool = manager.pool({ ...tuple, destination: { ...SERVER, port }, unique: true });
        expect(pool.takeMany(new Uint16Array(6))).toBe(5);
      }
      verify(manager);
      expect(manager.stats()).toMatchObject({ descriptors: 5, counters: 100, references: 100 });
    });

    test("minds its tuple in each of its networks", () => {
      using manager = open();
      manager.reserveTuple({ ...tuple, networks: [6], port: 2000 });
      const unique = manager.pool({ ...tuple, networks: [4, 6], unique: true });
      expect(unique.take(0)).toBe(2001);
    });
  });

  // ── Batches ─────────────────────────────────────────────────────────────────────────────

  test("a batch takes what single calls with the same seed take", () => {
    const [one, other] = [open(), open()];
    const singles = one.pool(WEB);
    const ports = new Uint16Array(7);
    expect(other.pool(WEB).takeMany(ports)).toBe(5);
    expect([...ports.subarray(0, 5)]).toEqual(Array.from({ length: 5 }, () => singles.take()));
    expect([...ports.subarray(5)]).toEqual([0, 0]);
    one.close();
    other.close();
  });

  test("a batch of none takes and frees nothing", () => {
    using manager = open();
    const pool = manager.pool(WEB);
    expect(pool.takeMany(new Uint16Array(0))).toBe(0);
    expect(pool.freeMany(new Uint16Array(0))).toBe(0);
  });

  test.each([1023, 1024, 1025, 2048, 3000])("a batch of %i is not cut short", (count) => {
    using manager = openOn(build, { seed: count });
    const pool = manager.pool(WEB);
    const ports = new Uint16Array(count);
    expect(pool.takeMany(ports)).toBe(count);
    expect(new Set(ports).size).toBe(count);
    expect(pool.held).toBe(count);
    for (const port of ports) expect(pool.has(port)).toBe(true);
    expect(pool.freeMany(ports)).toBe(count);
    expect(pool.held).toBe(0);
  });

  test("a full batch stays in its place: what is planned and held around it is unharmed", () => {
    using manager = openOn(build, { seed: 5 });
    const pool = manager.pool(WEB);
    expect(pool.takeMany(new Uint16Array(1024))).toBe(1024);
    verify(manager);
    // More pools than a plan has room for at first, so that a larger one takes its place.
    for (let device = 1; device <= 80; device++) {
      manager.reservePort({ ...WEB, port: 80, bindToDevice: device });
    }
    expect(manager.isAvailable({ ...WEB, port: 80 })).toBe(false);
    expect(manager.isAvailable({ ...WEB, port: 81 })).toBe(true);
    verify(manager);
    expect(manager.stats()).toMatchObject({ descriptors: 1025, counters: 1104 });
  });

  test("freeing a batch counts held ports: not port 0, not one that is free, none twice", () => {
    using manager = open();
    const pool = manager.pool(WEB);
    pool.takeAt(2000);
    pool.takeAt(2001);
    expect(pool.freeMany(Uint16Array.of(0, 2000, 2000, 9999, 2001, 65535))).toBe(2);
    verify(manager);
    expect(manager.stats().references).toBe(0);
  });

  test("a batch goes on where its pool becomes a list, and a bitmap", () => {
    using manager = openOn(build, { seed: 3, portRange: { first: 1, last: 200 } });
    const pools = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) =>
      manager.pool({ ...WEB, address }),
    );
    for (const pool of pools) expect(take(pool, 150)).toBe(150);
    verify(manager);
    const any = manager.pool({ ...WEB, flags: ALL, unique: true });
    expect(any.held).toBe(0);
    expect(take(any, 200)).toBe(200 - new Set(pools.flatMap(portsOf)).size);
    verify(manager);
  });
});

const ALL = { mostRecent: true, loadBalanced: true, tupleOnly: true };

function take(pool: PortPool, count: number): number {
  return pool.takeMany(new Uint16Array(count));
}

function portsOf(pool: PortPool): number[] {
  return Array.from({ length: 200 }, (_, index) => index + 1).filter((port) => pool.has(port));
}

test("a closed pool says so by an error that names it", () => {
  using manager = openOn("release");
  const pool = manager.pool(WEB);
  pool.close();
  expect(() => pool.take()).toThrow(PortError);
  expect(() => pool.take()).toThrow("EBADF: the pool has been closed");
});
