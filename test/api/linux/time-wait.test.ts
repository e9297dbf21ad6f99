// Stories of TIME_WAIT: which sockets it conflicts with, which may take it over, and when it ends.

import { beforeEach, describe, expect, test } from "vitest";
import { bind, connect, expectRefused, type Fixture, onBuilds, WEB } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const WAIT = { timeWait: true };
const OTHER = "192.0.2.2";
const ONE = { first: 2000, last: 2000 };
const TAKEN = { code: "EADDRNOTAVAIL", reason: "port-in-use", syscall: "connect" };
const EXHAUSTED = { code: "EADDRNOTAVAIL", reason: "no-port-available", syscall: "connect" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a connected socket that closes actively", () => {
    test("is gone, and its tuple stays with the port", () => {
      const s = open({ portRange: ONE });
      const socket = s.connected();
      socket.close(WAIT);
      expect(socket).toMatchObject({ port: 0, address: "", state: "gone" });
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 0, timeWait: 1 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 0, timeWait: 1 });
      expectRefused(s, connect(s.socket(), WEB), EXHAUSTED);
      s.connected(OTHER);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 1, timeWait: 1 });
    });

    test("leaves nothing when it says that the other side closes", () => {
      const s = open({ portRange: ONE });
      for (const how of [undefined, {}, { timeWait: false }, { timeWait: false, timestamp: 0 }]) {
        s.connected().close(how);
        expect(s.ports.stats()).toMatchObject({ buckets: 0, timeWait: 0 });
      }
      const socket = s.connected();
      socket[Symbol.dispose]();
      expect(s.ports.stats().timeWait).toBe(0);
    });
  });

  test("only a connected socket has TIME_WAIT: others are told so and stay as they are", () => {
    const loose = s.socket();
    for (const socket of [loose, s.bound("", 2000), s.listener("", 2001)]) {
      expectRefused(s, () => socket.close(WAIT), {
        ...{ code: "EINVAL", reason: "wrong-state", syscall: "close" },
        says: "has TIME_WAIT",
      });
      expect(socket.state).not.toBe("gone");
    }
  });

  describe("the port of a TIME_WAIT", () => {
    test("is refused to sockets that bind at its address, unless both have SO_REUSEADDR", () => {
      s.connectedFrom(2000).close(WAIT);
      s.connectedFrom(2001, WEB, REUSE).close(WAIT);
      for (const address of ["127.0.0.1", ""]) {
        expectRefused(s, bind(s.socket(), address, 2000), { code: "EADDRINUSE" });
        expectRefused(s, bind(s.socket(REUSE), address, 2000), { code: "EADDRINUSE" });
        expectRefused(s, bind(s.socket(), address, 2001), { code: "EADDRINUSE" });
        s.bound(address, 2001, REUSE).close();
      }
      s.bound("127.0.0.2", 2000);
    });

    test("is kept with the bit that the socket had at its end, and the device", () => {
      const socket = s.bound("10.0.0.1", 2000, { bindToDevice: 1 });
      socket.connect(WEB, 443);
      socket.reuseAddr = true;
      socket.close(WAIT);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 0, timeWait: 1 });
      s.bound("10.0.0.1", 2000, { bindToDevice: 2 }).close();
      expectRefused(s, bind(s.socket(), "", 2000), { code: "EADDRINUSE" });
      s.bound("", 2000, REUSE);
    });

    test("lets a server listen again that has SO_REUSEADDR", () => {
      s.listener("", 80, { ...REUSE, privileged: true }).close();
      const accepted = s.bound("10.0.0.1", 80, { ...REUSE, privileged: true });
      accepted.connect(WEB, 443);
      accepted.close(WAIT);
      expectRefused(s, bind(s.socket({ privileged: true }), "", 80), { code: "EADDRINUSE" });
      s.listener("", 80, { ...REUSE, privileged: true });
      expect(s.ports.bindBucket(80)).toEqual({ fastreuse: 0, owners: 1, timeWait: 1 });
    });

    test("stays where it was bound: fastreuse does not change when the socket goes", () => {
      const socket = s.bound("10.0.0.1", 2000, REUSE);
      socket.connect(WEB, 443);
      socket.close(WAIT);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 0, timeWait: 1 });
      s.ports.setPortRange(2000, 2000);
      expectRefused(s, connect(s.socket(), OTHER), EXHAUSTED);
    });
  });

  describe("the tuple of a TIME_WAIT", () => {
    test("is taken over at once by a socket that has bound the port, if there are timestamps", () => {
      const [socket, other] = [s.bound("10.0.0.1", 2000, REUSE), s.bound("10.0.0.1", 2000, REUSE)];
      socket.connect(WEB, 443);
      socket.close(WAIT);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 1, timeWait: 1 });
      expect(other.connect(WEB, 443)).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 1, timeWait: 0 });
      s.ports.setTime(60_000);
      expect(s.ports.expireTimeWait()).toBe(0);
      expect(other.state).toBe("connected");
    });

    test("is not taken over without timestamps, until it expires", () => {
      s.ports.tcpTwReuse = 1;
      const [socket, other] = [s.bound("10.0.0.1", 2000, REUSE), s.bound("10.0.0.1", 2000, REUSE)];
      socket.connect(WEB, 443);
      socket.close({ timeWait: true, timestamp: null });
      s.ports.setTime(59_999);
      expectRefused(s, connect(other, WEB), { ...TAKEN, port: 2000 });
      s.ports.setTime(60_000);
      expectRefused(s, connect(other, WEB), TAKEN);
      expect(s.ports.expireTimeWait()).toBe(1);
      expect(other.connect(WEB, 443)).toBe(2000);
    });

    test("is taken over by an automatic connect() if tcp_tw_reuse says so, a second later", () => {
      const s = open({ portRange: ONE });
      s.connected().close(WAIT);
      const socket = s.socket();
      s.ports.setTime(2000);
      expectRefused(s, connect(socket, WEB), EXHAUSTED);
      s.ports.tcpTwReuse = 1;
      expect(socket.connect(WEB, 443)).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 1, timeWait: 0 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 1, timeWait: 0 });
    });

    test("is passed over where tcp_tw_reuse has been taken back", () => {
      const s = open({ portRange: ONE, tcpTwReuse: 1 });
      s.connected().close(WAIT);
      s.ports.setTime(5000);
      s.ports.tcpTwReuse = 0;
      expectRefused(s, connect(s.socket(), WEB), EXHAUSTED);
    });

    test("does not keep other tuples: of another end, address or device", () => {
      const s = open({ portRange: ONE });
      s.connected().close(WAIT);
      s.connected(OTHER);
      s.connected(WEB, { localAddress: "10.0.0.1" });
      s.connected(WEB, undefined, { bindToDevice: 1 });
      expect(s.socket().connect(WEB, 80)).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: -1, owners: 4, timeWait: 1 });
    });

    test("may be taken over, closed and taken over again, as often as one likes", () => {
      const s = open({ portRange: ONE, tcpTwReuse: 1 });
      for (let turn = 0; turn < 50; turn++) {
        s.connected(WEB, undefined, turn % 3 === 0 ? REUSE : {}).close(WAIT);
        s.ports.setTime(s.ports.time + 2000);
        expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 0, timeWait: 1 });
      }
    });
  });

  describe("a TIME_WAIT ends", () => {
    test("when its time is over and a call looks, and the port with its last owner", () => {
      const s = open({ portRange: ONE, timeWaitMs: 1000 });
      s.connected().close(WAIT);
      s.ports.setTime(999);
      expect(s.ports.expireTimeWait()).toBe(0);
      s.ports.setTime(1000);
      expect(s.ports.stats().timeWait).toBe(1);
      expect(s.ports.expireTimeWait()).toBe(1);
      expect(s.ports.expireTimeWait()).toBe(0);
      expect(s.ports.bindBucket(2000)).toBeUndefined();
    });

    test("and leaves the port to the sockets that own it", () => {
      const [socket, other] = [s.bound("10.0.0.1", 2000, REUSE), s.bound("10.0.0.1", 2000, REUSE)];
      socket.connect(WEB, 443);
      socket.close(WAIT);
      s.ports.setTime(60_000);
      expect(s.ports.expireTimeWait()).toBe(1);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 1, timeWait: 0 });
      expect(other.port).toBe(2000);
    });
  });
});
