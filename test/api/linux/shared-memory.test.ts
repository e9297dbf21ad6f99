// One memory, two instances: the core sees what the linux module writes, and the other way round.
// Each allocates from the same heap, makes it grow, and frees what the other may then allocate.

import { beforeEach, describe, expect, test } from "vitest";
import { PORT_MAX } from "../../../assembly/abi.ts";
import { type Core, coreOf } from "../../../bindings/core/core.ts";
import { IPV4, PortManager, TCP } from "../../../bindings/index.ts";
import { linuxCoreOf } from "../../../bindings/linux/core.ts";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { verify } from "../../../bindings/manager.ts";
import type { PortPool } from "../../../bindings/pool.ts";
import {
  BUILDS,
  freshModule,
  freshModules,
  linuxModule,
  type Modules,
} from "../../support/builds.ts";

const PAGE = 65536;
const WEB = "192.0.2.1";
const RANGE = { first: 2000, last: 2009 };
const REQUEST = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };

describe.each(BUILDS)("%s build", (build) => {
  // Enough for dozens of times that the memory grows.
  const sockets = build === "release" ? 1_000_000 : 200_000;
  const tuples = sockets / 2;
  let modules: Modules;
  let core: Core;
  let ports: Linux2632Ports;
  let manager: PortManager;
  let pool: PortPool;

  beforeEach(() => {
    modules = freshModules(build);
    core = coreOf(modules.module);
    ports = Linux2632Ports.open({ ...modules, portRange: RANGE, random: () => 0 });
    manager = PortManager.open({ module: modules.module, portRange: RANGE });
    pool = manager.pool({ ...REQUEST, destination: { address: WEB, port: 443 } });
  });

  /** What a manager and a system do with views and pointers that were there before. */
  function goOn(): void {
    const batch = new Uint16Array(10);
    expect(pool.takeMany(batch)).toBe(10);
    expect([...batch].sort()).toEqual([...Array(10).keys()].map((index) => 2000 + index));
    expect(pool.take()).toBeLessThan(0);
    expect(pool.freeMany(batch)).toBe(10);
    const held = manager.reservePort({ ...REQUEST, address: "10.0.0.2", port: 80 });
    expect(() => manager.reservePort({ ...REQUEST, port: 80, address: "" })).toThrow("EADDRINUSE");
    held.release();

    const server = ports.socket();
    expect(server.bind("10.0.0.1", 0)).toBe(2000);
    expect(server.listen()).toBe(2000);
    const client = ports.socket();
    expect(client.connect(WEB, 443)).toBeGreaterThan(2000);
    expect(ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    client.close({ timeWait: true });
    server.close();
    ports.setTime(ports.time + 60_000);
    expect(ports.expireTimeWait()).toBe(1);
  }

  function accept(index: number): void {
    const destination = { address: WEB, port: 1 + (index % PORT_MAX) };
    const port = 3000 + Math.trunc(index / PORT_MAX);
    manager.reserveTuple({ ...REQUEST, port, destination });
  }

  function pages(): number {
    return core.exports.memory.buffer.byteLength / PAGE;
  }

  test("sockets make the memory grow, and a manager goes on", () => {
    const all: Linux2632Socket[] = [];
    const sizes = new Set<number>();
    while (all.length < sockets) {
      const before = core.exports.memory.buffer;
      all.push(ports.socket());
      if (core.exports.memory.buffer === before) continue;
      sizes.add(pages());
      goOn();
    }
    expect(sizes.size).toBeGreaterThan(20);
    ports.close();
    expect(pool.take(0)).toBe(2000);
    verify(manager);

    // What the sockets have left the manager fills, and nothing grows.
    const most = pages();
    for (let index = 0; index < tuples / 2; index++) accept(index);
    expect(pages()).toBe(most);
    verify(manager);
    manager.close();
  });

  test("a manager makes the memory grow, and sockets go on", () => {
    const sizes = new Set<number>();
    for (let index = 0; index < tuples; index++) {
      const before = core.exports.memory.buffer;
      accept(index);
      if (core.exports.memory.buffer === before) continue;
      sizes.add(pages());
      goOn();
    }
    expect(sizes.size).toBeGreaterThan(20);
    verify(manager);
    verifyLinux(ports);
    manager.close();

    const most = pages();
    const all = Array.from({ length: tuples / 10 }, () => ports.socket());
    expect(all[0]?.bind("10.0.0.1", 0)).toBe(2000);
    expect(pages()).toBe(most);
    expect(ports.stats().memory.taken).toBe(most * PAGE);
    verifyLinux(ports);
    ports.close();
  });

  test("a system that is opened late leaves what others hold in the memory as it is", () => {
    const late = freshModules(build);
    const { memory } = coreOf(late.module).exports;
    const early = PortManager.open({ module: late.module });
    for (let port = 1; port <= 10_000; port++) early.reservePort({ ...REQUEST, port });
    const before = new Uint8Array(memory.buffer).slice();
    linuxCoreOf(coreOf(late.module), late.linuxModule);
    const after = new Uint8Array(memory.buffer);
    // A debug build writes the texts of its asserts, where test/core/modules.test.ts has them lie.
    const textsEnd = build === "debug" ? 16384 : 0;
    expect(before.subarray(textsEnd)).toEqual(after.subarray(textsEnd));

    using system = Linux2632Ports.open(late);
    expect(system.socket().connect(WEB, 443)).toBeGreaterThan(32767);
    expect(early.stats()).toMatchObject({ descriptors: 10_000, references: 10_000 });
    verify(early);
    verifyLinux(system);
  });

  test.each<[string, () => Linux2632Settings]>([
    ["linuxModule alone", () => ({ linuxModule: linuxModule("release") })],
    ["module alone", () => ({ module: freshModule("release") })],
  ])("%s goes with the other inside the package", (_name, options) => {
    using system = Linux2632Ports.open({ ...options(), portRange: RANGE, random: () => 1 });
    expect(system.socket().bind("", 0)).toBe(2001);
  });
});
