// Snapshots: a restored manager answers as the original, and whatever is no snapshot is refused
// whole.

import { isDeepStrictEqual } from "node:util";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  IPV4,
  IPV6,
  type OpenOptions,
  type PolicyName,
  PortError,
  PortGroups,
  PortManager,
  type PortPool,
  ReservedPorts,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { seal } from "../../../bindings/state/bytes.ts";
import { withoutStacks } from "../../fuzz/snapshots.ts";
import { bitsOf, flagsOf } from "../../support/ask.ts";
import { BUILDS, type Build, moduleFor, openOn, optionsFor } from "../../support/builds.ts";

const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const DNS = { networks: [IPV4, IPV6], transport: UDP, port: 53 };
const PAGE = 65_536;
/** Operations that fill a manager before it is kept. */
const BEFORE = 400;

function restoreOn(build: Build, bytes: Uint8Array, options = {}): PortManager {
  return PortManager.restore(bytes, { ...optionsFor(build), ...options });
}

function listOf(manager: PortManager): string[] {
  return [...manager.reservations()].map((held) => JSON.stringify(held)).sort();
}

// ── Side by side ──────────────────────────────────────────────────────────────────────────

const POLICIES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash"] as const),
  ...(["double-hash", "random-increments", "sequential"] as const),
];
const ADDRESSES = ["", "10.0.0.1", "10.0.0.2", "2001:db8::1"];
const ENDS = [
  { address: "", port: 0 },
  { address: "9.9.9.9", port: 443 },
  { address: "2001:db8::9", port: 80 },
  { address: "", port: 80 },
];

interface Side {
  readonly manager: PortManager;
  readonly pools: PortPool[];
}

/** Draws what happens, and does it on both sides of a session. */
class Session {
  readonly random: SeededRandom;
  readonly first = 40000;
  now = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** What is to be done next, on whatever side. */
  next(): (side: Side) => unknown {
    const draw = (count: number): number => this.random.next() % count;
    const request = {
      networks: [[IPV4], [IPV6], [IPV4, IPV6]][draw(3)] as number[],
      transport: [TCP, UDP][draw(2)] as number,
      address: ADDRESSES[draw(ADDRESSES.length)] as string,
      bindToDevice: draw(2),
      destination: ENDS[draw(ENDS.length)] as (typeof ENDS)[number],
      flags: flagsOf(draw(8)),
    };
    const port = this.first + draw(100);
    const [pool, offset, count] = [draw(8), draw(200), draw(90)];
    this.now += draw(200);
    const { now } = this;
    const kind = draw(20);
    const poolOptions = {
      ...{ ...request, mode: draw(2) ? ("bind" as const) : ("connect" as const) },
      ...(draw(3) === 0 && { cooldown: { period: 1000, whenCooling: "oldest" as const } }),
      ...(draw(4) === 0 && { selection: "fifo" as const }),
      ...(draw(4) === 0 && { avoid: port }),
    };
    const onPool = (act: (pool: PortPool) => unknown) => (side: Side) => {
      const one = side.pools[pool % Math.max(1, side.pools.length)];
      return one && act(one);
    };
    if (kind < 4) return ({ manager }) => numberOf(manager.tryReserve({ ...request, port }));
    if (kind < 6) return ({ manager }) => numberOf(manager.tryReserve({ ...request, offset }));
    if (kind < 8) return ({ manager }) => numberOf(manager.tryReserve(request));
    if (kind < 10) return ({ manager }) => codeOf(() => manager.reserveTuple({ ...request, port }));
    if (kind < 12) return ({ manager }) => manager.releasePort({ ...request, port });
    if (kind === 12) return ({ manager }) => manager.isAvailable({ ...request, port });
    if (kind === 13) return onPool((one) => [one.take(), one.take(offset), one.takeAt(port)]);
    if (kind === 14) return onPool((one) => one.takeMany(new Uint16Array(count)));
    if (kind === 15)
      return onPool((one) => [one.free(port), one.coolDown(port + 1, now), one.held]);
    if (kind === 16) return onPool((one) => [one.expire(now), one.cooling, one.nextExpiry]);
    if (kind === 17) return onPool((one) => one.freeMany(one.ports().subarray(0, count)));
    if (kind === 18) {
      return ({ manager }) =>
        codeOf(() => manager.pickEphemeralPortStable(offset, (one) => one > port));
    }
    return (side) => {
      if (side.pools.length >= 6) return side.pools.splice(pool % 6, 1)[0]?.close();
      return side.pools.push(side.manager.pool(poolOptions));
    };
  }
}

function numberOf(answer: number | { port: number }): number {
  return typeof answer === "number" ? answer : answer.port;
}

function codeOf(act: () => unknown): string {
  try {
    return String(act() !== undefined);
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}

/** How many operations both sides agreed in, after a snapshot. */
function sideBySide(build: Build, seed: number, length: number, meddle = false): number {
  const session = new Session(seed);
  const algorithm = POLICIES[seed % POLICIES.length] as PolicyName;
  const options: OpenOptions = { selection: algorithm, seed };
  const portRange = { first: 40000, last: 40099 };
  const open = (): Side => ({ manager: openOn(build, { ...options, portRange }), pools: [] });
  // The third has no snapshot made of it, which must not change what the original answers.
  const [original, untouched] = [open(), open()];
  for (let turn = 0; turn < BEFORE; turn++) {
    const act = session.next();
    for (const side of [original, untouched]) act(side);
  }
  const bytes = original.manager.snapshot({ secrets: true });
  expect(original.manager.snapshot({ secrets: true })).toEqual(bytes);
  const manager = restoreOn(build, bytes);
  const copy: Side = { manager, pools: [...(manager.restored?.pools ?? [])] };
  expect(listOf(manager)).toEqual(listOf(original.manager));
  const [was, is] = [original.manager.stats(), manager.stats()];
  expect({ ...is, memory: 0, totals: 0 }).toEqual({ ...was, memory: 0, totals: 0 });
  expect(Math.abs(is.memory.used - was.memory.used)).toBeLessThan(PAGE);
  expect([verify(manager), verify(original.manager)]).toEqual([0, 0]);
  const again = restoreOn(build, manager.snapshot({ secrets: true }));
  expect(again.stats().memory.used).toBe(is.memory.used);
  again.close();
  if (meddle) manager.releaseAll({ port: [...manager.reservations()][0]?.port });
  for (let turn = 0; turn < length; turn++) {
    const act = session.next();
    const [expected, ...answers] = [original, copy, untouched].map(act);
    for (const got of answers) {
      if (isDeepStrictEqual(got, expected)) continue;
      expect(got, `seed ${seed}, turn ${turn}`).toEqual(expected);
    }
  }
  expect(listOf(manager)).toEqual(listOf(original.manager));
  verify(manager);
  for (const side of [original, copy, untouched]) side.manager.close();
  return length;
}

test.each([
  [50_000, "release", 1000],
  [4800, "debug", 400],
] as const)(
  "a restored manager answers as the original, %d times, %s",
  (operations, build, length) => {
    for (let done = 0, seed = 1; done < operations; seed++) done += sideBySide(build, seed, length);
  },
);

test("a control: a restored manager that has lost a port is found", () => {
  expect(() => {
    for (let seed = 1; seed < 10; seed++) sideBySide("release", seed, 400, true);
  }).toThrow();
});

// ── What comes along ──────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("a snapshot (%s build)", (build) => {
  test("keeps counts, also those below zero, and is the same when taken again", () => {
    const ports = openOn(build, {});
    const shared = { ...WEB, port: 80, flags: { tupleOnly: true } };
    for (let turn = 0; turn < 40_000; turn++) ports.reserveTuple(shared);
    ports.releasePort({ ...shared, flags: { tupleOnly: true, loadBalanced: true } });
    const bytes = ports.snapshot();
    const restored = restoreOn(build, bytes);
    const counts = [...restored.reservations()].map(({ count, flags }) => [bitsOf(flags), count]);
    expect(counts.sort()).toEqual([
      [4, 40_000],
      [6, -1],
    ]);
    verify(restored);
    expect(restored.snapshot()).toEqual(bytes);
    for (const manager of [ports, restored]) manager.close();
  });

  test("brings groups, reserved lists and cooling reservations along", () => {
    const module = moduleFor(build);
    using groups = PortGroups.open(module);
    groups.create("/web", { bindPortRange: { first: 40000, last: 40009 } });
    const group = groups.create("/web/api", { bindPortRange: { first: 40005, last: 40020 } });
    using ports = openOn(build, { portRange: { first: 40000, last: 40020 }, cooldown: 1000 });
    const reserved = new ReservedPorts("40006-40007", module);
    ports.pool({ ...WEB, group, reserved }).takeAt(40005);
    ports.reservePort({ ...DNS, port: 40009, group });
    ports.reservePort(DNS).coolDown(500);
    const bytes = ports.snapshot();

    const restored = restoreOn(build, bytes);
    const [pool] = restored.restored?.pools ?? [];
    expect([pool?.group?.path, pool?.group?.uses, pool?.held]).toEqual(["/web/api", 2, 1]);
    expect(pool?.group?.effective.bind).toEqual({ first: 40005, last: 40009 });
    expect([pool?.take(0), pool?.take(0), pool?.take(0)]).toEqual([40008, 40009, -2]);
    expect(restored.restored?.reserved[0]?.text).toBe(reserved.text);
    expect([restored.nextExpiry, restored.expire(1499), restored.expire(1500)]).toEqual([
      1500, 0, 1,
    ]);
    restored.close();
    for (const tree of restored.restored?.groups ?? []) tree.close();

    // Into a tree that is there, whose ranges count.
    using own = PortGroups.open(module);
    own.create("/web/api", { bindPortRange: { first: 40010, last: 40010 } });
    using into = restoreOn(build, bytes, { groups: own });
    expect(own.get("/web/api").uses).toBe(2);
    expect([into.restored?.groups, into.restored?.pools[0]?.take()]).toEqual([[], 40010]);
  });

  test("says where sequential goes on in a group that nothing else is in", () => {
    using groups = PortGroups.open(moduleFor(build));
    const group = groups.create("/a", { bindPortRange: { first: 40000, last: 40009 } });
    const gone = groups.create("/b");
    const ports = openOn(build, { selection: "sequential", seed: 1 });
    ports.reservePort({ ...WEB, group: gone }).release();
    gone.remove();
    const first = ports.reservePort({ ...WEB, group });
    first.release();
    const into = restoreOn(build, ports.snapshot(), { groups });
    expect(into.reservePort({ ...WEB, group }).port).toBe(
      ports.reservePort({ ...WEB, group }).port,
    );
    for (const manager of [into, ports]) manager.close();
  });

  test("knows no reservation of a group that was released by its value", () => {
    using groups = PortGroups.open(moduleFor(build));
    const group = groups.create("/a");
    const ports = openOn(build, {});
    for (const port of [53, 54]) ports.reservePort({ ...DNS, port, group });
    expect(ports.releasePort({ ...DNS, port: 53, group })).toBe(true);
    ports.reservePort({ ...DNS, port: 53 });
    // One network is released by value: what is left is no whole reservation.
    ports.releasePort({ ...DNS, networks: [IPV4], port: 54 });
    const listed = (manager: PortManager, of: typeof group): number[] =>
      [...manager.reservations({ group: of })].map(({ port }) => port);
    expect(listed(ports, group)).toEqual([54]);
    const into = restoreOn(build, ports.snapshot(), { groups });
    expect(listOf(into)).toEqual(listOf(ports));
    for (const manager of [into, ports]) manager.close();
  });

  test("lets what is held be taken over, and not twice", () => {
    const ports = openOn(build, { cooldown: 1000 });
    ports.reservePort({ ...WEB, port: 80 });
    ports.reservePort({ ...DNS }).coolDown(0);
    const restored = restoreOn(build, ports.snapshot());
    const held = restored.attach({ ...WEB, port: 80 });
    expect([held.port, restored.stats().references]).toEqual([80, 3]);
    expect(restored.attach(DNS).isCooling).toBe(true);
    expect([held.release(), restored.attach(DNS).release()]).toEqual([true, true]);
    expect(restored.stats().references).toBe(0);
    expect(codeOf(() => restored.attach({ ...WEB, port: 80 }))).toBe("ENOENT");
    expect(codeOf(() => restored.attach({ ...WEB, port: 0 }))).toBe("ERR_SOCKET_BAD_PORT");
    for (const manager of [ports, restored]) manager.close();
  });

  test("keeps secrets at home unless they are asked for", () => {
    const secret = new Uint8Array(32).fill(7);
    const selection = { algorithm: "hash", secret, from: 0 } as const;
    const ports = openOn(build, { selection });
    const first = (manager: PortManager): number => {
      const pool = manager.pool({ ...WEB, destination: { address: "9.9.9.9", port: 443 } });
      return pool.take();
    };
    const [bare, whole] = [ports.snapshot(), ports.snapshot({ secrets: true })];
    const has = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(Buffer.from(secret));
    expect([has(bare), has(whole)]).toEqual([false, true]);
    const [others, same] = [restoreOn(build, bare), restoreOn(build, whole)];
    const port = first(ports);
    expect(first(same)).toBe(port);
    expect(first(others)).not.toBe(port);
    for (const manager of [ports, others, same]) manager.close();
  });

  test("that does not fit is refused, and leaves no memory in use", () => {
    const ports = openOn(build, {});
    for (let turn = 1; turn <= 500; turn++) {
      ports.reserveTuple({ ...WEB, port: 80, destination: { address: turn, port: turn } });
    }
    const bytes = ports.snapshot();
    expect(codeOf(() => restoreOn(build, bytes, { memoryLimit: 20_000 }))).toBe("ENOBUFS");
    const fits = restoreOn(build, bytes, { memoryLimit: 200_000 });
    expect(fits.stats()).toMatchObject({ references: 500, memory: { limit: 200_000 } });
    fits.close();
    expect(codeOf(() => restoreOn(build, "bytes" as never))).toBe("ERR_INVALID_ARG_TYPE");
    expect(codeOf(() => restoreOn(build, bytes, { groups: {} }))).toBe("ERR_INVALID_ARG_TYPE");
    expect(codeOf(() => ports.snapshot({ secret: true } as never))).toBe("ERR_INVALID_ARG_VALUE");
    ports.close();
    expect(codeOf(() => ports.snapshot())).toBe("EBADF");
  });
});

// ── What is no snapshot ───────────────────────────────────────────────────────────────────

test("100,000 changes of a snapshot are refused, each with a typed error", () => {
  using ports = openOn("release", { portRange: { first: 40000, last: 40020 }, cooldown: 1000 });
  const pool = ports.pool({ ...WEB, cooldown: 1000, selection: "fifo" });
  pool.coolDown(pool.take(), 0);
  ports.reservePort({ ...DNS, flags: { loadBalanced: true } });
  const bytes = ports.snapshot();
  const random = new SeededRandom(1);
  const codes = new Map<string, number>();
  let flips = 0;
  const expectRefused = (changed: Uint8Array): void => {
    const code = codeOf(() => PortManager.restore(changed).close());
    codes.set(code, (codes.get(code) ?? 0) + 1);
  };
  withoutStacks(() => {
    for (let bit = 0; bit < bytes.length * 8; bit++, flips++) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expectRefused(changed);
    }
    for (let length = 0; length < bytes.length; length++, flips++) {
      expectRefused(bytes.slice(0, length));
    }
    for (; flips < 100_000; flips++) {
      const changed = bytes.slice();
      const at = random.next() % bytes.length;
      const many = 1 + (random.next() % 8);
      for (let index = 0; index < many; index++) {
        const place = (at + index) % bytes.length;
        const step = index === 0 ? 1 + (random.next() % 255) : random.next();
        changed[place] = (changed[place] as number) + step;
      }
      expectRefused(changed);
    }
  });
  expect([...codes]).toEqual([["EINVAL", 100_000]]);
  expect(PortManager.restore(bytes).stats()).toMatchObject({ references: 3 });
});

test("a forged snapshot, whose checksum is right, is refused, or makes a sound manager", () => {
  const ports = openOn("debug", { portRange: { first: 40000, last: 40020 } });
  ports.pool({ ...WEB, cooldown: 1000, selection: "fifo" }).takeAt(40001);
  for (const address of ["9.9.9.9", "2001:db8::9", "9.9.9.8"]) {
    ports.reserveTuple({ ...WEB, port: 80, destination: { address, port: 443 } });
  }
  for (const port of [53, 54]) ports.reservePort({ ...DNS, port });
  const content = ports.snapshot().subarray(20);
  const outcomes = new Map<string, number>();
  const random = new SeededRandom(1);
  for (let turn = 0; turn < 1000; turn++) {
    const changed = content.slice();
    changed[turn % content.length] = random.next();
    const outcome = codeOf(() => {
      using restored = restoreOn("debug", seal([changed]), { memoryLimit: 100_000 });
      verify(restored);
      const count = listOf(restored).length;
      return count > 0 || undefined;
    });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  ports.close();
  expect(new Set(outcomes.keys())).toEqual(new Set(["true", "EINVAL"]));
});

test("a forged path of a group is refused as a snapshot, not as an argument", () => {
  using groups = PortGroups.open();
  using ports = PortManager.open();
  ports.pool({ ...WEB, group: groups.create("/web") });
  const content = ports.snapshot().slice(20);
  content[Buffer.from(content).indexOf("/web")] = 0x2e;
  expect(codeOf(() => PortManager.restore(seal([content])))).toBe("EINVAL");
});

test("a forged pool, over one network twice, is refused", () => {
  const ports = openOn("debug", {});
  ports.pool({ networks: [IPV4, IPV6], transport: UDP });
  const content = ports.snapshot().slice(20);
  ports.close();
  const at = content.findIndex((byte, index) => byte === 2 && content[index + 2] === IPV6);
  expect(content.subarray(at, at + 4).join()).toBe([2, IPV4, IPV6, UDP].join());
  content[at + 2] = IPV4;
  expect(() => restoreOn("debug", seal([content]))).toThrow(/a network comes twice/);
});

test("a snapshot goes through structuredClone and a message port, and has the same bytes anywhere", () => {
  using ports = PortManager.open({ seed: 5 });
  ports.reservePort({ ...WEB, port: 80 });
  const bytes = ports.snapshot();
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(bytes);
  const posted = receiveMessageOnPort(port2)?.message;
  for (const copy of [structuredClone(bytes), posted, Uint8Array.from([0, ...bytes]).subarray(1)]) {
    using restored = PortManager.restore(copy);
    expect(listOf(restored)).toEqual(listOf(ports));
  }
  for (const port of [port1, port2]) port.close();
  // The first words are little endian on any host: the magic, the version, the length.
  const view = new DataView(bytes.buffer);
  expect([bytes.subarray(0, 4).join(), view.getUint32(4, true), view.getUint32(8, true)]).toEqual([
    ...["80,87,83,78", 4, bytes.length],
  ]);
  view.setUint32(4, 3, true);
  expect(() => PortManager.restore(bytes)).toThrow(/its version is 3, and 4 is known/);
});

test("a snapshot has at most 1.5 bytes for a port of a busy pool, and 32 for a connection", () => {
  using ports = PortManager.open({ seed: 1 });
  const pool = ports.pool({ ...WEB, address: "10.0.0.2" });
  const empty = ports.snapshot().length;
  pool.takeMany(new Uint16Array(2000));
  const busy = ports.snapshot().length;
  expect(busy - empty).toBeLessThan(1.5 * 2000);
  for (let turn = 1; turn <= 1000; turn++) {
    const address = turn % 2 ? turn : `2001:db8::${turn.toString(16)}`;
    ports.reserveTuple({ ...WEB, port: 80, destination: { address, port: turn } });
  }
  expect(ports.snapshot().length - busy).toBeLessThan(32 * 1000);
});
