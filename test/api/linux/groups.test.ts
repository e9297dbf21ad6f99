// Stories of sockets in groups: bind() and listen() keep within the bind range, connect() within
// the connect range, and a refusal names the groups that are the reason.

import { beforeEach, describe, expect, test } from "vitest";
import { PortGroups } from "../../../bindings/index.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import { moduleFor } from "../../support/builds.ts";
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

const OTHER = "192.0.2.2";
const OUTSIDE_GROUP = { code: "EADDRINUSE", reason: "outside-group" };
const NO_BIND = { code: "EADDRINUSE", reason: "empty-range", syscall: "bind" };
const NO_CONNECT = { code: "EADDRNOTAVAIL", reason: "empty-range", syscall: "connect" };

onBuilds((open, build) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a bind range", () => {
    test("limits the search for port 0, which draws within what is left", () => {
      const group = s.group("/web", [2004, 2006]);
      s.draws = [4, 4, 4];
      const ports = Array.from({ length: 3 }, () => s.bound("", 0, { group }).port);
      expect(ports).toEqual([2005, 2006, 2004]);
      expectRefused(s, bind(s.socket({ group }), "", 0), {
        ...{ code: "EADDRINUSE", reason: "no-port-available", port: 0 },
        searched: { first: 2004, last: 2006 },
        says: "all of 2004..2006 are taken or reserved",
      });
      expect(s.socket().bind("", 0)).toBe(2000);
    });

    test("that leaves nothing to search is no less for listen()", () => {
      const group = s.group("/web", [3000, 3009]);
      expectRefused(s, listen(s.socket({ group })), { ...NO_BIND, syscall: "listen" });
      expect(s.drawn).toBe(0);
    });

    test("shrinks the number of sockets from which on searches stop at a shared port", () => {
      const group = s.group("/web", [2000, 2001]);
      s.bound("", 2000, { reuseAddr: true }).reuseAddr = false;
      for (const port of [3000, 3001]) s.bound("", port);
      s.draws = [0, 0, 1];
      expect(s.bound("", 0, { group, reuseAddr: true }).port).toBe(2001);
      expect(s.drawn).toBe(3);
      expect(s.bound("", 0, { reuseAddr: true }).port).toBe(2001);
      expect(s.drawn).toBe(4);
    });

    test("is asked again by listen(), as it is by then", () => {
      const group = s.group("/web", [2000, 2009]);
      const socket = s.bound("", 2005, { group });
      group.bindPortRange = { first: 2006, last: 2009 };
      expectRefused(s, listen(socket), {
        ...OUTSIDE_GROUP,
        ...{ syscall: "listen", port: 2005 },
        says: ["tcp *:2005", "group /web", "2006..2009"],
      });
      expect(socket).toMatchObject({ port: 2005, state: "closed" });
      group.bindPortRange = undefined;
      expect(socket.listen()).toBe(2005);
      group.bindPortRange = { first: 1, last: 1 };
      expect(socket.listen()).toBe(2005);
    });

    test("does not concern connect(): neither the port it picks nor the one that is there", () => {
      const group = s.group("/web", [3000, 3009]);
      const socket = s.bound("", 3000, { group });
      group.bindPortRange = { first: 4000, last: 4000 };
      expect(socket.connect(WEB, 443)).toBe(3000);
      expect(s.connected(WEB, { offset: 0 }, { group }).port).toBe(2001);
    });
  });

  describe("a connect range", () => {
    test("limits the search of connect(), and nothing else", () => {
      const group = s.group("/web", undefined, [2004, 2005]);
      const ports = [WEB, WEB].map((to) => s.connected(to, undefined, { group }).port);
      expect([...ports].sort()).toEqual([2004, 2005]);
      expectRefused(s, connect(s.socket({ group }), WEB), {
        ...{ code: "EADDRNOTAVAIL", reason: "no-port-available", syscall: "connect" },
        searched: { first: 2004, last: 2005 },
        says: "tcp *:0 -> 192.0.2.1:443, all of 2004..2005 are taken or reserved",
      });
      s.connected(OTHER, undefined, { group });
      s.bound("", 2000, { group }).connect(WEB, 443);
      expect(s.bound("", 0, { group }).port).toBe(2001);
    });

    test("that leaves nothing of the local range is named, and no hint moves", () => {
      const group = s.group("/web", undefined, [100, 200]);
      expectRefused(s, connect(s.socket({ group }), WEB), {
        ...NO_CONNECT,
        ...{ address: "", port: 0, searched: { first: 2000, last: 2009 } },
        says: "no port is left to search, tcp *:0 -> 192.0.2.1:443: the connect port range of \
group /web is 100..200, set by /web: 2000..2009 is above it",
      });
    });

    test("is counted from by hint and offset", () => {
      const s = open({ hint: 5 });
      const group = s.group("/web", undefined, [2003, 2009]);
      expect(s.connected(WEB, { offset: 3 }, { group }).port).toBe(2003 + ((1 + 5 + 3) % 7));
    });

    test("never concerns the port that is connected to", () => {
      const group = s.group("/web", undefined, [2000, 2009]);
      expect(s.socket({ group }).connect(WEB, 65_535)).toBeGreaterThan(0);
    });
  });

  describe("groups within groups", () => {
    test("leave what all of them allow, from the moment on that one changes", () => {
      const top = s.group("/a", [2000, 2005]);
      const group = s.group("/a/b/c", [2004, 2009], [2001, 2002]);
      const socket = s.bound("", 0, { group });
      expect(socket.port).toBe(2004);
      top.bindPortRange = { first: 2000, last: 2003 };
      expect(socket.port).toBe(2004);
      expectRefused(s, bind(s.socket({ group }), "", 0), {
        ...NO_BIND,
        says: "the bind port range of group /a/b/c is empty: /a/b/c has 2004..2009 and /a has \
2000..2003",
      });
      expectRefused(s, bind(s.socket({ group }), "", 2003), {
        ...OUTSIDE_GROUP,
        says: "the bind port range of group /a/b/c is empty: /a/b/c has 2004..2009 and /a has 2000",
      });
      top.connectPortRange = { first: 2003, last: 2009 };
      expectRefused(s, connect(s.socket({ group }), WEB), {
        ...NO_CONNECT,
        says: "the connect port range of group /a/b/c is empty: /a has 2003..2009 and /a/b/c",
      });
      top.bindPortRange = undefined;
      expect(s.bound("", 0, { group }).port).toBe(2005);
    });

    test("are known by all of their names: /ab is not below /a", () => {
      s.group("/a", [2000, 2000]);
      const group = s.group("/ab");
      expect(s.bound("", 2009, { group }).port).toBe(2009);
    });

    test("of a tree that copies limit no group below", () => {
      using tree = PortGroups.open({ inherit: "copy", ...moduleFor(build) });
      const top = tree.create("/a", { bindPortRange: { first: 2000, last: 2001 } });
      const group = tree.create("/a/b");
      top.bindPortRange = { first: 3000, last: 3001 };
      expect(s.bound("", 0, { group }).port).toBe(2000);
      expectRefused(s, bind(s.socket({ group: top }), "", 0), {
        ...NO_BIND,
        says: "the bind port range of group /a is 3000..3001, set by /a",
      });
      s.drain();
    });
  });

  describe("a socket's group", () => {
    test("is the one that it is in at the moment, and moving keeps the port", () => {
      const [a, b] = [s.group("/a", [2000, 2001]), s.group("/b", [2005, 2006], [2007, 2007])];
      const socket = s.bound("", 0, { group: a });
      expect(socket.group).toBe(a);
      socket.group = b;
      expect(socket).toMatchObject({ port: 2000, group: b });
      expectRefused(s, listen(socket), { ...OUTSIDE_GROUP, says: ["group /b", "2005..2006"] });
      socket.group = undefined;
      expect(socket.group).toBeUndefined();
      expect(socket.listen()).toBe(2000);

      const other = s.socket();
      other.group = b;
      expect(other.connect(WEB, 443)).toBe(2007);
    });

    test("is used until the socket goes or moves, however it goes", () => {
      const [a, b] = [s.group("/a"), s.group("/b")];
      const sockets = Array.from({ length: 4 }, () => s.socket({ group: a }));
      expect([a.uses, b.uses]).toEqual([4, 0]);
      const [one, two, three] = sockets;
      if (one) one.group = b;
      if (one) one.group = b;
      expect([a.uses, b.uses]).toEqual([3, 1]);
      two?.connect(WEB, 443);
      two?.close({ timeWait: true });
      three?.bind("", 3000);
      three?.close();
      expect([a.uses, b.uses]).toEqual([1, 1]);
      expectError(() => a.remove(), { code: "EBUSY", says: "the group /a is in use (1)" });
      expectError(() => s.groups.close(), { code: "EBUSY" });
      s.ports.close();
      expect([a.uses, b.uses]).toEqual([0, 0]);
      a.remove();
    });

    test("may be of any tree, and the same for sockets of several systems", () => {
      const other = open();
      const group = s.group("/a", [2003, 2003]);
      expect(s.bound("", 0, { group }).port).toBe(2003);
      expect(other.bound("", 0, { group }).port).toBe(2003);
      expect(group.uses).toBe(2);
      other.end();
      expect(group.uses).toBe(1);
    });
  });

  test("control files change what sockets get", () => {
    const group = s.group("/web");
    s.groups.write("/web/net_cls.bind_port_range", "2008 2009\n");
    s.groups.write("/web/net_cls.connect_port_range", "2001-2001");
    expect(s.bound("", 0, { group }).port).toBe(2008);
    expect(s.connected(WEB, undefined, { group }).port).toBe(2001);
    expect(s.ports.portRange()).toEqual(RANGE);
  });
});
