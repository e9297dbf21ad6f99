// Stories of listen(): the port is asked for once more, as one that is not shared.

import { beforeEach, describe, expect, test } from "vitest";
import { expectError } from "../../invalid-input/fixture.ts";
import {
  bind,
  connect,
  expectRefused,
  type Fixture,
  listen,
  onBuilds,
  RANGE,
  WEB,
} from "./fixture.ts";

const REUSE = { reuseAddr: true };
const TAKEN = { code: "EADDRINUSE", reason: "port-in-use", syscall: "listen" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a bound socket", () => {
    test("listens on its port, and stays where it is when it is asked again", () => {
      const socket = s.bound("10.0.0.1", 2000);
      expect(socket.listen()).toBe(2000);
      expect(socket).toMatchObject({ port: 2000, address: "10.0.0.1", state: "listening" });
      const before = s.picture();
      expect(socket.listen()).toBe(2000);
      expect(s.picture()).toEqual(before);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    });

    test("listens where others have other addresses or devices", () => {
      for (const device of [1, 2]) s.listener("", 2000, { bindToDevice: device });
      for (const address of ["10.0.0.1", "10.0.0.2"]) s.listener(address, 2001, REUSE);
      expect(s.ports.bindBucket(2001)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
    });

    test("does not listen beside a listener that it shares the port with, until that one closes", () => {
      const [one, other] = [s.bound("", 2000, REUSE), s.bound("10.0.0.1", 2000, REUSE)];
      expect(one.listen()).toBe(2000);
      expectRefused(s, listen(other), {
        ...{ ...TAKEN, address: "10.0.0.1", port: 2000 },
        says: "the port is taken: tcp 10.0.0.1:2000",
      });
      expect(other).toMatchObject({ port: 2000, address: "10.0.0.1", state: "closed" });
      one.close();
      expect(other.listen()).toBe(2000);
    });

    test("does not listen beside an owner that has dropped SO_REUSEADDR", () => {
      const [one, other] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
      other.reuseAddr = false;
      expectRefused(s, listen(one), TAKEN);
      expectRefused(s, listen(other), TAKEN);
      other.reuseAddr = true;
      expect(one.listen()).toBe(2000);
    });

    test("makes the port one that no socket joins, with SO_REUSEADDR or without", () => {
      s.bound("", 2000, REUSE).listen();
      expect(s.ports.bindBucket(2000)?.fastreuse).toBe(0);
      const refused = { ...TAKEN, syscall: "bind" };
      expectRefused(s, bind(s.socket(REUSE), "", 2000), refused);
      expectRefused(s, bind(s.socket(REUSE), "10.0.0.1", 2000), refused);
      expect(s.bound("", 0, REUSE).port).toBe(2001);
    });

    test("leaves fastreuse 0 behind, when another owner is still there", () => {
      const [one, other] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
      one.listen();
      one.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
      s.bound("", 2000, REUSE);
      other.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    });

    test("listens on a port that connect() has made, where no connection is at its address", () => {
      s.connectedFrom(2000);
      const socket = s.bound("10.0.0.1", 2000, REUSE);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 2, timeWait: 0 });
      expect(socket.listen()).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
    });

    test("may listen on a privileged port that it has, wherever privileged ports begin now", () => {
      const s = open({ unprivilegedPortStart: 0 });
      const socket = s.bound("", 80);
      s.ports.unprivilegedPortStart = 1024;
      expect(socket.listen()).toBe(80);
    });
  });

  describe("a socket without a port", () => {
    test("gets one as by bind() with port 0, at any address", () => {
      s.draws = [4, 4];
      const socket = s.socket();
      expect(socket.listen()).toBe(2004);
      expect(socket).toMatchObject({ port: 2004, address: "", state: "listening" });
      expect(s.socket().listen()).toBe(2005);
      expect(s.drawn).toBe(2);
    });

    test("may get one that others have with SO_REUSEADDR, as long as none of them listens", () => {
      const s = open({ portRange: { first: 2000, last: 2001 } });
      for (let times = 0; times < 5; times++) s.bound("", 2000, REUSE);
      expect(s.socket(REUSE).listen()).toBe(2000);
      expect(s.socket(REUSE).listen()).toBe(2001);
      expectRefused(s, listen(s.socket(REUSE)), {
        ...{ code: "EADDRINUSE", reason: "no-port-available", syscall: "listen" },
        ...{ address: "", port: 0, searched: { first: 2000, last: 2001 } },
        says: "all of 2000..2001 are taken or reserved",
      });
      // A listener shares nothing, so nothing was drawn again.
      expect(s.drawn).toBe(3);
    });

    test("is closed again, and without a port, when none is left", () => {
      const s = open({ portRange: { first: 2000, last: 2000 } });
      s.bound("", 2000);
      const socket = s.socket();
      expectRefused(s, listen(socket), { code: "EADDRINUSE" });
      expect(socket).toMatchObject({ port: 0, address: "", state: "closed" });
      s.ports.setPortRange(2000, 2001);
      expect(socket.listen()).toBe(2001);
    });

    test("passes over reserved ports", () => {
      s.ports.reserved.text = "2000-2008";
      expect(s.socket().listen()).toBe(2009);
      expectRefused(s, listen(s.socket()), { code: "EADDRINUSE", searched: RANGE });
    });

    test("listens at the address that a failed connect() has left it", () => {
      s.bound("10.0.0.1", 0, REUSE).connect(WEB, 443);
      const loser = s.bound("10.0.0.1", 0, REUSE);
      expectError(connect(loser, WEB), { code: "EADDRNOTAVAIL" });
      s.listener("10.0.0.2", 2001);
      s.draws = [1];
      expect(loser.listen()).toBe(2001);
      expect(loser).toMatchObject({ address: "10.0.0.1", state: "listening" });
    });
  });

  test("a connected socket does not listen", () => {
    const [bound, picked] = [s.bound("10.0.0.1", 2000), s.connected(WEB, { offset: 5 })];
    bound.connect(WEB, 443);
    for (const socket of [bound, picked]) {
      expectRefused(s, listen(socket), {
        ...{ code: "EINVAL", reason: "wrong-state", syscall: "listen" },
        says: "listen: the socket is connected",
      });
    }
  });

  test("a listener does not connect, and its port is its own until it closes", () => {
    const listener = s.listener("", 2000);
    expectRefused(s, connect(listener, WEB), {
      ...{ code: "EISCONN", reason: "connected", syscall: "connect", port: 2000 },
      says: "the socket is listening: tcp *:2000 -> 192.0.2.1:443",
    });
    listener.close();
    s.listener("", 2000);
  });
});
