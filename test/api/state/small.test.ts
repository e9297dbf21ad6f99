// Small things of managers, pools and reservations: narrowing, a port to avoid, testers that take
// their time.

import net from "node:net";
import { describe, expect, test } from "vitest";
import {
  IPV4,
  IPV6,
  type PolicyName,
  type PortManager,
  Refusal,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { createConnector } from "../../../bindings/node/index.ts";
import { codeOf } from "../../invalid-input/fixture.ts";
import { BUILDS, openOn } from "../../support/builds.ts";

const WEB = { networks: [IPV4], transport: TCP };
const DUAL = { networks: [IPV4, IPV6], transport: UDP, port: 53 };
const RANGE = { first: 40000, last: 40003 };

describe.each(BUILDS)("a reservation that is narrowed (%s build)", (build) => {
  test("gives back the other network, and release() what is left, once", () => {
    using ports = openOn(build, {});
    const { used } = ports.stats().memory;
    const dual = ports.reservePort(DUAL);
    expect(dual.narrow([IPV4])).toBe(true);
    expect(dual.networks).toEqual([IPV4]);
    expect(ports.isAvailable({ ...DUAL, networks: [IPV6] })).toBe(true);
    const six = ports.reservePort({ ...DUAL, networks: [IPV6] });
    expect(dual.narrow([IPV4, IPV4])).toBe(false);
    expect(dual.release()).toBe(true);
    // Another holder has the IPv6 half, and keeps it.
    expect(ports.isAvailable({ ...DUAL, networks: [IPV6] })).toBe(false);
    expect(six.release()).toBe(true);
    verify(ports);
    expect(ports.stats()).toMatchObject({ references: 0, memory: { used } });
  });

  test("keeps its group in use until it is released", () => {
    using ports = openOn(build, {});
    const dual = ports.reservePort(DUAL);
    dual.narrow([IPV6]);
    expect(dual.address).toBe("::");
    expect(codeOf(() => dual.narrow([IPV4]))).toBe("ERR_INVALID_ARG_VALUE");
    expect(codeOf(() => dual.narrow([]))).toBe("ERR_INVALID_ARG_VALUE");
    expect(codeOf(() => dual.narrow("4" as never))).toBe("ERR_INVALID_ARG_TYPE");
    expect(dual.networks).toEqual([IPV6]);
    dual.release();
    expect(codeOf(() => dual.narrow([IPV6]))).toBe("EINVAL");
  });
});

const POLICIES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash"] as const),
  ...(["double-hash", "random-increments", "sequential"] as const),
];
const KINDS = [
  ...POLICIES.map((selection) => [selection, { selection }, {}] as const),
  ["cooldown", {}, { cooldown: 1000 }] as const,
  ["fifo", {}, { selection: "fifo" }] as const,
];

describe.each(BUILDS)("a pool that avoids a port (%s build)", (build) => {
  test.each(KINDS)("takes every other port of its range: %s", (_name, open, options) => {
    for (const avoid of [RANGE.first, 40002, RANGE.last]) {
      using ports = openOn(build, { portRange: RANGE, ...open });
      const pool = ports.pool({ ...WEB, address: "10.0.0.1", avoid, ...options });
      const taken = Array.from({ length: 40 }, () => pool.take()).filter((port) => port > 0);
      // A policy that draws may miss a port; none takes the avoided one, and none takes two.
      expect(taken).not.toContain(avoid);
      expect(new Set(taken).size).toBe(taken.length);
      expect(taken).toHaveLength(3);
      expect(pool.take(avoid - RANGE.first)).toBe(Refusal.EXHAUSTED);
      expect(pool.held).toBe(3);
      expect(pool.takeMany(new Uint16Array(2))).toBe(0);
      expect(pool.takeAt(avoid)).toBe(avoid);
      expect(pool.freeMany(Uint16Array.from([...taken, avoid]))).toBe(4);
      expect(pool.takeMany(new Uint16Array(40), new Uint32Array(40))).toBe(3);
      verify(ports);
    }
  });

  test("says what else there is when only cooling ports and the avoided one are left", () => {
    using ports = openOn(build, { portRange: { first: 40000, last: 40001 } });
    const pool = ports.pool({ ...WEB, avoid: 40000, cooldown: 1000 });
    expect(pool.take()).toBe(40001);
    pool.coolDown(40001, 0);
    expect(pool.take()).toBe(Refusal.COOLING);
    const oldest = { period: 1000, whenCooling: "oldest" } as const;
    const other = ports.pool({ ...WEB, transport: UDP, avoid: 40000, cooldown: oldest });
    other.coolDown(other.take(), 0);
    expect(other.take()).toBe(40001);
  });

  test("is exhausted where it shares its ports and only the avoided one is left", () => {
    using ports = openOn(build, { portRange: { first: 40000, last: 40000 } });
    const pool = ports.pool({ ...WEB, transport: UDP, reusePort: true, avoid: 40000 });
    expect([pool.take(), pool.held]).toEqual([Refusal.EXHAUSTED, 0]);
    expect(codeOf(() => ports.pool({ ...WEB, avoid: 0 }))).toBe("ERR_SOCKET_BAD_PORT");
    expect(codeOf(() => ports.pool({ ...WEB, avoid: "1" as never }))).toBe("ERR_INVALID_ARG_TYPE");
  });
});

test("a connector does not connect a port to itself", async () => {
  const { port } = await new Promise<net.AddressInfo>((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const address = server.address() as net.AddressInfo;
      server.close(() => resolve(address));
    });
  });
  for (const sources of ["127.0.0.1", "0.0.0.0"]) {
    using connector = createConnector({ sources, portRange: { first: port, last: port } });
    await expect(connector.connect({ host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
    });
  }
});

describe.each(BUILDS)("a tester that takes its time (%s build)", (build) => {
  const any = { ...WEB, address: "127.0.0.1" };

  test("sees each port once, held, and the search goes on behind it", async () => {
    using ports = openOn(build, { portRange: RANGE, seed: 3 });
    const seen: number[] = [];
    const held = await ports.reservePortAsync({ ...any, offset: 2 }, async (port) => {
      seen.push(port);
      await Promise.resolve();
      expect(ports.isAvailable({ ...any, port })).toBe(false);
      return seen.length === 4;
    });
    expect(seen).toEqual([40002, 40003, 40000, 40001]);
    expect([held.port, ports.stats().references]).toEqual([40001, 1]);
    await expect(ports.reservePortAsync(any, () => false)).rejects.toMatchObject({
      code: "EADDRINUSE",
      message: expect.stringContaining("the tester refused 3 of 40000..40003"),
    });
    expect(ports.stats().references).toBe(1);
  });

  test("gives the port back when it refuses, throws, or answers no boolean", async () => {
    const ports = openOn(build, {});
    const web = { ...any, port: 80 };
    const failing = [
      [() => Promise.resolve(false), { code: "EADDRINUSE" }],
      [() => Promise.reject(new RangeError("no")), { name: "RangeError" }],
      [() => Promise.resolve("yes" as never), { code: "ERR_INVALID_RETURN_VALUE" }],
      ["yes" as never, { code: "ERR_INVALID_ARG_TYPE" }],
    ] as const;
    for (const [test, error] of failing) {
      await expect(ports.reservePortAsync(web, test)).rejects.toMatchObject(error);
      expect(ports.stats().references).toBe(0);
    }
    const closing = ports.reservePortAsync(web, async () => {
      await Promise.resolve();
      ports.close();
      return true;
    });
    await expect(closing).rejects.toMatchObject({ code: "EBADF" });
  });

  test("may be asked by many calls at once, each about a port of its own", async () => {
    using ports = openOn(build, { portRange: { first: 40000, last: 40031 } });
    const asked: number[] = [];
    const test = async (port: number): Promise<boolean> => {
      expect(asked).not.toContain(port);
      asked.push(port);
      await new Promise((resolve) => setImmediate(resolve));
      asked.splice(asked.indexOf(port), 1);
      return port % 2 === 0;
    };
    const calls = Array.from({ length: 16 }, () => ports.reservePortAsync(any, test));
    const held = new Set((await Promise.all(calls)).map(({ port }) => port));
    expect(held.size).toBe(16);
    expect([...held].every((port) => port % 2 === 0)).toBe(true);
    expect(ports.stats().references).toBe(16);
  });
});

test("a control: a release by value after narrowing would take another holder's port", () => {
  using ports: PortManager = openOn("release", {});
  const dual = ports.reservePort(DUAL);
  ports.releasePort({ ...DUAL, networks: [IPV6] });
  ports.reservePort({ ...DUAL, networks: [IPV6] });
  dual.release();
  expect(ports.isAvailable({ ...DUAL, networks: [IPV6] })).toBe(true);
});
