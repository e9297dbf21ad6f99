// Code of the caller's that runs in the middle of a call: draws for bind() and getters of options.
// It may throw, answer no number, or use, change and close any object: no call is half done then,
// and no socket gets what another asked for.

import { beforeEach, describe, expect, test } from "vitest";
import { PortManager } from "../../../bindings/index.ts";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { caught, expectError, getting, throwing } from "../../invalid-input/fixture.ts";
import { moduleFor } from "../../support/builds.ts";
import { expectRefused, expectThrown, type Fixture, type Open, onBuilds, WEB } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const CLOSED = { code: "EBADF", reason: "closed" };
const STATE = { code: "EINVAL", reason: "wrong-state" };
const RUBBISH = { code: "ERR_INVALID_RETURN_VALUE", says: "random must answer an integer in 0.." };

type Search = (socket: Linux2632Socket) => number;

/** Both calls that draw. */
const SEARCHES: readonly (readonly [name: string, search: Search])[] = [
  ["bind()", (socket) => socket.bind("10.0.0.1", 0)],
  ["listen()", (socket) => socket.listen()],
];

/**
 * A system of two ports, of which one draws again and again: 2000 could be shared but for an
 * owner that dropped the bit. Each draw gets its number.
 */
function restless(open: Open, draw: (draws: number) => unknown): Fixture {
  let draws = 0;
  let isReady = false;
  const random = (): number => (isReady ? (draw(++draws) as number) : 0);
  const s = open({ portRange: { first: 2000, last: 2001 }, random });
  s.bound("", 2000, REUSE).reuseAddr = false;
  s.bound("", 2001);
  isReady = true;
  return s;
}

onBuilds((open, build) => {
  /** A system whose draws do something, and then answer. */
  const drawing = (act: () => unknown, answer = 0): Fixture =>
    open({
      random: () => {
        act();
        return answer;
      },
    });

  describe.each(SEARCHES)("a draw for %s", (name, search) => {
    test.each([-1, 2 ** 32, 0.5, Number.NaN, Number.POSITIVE_INFINITY])("is not %s", (answer) => {
      const s = open({ random: () => answer });
      const socket = s.socket();
      expectRefused(s, () => search(socket), { ...RUBBISH, says: `got ${answer}` });
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
    });

    test.each<[string, unknown]>([
      ["nothing", undefined],
      ["null", null],
      ["a text", "5"],
      ["a bigint", 5n],
      ["true", true],
      ["a list", [5]],
      ["a promise", Promise.resolve(5)],
      ["a symbol", Symbol("5")],
      ["an object without a prototype", Object.create(null)],
      ["an object that throws", { toString: throwing(new Error("mine")) }],
    ])("is not %s", (_name, answer) => {
      const s = open({ random: () => answer as number });
      const socket = s.socket();
      expectRefused(s, () => search(socket), RUBBISH);
    });

    test("that throws is passed on, and the socket stays as it was", () => {
      const error = new Error("mine");
      const s = open({
        random: throwing(error),
      });
      const socket = s.socket();
      expectThrown(s, () => search(socket), error);
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
      expect(socket.bind("", 2000)).toBe(2000);
    });

    test("may close the socket", () => {
      let socket: Linux2632Socket | undefined;
      const s = drawing(() => socket?.close());
      s.bound("", 2003);
      const before = s.picture();
      socket = s.ports.socket(REUSE);
      const searching = socket;
      expectError(() => search(searching), { ...CLOSED, says: "the socket has been closed" });
      expect(searching.state).toBe("gone");
      expect(s.picture()).toEqual(before);
    });

    test("may close the system", () => {
      const s = drawing(() => s.ports.close());
      const other = open();
      other.bound("", 2000);
      const before = other.picture();
      const socket = s.socket({ group: s.group("/web") });
      expectError(() => search(socket), { ...CLOSED, says: "the system of ports has been closed" });
      expect(socket.state).toBe("gone");
      expect(s.groups.get("/web").uses).toBe(0);
      expect(other.picture()).toEqual(before);
    });

    test("may bind the socket itself, which then has a port already", () => {
      let socket: Linux2632Socket | undefined;
      const s = drawing(() => socket?.bind("10.0.0.9", 2008));
      const searching = s.socket();
      socket = searching;
      expectError(() => search(searching), { ...STATE, says: "port 2008" });
      expect(searching).toMatchObject({ port: 2008, address: "10.0.0.9", state: "closed" });
    });

    test("may bind and connect others: each gets what it asked for, and so does the socket", () => {
      const others: Linux2632Socket[] = [];
      const s = drawing(() => {
        others[0]?.bind("10.0.0.2", 2000);
        others[1]?.connect("2001:db8::1", 443, { localAddress: "2001:db8::2" });
      });
      s.ports.setPortRange(2000, 2001);
      const [bound, connected] = [s.socket(REUSE), s.socket({ bindToDevice: 3 })];
      others.push(bound, connected);
      const socket = s.socket(REUSE);
      const port = search(socket);
      expect(bound).toMatchObject({ port: 2000, address: "10.0.0.2", state: "closed" });
      expect(connected).toMatchObject({ port: 2001, address: "2001:db8::2", state: "connected" });
      const address = name === "bind()" ? "10.0.0.1" : "";
      expect(socket).toMatchObject({ port, address });
      expect(s.ports.bindBucket(2000)?.owners).toBe(2);
    });

    test("may ask a port manager of the same module, which gets what it asked for", () => {
      using manager = PortManager.open(moduleFor(build));
      const request = { networks: [4, 6], transport: 17, address: "10.0.0.7", port: 5000 };
      const s = drawing(() => manager.isAvailable(request));
      const socket = s.socket({ bindToDevice: 2 });
      search(socket);
      expect(socket).toMatchObject({ port: 2000, address: name === "bind()" ? "10.0.0.1" : "" });
      manager.reservePort(request);
      for (const networks of [[4], [6]]) {
        expect(manager.isAvailable({ ...request, networks })).toBe(false);
      }
      expect(manager.isAvailable({ ...request, networks: [0], transport: 6 })).toBe(true);
      expect(manager.isAvailable({ ...request, address: "10.0.0.1" })).toBe(true);
      expect(manager.releasePort(request)).toBe(true);
      expect(manager.stats().references).toBe(0);
    });

    test("may change the range: what is searched is the range by then", () => {
      const s = drawing(() => s.ports.setPortRange(4000, 4003), 6);
      expect(search(s.socket())).toBe(4002);
    });

    test("may change the group, its range and the reserved ports", () => {
      const s = drawing(() => {
        group.bindPortRange = { first: 2005, last: 2007 };
        s.ports.reserved.text = "2005";
      });
      const group = s.group("/web");
      expect(search(s.socket({ group }))).toBe(2006);
    });

    test("may leave nothing to search", () => {
      const s = drawing(() => {
        group.bindPortRange = { first: 9, last: 9 };
      });
      const group = s.group("/web");
      const socket = s.socket({ group });
      expectError(() => search(socket), {
        ...{ code: "EADDRINUSE", reason: "empty-range" },
        says: "the bind port range of group /web is 9",
      });
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
    });

    test("may search in its turn", () => {
      let depth = 0;
      const s = drawing(() => {
        if (++depth < 5) search(s.socket());
      });
      search(s.socket());
      // All draw 0, and the last to ask is the first to get.
      expect(s.held).toEqual([2004, 2003, 2002, 2001, 2000]);
    });
  });

  describe("a later draw of a search that draws again", () => {
    let socket: Linux2632Socket;
    const bindIn = (s: Fixture): (() => number) => {
      socket = s.socket({ reuseAddr: true, group: s.group("/web") });
      return () => socket.bind("10.0.0.1", 0);
    };

    test("is the sixth at most", () => {
      const seen: number[] = [];
      const s = restless(open, (draws) => {
        seen.push(draws);
        return draws;
      });
      expectRefused(s, bindIn(s), { code: "EADDRINUSE", reason: "no-port-available" });
      expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test.each([2, 3, 6])("throws, as the %sth, and the socket stays as it was", (last) => {
      const error = new Error("mine");
      const s = restless(open, (draws) => {
        if (draws === last) throw error;
        return 0;
      });
      expectThrown(s, bindIn(s), error);
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
    });

    test.each([2, 6])("is rubbish, as the %sth", (last) => {
      const s = restless(open, (draws) => (draws === last ? "x" : 0));
      expectRefused(s, bindIn(s), RUBBISH);
    });

    test.each([2, 3, 6])("closes the socket, as the %sth", (last) => {
      const s = restless(open, (draws) => {
        if (draws === last) socket.close();
        return 0;
      });
      expectError(bindIn(s), CLOSED);
      expect(s.groups.get("/web").uses).toBe(0);
      s.verify();
    });

    test.each([2, 6])("closes the system, as the %sth", (last) => {
      const s = restless(open, (draws) => {
        if (draws === last) s.ports.close();
        return 0;
      });
      expectError(bindIn(s), CLOSED);
      expect(s.groups.get("/web").uses).toBe(0);
    });

    test("meets a port that has become free meanwhile", () => {
      const s = restless(open, (draws) => {
        if (draws === 4) s.sockets[1]?.close();
        return 0;
      });
      expect(bindIn(s)()).toBe(2001);
      expect(socket.address).toBe("10.0.0.1");
    });

    test("drops SO_REUSEADDR, so that the search finds nothing to share", () => {
      const s = restless(open, (draws) => {
        if (draws === 3) socket.reuseAddr = false;
        return 0;
      });
      const before = s.drawn;
      expectError(bindIn(s), { code: "EADDRINUSE", reason: "no-port-available" });
      expect(s.drawn).toBe(before);
      expect(socket).toMatchObject({ port: 0, address: "", reuseAddr: false });
    });
  });

  // ── Getters ─────────────────────────────────────────────────────────────────────────────

  describe("a getter of options", () => {
    let s: Fixture;
    beforeEach(() => {
      s = open();
      s.bound("10.0.0.1", 2000);
    });

    const error = new Error("mine");
    const failing = (name: string): object => getting({}, name, throwing(error));

    test.each([
      ...["portRange", "reserved", "unprivilegedPortStart", "tcpTwReuse", "timeWaitMs", "time"],
      ...["hint", "localAddress", "rules", "bindSelection", "connectSelection", "seed", "random"],
      ...["memoryLimit", "module", "linuxModule"],
    ])("of open() that throws is passed on: %s", (name) => {
      expectThrown(s, () => open(failing(name) as Linux2632Settings), error);
    });

    test.each(["reuseAddr", "bindToDevice", "group", "privileged"])(
      "of socket() that throws: %s",
      (name) => {
        expectThrown(s, () => s.ports.socket(failing(name)), error);
      },
    );

    test.each(["localAddress", "offset"])("of connect() that throws is passed on: %s", (name) => {
      for (const socket of [s.socket(), s.bound("10.0.0.2", 2000)]) {
        expectThrown(s, () => socket.connect(WEB, 443, failing(name)), error);
      }
    });

    test.each(["timeWait", "timestamp"])("of close() that throws is passed on: %s", (name) => {
      const socket = s.connected();
      expectThrown(s, () => socket.close(failing(name)), error);
      expect(socket.state).toBe("connected");
    });

    test("is asked once: what it says later does not count", () => {
      const once = <T>(values: Record<string, T>): object => {
        const asked = new Set<string>();
        const options = {};
        for (const [name, value] of Object.entries(values)) {
          const get = (): T | symbol => (asked.has(name) ? Symbol("later") : value);
          getting(options, name, () => {
            const answer = get();
            asked.add(name);
            return answer;
          });
        }
        return options;
      };
      const group = s.group("/web", [2005, 2009]);
      const socket = s.ports.socket(
        once<unknown>({ reuseAddr: true, bindToDevice: 1, group, privileged: true }),
      );
      s.sockets.push(socket);
      expect(socket).toMatchObject({ reuseAddr: true, group });
      const port = socket.connect(WEB, 443, once<unknown>({ localAddress: "10.0.0.3", offset: 4 }));
      expect(socket).toMatchObject({ port, address: "10.0.0.3" });
      expect(port).toBe(2005);
      socket.close(once<unknown>({ timeWait: true, timestamp: 0 }));
      expect(s.ports.stats().timeWait).toBe(1);

      const other = open(
        once<unknown>({
          portRange: once({ first: 3000, last: 3001 }),
          hint: 4,
          localAddress: "::1",
        }),
      );
      expect(other.ports.portRange()).toEqual({ first: 3000, last: 3001 });
      group.bindPortRange = once({ first: 2006, last: 2007 }) as { first: number; last: number };
      expect(group.bindPortRange).toEqual({ first: 2006, last: 2007 });
    });

    test("of socket() or connect() may close what is asked: then it is closed", () => {
      const closing = (act: () => void, name: string, value: unknown): object =>
        getting({}, name, () => {
          act();
          return value;
        });
      const socket = s.socket();
      const close = (): void => socket.close();
      expectError(() => socket.connect(WEB, 443, closing(close, "offset", 1)), CLOSED);
      s.verify();

      const other = open();
      const loose = other.socket();
      const end = (): void => other.ports.close();
      expectError(() => other.ports.socket(closing(end, "reuseAddr", true)), CLOSED);
      expectError(() => loose.connect(WEB, 443, closing(end, "localAddress", "::1")), CLOSED);

      const group = s.group("/gone");
      const options = {
        group,
        get privileged() {
          group.remove();
          return true;
        },
      };
      expectError(() => s.ports.socket(options), {
        code: "ENOENT",
        says: "/gone has been removed",
      });
    });

    test("of connect() may use others, and no socket gets what another asked for", () => {
      const other = s.socket();
      const socket = s.socket();
      socket.connect(WEB, 443, {
        get offset() {
          if (other.port === 0) other.bind("10.0.0.9", 2008);
          return 0;
        },
      });
      expect(other).toMatchObject({ port: 2008, address: "10.0.0.9", state: "closed" });
      expect(socket).toMatchObject({ address: "127.0.0.1", state: "connected" });
    });
  });

  test("an address, port or bit that is an object has no say in the middle of a call", () => {
    const s = open();
    const socket = s.socket();
    const tricky = {
      toString: () => socket.close(),
      valueOf: () => socket.close(),
      [Symbol.toPrimitive]: () => socket.close(),
    };
    const anything = tricky as never;
    for (const act of [
      () => socket.bind(anything, 2000),
      () => socket.bind("", anything),
      () => socket.connect(anything, 443),
      () => socket.connect(WEB, anything),
      () => socket.connect(WEB, 443, { offset: anything }),
      () => s.ports.setTime(anything),
      () => s.ports.setPortRange(anything, anything),
      () => s.ports.bindBucket(anything),
    ]) {
      expect(caught(act)).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    }
    expect(socket.state).toBe("closed");
  });
});
