// Bad calls: options, ranges, picks, pools, batches, and whatever has been closed.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Flags, PortManager, type PortPool, TCP } from "../../bindings/index.ts";
import { BUILDS, openOn } from "../support/builds.ts";
import {
  all,
  BAD_PORT,
  BAD_RANGE,
  CLOSED,
  closeFixture,
  EMPTY_MODULE,
  expectRefused,
  type Fixture,
  OUT,
  openFixture,
  picture,
  type Refused,
  RIGHT,
  type Row,
  says,
  TYPE,
  VALUE,
  wrong,
} from "./fixture.ts";

const OPTIONS: readonly Row[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a wrong name", { sed: 1 }, says(VALUE, "known are ")],
  ["a name in other case", { memorylimit: 1e6 }, says(VALUE, "known are ")],
  ["a strange name", { verbose: true }, says(VALUE, "known are portRange, seed")],
  ["null as range", { portRange: null }, says(TYPE, "portRange must be an object")],
  ["half a range", { portRange: { first: 1 } }, says(TYPE, "last must be")],
  [
    "a range with a wrong name",
    { portRange: { fist: 1, last: 2 } },
    says(VALUE, "known are first, last"),
  ],
  ["a limit of 0", { memoryLimit: 0 }, says(OUT, "1024..4294967295")],
  ["bytes as module", { module: Uint8Array.of(0, 97, 115, 109) }, says(TYPE, "module must be")],
  ["another module", { module: EMPTY_MODULE }, says(VALUE, "portwarden's core.wasm")],
  ...all(TYPE, 5, [], { seed: "1" }, { seed: 1n }, { portRange: [1, 2] }),
  ...all(TYPE, { portRange: { first: "1", last: 2 } }, { memoryLimit: "1MB" }, { module: {} }),
  ...all(TYPE, { module: null }),
  ...all(OUT, { seed: -1 }, { seed: 2 ** 32 }, { seed: 0.5 }, { memoryLimit: 1023 }),
  ...all(OUT, { memoryLimit: -1 }, { memoryLimit: Number.NaN }, { memoryLimit: 2 ** 32 }),
  ...all(BAD_RANGE, { portRange: { first: 2, last: 1 } }, { portRange: { first: 0, last: 9 } }),
  ...all(BAD_RANGE, { portRange: { first: 1, last: 65536 } }),
  ...all(BAD_RANGE, { portRange: { first: 1.5, last: 2.5 } }),
];

const RANGES: readonly (readonly [unknown, unknown, Refused])[] = [
  [0, 9, says(BAD_RANGE, "got 0..9; the default is 16000..65535")],
  [0, 0, BAD_RANGE],
  [10, 9, BAD_RANGE],
  [1, 65536, BAD_RANGE],
  [65536, 65536, BAD_RANGE],
  [-5, 5, BAD_RANGE],
  [1.5, 9, BAD_RANGE],
  [1, 9.5, BAD_RANGE],
  [Number.NaN, 9, BAD_RANGE],
  [1, Number.POSITIVE_INFINITY, BAD_RANGE],
  ["1", 9, says(TYPE, "first must be")],
  [1, "9", says(TYPE, "last must be")],
  [1, undefined, TYPE],
  [1n, 9n, TYPE],
  [null, 9, TYPE],
  [{ first: 1, last: 9 }, undefined, TYPE],
];

const OFFSETS: readonly Row[] = [
  ...all(OUT, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32),
  ...all(TYPE, "0", null, 0n, Symbol("0"), {}),
];

const PORTS: readonly Row[] = [
  ...all(BAD_PORT, 0, -1, 65536, 80.5, Number.NaN),
  ...all(TYPE, "80", 80n, Symbol("80"), { valueOf: () => 80 }, undefined, null),
];

const BATCHES: readonly Row[] = [
  ["an array", [1, 2], says(TYPE, "ports must be a Uint16Array, got an array of 2")],
  ...all(TYPE, new Uint8Array(4), new Uint32Array(4), new DataView(new ArrayBuffer(4))),
  ...all(TYPE, new ArrayBuffer(4), 5, new Proxy(new Uint16Array(4), {})),
  ...all(TYPE, Object.create(Uint16Array.prototype), undefined, null),
];

describe.each(BUILDS)("%s build", (build) => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = openFixture(build);
  });
  afterEach(() => {
    closeFixture(fixture);
  });

  test.each(OPTIONS)("open refuses %s", (_name, options, refused) => {
    expectRefused(fixture, () => PortManager.open(wrong(options)), refused);
  });

  test.each(RANGES)("setPortRange refuses %s..%s", (first, last, refused) => {
    expectRefused(
      fixture,
      ({ manager }) => manager.setPortRange(wrong(first), wrong(last)),
      refused,
    );
  });

  describe("mode", () => {
    const yes = (): boolean => true;

    test.each(OFFSETS)("refuses %s as offset", (_name, offset, refused) => {
      expectRefused(fixture, (s) => s.manager.pickEphemeralPort(yes, wrong(offset)), refused);
      expectRefused(fixture, (s) => s.manager.pickEphemeralPortStable(wrong(offset), yes), refused);
    });

    test.each([undefined, null, 5, {}, true])("refuses %s as tester", (tester) => {
      expectRefused(fixture, (s) => s.manager.pickEphemeralPort(wrong(tester)), TYPE);
      expectRefused(fixture, (s) => s.manager.pickEphemeralPortStable(0, wrong(tester)), TYPE);
    });

    test("refuses a stable pick without an offset", () => {
      expectRefused(
        fixture,
        (s) => s.manager.pickEphemeralPortStable(wrong(undefined), yes),
        says(TYPE, "offset must be"),
      );
    });
  });

  describe("a pool", () => {
    test.each(OFFSETS)("does not take from offset %s", (_name, offset, refused) => {
      expectRefused(fixture, ({ pool }) => pool.take(wrong(offset)), refused);
    });

    test.each(PORTS)("knows no port %s", (_name, port, refused) => {
      expectRefused(fixture, ({ pool }) => pool.takeAt(wrong(port)), refused);
      expectRefused(fixture, ({ pool }) => pool.free(wrong(port)), refused);
      expectRefused(fixture, ({ pool }) => pool.has(wrong(port)), refused);
    });

    test.each(BATCHES)("takes and frees no batch that is %s", (_name, batch, refused) => {
      expectRefused(fixture, ({ pool }) => pool.takeMany(wrong(batch)), refused);
      expectRefused(fixture, ({ pool }) => pool.freeMany(wrong(batch)), refused);
    });

    test("refuses everything when it is closed, but to be closed again", () => {
      const pool = fixture.manager.pool({ networks: [4], transport: TCP });
      pool.close();
      for (const act of callsOf(pool)) {
        expectRefused(fixture, act, says(CLOSED, "the pool has been closed"));
      }
      pool.close();
      pool[Symbol.dispose]();
    });

    test("refuses everything when its manager is closed", () => {
      const manager = openOn(build);
      using pool = manager.pool({ networks: [4], transport: TCP });
      pool.take();
      manager.close();
      for (const act of callsOf(pool)) expectRefused(fixture, act, CLOSED);
    });
  });

  describe("a closed manager", () => {
    test("refuses every call, but to be closed again", () => {
      using manager = openOn(build);
      const reservation = manager.reservePort(RIGHT);
      manager.close();
      const yes = (): boolean => true;
      const operations: (() => unknown)[] = [
        () => manager.reservePort(RIGHT),
        () => manager.reservePort({ ...RIGHT, port: 0 }),
        () => manager.reserveTuple(RIGHT),
        () => manager.releasePort(RIGHT),
        () => manager.isAvailable(RIGHT),
        () => manager.pool({ networks: [4], transport: TCP }),
        () => manager.pickEphemeralPort(yes),
        () => manager.pickEphemeralPortStable(0, yes),
        () => manager.portRange(),
        () => manager.setPortRange(1, 2),
        () => manager.stats(),
        () => reservation.release(),
      ];
      for (const act of operations) {
        expectRefused(fixture, act, says(CLOSED, "the manager has been closed"));
      }
      expect(reservation.released).toBe(false);
    });

    test("leaves other managers of its instance alone", () => {
      const before = picture(fixture);
      const manager = openOn(build, { seed: 9 });
      manager.pool({ networks: [4], transport: TCP }).takeMany(new Uint16Array(500));
      manager.close();
      expect(picture(fixture)).toEqual(before);
    });
  });

  describe("a reservation", () => {
    test("is released once; the second call answers false and changes nothing", () => {
      const { manager, reservation } = fixture;
      expect(reservation.release()).toBe(true);
      manager.reservePort({ networks: [4], transport: TCP, port: reservation.port });
      const before = picture(fixture);
      expect(reservation.release()).toBe(false);
      reservation[Symbol.dispose]();
      expect(picture(fixture)).toEqual(before);
    });

    test("is not what releasePort takes, neither its own nor a stranger's", () => {
      const refused = says(VALUE, "release() of its own");
      expectRefused(fixture, (s) => s.manager.releasePort(wrong(s.reservation)), refused);
      expectRefused(fixture, (s) => s.manager.releasePort(wrong(s.strange)), refused);
    });

    test("shows itself, and nothing of it can be changed from outside", () => {
      const { manager } = fixture;
      const networks = [6, 4, 6];
      const reservation = manager.reservePort({
        networks,
        transport: TCP,
        address: "::FFFF:10.0.0.9",
        bindToDevice: 3,
        destination: { address: "2001:DB8::1", port: 443 },
        reuseAddr: true,
        port: 99,
      });
      networks.length = 0;
      (reservation.networks as number[]).push(7);
      (reservation.destination as { port: number }).port = 1;
      (reservation.flags as Flags).mostRecent = true;
      expect(reservation).toMatchObject({
        port: 99,
        networks: [6, 4],
        transport: TCP,
        address: "10.0.0.9",
        bindToDevice: 3,
        destination: { address: "2001:db8::1", port: 443 },
        flags: { mostRecent: false, loadBalanced: false, tupleOnly: true },
        released: false,
      });
      reservation.release();
      expect(reservation.released).toBe(true);
    });
  });
});

function callsOf(pool: PortPool): (() => unknown)[] {
  return [
    () => pool.take(),
    () => pool.take(0),
    () => pool.takeAt(80),
    () => pool.takeMany(new Uint16Array(1)),
    () => pool.free(80),
    () => pool.freeMany(new Uint16Array(1)),
    () => pool.has(80),
    () => pool.held,
  ];
}
