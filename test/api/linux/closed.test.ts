// Objects that have been closed or removed: sockets, systems, trees and groups. A call on one is
// refused, and changes no object that is still open.

import { beforeEach, describe, expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { PortGroups, ReservedPorts } from "../../../bindings/index.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { expectError, setting } from "../../invalid-input/fixture.ts";
import { freshModules, moduleFor, modulesFor } from "../../support/builds.ts";
import { expectRefused, type Fixture, onBuilds, WEB } from "./fixture.ts";

const CLOSED = { code: "EBADF", reason: "closed" };
const GONE = { code: "ENOENT", reason: "not-found" };
/** Where the core keeps how many bytes are in use that are not of a system. */
const INSTANCE_ACCOUNT = 8;

function callsOf(socket: Linux2632Socket): (() => unknown)[] {
  return [
    () => socket.bind("10.0.0.1", 2000),
    () => socket.bind("", 0),
    () => socket.bind("", 80),
    () => socket.listen(),
    () => socket.connect(WEB, 443),
    () => socket.connect(WEB, 443, { offset: 0, localAddress: "10.0.0.1" }),
    setting(socket, { reuseAddr: true }),
    setting(socket, { group: undefined }),
  ];
}

/** A socket in each state that there is, with the names of them. */
function socketsOf(s: Fixture): Linux2632Socket[] {
  const group = s.group("/web");
  const options = { group, reuseAddr: true };
  return [
    s.socket(options),
    s.bound("10.0.0.1", 2000, options),
    s.listener("", 2001, options),
    s.connected(WEB, undefined, options),
    s.socket({ ...options, type: "udp" }),
    s.connected(WEB, undefined, { ...options, type: "udp" }),
  ];
}

onBuilds((open, build) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("a closed socket", () => {
    test("has nothing left, and does nothing but be closed again", () => {
      for (const socket of socketsOf(s)) {
        socket.close();
        expect(socket).toMatchObject({ port: 0, address: "", state: "gone", reuseAddr: false });
        for (const act of callsOf(socket)) {
          expectRefused(s, act, { ...CLOSED, says: "the socket has been closed" });
        }
        const before = s.picture();
        socket.close();
        socket.close({ timeWait: true, timestamp: null });
        socket[Symbol.dispose]();
        expect(s.picture()).toEqual(before);
      }
      expect(s.groups.get("/web").uses).toBe(0);
      expect(s.ports.stats()).toMatchObject({ buckets: 0, sockets: 0 });
    });

    test("is the same when it has gone to TIME_WAIT", () => {
      const socket = s.connected();
      socket.close({ timeWait: true });
      for (const act of callsOf(socket)) expectRefused(s, act, CLOSED);
      const before = s.picture();
      socket.close();
      socket.close({ timeWait: true });
      socket[Symbol.dispose]();
      expect(s.picture()).toEqual(before);
    });

    test("leaves its place to other sockets, which its calls do not change", () => {
      const old = s.bound("10.0.0.1", 2000);
      old.close();
      const fresh = s.bound("10.0.0.2", 2001);
      for (const act of callsOf(old)) expectRefused(s, act, CLOSED);
      old.close();
      expect(fresh).toMatchObject({ port: 2001, address: "10.0.0.2", state: "closed" });
      expect(old).toMatchObject({ port: 0, address: "", state: "gone" });
    });

    test("is what `using` leaves behind at the end of its block", () => {
      {
        using socket = s.ports.socket();
        socket.bind("", 2000);
      }
      expect(s.ports.bindBucket(2000)).toBeUndefined();
    });
  });

  describe("a closed system", () => {
    test("refuses everything, but to be closed again, and its sockets are gone", () => {
      const { ports } = s;
      const sockets = socketsOf(s);
      s.connected("192.0.2.2").close({ timeWait: true });
      ports.close();
      const operations = [
        () => ports.socket(),
        () => ports.socket({ group: s.groups.get("/web") }),
        () => ports.portRange(),
        () => ports.setPortRange(3000, 3001),
        () => ports.unprivilegedPortStart,
        setting(ports, { unprivilegedPortStart: 0 }),
        () => ports.tcpTwReuse,
        setting(ports, { tcpTwReuse: 1 }),
        () => ports.time,
        () => ports.setTime(1000),
        () => ports.expireTimeWait(),
        () => ports.hint,
        () => ports.bindBucket(2000),
        () => ports.stats(),
        ...sockets.flatMap(callsOf),
      ];
      for (const act of operations) {
        expectRefused(s, act, { ...CLOSED, says: "the system of ports has been closed" });
      }
      for (const socket of sockets) {
        expect(socket).toMatchObject({ port: 0, address: "", state: "gone", reuseAddr: false });
        socket.close();
        socket.close({ timeWait: true });
        expect(socket.group?.path).toBe("/web");
      }
      expect(s.groups.get("/web").uses).toBe(0);
      ports.close();
      ports[Symbol.dispose]();
    });

    test("leaves other systems of its module alone", () => {
      const [s, other] = [open(), open()];
      socketsOf(other);
      const before = other.picture();
      for (const port of [2002, 2003, 2004]) s.bound("", port);
      s.ports.close();
      expect(other.picture()).toEqual(before);
      const third = open();
      for (const port of [2002, 2003, 2004]) third.bound("", port);
      expect(other.picture()).toEqual(before);
    });

    test("draws no more, and keeps its list of reserved ports", () => {
      const socket = s.socket();
      s.ports.reserved.text = "2000";
      s.ports.close();
      expectError(() => socket.bind("", 0), CLOSED);
      expectError(() => socket.listen(), CLOSED);
      expect(s.drawn).toBe(0);
      expect(s.ports.reserved.text).toBe("2000");
    });

    test("is what `using` leaves behind at the end of its block", () => {
      const sockets: Linux2632Socket[] = [];
      {
        using ports = Linux2632Ports.open(modulesFor(build));
        sockets.push(ports.socket());
      }
      expect(sockets.map(({ state }) => state)).toEqual(["gone"]);
    });

    test.each([0, 1, 7])("gives back all that it held, in use or not: %s of each", (count) => {
      const modules = freshModules(build);
      const { module } = modules;
      const core = coreOf(module);
      const inUse = (): number =>
        new DataView(core.exports.memory.buffer).getUint32(INSTANCE_ACCOUNT, true);
      const reserved = new ReservedPorts("1-9", { module });
      using groups = PortGroups.open({ module });
      const group = groups.create("/web");
      const ends = Array.from({ length: count }, (_, index) => `192.0.2.${index}`);
      const figures: number[] = [];
      // The first of all makes room for the lists of a search, which stay.
      for (const bindSelection of ["random", "random", "double-hash", "sequential"] as const) {
        const ports = Linux2632Ports.open({ ...modules, reserved, bindSelection });
        for (const end of ends) {
          ports.socket({ group });
          ports.socket({ group }).bind(end, 2000);
          ports.socket({ group, reuseAddr: true }).listen();
          for (const device of [0, 1, 2]) {
            ports.socket({ group, bindToDevice: device }).connect(end, 443);
            const waiting = ports.socket({ bindToDevice: device });
            waiting.connect(end, 80, { localAddress: "10.0.0.1" });
            waiting.close({ timeWait: true, timestamp: device === 0 ? null : 0 });
          }
          ports.setTime(ports.time + 1000);
        }
        expect(group.uses).toBe(6 * count);
        ports.close();
        expect(group.uses).toBe(0);
        figures.push(inUse());
      }
      expect(new Set(figures).size).toBe(1);
      group.remove();
    });
  });

  describe("a group", () => {
    test("that has been removed takes no sockets", () => {
      const [group, other] = [s.group("/a"), s.group("/b")];
      const socket = s.bound("", 2000, { group: other });
      group.remove();
      const refused = { ...GONE, says: "the group /a has been removed" };
      expectRefused(s, () => s.ports.socket({ group }), refused);
      const move = (): void => {
        socket.group = group;
      };
      expectRefused(s, move, refused);
      expect(socket.group).toBe(other);
      expectError(() => other.remove(), { code: "EBUSY" });
    });

    test("whose tree has been closed takes no sockets", () => {
      const tree = PortGroups.open(moduleFor(build));
      const group = tree.create("/a");
      const socket = s.socket({ group });
      expectError(() => tree.close(), { code: "EBUSY", reason: "busy", says: "/a (1)" });
      socket.group = undefined;
      tree.close();
      const refused = { ...CLOSED, says: "the tree of groups has been closed" };
      expectRefused(s, () => s.ports.socket({ group }), refused);
      const move = (): void => {
        socket.group = group;
      };
      expectRefused(s, move, refused);
      expect(socket.bind("", 0)).toBe(2000);
    });

    test("goes with its last socket, whatever that has done with it", () => {
      const group = s.group("/a", [2000, 2001], [2002, 2002]);
      const socket = s.bound("", 0, { group });
      socket.connect(WEB, 443);
      expectError(() => group.remove(), { code: "EBUSY" });
      socket.close({ timeWait: true });
      group.remove();
      s.ports.setTime(60_000);
      expect(s.ports.expireTimeWait()).toBe(1);
    });
  });
});
