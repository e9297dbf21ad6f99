// Stories of connect() of UDP sockets: first a port at the socket's own address, or at any, then
// the local address, and never a tuple.

import { beforeEach, describe, expect, test } from "vitest";
import { expectRefused, RANGE } from "../linux/fixture.ts";
import { type Fixture, onBuilds, REMOTE } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const TAKEN = { code: "EADDRINUSE", reason: "port-in-use" };
const EXHAUSTED = { code: "EAGAIN", reason: "no-port-available", syscall: "connect" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a socket without a port", () => {
    test("gets one, and the local address of the system or of the call", () => {
      const s = open({ localAddress: "10.0.0.9" });
      const socket = s.socket();
      expect(socket.connect(REMOTE, 53, { offset: 3 })).toBe(2003);
      expect(socket).toMatchObject({ port: 2003, address: "10.0.0.9", state: "connected" });
      const other = s.toRemote({ offset: 3, localAddress: "2001:DB8::1" });
      expect(other).toMatchObject({ port: 2004, address: "2001:db8::1" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 2, timeWait: 0 });
      expect(s.ports.bindBucket(2003)).toBeUndefined();
    });

    test("is judged at any address, whatever its local address will be", () => {
      s.bound("10.0.0.1", 2000);
      expect(s.toRemote({ offset: 0, localAddress: "10.0.0.2" }).port).toBe(2001);
    });

    test("is judged by its device and SO_REUSEADDR", () => {
      s.bound("10.0.0.1", 2000, { ...REUSE, bindToDevice: 1 });
      expect(s.toRemote({ offset: 0 }, { bindToDevice: 2 }).port).toBe(2000);
      expect(s.toRemote({ offset: 0 }, { bindToDevice: 1 }).port).toBe(2001);
      expect(s.toRemote({ offset: 0 }, { ...REUSE, bindToDevice: 1 }).port).toBe(2000);
    });

    test("starts at the first port plus the offset modulo their count, and wraps", () => {
      const ports = [8, 4_294_967_295, 18, 28].map((offset) => s.toRemote({ offset }).port);
      expect(ports).toEqual([2008, 2005, 2009, 2000]);
      expect(s.drawn).toBe(0);
    });

    test("passes over what is reserved, and takes it when it is bound there", () => {
      s.ports.reserved.text = "2000-2003,2005";
      expect(s.toRemote({ offset: 0 }).port).toBe(2004);
      expect(s.toRemote({ offset: 4 }).port).toBe(2006);
      expect(s.bound("", 2005).connect(REMOTE, 53)).toBe(2005);
    });

    test("gets a port of the group's connect range, whatever its bind range is", () => {
      s.group("/a", [3000, 3999], [2002, 2007]);
      const group = s.group("/a/b", undefined, [2005, 9999]);
      const ports = [0, 1, 2].map((offset) => s.toRemote({ offset }, { group }).port);
      expect(ports).toEqual([2005, 2006, 2007]);
      const socket = s.socket({ group });
      const searched = { first: 2005, last: 2007 };
      expectRefused(s, () => drawsOnce(s, () => socket.connect(REMOTE, 53)), {
        ...{ ...EXHAUSTED, searched, address: "", port: 0 },
        says: "no port is available: udp *:0, all of 2005..2007 are taken or reserved",
      });
      expectRefused(s, () => socket.connect(REMOTE, 53, { offset: 7 }), EXHAUSTED);
    });

    test("is refused where the group leaves nothing, and stays free to bind", () => {
      const group = s.group("/a", [3000, 3999], [4000, 4999]);
      const socket = s.socket({ group });
      for (const how of [{}, { offset: 0 }, { localAddress: "10.0.0.1" }]) {
        expectRefused(s, () => socket.connect(REMOTE, 53, how), {
          ...{
            code: "EAGAIN",
            reason: "empty-range",
            syscall: "connect",
            searched: { first: 2000, last: 2009 },
          },
          says: "the connect port range of group /a is 4000..4999, set by /a: 2000..2009",
        });
      }
      expect(socket.bind("", 3000)).toBe(3000);
      expect(socket.connect(REMOTE, 53)).toBe(3000);
    });

    test("is refused when all are taken, and tries again when one is free", () => {
      const owners = Array.from({ length: 10 }, () => s.toRemote({ offset: 0 }));
      const socket = s.socket(REUSE);
      expectRefused(s, () => drawsOnce(s, () => socket.connect(REMOTE, 53)), {
        ...EXHAUSTED,
        searched: RANGE,
      });
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
      owners[6]?.close();
      expect(socket.connect(REMOTE, 53)).toBe(2006);
    });

    test("draws once, from the same source as bind()", () => {
      s.draws = [4];
      expect(s.toRemote({}).port).toBe(2004);
      expect(s.drawn).toBe(1);
    });

    test("draws as bind() does where chance has a seed", () => {
      const all = { first: 32768, last: 60999 };
      const [one, two] = [open({ seed: 7, portRange: all }), open({ seed: 7, portRange: all })];
      const bound = Array.from({ length: 20 }, () => one.bound("", 0).port);
      const connected = Array.from({ length: 20 }, () => two.toRemote({}).port);
      expect(connected).toEqual(bound);
    });
  });

  describe("the local address", () => {
    test("takes a socket away from the any address, for sockets that come later", () => {
      const socket = s.bound("", 2000);
      const other = s.socket();
      expectRefused(s, () => other.bind("10.0.0.2", 2000), TAKEN);
      expect(socket.connect(REMOTE, 53, { localAddress: "10.0.0.1" })).toBe(2000);
      expect(socket).toMatchObject({ port: 2000, address: "10.0.0.1", state: "connected" });
      expectRefused(s, () => other.bind("10.0.0.1", 2000), { ...TAKEN, address: "10.0.0.1" });
      expectRefused(s, () => other.bind("", 2000), TAKEN);
      expect(other.bind("10.0.0.2", 2000)).toBe(2000);
    });

    test("is kept by a socket that is bound to one", () => {
      const socket = s.bound("10.0.0.1", 2000);
      expect(socket.connect(REMOTE, 53, { localAddress: "10.0.0.2" })).toBe(2000);
      expect(socket.address).toBe("10.0.0.1");
    });

    test("may be one that other sockets have: all that connect have ports of their own", () => {
      const sockets = Array.from({ length: 10 }, () => s.toRemote({ offset: 5 }));
      expect(new Set(sockets.map(({ port }) => port)).size).toBe(10);
      expect(new Set(sockets.map(({ address }) => address))).toEqual(new Set(["127.0.0.1"]));
    });

    test("makes room at any for sockets that share, one by one", () => {
      const [one, two] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
      one.connect(REMOTE, 53, { localAddress: "10.0.0.1" });
      const other = s.socket();
      expectRefused(s, () => other.bind("10.0.0.2", 2000), TAKEN);
      two.connect(REMOTE, 53, { localAddress: "10.0.0.1" });
      expect(other.bind("10.0.0.2", 2000)).toBe(2000);
      one.close();
      const last = s.socket();
      expectRefused(s, () => last.bind("10.0.0.1", 2000), TAKEN);
      two.close();
      expect(last.bind("10.0.0.1", 2000)).toBe(2000);
    });
  });

  describe("a second connect()", () => {
    test("goes elsewhere from the same port and address", () => {
      const socket = s.toRemote({ offset: 4 });
      const used = s.used;
      for (const remote of ["192.0.2.9", "2001:db8::9", REMOTE]) {
        const how = { localAddress: "10.9.9.9", offset: 7 };
        expect(socket.connect(remote, 443, how)).toBe(2004);
      }
      expect(socket).toMatchObject({ port: 2004, address: "127.0.0.1", state: "connected" });
      expect(s.used).toBe(used);
    });

    test("needs neither a range nor a port that is free", () => {
      const group = s.group("/a");
      const sockets = Array.from({ length: 10 }, () => s.toRemote({ offset: 0 }, { group }));
      group.connectPortRange = { first: 1, last: 1 };
      s.ports.setPortRange(5000, 5000);
      s.ports.reserved.text = "1-65535";
      for (const [index, socket] of sockets.entries()) {
        expect(socket.connect(REMOTE, 53)).toBe(2000 + index);
      }
    });

    test("lets two sockets with SO_REUSEADDR have one tuple", () => {
      const [one, two] = [s.bound("10.0.0.1", 2000, REUSE), s.bound("10.0.0.1", 2000, REUSE)];
      expect([one.connect(REMOTE, 53), two.connect(REMOTE, 53)]).toEqual([2000, 2000]);
    });
  });

  test("the bind range does not count for connect(), nor for a bound socket any range", () => {
    const group = s.group("/a", [2008, 2009], [2000, 2001]);
    const bound = s.bound("", 0, { group });
    expect(bound.port).toBe(2008);
    expect(bound.connect(REMOTE, 53, { offset: 0 })).toBe(2008);
    expect(s.toRemote({ offset: 0 }, { group }).port).toBe(2000);
  });
});

/** A search that fails has drawn where it starts, and changed nothing else. */
function drawsOnce(fixture: { drawn: number }, act: () => unknown): void {
  const { drawn } = fixture;
  try {
    act();
  } finally {
    expect(fixture.drawn).toBe(drawn + 1);
    fixture.drawn = drawn;
  }
}
