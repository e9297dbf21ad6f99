// Bad input for cooldown: the error says what is wrong, and nothing changes.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PortManager, type PortPool, TCP } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { BUILDS, bytesOf, openOn } from "../support/builds.ts";
import {
  all,
  BAD_PORT,
  CLOSED,
  expectError,
  OUT,
  type Refused,
  type Row,
  says,
  TYPE,
  VALUE,
  wrong,
} from "./fixture.ts";

const KEY = { networks: [4], transport: TCP };

const COOLDOWNS: readonly Row[] = [
  ["null", null, says(TYPE, "cooldown must be an object")],
  ["a text", "60s", says(TYPE, "cooldown must be milliseconds, or an object")],
  ["a negative number", -1, says(OUT, "cooldown must be an integer in 0..86400000, got -1")],
  ["no period", {}, says(TYPE, "cooldown.period must be an integer")],
  ["a wrong name", { perod: 1 }, says(VALUE, "known are ")],
  ["a wrong policy", { period: 1, whenCooling: "wait" }, says(VALUE, '"refuse" or "oldest"')],
  ...all(TYPE, [60], { period: "1" }),
  ...all(OUT, 86_400_001, 0.5, Number.NaN, { period: -5 }),
];

const SELECTIONS: readonly Row[] = [
  ["another name", "lifo", says(VALUE, 'selection must be "fifo"')],
  ["a selection of managers", "random", VALUE],
  ["an object", { algorithm: "fifo" }, TYPE],
  ["null", null, TYPE],
];

const TIMES: readonly Row[] = [
  ["nothing", undefined, says(TYPE, "now must be milliseconds in 0..4294967000000")],
  ...all(TYPE, "0", new Date(), 1n),
  ...all(OUT, -1, Number.NaN, Number.POSITIVE_INFINITY),
];

const PORTS: readonly Row[] = [
  ...all(BAD_PORT, 0, 65536, -1, 2 ** 31, 1.5),
  ...all(TYPE, "80", undefined),
];

describe.each(BUILDS)("%s build", (build) => {
  let manager: PortManager;
  let pool: PortPool;
  let plain: PortPool;

  beforeEach(() => {
    manager = openOn(build, { portRange: { first: 2000, last: 2009 }, seed: 1 });
    pool = manager.pool({ ...KEY, cooldown: 1000, selection: "fifo" });
    plain = manager.pool({ ...KEY, networks: [6] });
    for (const port of [2000, 2001, 2002]) pool.takeAt(port);
    pool.coolDown(2001, 500);
    pool.free(2002);
    plain.takeAt(2000);
  });

  afterEach(() => {
    manager.close();
  });

  function picture(): unknown {
    verify(manager);
    const { held, cooling, nextExpiry } = pool;
    const ports = Array.from({ length: 10 }, (_, at) => pool.has(2000 + at));
    return { held, cooling, nextExpiry, ports, plain: plain.held, stats: manager.stats() };
  }

  function expectRefused(act: () => unknown, refused: Refused): void {
    const before = picture();
    expectThrown(act, refused);
    expect(picture()).toEqual(before);
  }

  test.each(COOLDOWNS)("no pool opens with a cooldown that is %s", (_name, cooldown, refused) => {
    expectRefused(() => manager.pool({ ...KEY, cooldown: wrong(cooldown) }), refused);
    expectThrown(() => PortManager.open({ cooldown: wrong(cooldown) }), refused);
  });

  test.each(SELECTIONS)(
    "no cooling pool opens with a selection that is %s",
    (_name, selection, refused) => {
      expectRefused(() => manager.pool({ ...KEY, selection: wrong(selection) }), refused);
    },
  );

  test.each(TIMES)("no call takes a time that is %s", (_name, now, refused) => {
    expectRefused(() => pool.coolDown(2000, wrong(now)), refused);
    expectRefused(() => pool.expire(wrong(now)), refused);
    expectRefused(() => plain.coolDown(2000, wrong(now)), refused);
    expectRefused(() => plain.expire(wrong(now)), refused);
  });

  test.each(PORTS)("no port is %s", (_name, port, refused) => {
    for (const act of [
      () => pool.coolDown(wrong(port), 600),
      () => plain.coolDown(wrong(port), 600),
      () => pool.takeAt(wrong(port)),
      () => pool.free(wrong(port)),
      () => pool.has(wrong(port)),
    ]) {
      expectRefused(act, refused);
    }
  });

  test("batches and offsets of the wrong kind are refused", () => {
    expectRefused(() => pool.takeMany(wrong([1])), TYPE);
    expectRefused(() => pool.takeMany(new Uint16Array(2), new Uint32Array(1)), OUT);
    expectRefused(() => pool.freeMany(wrong(new Uint8Array(2))), TYPE);
    expectRefused(() => pool.take(-1), OUT);
    expectRefused(() => pool.take(wrong("1")), TYPE);
  });

  test("a reservation takes neither option", () => {
    const request = { ...KEY, cooldown: 5 };
    expectRefused(() => manager.reservePort(wrong(request)), says(VALUE, "no option"));
    expectRefused(() => manager.reservePort(wrong({ ...KEY, selection: "fifo" })), VALUE);
  });

  test("modules that are others are refused", () => {
    const core = new WebAssembly.Module(bytesOf(build));
    for (const [module, refused] of [
      [core, says(VALUE, "cooldownModule must be portwarden's cooldown.wasm, got core.wasm")],
      [bytesOf(build, "cooldown"), TYPE],
      [null, TYPE],
    ] as const) {
      expectThrown(() => PortManager.open({ cooldownModule: wrong(module) }), refused);
    }
    const cooldown = new WebAssembly.Module(bytesOf(build, "cooldown"));
    expectThrown(() => PortManager.open({ module: cooldown }), says(VALUE, "got cooldown.wasm"));
  });

  test.each(["the pool", "the manager"])("every call is refused once %s is closed", (which) => {
    if (which === "the pool") pool.close();
    else manager.close();
    for (const act of [
      () => pool.take(),
      () => pool.takeAt(2005),
      () => pool.takeMany(new Uint16Array(0)),
      () => pool.free(2000),
      () => pool.freeMany(new Uint16Array(0)),
      () => pool.has(2000),
      () => pool.held,
      () => pool.coolDown(2000, 0),
      () => pool.expire(0),
      () => pool.cooling,
      () => pool.nextExpiry,
    ]) {
      expectThrown(act, CLOSED);
    }
    pool.close();
  });
});

function expectThrown(act: () => unknown, refused: Refused): void {
  expectError(act, { reason: "invalid-argument", ...refused });
}
