// Edges: the first and last port, word and group, the shortest and the longest range, and the
// numbers of ports at which a pool changes its form.

import { describe, expect, onTestFinished, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../../assembly/abi.ts";
import { type PortManager, type PortPool, UDP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, closeWhole, openOn } from "../../support/builds.ts";

const EDGES = [1, 2, 62, 63, 64, 65, 127, 128, 4094, 4095, 4096, 4097, 8191, 8192, 65534, 65535];
const WEB = { networks: [4], transport: UDP };

describe.each(BUILDS)("%s build", (build) => {
  /** A manager, which is whole in the end, and a pool. */
  function opened(first: number, last: number): { manager: PortManager; pool: PortPool } {
    const manager = openOn(build, { seed: 7, portRange: { first, last } });
    onTestFinished(() => closeWhole(manager));
    return { manager, pool: manager.pool(WEB) };
  }

  /** What a manager has used before anything is held or open. */
  function bytesOfNothing(): number {
    using manager = openOn(build, { seed: 7 });
    const { used } = manager.stats().memory;
    return used;
  }

  // ── Ports ─────────────────────────────────────────────────────────────────────────────────

  test.each(EDGES)("port %i can be held alone, and be the only one that a search finds", (port) => {
    const { manager, pool } = opened(port, port);
    expect(pool.takeAt(port)).toBe(port);
    expect(pool.takeAt(port)).toBe(IN_USE);
    for (const other of EDGES) {
      expect(manager.isAvailable({ ...WEB, port: other })).toBe(other !== port);
      expect(pool.has(other)).toBe(other === port);
    }
    expect(pool.take(0)).toBe(EXHAUSTED);
    expect(pool.free(port)).toBe(true);
    for (const offset of [0, 1, 65535, 65536, 0xffffffff]) {
      expect(pool.take(offset)).toBe(port);
      expect(pool.take(offset)).toBe(EXHAUSTED);
      expect(pool.free(port)).toBe(true);
    }
  });

  test.each([
    [1, 63],
    [1, 64],
    [63, 64],
    [64, 127],
    [64, 128],
    [63, 128],
    [4032, 4096],
    [4095, 4096],
    [65472, 65535],
    [65471, 65535],
  ])("the range %i..%i is filled from every offset in turn, each port once", (first, last) => {
    const { pool } = opened(first, last);
    const count = last - first + 1;
    for (let offset = 0; offset < count; offset++) expect(pool.take(offset)).toBe(first + offset);
    expect(pool.take(0)).toBe(EXHAUSTED);
    expect(pool.held).toBe(count);
  });

  test.each([
    [1, 63],
    [60, 130],
    [4000, 4200],
    [65400, 65535],
  ])("a search in %i..%i wraps round to the port before its start", (first, last) => {
    const { pool } = opened(first, last);
    const count = last - first + 1;
    for (const hole of [first, first + 1, last - 1, last]) {
      for (let port = first; port <= last; port++) if (port !== hole) pool.takeAt(port);
      for (const offset of [0, 1, count - 1, hole - first, hole - first + 1]) {
        expect(pool.take(offset)).toBe(hole);
        expect(pool.free(hole)).toBe(true);
      }
      for (let port = first; port <= last; port++) pool.free(port);
      expect(pool.held).toBe(0);
    }
  });

  test("ports outside of the range are never found, on either side of a word's edge", () => {
    const { manager, pool } = opened(65, 126);
    for (let port = 65; port <= 126; port++) expect(pool.takeAt(port)).toBe(port);
    for (let offset = 0; offset < 200; offset++) expect(pool.take(offset)).toBe(EXHAUSTED);
    manager.setPortRange(64, 126);
    expect(pool.take(5)).toBe(64);
    manager.setPortRange(65, 127);
    expect(pool.take(5)).toBe(127);
  });

  // ── All ports ─────────────────────────────────────────────────────────────────────────────

  test("all 65,535 ports are taken in one batch, each once, and then none is left", () => {
    const { manager, pool } = opened(1, 65535);
    const ports = new Uint16Array(65536);
    expect(pool.takeMany(ports)).toBe(65535);
    expect(pool.held).toBe(65535);
    expect(new Set(ports.subarray(0, 65535)).size).toBe(65535);
    expect(ports.subarray(0, 65535)).not.toContain(0);
    verify(manager);

    expect(pool.take(12345)).toBe(EXHAUSTED);
    expect(manager.stats()).toMatchObject({ descriptors: 65535, counters: 65535 });
    expect(pool.takeMany(new Uint16Array(1))).toBe(0);
    for (const port of EDGES) {
      expect(pool.free(port)).toBe(true);
      expect(pool.take(port)).toBe(port);
      expect(pool.take(port + 1)).toBe(EXHAUSTED);
    }

    expect(pool.freeMany(ports)).toBe(65535);
    expect(pool.held).toBe(0);
    verify(manager);
    pool.close();
    expect(manager.stats().memory.used).toBe(bytesOfNothing());
  });

  test("a full range is full for every other description that meets it", () => {
    const { manager, pool } = opened(1, 65535);
    pool.takeMany(new Uint16Array(65535));
    const others = [
      { ...WEB, address: "10.0.0.1" },
      { ...WEB, bindToDevice: 3 },
      { ...WEB, destination: { address: "9.9.9.9", port: 443 } },
      { ...WEB, networks: [6, 4] },
    ];
    for (const other of others) {
      expect(() => manager.reservePort(other)).toThrow("all 65535 of 1..65535 are taken");
      const pool = manager.pool(other);
      expect(pool.take()).toBe(EXHAUSTED);
      expect(pool.takeAt(40000)).toBe(IN_USE);
    }
    expect(manager.reservePort({ ...WEB, networks: [6], offset: 41999 }).port).toBe(42000);
  });

  test("a group of 4,096 full ports is passed over, to the one hole behind it", () => {
    const { pool } = opened(1, 65535);
    pool.takeMany(new Uint16Array(65535));
    for (const hole of [1, 4095, 4096, 8191, 8192, 40000, 65535]) {
      pool.free(hole);
      for (const offset of [0, hole - 2, hole - 1, hole, 30000, 65534]) {
        expect(pool.take(Math.max(0, offset))).toBe(hole);
        pool.free(hole);
      }
      pool.takeAt(hole);
    }
  });

  // ── Forms ─────────────────────────────────────────────────────────────────────────────────

  test.each([
    ["up", (index: number) => index],
    ["down", (index: number) => 199 - index],
    ["to and fro", (index: number) => (index * 77) % 200],
  ])("a pool holds 1, 2, 8, 9, 64, 65 and more ports, and back, going %s", (_how, order) => {
    const { manager, pool } = opened(60, 259);
    const held = new Set<number>();
    const check = (): void => {
      expect(pool.held).toBe(held.size);
      for (let port = 58; port < 262; port++) expect(pool.has(port)).toBe(held.has(port));
    };
    for (const count of [1, 2, 7, 8, 9, 16, 17, 32, 33, 63, 64, 65, 66, 130, 200]) {
      for (let index = held.size; index < count; index++) {
        held.add(pool.takeAt(60 + order(index)));
      }
      check();
    }
    for (const count of [66, 65, 64, 63, 26, 25, 24, 23, 9, 8, 7, 2, 1, 0]) {
      for (const port of [...held].slice(count)) {
        expect(pool.free(port)).toBe(true);
        held.delete(port);
      }
      check();
    }
    pool.close();
    expect(manager.stats().memory.used).toBe(bytesOfNothing());
  });

  test("a pool keeps its bitmap as long as it is open, however few ports it holds", () => {
    const { manager, pool } = opened(60, 259);
    for (let port = 60; port < 124; port++) pool.takeAt(port);
    const asList = manager.stats().memory.used;
    pool.takeAt(124);
    const asBitmap = manager.stats().memory.used;
    expect(asBitmap - asList).toBeGreaterThan(8000);
    for (let port = 124; port > 83; port--) pool.free(port);
    expect(pool.held).toBe(24);
    expect(manager.stats().memory.used).toBe(asBitmap);
    const other = manager.pool(WEB);
    pool.close();
    expect(manager.stats().memory.used).toBeGreaterThan(8000);
    other.close();
    expect(manager.stats()).toMatchObject({ counters: 24 });
    expect(manager.stats().memory.used).toBeLessThan(asList);
  });

  test("ports that are only reserved do not change their container with each port around the 65th", () => {
    const { manager, pool } = opened(60, 259);
    pool.close();
    const held = Array.from({ length: 64 }, (_, index) =>
      manager.reservePort({ ...WEB, port: 60 + index }),
    );
    const asList = manager.stats().memory.used;
    held.push(manager.reservePort({ ...WEB, port: 124 }));
    const asBitmap = manager.stats().memory.used;
    expect(asBitmap - asList).toBeGreaterThan(8000);
    for (const reservation of held.splice(25)) {
      expect(manager.stats().memory.used).toBe(asBitmap);
      reservation.release();
    }
    held.pop()?.release();
    expect(manager.stats()).toMatchObject({ counters: 24 });
    expect(manager.stats().memory.used).toBeLessThan(asList);
  });

  test("a port costs one bit where a pool is busy, and nothing where it holds one", () => {
    const { manager, pool } = opened(1, 65535);
    const opened_ = manager.stats().memory.used;
    pool.takeAt(80);
    expect(manager.stats().memory.used).toBe(opened_);
    pool.takeMany(new Uint16Array(65534));
    expect(manager.stats().memory.used - opened_).toBeLessThan((65536 / 8) * 1.02);
  });
});
