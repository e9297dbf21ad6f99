// Stories of bind() of UDP sockets: ports that are named, ports that are searched, and what a
// refusal says.

import { beforeEach, describe, expect, test } from "vitest";
import { caught, expectError, throwing } from "../../invalid-input/fixture.ts";
import { expectRefused, RANGE } from "../linux/fixture.ts";
import { type Fixture, onBuilds, REMOTE } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const EXHAUSTED = { code: "EADDRINUSE", reason: "no-port-available", syscall: "bind", port: 0 };
const STATE = { code: "EINVAL", reason: "wrong-state", syscall: "bind" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a port that is named", () => {
    test("is the socket's, with its address, until the socket closes", () => {
      const socket = s.socket();
      expect(socket).toMatchObject({ type: "udp", port: 0, address: "", state: "closed" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0 });
      expect(socket.bind("10.0.0.1", 5353)).toBe(5353);
      expect(socket).toMatchObject({ port: 5353, address: "10.0.0.1", state: "closed" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 1, timeWait: 0 });
      socket.close();
      expect(socket).toMatchObject({ port: 0, address: "", state: "gone" });
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0 });
    });

    test("may lie outside the local range, be reserved, and be the first or last of all", () => {
      const s = open({ unprivilegedPortStart: 0 });
      s.ports.reserved.text = "1,2003,65535";
      for (const port of [1, 2003, 40_000, 65_535]) s.bound("", port);
      expect(s.drawn).toBe(0);
    });

    test("must lie within the bind range of the socket's group, and of all above it", () => {
      s.group("/a", [5000, 6000], [1, 1]);
      const group = s.group("/a/b", [5500, 7000]);
      const socket = s.socket({ group });
      for (const port of [5000, 5499, 6001, 7000, 2000]) {
        expectRefused(s, () => socket.bind("10.0.0.1", port), {
          ...{ code: "EADDRINUSE", reason: "outside-group", syscall: "bind" },
          ...{ address: "10.0.0.1", port },
          says: "the bind port range of group /a/b is 5500..6000, set by",
        });
      }
      expect(socket.bind("10.0.0.1", 5500)).toBe(5500);
      s.bound("10.0.0.1", 6000, { group });
    });

    test("is refused by a group that has none left", () => {
      s.group("/a", [5000, 6000]);
      const group = s.group("/a/b", [7000, 8000]);
      const socket = s.socket({ group });
      const refused = { code: "EADDRINUSE", reason: "outside-group" };
      expectRefused(s, () => socket.bind("", 5000), refused);
      expectRefused(s, () => socket.bind("", 7000), { ...refused, says: "/a/b is empty" });
    });

    test("is refused to a socket without privilege below the unprivileged ones", () => {
      const refused = { code: "EACCES", reason: "privileged-port", syscall: "bind" };
      const socket = s.socket();
      expectRefused(s, () => socket.bind("10.0.0.1", 1023), {
        ...{ ...refused, address: "10.0.0.1", port: 1023 },
        says: "ports below 1024 need a privileged socket: udp 10.0.0.1:1023",
      });
      s.bound("", 53, { privileged: true });
      s.ports.unprivilegedPortStart = 53;
      expectRefused(s, () => socket.bind("", 52), refused);
      s.ports.unprivilegedPortStart = 2000;
      expectRefused(s, () => socket.bind("", 1999), refused);
      expect(socket.bind("", 2000)).toBe(2000);
    });

    test("is judged in order: privilege, state, group, other owners", () => {
      const group = s.group("/a", [3000, 3999]);
      s.bound("", 80, { privileged: true });
      const bound = s.bound("", 3000, { group });
      expectRefused(s, () => bound.bind("", 80), { code: "EACCES" });
      expectRefused(s, () => bound.bind("", 3000), STATE);
      const other = s.socket({ group, privileged: true });
      expectRefused(s, () => other.bind("", 80), { reason: "outside-group", code: "EADDRINUSE" });
      expectRefused(s, () => other.bind("", 3000), { reason: "port-in-use", code: "EADDRINUSE" });
    });
  });

  describe("port 0", () => {
    test("starts at the first port plus the draw modulo their count, and wraps", () => {
      s.draws = [8, 4_294_967_295, 18, 28, 0];
      const ports = Array.from({ length: 5 }, () => s.bound("", 0).port);
      expect(ports).toEqual([2008, 2005, 2009, 2000, 2001]);
      expect(s.drawn).toBe(5);
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

    test("takes the first port that can be shared, so that all with SO_REUSEADDR are there", () => {
      const ports = Array.from({ length: 20 }, () => s.bound("", 0, REUSE).port);
      expect(new Set(ports)).toEqual(new Set([2000]));
      expect(s.bound("", 0).port).toBe(2001);
      expect(s.drawn).toBe(21);
    });

    test("that finds none is refused after a single draw, with SO_REUSEADDR or without", () => {
      const owners = Array.from({ length: 10 }, () => s.bound("", 0));
      s.drawn = 0;
      const act = (options: object) => () => s.socket(options).bind("10.0.0.1", 0);
      const says = "no port is available: udp 10.0.0.1:0, all of 2000..2009 are taken or reserved";
      expectError(act({}), { ...EXHAUSTED, address: "10.0.0.1", searched: RANGE, says });
      expectError(act(REUSE), { ...EXHAUSTED, searched: RANGE });
      expect(s.drawn).toBe(2);
      owners[7]?.close();
      expect(s.bound("", 0).port).toBe(2007);
    });

    test("where the group leaves nothing is refused without a draw", () => {
      const socket = s.socket({ group: s.group("/a", [3000, 3999], [2000, 2009]) });
      expectRefused(s, () => socket.bind("", 0), {
        ...{
          code: "EADDRINUSE",
          reason: "empty-range",
          syscall: "bind",
          searched: { first: 2000, last: 2009 },
        },
        says: "the bind port range of group /a is 3000..3999, set by /a: 2000..2009 is below it",
      });
    });

    test("knows ranges of one port and of all", () => {
      const s = open({ unprivilegedPortStart: 0, portRange: { first: 65_535, last: 65_535 } });
      s.draws = [12_345, 65_534, 65_534];
      expect(s.bound("", 0).port).toBe(65_535);
      s.ports.setPortRange(1, 65_535);
      expect(s.bound("", 0).port).toBe(1);
      expect(s.bound("10.0.0.1", 0).port).toBe(2);
    });

    test("follows the policy that the system was opened with", () => {
      const s = open({ bindSelection: "sequential", seed: 1 });
      expect([s.bound("", 0).port, s.bound("", 0).port]).toEqual([2000, 2001]);
      expect(s.toRemote({}).port).toBe(2002);
      expect(s.bound("", 0).port).toBe(2003);
      const drawn = open({ bindSelection: "random-retry", seed: 1 });
      for (let count = 0; count < 5; count++) drawn.bound("", 0);
      expect(new Set(drawn.sockets.map(({ port }) => port)).size).toBe(5);
    });
  });

  describe("a source of draws", () => {
    test("that uses the socket meanwhile finds it bound, or gone", () => {
      const s = open({ random: () => act() });
      const [one, two, three] = [s.socket(), s.socket(), s.socket()];
      let act = (): number => one.bind("10.0.0.1", 2005);
      expectError(() => one.bind("", 0), STATE);
      expect(one).toMatchObject({ port: 2005, address: "10.0.0.1" });
      act = () => {
        two.close();
        return 0;
      };
      expectError(() => two.bind("", 0), { code: "EBADF" });
      act = () => s.bound("10.0.0.2", 2006).port - 2000;
      expect(three.bind("10.0.0.3", 0)).toBe(2006);
      expect(three.address).toBe("10.0.0.3");
      s.verify();
    });

    test("that throws leaves all as it was", () => {
      const mine = new Error("mine");
      const s = open({
        random: throwing(mine),
      });
      const socket = s.socket();
      const before = s.picture();
      expect(caught(() => socket.bind("10.0.0.1", 0))).toBe(mine);
      expect(s.picture()).toEqual(before);
    });
  });

  test("a second bind() is refused, and draws nothing", () => {
    const bound = s.bound("10.0.0.1", 2000);
    const connected = s.toRemote();
    s.drawn = 0;
    for (const port of [0, 2000, 2005]) {
      expectRefused(s, () => bound.bind("", port), { ...STATE, says: "has port 2000 already" });
      expectRefused(s, () => connected.bind("", port), { ...STATE, says: "is connected" });
    }
    expect(s.drawn).toBe(0);
    expect(connected.connect(REMOTE, 53)).toBe(connected.port);
  });
});
