// Memory that grows: WebAssembly then detaches every view on the old buffer. The facade must make
// each view that it keeps again (the request block, the batch, the slice of a batch that was used
// last), also when the memory grows in the middle of a call, or while a caller's own code runs.

import { describe, expect, test } from "vitest";
import { BATCH_MAX } from "../../assembly/abi.ts";
import { coreOf } from "../../bindings/core/core.ts";
import {
  IPV4,
  PortGroups,
  PortManager,
  type PortPool,
  ReservedPorts,
  TCP,
} from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { BUILDS, type Build, freshModules } from "../support/builds.ts";

const RANGE = { first: 1024, last: 65535 };
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;

describe.each(BUILDS)("the %s build", (build) => {
  test("the views are on the memory that is there", () => {
    const { core, grow } = fixture(build);
    for (let round = 0; round < 3; round++) {
      const old = [core.request, core.offsets, core.ports];
      grow();
      expect(old.map(({ length }) => length)).toEqual([0, 0, 0]);
      const { buffer } = core.exports.memory;
      for (const view of [core.request, core.offsets, core.ports]) {
        expect(view.buffer).toBe(buffer);
        expect(view.length).toBeGreaterThan(0);
      }
    }
  });

  test("reservations go on", () => {
    const { manager, grow } = fixture(build);
    const held = manager.reservePort({ ...KEY, port: 2000 });
    grow();
    expect(manager.isAvailable({ ...KEY, port: 2000 })).toBe(false);
    expect(manager.isAvailable({ ...KEY, port: 2001 })).toBe(true);
    grow();
    expect(manager.reservePort({ ...KEY, port: 2001 }).port).toBe(2001);
    grow();
    expect(held.release()).toBe(true);
    expect(manager.isAvailable({ ...KEY, port: 2000 })).toBe(true);
  });

  test("a tester may make the memory grow, between two ports that it is offered", () => {
    const { manager, grow } = fixture(build);
    const offered: number[] = [];
    const tester = (port: number): boolean => {
      grow();
      return offered.push(port) === 5;
    };
    const { port } = manager.reservePort(KEY, tester);
    expect(port).toBe(offered[4]);
    expect(new Set(offered).size).toBe(5);
    expect(manager.isAvailable({ ...KEY, port })).toBe(false);
  });

  test.each([1, 32, 33, 256, BATCH_MAX, BATCH_MAX + 1])("batches of %i go on", (count) => {
    const { manager, grow } = fixture(build);
    const pool = manager.pool(KEY);
    const ports = new Uint16Array(count);
    const offsets = Uint32Array.from(ports, (_, index) => index * 7);
    for (const given of [undefined, offsets, undefined, offsets]) {
      expect(pool.takeMany(ports, given)).toBe(count);
      expectHeld(pool, ports);
      grow();
      expectHeld(pool, ports);
      expect(pool.freeMany(ports)).toBe(count);
      expect(pool.held).toBe(0);
      grow();
    }
  });

  test("the memory may grow in the middle of a batch", () => {
    const { core, manager } = fixture(build);
    const ports = new Uint16Array(BATCH_MAX + 300);
    let growths = 0;
    for (let index = 0; growths < 5 && index < 500; index++) {
      const pool = manager.pool({
        ...KEY,
        destination: { address: `10.1.0.${index % 256}`, port: 1 + index },
      });
      const before = core.exports.memory.buffer;
      expect(pool.takeMany(ports)).toBe(ports.length);
      if (core.exports.memory.buffer !== before) growths += 1;
      expectHeld(pool, ports);
    }
    expect(growths).toBe(5);
  });

  test.each(["hash", "double-hash", "sequential"] as const)("%s selects as before", (selection) => {
    const { module, grow } = fixture(build);
    const pools = [1, 2].map(() => PortManager.open({ module, selection, seed: 5 }).pool(KEY));
    for (let take = 0; take < 20; take++) {
      const [port, same] = pools.map((pool, index) => {
        if (index === 0) grow();
        return pool.take();
      });
      expect(port).toBeGreaterThan(0);
      expect(same).toBe(port);
    }
  });

  test("groups and reserved ports go on", () => {
    const { module, manager, grow } = fixture(build);
    const groups = PortGroups.open({ module });
    const group = groups.create("/a", { bindPortRange: { first: 3000, last: 3003 } });
    const reserved = new ReservedPorts("3000-3001", { module });
    grow();
    expect(manager.reservePort({ ...KEY, group, reserved }).port).toBeGreaterThan(3001);
    grow();
    reserved.text = "3000-3001,3003";
    grow();
    expect(reserved.has(3003)).toBe(true);
    expect(manager.isAvailable({ ...KEY, group, port: 2999 })).toBe(false);
    grow();
    expect(groups.read("/a/net_cls.bind_port_range")).toBe("3000 3003\n");
  });

  test("a draw of Linux2632Ports may make the memory grow", () => {
    const modules = freshModules(build);
    const core = coreOf(modules.module);
    const linux = Linux2632Ports.open({
      ...modules,
      random: () => core.exports.memory.grow(1),
    });
    const sockets = Array.from({ length: 40 }, () => linux.socket());
    const ports = sockets.map((socket) => socket.bind("10.0.0.1", 0));
    expect(new Set(ports).size).toBe(40);
    const client = linux.socket();
    core.exports.memory.grow(1);
    expect(client.connect("10.0.0.2", 80, { localAddress: "10.0.0.1" })).toBeGreaterThan(0);
    for (const socket of [...sockets, client]) socket.close();
    expect(linux.stats().buckets).toBe(0);
  });
});

function fixture(build: Build) {
  const { module } = freshModules(build);
  const core = coreOf(module);
  const manager = PortManager.open({ module, portRange: RANGE });
  const grow = (): void => {
    const { buffer } = core.exports.memory;
    core.exports.memory.grow(1);
    // Or nothing would be tested.
    expect(buffer.byteLength).toBe(0);
  };
  return { module, core, manager, grow };
}

/** Each once, and no more. */
function expectHeld(pool: PortPool, ports: Uint16Array): void {
  expect(new Set(ports).size).toBe(ports.length);
  expect(ports.every((port) => port >= RANGE.first && pool.has(port))).toBe(true);
  expect(pool.held).toBe(ports.length);
}
