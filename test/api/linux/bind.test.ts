// Stories of bind(): ports that are named, ports that are searched, who may share, and what a
// refusal says.

import { beforeEach, describe, expect, test } from "vitest";
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

  describe("a port that is named", () => {
    test("is the socket's, with its address, until the socket closes", () => {
      const socket = s.socket();
      expect(socket.bind("10.0.0.1", 8080)).toBe(8080);
      expect(socket).toMatchObject({ port: 8080, address: "10.0.0.1", state: "closed" });
      expect(s.ports.bindBucket(8080)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 1 });
      socket.close();
      expect(socket).toMatchObject({ port: 0, address: "", state: "gone" });
      expect(s.ports.bindBucket(8080)).toBeUndefined();
      expect(s.bound("10.0.0.2", 8080).port).toBe(8080);
    });

    test("may lie outside the local range, be reserved, and be the first or last of all", () => {
      const s = open({ unprivilegedPortStart: 0 });
      s.ports.reserved.text = "1,2003,65535";
      for (const port of [1, 2003, 40_000, 65_535]) s.bound("", port);
      expect(s.ports.stats().buckets).toBe(4);
    });

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
    test("share a port as long as nobody listens", () => {
      const [one] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
      s.bound("10.0.0.1", 2000, REUSE);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 3, timeWait: 0 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 3 });
      one.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 2, timeWait: 0 });
    });

    test("do not share with one that has it not, whoever came first", () => {
      s.bound("", 2000);
      s.bound("", 2001, REUSE);
      expectRefused(s, bind(s.socket(REUSE), "", 2000), TAKEN);
      expectRefused(s, bind(s.socket(), "", 2001), TAKEN);
    });

    test("join at once where all who came had it, even if one has dropped it since", () => {
      s.bound("", 2000, REUSE).reuseAddr = false;
      expect(s.ports.bindBucket(2000)?.fastreuse).toBe(1);
      s.bound("", 2000, REUSE);
      expectRefused(s, bind(s.socket(), "", 2000), TAKEN);
    });

    test("join where all have it now, although one came without", () => {
      const first = s.bound("", 2000);
      const second = s.socket(REUSE);
      expectRefused(s, bind(second, "", 2000), TAKEN);
      first.reuseAddr = true;
      expect(first.reuseAddr).toBe(true);
      expect(second.bind("", 2000)).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
    });

    test("leave fastreuse as it is when they go: it tells who came", () => {
      s.bound("10.0.0.1", 2000, REUSE);
      const plain = s.bound("10.0.0.2", 2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 2, timeWait: 0 });
      plain.close();
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
    });
  });

  describe("port 0", () => {
    test("is searched from the draw on, round the range", () => {
      s.draws = [7, 7, 7, 7, 0xffffffff];
      const ports = Array.from({ length: 5 }, () => s.bound("", 0).port);
      expect(ports).toEqual([2007, 2008, 2009, 2000, FIRST + (0xffffffff % 10)]);
      expect(s.drawn).toBe(5);
      expect(s.ports.hint).toBe(0);
    });

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

    test("knows a range of a single port", () => {
      const s = open({ portRange: { first: 65_535, last: 65_535 } });
      s.draws = [12_345];
      expect(s.socket().bind("", 0)).toBe(65_535);
      expectRefused(s, bind(s.socket(), "", 0), {
        ...EXHAUSTED,
        searched: { first: 65_535, last: 65_535 },
        says: "all of 65535 are taken or reserved",
      });
    });

    test("shares the first port that it meets, if all there have SO_REUSEADDR", () => {
      const ports = Array.from({ length: 3 }, () => s.bound("", 0, REUSE).port);
      expect(ports).toEqual([2000, 2000, 2000]);
      expect(s.drawn).toBe(3);
      expect(s.socket().bind("", 0)).toBe(2001);
    });

    test("goes on behind a port that could be shared but for one who dropped the bit", () => {
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

  describe("a second bind()", () => {
    test("is refused before anything else is looked at, and draws nothing", () => {
      s.bound("", 2001);
      const bound = s.bound("10.0.0.1", 2000);
      expectRefused(s, bind(bound, "", 0), {
        ...STATE,
        says: "bind: the socket has port 2000 already",
      });
      expectRefused(s, bind(bound, "", 2001), STATE);
      expectRefused(s, bind(bound, "", 2002), STATE);
      expect(s.drawn).toBe(0);
    });

    test("is refused to a listener and to a connected socket", () => {
      const listener = s.listener("", 2000);
      const connected = s.connected();
      expectRefused(s, bind(listener, "", 2001), { ...STATE, says: "the socket is listening" });
      expectRefused(s, bind(connected, "", 0), { ...STATE, says: "the socket is connected" });
    });
  });

  describe("a privileged port", () => {
    test("needs a privileged socket, and the refusal says where privilege ends", () => {
      expectRefused(s, bind(s.socket(), "10.0.0.1", 1023), {
        ...{ code: "EACCES", reason: "privileged-port", syscall: "bind" },
        ...{ address: "10.0.0.1", port: 1023 },
        says: "ports below 1024 need a privileged socket: tcp 10.0.0.1:1023",
      });
      s.bound("10.0.0.1", 1023, { privileged: true });
      s.bound("10.0.0.1", 1024);
    });

    test("is told so before that the socket is bound, or the port taken", () => {
      s.bound("", 80, { privileged: true });
      const bound = s.bound("", 2000);
      expectRefused(s, bind(bound, "", 80), { code: "EACCES" });
      expectRefused(s, bind(s.socket(), "", 80), { code: "EACCES" });
    });

    test("ends where the setting says", () => {
      const s = open({ unprivilegedPortStart: 0 });
      s.bound("", 1);
      s.ports.unprivilegedPortStart = 2000;
      expectRefused(s, bind(s.socket(), "", 1999), { code: "EACCES" });
      s.ports.unprivilegedPortStart = 2;
      expectRefused(s, bind(s.socket(), "", 1), { code: "EACCES" });
      s.bound("", 2);
    });
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
