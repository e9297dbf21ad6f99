// Stories of bind(): explicit ports, ports that are searched, sockets that share, and what a
// refusal says.

import { beforeEach, describe, expect, test } from "vitest";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import {
  bind,
  connect,
  expectRefused,
  FIRST,
  type Fixture,
  LAST,
  onBuilds,
  RANGE,
  WEB,
} from "./fixture.ts";

const REUSE = { reuseAddr: true };
const TAKEN = { code: "EADDRINUSE", reason: "port-in-use", syscall: "bind" };
const EXHAUSTED = { code: "EADDRINUSE", reason: "no-port-available", syscall: "bind" };
const STATE = { code: "EINVAL", reason: "wrong-state", syscall: "bind" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  test("a socket begins closed, with neither port nor address, and owns nothing", () => {
    const socket = s.socket();
    expect(socket).toMatchObject({ port: 0, address: "", state: "closed", reuseAddr: false });
    expect(socket.group).toBeUndefined();
    expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
  });

  describe.each(["tcp", "udp"] as const)("a %s socket", (type) => {
    const isTcp = type === "tcp";
    beforeEach(() => {
      s.type = type;
    });

    /** A system whose sockets are of that type. */
    function openOf(options: Linux2632Settings): Fixture {
      return Object.assign(open(options), { type });
    }

    test("has its explicit port and address until it closes", () => {
      const socket = s.socket();
      expect(socket).toMatchObject({ type, port: 0, address: "", state: "closed" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0 });
      expect(socket.bind("10.0.0.1", 8080)).toBe(8080);
      expect(socket).toMatchObject({ port: 8080, address: "10.0.0.1", state: "closed" });
      const bucket = isTcp ? { fastreuse: 0, owners: 1, timeWait: 0 } : undefined;
      expect(s.ports.bindBucket(8080)).toEqual(bucket);
      expect(s.ports.stats()).toMatchObject({ buckets: isTcp ? 1 : 0, sockets: 1, timeWait: 0 });
      socket.close();
      expect(socket).toMatchObject({ port: 0, address: "", state: "gone" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0 });
      expect(s.bound("", 8080).port).toBe(8080);
    });

    test("may have a port outside the local range, a reserved one, the first or last of all", () => {
      const s = openOf({ unprivilegedPortStart: 0 });
      s.ports.reserved.text = "1,2003,65535";
      for (const port of [1, 2003, 40_000, 65_535]) s.bound("", port);
      expect(s.ports.stats().sockets).toBe(4);
      expect(s.drawn).toBe(0);
    });

    test("has a port of the bind range of its group, and of all above it", () => {
      s.group("/a", [5000, 6000], [1, 1]);
      const group = s.group("/a/b", [5500, 7000]);
      const socket = s.socket({ group });
      for (const port of [5000, 5499, 6001, 7000, 2000]) {
        expectRefused(s, bind(socket, "10.0.0.1", port), {
          ...{ code: "EADDRINUSE", reason: "outside-group", syscall: "bind" },
          ...{ address: "10.0.0.1", port, searched: undefined },
          says: [`${type} 10.0.0.1:${port}`, "bind port range of group /a/b is 5500..6000, set by"],
        });
      }
      expect(socket.bind("10.0.0.1", 5500)).toBe(5500);
      s.bound("10.0.0.1", 6000, { group });
      s.bound("", 2999);
    });

    test("is refused by a group that has no port left", () => {
      s.group("/a", [5000, 6000]);
      const socket = s.socket({ group: s.group("/a/b", [7000, 8000]) });
      const refused = { code: "EADDRINUSE", reason: "outside-group" };
      expectRefused(s, bind(socket, "", 5000), refused);
      expectRefused(s, bind(socket, "", 7000), { ...refused, says: "/a/b is empty" });
    });

    test("needs privilege for a privileged port, and the refusal says where that ends", () => {
      expectRefused(s, bind(s.socket(), "10.0.0.1", 1023), {
        ...{ code: "EACCES", reason: "privileged-port", syscall: "bind" },
        ...{ address: "10.0.0.1", port: 1023 },
        says: `ports below 1024 need a privileged socket: ${type} 10.0.0.1:1023`,
      });
      s.bound("10.0.0.1", 1023, { privileged: true });
      s.bound("10.0.0.1", 1024);
    });

    test("needs privilege up to where the setting says", () => {
      const s = openOf({ unprivilegedPortStart: 0 });
      s.bound("", 1);
      s.ports.unprivilegedPortStart = 2000;
      expectRefused(s, bind(s.socket(), "", 1999), { code: "EACCES" });
      s.bound("", 2000);
      s.ports.unprivilegedPortStart = 2;
      expectRefused(s, bind(s.socket(), "", 1), { code: "EACCES" });
      s.bound("", 2);
    });

    test("is judged in order: privilege, state, group, other owners", () => {
      const group = s.group("/a", [3000, 3999]);
      s.bound("", 80, { privileged: true });
      const bound = s.bound("", 3000, { group });
      expectRefused(s, bind(bound, "", 80), { code: "EACCES" });
      expectRefused(s, bind(bound, "", 3000), STATE);
      const other = s.socket({ group, privileged: true });
      expectRefused(s, bind(other, "", 80), { reason: "outside-group", code: "EADDRINUSE" });
      expectRefused(s, bind(other, "", 3000), { reason: "port-in-use", code: "EADDRINUSE" });
    });

    test("is refused a second bind(), which draws nothing", () => {
      const bound = s.bound("10.0.0.1", 2000);
      const connected = s.connected(WEB, { offset: 1 });
      for (const port of [0, 2000, 2005]) {
        const has = "bind: the socket has port 2000 already";
        expectRefused(s, bind(bound, "", port), { ...STATE, says: has });
        expectRefused(s, bind(connected, "", port), { ...STATE, says: "the socket is connected" });
      }
      expect(s.drawn).toBe(0);
    });

    test("gets port 0 from the first port plus the draw modulo their count on, round the range", () => {
      s.draws = [8, 4_294_967_295, 18, 28, 0];
      const ports = Array.from({ length: 5 }, () => s.bound("", 0).port);
      expect(ports).toEqual([2008, 2005, 2009, 2000, 2001]);
      expect(s.drawn).toBe(5);
      expect(s.ports.hint).toBe(0);
    });

    test("passes over what is reserved, in conflict, or not for the group", () => {
      s.ports.reserved.text = "2003-2004";
      const group = s.group("/a", [2002, 2006]);
      s.bound("10.0.0.1", 2002);
      s.draws = [4, 0, 5];
      expect(s.bound("", 0, { group }).port).toBe(2006);
      expect(s.bound("", 0, { group }).port).toBe(2005);
      expect(s.bound("10.0.0.2", 0, { group }).port).toBe(2002);
    });

    test("shares the first port that it meets, if all there have SO_REUSEADDR", () => {
      const ports = Array.from({ length: 20 }, () => s.bound("", 0, REUSE).port);
      expect(new Set(ports)).toEqual(new Set([2000]));
      expect(s.bound("", 0).port).toBe(2001);
      expect(s.drawn).toBe(21);
    });

    test("shares a port where all have SO_REUSEADDR now, although one came without", () => {
      const first = s.bound("10.0.0.1", 2000);
      const second = s.socket(REUSE);
      expectRefused(s, bind(second, "", 2000), TAKEN);
      first.reuseAddr = true;
      expect(first).toMatchObject({ port: 2000, address: "10.0.0.1", reuseAddr: true });
      expect(second.bind("", 2000)).toBe(2000);
      const bucket = isTcp ? { fastreuse: 0, owners: 2, timeWait: 0 } : undefined;
      expect(s.ports.bindBucket(2000)).toEqual(bucket);
    });

    test("knows ranges of one port and of all", () => {
      const s = openOf({ unprivilegedPortStart: 0, portRange: { first: 65_535, last: 65_535 } });
      s.draws = [12_345, 0, 65_534, 65_534];
      expect(s.bound("", 0).port).toBe(65_535);
      expectRefused(s, bind(s.socket(), "", 0), {
        ...EXHAUSTED,
        searched: { first: 65_535, last: 65_535 },
        says: "all of 65535 are taken or reserved",
      });
      s.ports.setPortRange(1, 65_535);
      expect(s.bound("", 0).port).toBe(1);
      expect(s.bound("10.0.0.1", 0).port).toBe(2);
    });

    test("is refused without a draw where its group leaves nothing to search", () => {
      const group = s.group("/web", [3000, 3009], [2000, 2009]);
      const refused = { code: "EADDRINUSE", reason: "empty-range", address: "10.0.0.1", port: 0 };
      const why = "3000..3009, set by /web: 2000..2009 is below it";
      expectRefused(s, bind(s.socket({ group }), "10.0.0.1", 0), {
        ...{ ...refused, syscall: "bind", searched: RANGE },
        says: [
          `no port is left to search, ${type} 10.0.0.1:0`,
          `the bind port range of group /web is ${why}`,
        ],
      });
      expect(s.drawn).toBe(0);
    });
  });

  describe("an explicit port", () => {
    test("is refused to a second socket, and the refusal says which", () => {
      s.bound("10.0.0.1", 8080);
      const socket = s.socket();
      expectRefused(s, bind(socket, "10.0.0.1", 8080), {
        ...TAKEN,
        ...{ address: "10.0.0.1", port: 8080, searched: undefined },
        says: "EADDRINUSE: the port is taken: tcp 10.0.0.1:8080",
      });
      expectRefused(s, bind(socket, "0.0.0.0", 8080), {
        ...TAKEN,
        ...{ address: "", port: 8080 },
        says: "tcp *:8080",
      });
      expect(socket.bind("10.0.0.2", 8080)).toBe(8080);
    });

    test("is another's at another address, but not where one of the two is any", () => {
      s.bound("10.0.0.1", 2000);
      s.bound("10.0.0.2", 2000);
      s.bound("", 2001);
      const socket = s.socket();
      expectRefused(s, bind(socket, "", 2000), TAKEN);
      expectRefused(s, bind(socket, "10.0.0.3", 2001), TAKEN);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
    });

    test("leaves a socket that was refused as it was, free to try another", () => {
      s.bound("", 2000);
      const socket = s.socket();
      expectRefused(s, bind(socket, "", 2000), TAKEN);
      expect(socket.bind("10.0.0.1", 2001)).toBe(2001);
      expect(socket).toMatchObject({ address: "10.0.0.1", state: "closed" });
    });
  });

  describe("sockets with SO_REUSEADDR", () => {
    test("share a port as long as none of them listens", () => {
      const [one] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
      s.bound("10.0.0.1", 2000, REUSE);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 3, timeWait: 0 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 3 });
      one.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 2, timeWait: 0 });
    });

    test("do not share with one without it, whichever came first", () => {
      s.bound("", 2000);
      s.bound("", 2001, REUSE);
      expectRefused(s, bind(s.socket(REUSE), "", 2000), TAKEN);
      expectRefused(s, bind(s.socket(), "", 2001), TAKEN);
    });

    test("join at once where all that bound the port had it, even if one has dropped it since", () => {
      s.bound("", 2000, REUSE).reuseAddr = false;
      expect(s.ports.bindBucket(2000)?.fastreuse).toBe(1);
      s.bound("", 2000, REUSE);
      expectRefused(s, bind(s.socket(), "", 2000), TAKEN);
    });

    test("leave fastreuse as it is when they go: it says how owners came", () => {
      s.bound("10.0.0.1", 2000, REUSE);
      const plain = s.bound("10.0.0.2", 2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
      plain.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    });
  });

  describe("port 0", () => {
    test("finds every port once, and then says what it searched", () => {
      const ports = Array.from({ length: 10 }, () => s.bound("10.0.0.1", 0).port);
      expect(new Set(ports)).toEqual(new Set(portsFrom(FIRST, LAST)));
      expectRefused(s, bind(s.socket(), "10.0.0.1", 0), {
        ...EXHAUSTED,
        ...{ address: "10.0.0.1", port: 0, searched: RANGE },
        says: "no port is available: tcp 10.0.0.1:0, all of 2000..2009 are taken or reserved",
      });
      expect(s.socket().bind("10.0.0.2", 0)).toBe(2000);
    });

    test("passes over reserved ports, and over those that conflict", () => {
      s.ports.reserved.text = "2000-2002,2004,2006-2009";
      s.bound("10.0.0.1", 2003);
      expect(s.socket().bind("", 0)).toBe(2005);
      expect(s.socket().bind("10.0.0.2", 0)).toBe(2003);
      expectRefused(s, bind(s.socket(), "", 0), EXHAUSTED);
      s.ports.reserved.text = "";
      expect(s.socket().bind("", 0)).toBe(2000);
    });

    test("goes on behind a port that could be shared but for an owner that dropped the bit", () => {
      s.bound("", 2000, REUSE).reuseAddr = false;
      expect(s.socket(REUSE).bind("", 0)).toBe(2001);
      expect(s.drawn).toBe(1);
    });

    test("stops there and draws again, once more sockets own ports than the range has", () => {
      const s = open({ portRange: { first: 2000, last: 2001 } });
      s.bound("", 2000, REUSE).reuseAddr = false;
      for (const port of [3000, 3001]) s.bound("", port);
      s.draws = [0, 0, 0, 1];
      s.bound("", 3002);
      expect(s.socket(REUSE).bind("", 0)).toBe(2001);
      expect(s.drawn).toBe(4);
    });

    test("draws six times where it could share but for the conflict, then gives up", () => {
      const s = open({ portRange: { first: 2000, last: 2001 } });
      s.bound("", 2000, REUSE).reuseAddr = false;
      s.bound("", 2001);
      const socket = s.socket(REUSE);
      expectRefused(s, bind(socket, "", 0), { ...EXHAUSTED, says: "2000..2001" });
      expect(s.drawn).toBe(6);
      expectRefused(s, bind(s.socket(), "", 0), EXHAUSTED);
      expect(s.drawn).toBe(7);
    });

    test("is searched in the range of the moment", () => {
      s.ports.setPortRange(5000, 5000);
      expect(s.socket().bind("", 0)).toBe(5000);
      expectRefused(s, bind(s.socket(), "", 0), EXHAUSTED);
      s.ports.setPortRange(5000, 5001);
      expect(s.socket().bind("", 0)).toBe(5001);
    });
  });

  test("a second bind() is refused to a listener", () => {
    const listener = s.listener("", 2000);
    expectRefused(s, bind(listener, "", 2001), { ...STATE, says: "the socket is listening" });
  });

  test("a socket whose connect() lost its port keeps its address until bind() changes it", () => {
    s.bound("10.0.0.1", 0, REUSE).connect(WEB, 443);
    const loser = s.bound("10.0.0.1", 0, REUSE);
    expectError(connect(loser, WEB), { code: "EADDRNOTAVAIL" });
    expect(loser).toMatchObject({ port: 0, address: "10.0.0.1", state: "closed" });
    s.listener("10.0.0.2", 2005);
    expectError(bind(loser, "10.0.0.2", 2005), TAKEN);
    expect(loser).toMatchObject({ port: 0, address: "", state: "closed" });
  });
});

function portsFrom(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
