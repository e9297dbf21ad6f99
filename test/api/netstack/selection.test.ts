// The policies at work: where their search ends, what moves their counters, and what they say. That
// reservations, pools and batches share one sequence, whatever group, list and manager leave at that
// moment, test/fuzz/netstack finds.

import { describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED } from "../../../assembly/abi.ts";
import {
  type OpenOptions,
  type PortManager,
  type PortPool,
  type ReservedPorts,
  TCP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import type { PolicyName, SelectionOptions } from "../../../bindings/selection.ts";
import { caught, throwing } from "../../invalid-input/fixture.ts";
import { BUILDS, type Build, openOn } from "../../support/builds.ts";
import { hashOf, Plain, SECRET, type Tuple } from "../../support/rfc6056.ts";
import { openGroups } from "../groups/fixture.ts";
import { type AnyRequest, answerOf, DNS, reservedOn } from "./fixture.ts";

const LINEAR: readonly SelectionOptions[] = [
  { algorithm: "random" },
  { algorithm: "hash", secret: SECRET, from: 2 ** 32 - 9 },
  { algorithm: "double-hash", secret: SECRET, slots: 5 },
  { algorithm: "sequential" },
];
const DRAWN: readonly SelectionOptions[] = [
  { algorithm: "random-retry" },
  { algorithm: "random-increments", increment: 7 },
];
const COUNTED: readonly SelectionOptions[] = LINEAR.filter(
  ({ algorithm }) => algorithm !== "random",
);
const RANGE = { first: 1000, last: 1149 };
const LOCAL = "10.0.0.1";

// ── Tuples ─────────────────────────────────────────────────────────────────────────────────

function to(number: number): AnyRequest {
  const destination = { address: `9.9.9.${number}`, port: 440 + number };
  return { ...DNS, address: LOCAL, destination };
}

function tupleTo(number: number): Tuple {
  return { local: mapped(10, 0, 0, 1), remote: mapped(9, 9, 9, number), port: 440 + number };
}

function mapped(...bytes: number[]): Uint8Array {
  return Uint8Array.from([...Array<number>(10).fill(0), 255, 255, ...bytes]);
}

/** A destination whose first port leaves some room above. */
const ROOMY = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((it) => hashOf(tupleTo(it), 0) % 150 < 99) ?? 0;

function open(build: Build, selection: SelectionOptions, seed = 3): PortManager {
  return openOn(build, { seed, selection, portRange: RANGE });
}

describe.each(BUILDS)("%s build", (build) => {
  test.each(LINEAR)("$algorithm finds every free port, to the last", (options) => {
    using groups = openGroups(build);
    const group = groups.create("/a", { connectPortRange: { first: 1062, last: 1131 } });
    const reserved = reservedOn(build, "1000-1063,1070,1127-1128");
    using manager = open(build, options);
    const left = { range: { first: 1062, last: 1131 }, reserved: new Set(portsOf(reserved)) };
    const plain = Object.assign(new Plain(3, options), left);
    const pool = manager.pool({ ...to(1), group, reserved });
    const batch = new Uint16Array(100);
    const taken = pool.takeMany(batch);
    expect(taken).toBe(1131 - 1064 + 1 - 3);
    const wanted = Array.from({ length: taken }, () => plain.pick(tupleTo(1)));
    expect([...batch.subarray(0, taken)]).toEqual(wanted);
    const end = [pool.take(), answerOf(() => manager.reservePort({ ...to(1), group, reserved }))];
    expect(end).toEqual([EXHAUSTED, EXHAUSTED]);
    const error = caught(() => manager.reservePort({ ...to(1), group, reserved }));
    expect((error as Error).message).toContain("all 70 of 1062..1131 are taken or reserved");
  });

  test.each(DRAWN)("$algorithm gives only free ports, and says when it gave up", (options) => {
    using groups = openGroups(build);
    const group = groups.create("/a", { connectPortRange: { first: 1062, last: 1131 } });
    const reserved = reservedOn(build, "1000-1100,1102-1130");
    using manager = open(build, options);
    const request = { ...to(1), group, reserved };
    const pool = manager.pool(request);
    const counts = new Map<number, number>();
    for (let round = 0; round < 200; round++) {
      const port = round % 2 ? pool.take() : answerOf(() => manager.reservePort(request));
      counts.set(port, (counts.get(port) ?? 0) + 1);
      if (port > 0) expect(pool.free(port)).toBe(true);
    }
    expect([...counts.keys()].sort()).toEqual([EXHAUSTED, 1101, 1131]);
    reserved.text = "1-65535";
    expect([pool.take(), pool.takeMany(new Uint16Array(3))]).toEqual([EXHAUSTED, 0]);
    const error = caught(() => manager.reservePort(request));
    expect((error as Error).message).toContain(
      "none of 70 draws from 1062..1131 met a port that is not taken or reserved",
    );
  });

  // ── What moves a counter, and what does not ─────────────────────────────────────────────

  /** Which port would be next. */
  function next(manager: PortManager, request: AnyRequest): number {
    using pool = manager.pool(request);
    const port = pool.take();
    pool.free(port);
    return port;
  }

  test.each(COUNTED)("$algorithm: a search that fails does not move its counter", (options) => {
    using groups = openGroups(build);
    const group = groups.create("/a");
    const reserved = reservedOn(build, "1-65535");
    const full = reservedOn(build, "1-65535");
    const [manager, model] = [open(build, options), open(build, options)];
    const request = to(4);
    const pool = manager.pool({ ...request, group, reserved });
    const fails: readonly (() => unknown)[] = [
      () => pool.take(),
      () => pool.takeMany(new Uint16Array(9)),
      () => manager.reservePort({ ...request, reserved: full }),
      () => manager.reservePort(request, () => false),
      () => manager.reservePort(request, throwing(new Error("mine"))),
      () => {
        group.connectPortRange = { first: 5, last: 5 };
        return pool.take();
      },
      () => pool.takeMany(new Uint16Array(2)),
      () => manager.reservePort({ ...request, group }),
      () => manager.reservePort({ ...request, offset: 77 }).release(),
      () => pool.take(77),
      () => pool.takeAt(1003),
      () => manager.pickEphemeralPortStable(5, () => true),
    ];
    for (const fail of fails) caught(fail);
    reserved.text = "";
    expect(next(manager, request)).toBe(next(model, request));
    expect(next(manager, request)).toBe(next(model, request));
    for (const each of [manager, model]) each.close();
  });

  test("a hash counts the ports that were tried, reserved and refused ones included", () => {
    const options: SelectionOptions = { algorithm: "hash", secret: SECRET, from: 0 };
    using manager = open(build, options);
    const reserved = reservedOn(build);
    const start = (hashOf(tupleTo(ROOMY), 0) % 150) + 1000;
    reserved.text = `${start}-${start + 2}`;
    expect(manager.reservePort({ ...to(ROOMY), reserved }).port).toBe(start + 3);
    const seen: number[] = [];
    const test = (port: number): boolean => seen.push(port) === 3;
    expect(manager.reservePort({ ...to(ROOMY), reserved }, test).port).toBe(start + 6);
    expect(seen).toEqual([start + 4, start + 5, start + 6]);
    expect(manager.reservePort(to(ROOMY)).port).toBe(start + 7);
  });

  test("sequential goes on behind its last port, wherever the next may lie", () => {
    using groups = openGroups(build);
    const group = groups.create("/a", { bindPortRange: { first: 1010, last: 1012 } });
    using manager = open(build, { algorithm: "sequential" });
    const pool = manager.pool({ ...DNS, group });
    expect([pool.take(), pool.take()]).toEqual([1010, 1011]);
    expect(manager.reservePort(DNS).port).toBe(1000);
    expect(pool.take()).toBe(1012);
    expect(pool.take()).toBe(EXHAUSTED);
    pool.free(1010);
    expect(pool.take()).toBe(1010);
    group.bindPortRange = { first: 2, last: 3 };
    expect(pool.take()).toBe(EMPTY_RANGE);
    expect(manager.reservePort(DNS).port).toBe(1001);
  });

  test("sequential has one place for each pool, and one for each description", () => {
    using groups = openGroups(build);
    const local = groups.create("/local", { bindPortRange: { first: 32768, last: 60999 } });
    const low = groups.create("/low", { bindPortRange: { first: 20000, last: 20999 } });
    const selection = { algorithm: "sequential", from: 0 } as const;
    for (const way of ["reservations", "pools"]) {
      using manager = openOn(build, { selection });
      const pools = new Map([local, low].map((group) => [group, manager.pool({ ...DNS, group })]));
      const ports = [local, low, local, low].map((group) =>
        way === "pools" ? pools.get(group)?.take() : manager.reservePort({ ...DNS, group }).port,
      );
      expect(ports).toEqual([32768, 20000, 32769, 20001]);
      const web = { ...DNS, transport: TCP };
      expect(manager.reservePort(web).port).toBe(16000);
      expect(manager.reservePort({ ...web, address: "10.0.0.1" }).port).toBe(16000 + 1);
    }
  });

  test("a group that lies where a removed one has lain does not go on at its place", () => {
    using groups = openGroups(build);
    using manager = openOn(build, { selection: { algorithm: "sequential", from: 0 } });
    const portIn = (path: string): number => {
      const group = groups.create(path);
      const { port } = manager.reservePort({ ...DNS, group });
      manager.releaseAll({ group });
      group.remove();
      return port;
    };
    expect([portIn("/a"), portIn("/b")]).toEqual([16000, 16000]);
  });

  test("a fresh sequential manager begins anywhere, unless it has a seed or is told where", () => {
    const firstOf = (options: OpenOptions): number => {
      using manager = openOn(build, options);
      return manager.pool(DNS).take();
    };
    const first = Array.from({ length: 8 }, () => firstOf({ selection: "sequential" }));
    expect(new Set(first).size).toBeGreaterThan(1);
    expect(firstOf({ selection: "sequential", seed: 7 })).toBe(16000);
    expect(firstOf({ selection: { algorithm: "sequential", from: 5 } })).toBe(16005);
  });

  test("double-hash has a counter for each group of destinations, a hash one for all", () => {
    const from = 0;
    const slots = 65_536;
    for (const algorithm of ["hash", "double-hash"] as PolicyName[]) {
      const options = { algorithm, secret: SECRET, from };
      using manager = open(build, algorithm === "hash" ? options : { ...options, slots });
      const first = Array.from(
        { length: 5 },
        (_, index) => manager.reservePort(to(index + 1)).port,
      );
      const counted = algorithm === "hash" ? [0, 1, 2, 3, 4] : [0, 0, 0, 0, 0];
      expect(first).toEqual(
        counted.map((count, index) => 1000 + ((hashOf(tupleTo(index + 1), 0) + count) % 150)),
      );
    }
  });

  test("a tuple is both addresses and the remote port, not device, networks or flags", () => {
    using manager = open(build, {
      algorithm: "double-hash",
      secret: SECRET,
      from: 0,
      slots: 65_536,
    });
    const start = 1000 + (hashOf(tupleTo(ROOMY), 0) % 150);
    expect(next(manager, to(ROOMY))).toBe(start);
    // One tuple, one counter.
    expect(next(manager, { ...to(ROOMY), networks: [4, 6] })).toBe(start + 1);
    expect(next(manager, { ...to(ROOMY), bindToDevice: 3 })).toBe(start + 2);
    expect(next(manager, { ...to(ROOMY), transport: 33, flags: { tupleOnly: true } })).toBe(
      start + 3,
    );
    expect(next(manager, { ...to(ROOMY), address: `::ffff:${LOCAL}` })).toBe(start + 4);
    // Others.
    const any = { ...tupleTo(ROOMY), local: new Uint8Array(16) };
    expect(next(manager, { ...to(ROOMY), address: "" })).toBe(1000 + (hashOf(any, 0) % 150));
    const bound = { local: mapped(10, 0, 0, 1), remote: new Uint8Array(16), port: 9 };
    const wildcard = { ...DNS, address: LOCAL, destination: { port: 9 } };
    expect(next(manager, wildcard)).toBe(1000 + (hashOf(bound, 0) % 150));
  });

  // ── Batches, managers ───────────────────────────────────────────────────────────────────

  test.each([...LINEAR, ...DRAWN])(
    "$algorithm: a long batch takes what single calls take",
    (options) => {
      const [one, other] = [1, 2].map(() => {
        const manager = openOn(build, { seed: 5, selection: options });
        return { manager, pool: manager.pool(to(3)) };
      }) as [{ manager: PortManager; pool: PortPool }, { manager: PortManager; pool: PortPool }];
      const batch = new Uint16Array(1300);
      expect(one.pool.takeMany(batch)).toBe(1300);
      expect([...batch]).toEqual(Array.from({ length: 1300 }, () => other.pool.take()));
      verify(one.manager);
      for (const { manager } of [one, other]) manager.close();
    },
  );

  test.each([...LINEAR, ...DRAWN])(
    "$algorithm: managers share no counter, and pick alike from one seed",
    (options) => {
      const managers = [7, 7, 8].map((seed) => open(build, options, seed));
      const picks = managers.map((manager) =>
        Array.from({ length: 5 }, () => manager.reservePort(to(1)).port),
      );
      expect(picks[0]).toEqual(picks[1]);
      const isSeedless = options.secret !== undefined && options.from !== undefined;
      if (!isSeedless && options.algorithm !== "sequential") expect(picks[0]).not.toEqual(picks[2]);
      for (const manager of managers) manager.close();
    },
  );

  test.each([...LINEAR, ...DRAWN])(
    "$algorithm: picks that reserve nothing are random",
    (options) => {
      using manager = open(build, options);
      const used = manager.stats().memory.used;
      const ports = Array.from({ length: 40 }, () => manager.pickEphemeralPort(() => true));
      expect(new Set(ports).size).toBeGreaterThan(10);
      expect(ports.every((port) => RANGE.first <= port && port <= RANGE.last)).toBe(true);
      const seen: number[] = [];
      caught(() => manager.pickEphemeralPort((port) => seen.push(port) < 0));
      expect(new Set(seen).size).toBe(150);
      expect(manager.pickEphemeralPort(() => true, 151)).toBe(1001);
      expect(manager.pickEphemeralPortStable(4, () => true)).toBe(1004);
      expect(manager.stats().memory.used).toBe(used);
    },
  );
});

function portsOf(reserved: ReservedPorts): number[] {
  return Array.from({ length: 65536 }, (_, port) => port).filter((port) => reserved.has(port));
}
