// Stories of connect(): where its search starts, what it passes over, which tuples are taken, and
// what becomes of sockets that had a port before.

import { beforeEach, describe, expect, test } from "vitest";
import { expectError } from "../../invalid-input/fixture.ts";
import { bind, connect, expectRefused, type Fixture, onBuilds, RANGE, WEB } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const OTHER = "192.0.2.2";
const EXHAUSTED = { code: "EADDRNOTAVAIL", reason: "no-port-available", syscall: "connect" };
const TAKEN = { code: "EADDRNOTAVAIL", reason: "port-in-use", syscall: "connect" };
const CONNECTED = { code: "EISCONN", reason: "connected", syscall: "connect" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a socket without a port", () => {
    test("is connected at once, from the system's local address", () => {
      const socket = s.socket();
      const port = socket.connect(WEB, 443);
      expect(port).toBeGreaterThanOrEqual(2000);
      expect(port).toBeLessThanOrEqual(2009);
      expect(socket).toMatchObject({ port, address: "127.0.0.1", state: "connected" });
      expect(s.ports.bindBucket(port)).toEqual({ fastreuse: -1, owners: 1, timeWait: 0 });
      socket.close();
      expect(socket).toMatchObject({ port: 0, address: "", state: "gone" });
      expect(s.ports.bindBucket(port)).toBeUndefined();
    });

    test("gets the port behind hint and offset, and moves the hint by what was looked at", () => {
      expect(portFrom(s, 0)).toBe(2001);
      expect(s.ports.hint).toBe(1);
      expect(portFrom(s, 0)).toBe(2002);
      expect(portFrom(s, 6)).toBe(2009);
      expect(s.ports.hint).toBe(3);
      // 2000 is next, then 2001 and 2002, which are taken.
      expect(portFrom(s, 6)).toBe(2000);
      expect(portFrom(s, 6)).toBe(2003);
      expect(s.ports.hint).toBe(7);
    });

    test("shares its port with connections to other ends, of which one hint serves all", () => {
      const socket = s.socket();
      expect(portFrom(s, 0)).toBe(2001);
      expect(socket.connect(WEB, 80, { offset: 9 })).toBe(2001);
      expect(s.connected(OTHER, { offset: 8 }).port).toBe(2001);
      expect(s.connected(WEB, { offset: 7, localAddress: "10.0.0.1" }).port).toBe(2001);
      expect(s.connected(WEB, { offset: 6 }, { bindToDevice: 1 }).port).toBe(2001);
      expect(s.ports.hint).toBe(5);
      expect(s.ports.bindBucket(2001)).toEqual({ fastreuse: -1, owners: 5, timeWait: 0 });
    });

    test("begins at the hint that the system was opened with, which wraps at 2^32", () => {
      const s = open({ hint: 0xffffffff });
      expect(s.ports.hint).toBe(0xffffffff);
      expect(portFrom(s, 0)).toBe(2000);
      expect(s.ports.hint).toBe(0);
      expect(portFrom(s, 0xffffffff)).toBe(2001);
      expect(s.ports.hint).toBe(2);
    });

    test("finds each port once for one end, then none, and the hint stays", () => {
      const ports = Array.from({ length: 10 }, () => s.connected().port);
      expect([...ports].sort()).toEqual([
        2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009,
      ]);
      const socket = s.socket();
      expectRefused(s, connect(socket, WEB), {
        ...EXHAUSTED,
        ...{ address: "", port: 0, searched: RANGE },
        says: "no port is available: tcp *:0 -> 192.0.2.1:443, all of 2000..2009 are taken",
      });
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
      expect(socket.connect(OTHER, 443)).toBeGreaterThan(0);
    });

    test("passes over reserved ports and those that bind() holds, whatever their addresses", () => {
      s.ports.reserved.text = "2001,2002";
      s.bound("10.9.9.9", 2003);
      s.bound("10.9.9.9", 2004, REUSE);
      s.listener("10.9.9.9", 2005, { bindToDevice: 7 });
      expect(portFrom(s, 0)).toBe(2006);
      expect(s.ports.hint).toBe(6);
      s.ports.reserved.text = "2000-2009";
      expectRefused(s, connect(s.socket(), OTHER), EXHAUSTED);
    });

    test("lets a socket bind beside it with SO_REUSEADDR, and goes on using the port", () => {
      const s = open({ portRange: { first: 2000, last: 2000 } });
      s.connected();
      s.bound("10.0.0.1", 2000, REUSE);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 2, timeWait: 0 });
      s.connected(OTHER);
      s.bound("10.0.0.2", 2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 4, timeWait: 0 });
      expectRefused(s, connect(s.socket(), "192.0.2.3"), EXHAUSTED);
    });

    test("keeps its port from sockets that bind at its address without SO_REUSEADDR", () => {
      s.connectedFrom(2000);
      s.connectedFrom(2001, WEB, REUSE);
      for (const address of ["", "127.0.0.1"]) {
        expectRefused(s, bind(s.socket(REUSE), address, 2000), { code: "EADDRINUSE" });
        expectRefused(s, bind(s.socket(), address, 2001), { code: "EADDRINUSE" });
        s.bound(address, 2001, REUSE).close();
      }
      s.bound("127.0.0.2", 2000).close();
    });

    test("keeps the connected ports while the range moves away", () => {
      const socket = s.connected();
      const { port } = socket;
      s.ports.setPortRange(5000, 5000);
      expect(s.connected().port).toBe(5000);
      expect(socket.port).toBe(port);
      expectRefused(s, connect(s.socket(), WEB), { ...EXHAUSTED, says: "all of 5000 are taken" });
    });

    test("does not get a port whose end is taken, until that closes", () => {
      const s = open({ portRange: { first: 2000, last: 2000 } });
      const first = s.connected();
      const second = s.socket();
      expectRefused(s, connect(second, WEB), EXHAUSTED);
      first.close();
      expect(second.connect(WEB, 443)).toBe(2000);
    });
  });

  describe("a socket with a port", () => {
    test("connects from it, and no hint moves", () => {
      const [named, picked] = [s.bound("10.0.0.1", 8080), s.bound("10.0.0.1", 0)];
      expect(named.connect(WEB, 443)).toBe(8080);
      expect(picked.connect(WEB, 443, { offset: 3 })).toBe(2000);
      expect(named).toMatchObject({ address: "10.0.0.1", state: "connected" });
      expect(s.ports.hint).toBe(0);
      expect(s.ports.bindBucket(8080)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    });

    test("gets the address that routing chooses, if it has none", () => {
      const s = open({ localAddress: "10.1.1.1" });
      const socket = s.bound("", 2000);
      expect(socket.connect(WEB, 443)).toBe(2000);
      expect(socket.address).toBe("10.1.1.1");
      s.bound("10.0.0.1", 2000);
      expectRefused(s, bind(s.socket(), "", 2000), { code: "EADDRINUSE" });
    });

    test("may lie outside the range and be reserved: nothing of that is asked", () => {
      const socket = s.bound("10.0.0.1", 9999);
      s.ports.reserved.text = "1-65535";
      expect(socket.connect(WEB, 443)).toBe(9999);
    });

    test("connects beside others to ends that they are not connected to", () => {
      const [one, other, third] = [1, 2, 3].map(() => s.bound("10.0.0.1", 2000, REUSE));
      one?.connect(WEB, 443);
      other?.connect(WEB, 80);
      third?.connect(OTHER, 443);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 3, timeWait: 0 });
    });

    test("is refused a tuple that is taken, and keeps a port that it had named", () => {
      s.bound("10.0.0.1", 2000, REUSE).connect(WEB, 443);
      const socket = s.bound("10.0.0.1", 2000, REUSE);
      expectRefused(s, connect(socket, WEB), {
        ...TAKEN,
        ...{ address: "10.0.0.1", port: 2000, searched: undefined },
        says: "another connection has the tuple: tcp 10.0.0.1:2000 -> 192.0.2.1:443",
      });
      expect(socket).toMatchObject({ port: 2000, address: "10.0.0.1", state: "closed" });
      expect(socket.connect(OTHER, 443)).toBe(2000);
    });

    test("is refused a tuple that is taken, and loses a port that it had not named", () => {
      s.bound("10.0.0.1", 0, REUSE).connect(WEB, 443);
      const socket = s.bound("10.0.0.1", 0, REUSE);
      expect(s.ports.bindBucket(2000)?.owners).toBe(2);
      expectError(connect(socket, WEB), { ...TAKEN, says: "another connection has the tuple" });
      expect(socket).toMatchObject({ port: 0, address: "10.0.0.1", state: "closed" });
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 1, timeWait: 0 });
      // The port is bind()'s, so connect() finds another; the address is still its own.
      expect(socket.connect(WEB, 443)).not.toBe(2000);
      expect(socket.address).toBe("10.0.0.1");
    });

    test("has another tuple on another device", () => {
      for (const bindToDevice of [0, 1, 2]) {
        const socket = s.bound("10.0.0.1", 2000, { reuseAddr: true, bindToDevice });
        expect(socket.connect(WEB, 443)).toBe(2000);
      }
    });
  });

  test("a socket connects once", () => {
    const socket = s.connected(WEB, { offset: 0 });
    for (const to of [WEB, OTHER]) {
      expectRefused(s, connect(socket, to, { offset: 5 }), {
        ...CONNECTED,
        ...{ address: "127.0.0.1", port: 2001 },
        says: `the socket is connected: tcp 127.0.0.1:2001 -> ${to}:443`,
      });
    }
  });

  describe("sums that pass 2^32", () => {
    test("go on at the range's first port", () => {
      const s = open({ hint: 0xfffffffe });
      // (2^32 - 1) % 10 is 5, then 0.
      expect(portFrom(s, 0)).toBe(2005);
      expect(s.ports.hint).toBe(0xffffffff);
      expect(portFrom(s, 0)).toBe(2000);
      expect(s.ports.hint).toBe(0);
    });

    test("may miss a port, as Linux does", () => {
      const s = open({ hint: 0xfffffffe });
      for (const port of [2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008]) s.bound("", port);
      expectRefused(s, connect(s.socket(), WEB, { offset: 0 }), EXHAUSTED);
      expect(portFrom(s, 2)).toBe(2009);
    });
  });
});

/** The port of a connection with that offset, to the same end each time. */
function portFrom(s: Fixture, offset: number): number {
  return s.connected(WEB, { offset }).port;
}
