// Time: a clock that callers move, TIME_WAITs that are due by whole seconds and expire in order,
// large jumps, and the end of time.

import { describe, expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { linuxCoreOf } from "../../../bindings/linux/core.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { Random } from "../../fuzz/random.ts";
import { freshModules, modulesFor } from "../../support/builds.ts";
import { connect, expectRefused, onBuilds, WEB } from "./fixture.ts";

const ONE = { first: 2000, last: 2000 };
const TIME_MAX = 4_294_967_000_000;
const DURATION_MAX = 0xffffffff;
const EXHAUSTED = { code: "EADDRNOTAVAIL", reason: "no-port-available" };
const BACK = { code: "ERR_OUT_OF_RANGE", reason: "invalid-argument" };

/** When it closed, its stamp if that is another time, when it is asked for, and if it is due. */
const DUE: readonly (readonly [closed: number, stamp: number | undefined, now: number, boolean])[] =
  [
    [0, undefined, 0, false],
    [0, undefined, 999, false],
    [0, undefined, 1000, false],
    [0, undefined, 1999, false],
    [0, undefined, 2000, true],
    [999, undefined, 1999, false],
    [999, undefined, 2000, true],
    [1000, undefined, 2000, false],
    [1000, undefined, 2999, false],
    [1000, undefined, 3000, true],
    [1999, undefined, 3000, true],
    [5500, 5500, 6999, false],
    [5500, 5500, 7000, true],
    [5500, 4999, 5999, false],
    [5500, 4999, 6000, true],
    [5500, 4000, 5500, false],
    [5500, 3999, 5500, true],
    [5500, 0, 5500, true],
    [5500, 5499.9, 6999, false],
    [1_000_000, 998_999, 1_000_000, true],
    [1_000_000, 999_999, 1_000_999, false],
    [1_000_000, 999_999, 1_001_000, true],
    [0, undefined, TIME_MAX, true],
  ];

onBuilds((open, build) => {
  describe("the clock", () => {
    test("stands still, never goes back, and knows no parts of a millisecond", () => {
      const s = open({ time: 1000.9 });
      expect(s.ports.time).toBe(1000);
      s.ports.setTime(1000);
      s.ports.setTime(1500.999);
      expect(s.ports.time).toBe(1500);
      for (const time of [1499, 1499.999, 0]) {
        expectRefused(s, () => s.ports.setTime(time), { ...BACK, says: "in 1500..4294967000000" });
      }
      s.ports.setTime(1500);
      s.ports.setTime(1500.1);
      expect(s.ports.time).toBe(1500);
    });

    test("moves by itself in no call", () => {
      const s = open({ time: 5000 });
      s.connected().close({ timeWait: true });
      s.ports.expireTimeWait();
      expect(s.ports.time).toBe(5000);
    });

    test("goes up to the end, and no further", () => {
      const s = open();
      s.ports.setTime(TIME_MAX);
      expect(s.ports.time).toBe(TIME_MAX);
      expectRefused(s, () => s.ports.setTime(TIME_MAX + 1), BACK);
      s.ports.setTime(TIME_MAX);
    });
  });

  test.each(DUE)(
    "a TIME_WAIT closed at %s with stamp %s is due at %s: %s",
    (closed, stamp, now, isDue) => {
      const s = open({ portRange: ONE, time: Math.min(closed, now), tcpTwReuse: 1 });
      s.ports.setTime(closed);
      const timestamp = stamp === undefined ? {} : { timestamp: stamp };
      s.connected().close({ timeWait: true, ...timestamp });
      s.ports.setTime(now);
      const socket = s.socket();
      if (isDue) expect(socket.connect(WEB, 443)).toBe(2000);
      else expectRefused(s, connect(socket, WEB), EXHAUSTED);
    },
  );

  test("a TIME_WAIT without a stamp is never due", () => {
    const s = open({ portRange: ONE, tcpTwReuse: 1 });
    s.connected().close({ timeWait: true, timestamp: null });
    for (const time of [2000, 60_000, 1e9, TIME_MAX]) {
      s.ports.setTime(time);
      expectRefused(s, connect(s.socket(), WEB), EXHAUSTED);
    }
  });

  test("each TIME_WAIT is due by its own stamp, in whatever order they close and the clock jumps", () => {
    const s = open({ tcpTwReuse: 1, portRange: { first: 2000, last: 2039 }, timeWaitMs: 1e9 });
    const random = new Random(9);
    /** The stamp of each port's TIME_WAIT, in milliseconds; null: none. */
    const stamps = new Map<number, number | null>();
    let [taken, refused] = [0, 0];
    for (let step = 0; step < 2500; step++) {
      const { time } = s.ports;
      if (random.chance(25))
        s.ports.setTime(time + random.pick([0, 1, 300, 999, 1000, 1001, 2000, 9000]));
      const now = s.ports.time;
      const port = random.between(2000, 2039);
      s.ports.setPortRange(port, port);
      const stamp = stamps.get(port);
      const isFree =
        stamp === undefined ||
        (stamp !== null && Math.floor(now / 1000) - Math.floor(stamp / 1000) > 1);
      const socket = s.ports.socket({ reuseAddr: random.chance(30) });
      if (!isFree) {
        expect(() => socket.connect(WEB, 443)).toThrow("EADDRNOTAVAIL");
        socket.close();
        refused += 1;
        continue;
      }
      expect(socket.connect(WEB, 443)).toBe(port);
      if (stamp !== undefined) taken += 1;
      const timestamp = random.chance(10)
        ? null
        : Math.max(0, now - random.pick([0, 0, 1, 999, 1500, 5000]));
      socket.close({ timeWait: true, timestamp });
      stamps.set(port, timestamp);
      if (step % 100 === 0) s.verify();
    }
    expect(s.ports.stats().timeWait).toBe(stamps.size);
    expect(taken).toBeGreaterThan(200);
    expect(refused).toBeGreaterThan(200);
  });

  describe("TIME_WAITs expire", () => {
    test("in the order in which they closed, each when its time is over", () => {
      const s = open();
      const closings = [0, 0, 10, 500, 500, 501, 60_000, 60_001];
      for (const time of closings) {
        s.ports.setTime(time);
        s.connected().close({ timeWait: true, timestamp: null });
      }
      const left = (): number => s.ports.stats().timeWait;
      expect(s.ports.expireTimeWait()).toBe(2);
      expect(left()).toBe(6);
      s.ports.setTime(60_500);
      expect(s.ports.expireTimeWait()).toBe(3);
      s.ports.setTime(119_999);
      expect(s.ports.expireTimeWait()).toBe(1);
      s.ports.setTime(120_000);
      expect(s.ports.expireTimeWait()).toBe(1);
      s.ports.setTime(1e12);
      expect(s.ports.expireTimeWait()).toBe(1);
      expect(left()).toBe(0);
    });

    test("at once, where they last no time", () => {
      const s = open({ portRange: ONE, timeWaitMs: 0 });
      s.connected().close({ timeWait: true });
      expect(s.ports.stats().timeWait).toBe(1);
      expect(s.ports.expireTimeWait()).toBe(1);
    });

    test("not before the longest time is over", () => {
      const s = open({ timeWaitMs: DURATION_MAX });
      s.connected().close({ timeWait: true });
      s.ports.setTime(DURATION_MAX - 1);
      expect(s.ports.expireTimeWait()).toBe(0);
      s.ports.setTime(DURATION_MAX);
      expect(s.ports.expireTimeWait()).toBe(1);
    });

    test("but not one that was taken over in between", () => {
      const s = open({ tcpTwReuse: 1 });
      for (const port of [2000, 2001, 2002]) s.connectedFrom(port).close({ timeWait: true });
      s.ports.setTime(59_000);
      const heir = s.connectedFrom(2001);
      s.ports.setTime(60_000);
      expect(s.ports.expireTimeWait()).toBe(2);
      heir.close({ timeWait: true });
      expect(s.ports.expireTimeWait()).toBe(0);
      s.ports.setTime(120_000);
      expect(s.ports.expireTimeWait()).toBe(1);
    });
  });

  describe("near the end of time", () => {
    test("a TIME_WAIT is due, if there is time left", () => {
      const s = open({ time: TIME_MAX - 2000, tcpTwReuse: 1, portRange: ONE, timeWaitMs: 2000 });
      s.connected().close({ timeWait: true });
      s.ports.setTime(TIME_MAX - 1);
      expectRefused(s, connect(s.socket(), WEB), EXHAUSTED);
      s.ports.setTime(TIME_MAX);
      s.connected().close();
    });

    test("a TIME_WAIT that would be due or expire behind it never is", () => {
      using ports = Linux2632Ports.open({
        ...{ time: TIME_MAX, timeWaitMs: DURATION_MAX, tcpTwReuse: 1, portRange: ONE },
        ...modulesFor(build),
      });
      const socket = ports.socket();
      socket.connect(WEB, 443);
      socket.close({ timeWait: true });
      expect(() => ports.socket().connect(WEB, 443)).toThrow("EADDRNOTAVAIL");
      expect(ports.expireTimeWait()).toBe(0);
      verifyLinux(ports);
      expect(ports.stats().timeWait).toBe(1);
    });

    test("old stamps are as old as they are", () => {
      const s = open({ time: TIME_MAX, tcpTwReuse: 1, portRange: ONE, timeWaitMs: 0 });
      for (const timestamp of [0, 1, TIME_MAX - 2000]) {
        s.connected().close({ timeWait: true, timestamp });
      }
      s.connected().close({ timeWait: true, timestamp: TIME_MAX - 1 });
      expectRefused(s, connect(s.socket(), WEB), EXHAUSTED);
    });
  });

  describe("10,000 TIME_WAITs", () => {
    const COUNT = 10_000;

    test("of one end and of many are due and expire, each asked for once", () => {
      const modules = freshModules(build);
      const core = coreOf(modules.module);
      const linux = linuxCoreOf(core, modules.linuxModule);
      let calls = 0;
      const counted = (call: (...all: never[]) => unknown) => {
        return (...all: never[]): unknown => {
          calls += 1;
          return call(...all);
        };
      };
      for (const instance of [core, linux]) {
        const exports = Object.entries(instance.exports).map(([name, item]) =>
          typeof item === "function"
            ? [name, counted(item as (...all: never[]) => unknown)]
            : [name, item],
        );
        Object.assign(instance, { exports: Object.fromEntries(exports) });
      }
      using ports = Linux2632Ports.open({ ...modules, tcpTwReuse: 1, timeWaitMs: 60_000 });
      const atOpen = ports.stats().memory.used;
      fill(ports, COUNT);
      expect(ports.stats()).toMatchObject({ sockets: 0, timeWait: COUNT });

      calls = 0;
      ports.setTime(30_000);
      expect(ports.expireTimeWait()).toBe(0);
      // They closed at 0, 1, 2, … milliseconds: the first half has lasted its time.
      ports.setTime(60_000 + COUNT / 2 - 1);
      expect(ports.expireTimeWait()).toBe(COUNT / 2);
      ports.setTime(60_000 + COUNT);
      expect(ports.expireTimeWait()).toBe(COUNT / 2);
      expect(ports.expireTimeWait()).toBe(0);
      expect(calls).toBeLessThan(30);
      verifyLinux(ports);
      expect(ports.stats()).toMatchObject({ buckets: 0, timeWait: 0, memory: { used: atOpen } });
    });

    test("expire one by one as well, and leave the rest", () => {
      using ports = Linux2632Ports.open({ ...freshModules(build), timeWaitMs: 1000 });
      fill(ports, 500);
      for (let left = 499; left >= 0; left--) {
        ports.setTime(1000 + 499 - left);
        expect(ports.expireTimeWait()).toBe(1);
        expect(ports.stats().timeWait).toBe(left);
        if (left % 50 === 0) verifyLinux(ports);
      }
    });
  });
});

/** That many TIME_WAITs, one each millisecond: half to one end, half each to an end of its own. */
function fill(ports: Linux2632Ports, count: number): void {
  for (let index = 0; index < count; index++) {
    ports.setTime(index);
    const socket = ports.socket({ reuseAddr: index % 3 === 0 });
    if (index % 2 === 0) socket.connect(WEB, 443);
    else socket.connect(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, 80);
    socket.close({ timeWait: true, ...(index % 5 === 0 && { timestamp: null }) });
  }
}
