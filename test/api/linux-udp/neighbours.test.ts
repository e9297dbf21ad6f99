// Stories of UDP sockets and what is around them: TCP sockets, which they never meet, groups, and
// the words that are for TCP alone.

import { describe, expect, test } from "vitest";
import { expectError } from "../../invalid-input/fixture.ts";
import { expectRefused } from "../linux/fixture.ts";
import { onBuilds, REMOTE } from "./fixture.ts";

const TCP = { type: "tcp" } as const;
const REUSE = { reuseAddr: true };

onBuilds((open) => {
  describe("TCP and UDP", () => {
    test("have each port once, at the same addresses", () => {
      const s = open();
      const udp = s.bound("10.0.0.1", 2000);
      const tcp = s.bound("10.0.0.1", 2000, TCP);
      expect(tcp.listen()).toBe(2000);
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
      expect(s.ports.stats()).toMatchObject({ buckets: 1, sockets: 2 });
      tcp.close();
      expect(s.ports.bindBucket(2000)).toBeUndefined();
      const taken = { code: "EADDRINUSE", reason: "port-in-use" };
      const other = s.socket();
      expectRefused(s, () => other.bind("", 2000), { ...taken, says: "udp *:2000" });
      udp.close();
      expect(other.bind("", 2000)).toBe(2000);
    });

    test("search as if there were no other, and leave the hint to TCP", () => {
      const s = open();
      for (let count = 0; count < 10; count++) s.toRemote({ offset: 0 });
      expect(s.ports.hint).toBe(0);
      expect(s.bound("", 0, TCP).port).toBe(2000);
      expect(s.toRemote({ offset: 0 }, TCP).port).toBe(2001);
      const { hint } = s.ports;
      s.sockets[0]?.close();
      expect(s.toRemote({ offset: 5 }).port).toBe(2000);
      expect(s.ports.hint).toBe(hint);
    });

    test("are counted apart where TCP asks whether it has more sockets than ports", () => {
      const s = open({ portRange: { first: 2000, last: 2001 } });
      for (let port = 3000; port < 3010; port++) s.bound("", port);
      s.bound("", 2000, { ...TCP, ...REUSE }).reuseAddr = false;
      expect(s.bound("", 0, { ...TCP, ...REUSE }).port).toBe(2001);
      expect(s.drawn).toBe(1);
    });

    test("do not share a TIME_WAIT", () => {
      const s = open({ timeWaitMs: 0 });
      const tcp = s.toRemote({ offset: 0 }, TCP);
      const { port } = tcp;
      tcp.close({ timeWait: true });
      expect(s.bound("", port).port).toBe(port);
      expect(s.ports.stats()).toMatchObject({ sockets: 1, timeWait: 1, buckets: 1 });
      expect(s.ports.expireTimeWait()).toBe(1);
      expect(s.ports.stats()).toMatchObject({ sockets: 1, timeWait: 0, buckets: 0 });
    });
  });

  test("listen() is not for UDP, whatever the socket does", () => {
    const s = open();
    const refused = { code: "EOPNOTSUPP", reason: "wrong-state", syscall: "listen" };
    for (const socket of [s.socket(), s.bound("", 2000), s.toRemote()]) {
      expectRefused(s, () => socket.listen(), { ...refused, says: "UDP" });
    }
    expect(s.drawn).toBe(0);
    s.sockets[0]?.close();
    expectError(() => s.sockets[0]?.listen(), { code: "EBADF", reason: "closed" });
  });

  test("TIME_WAIT is not for UDP, and a socket that asked for it goes on", () => {
    const s = open();
    const refused = { code: "EINVAL", reason: "wrong-state", syscall: "close" };
    for (const socket of [s.socket(), s.bound("", 2000), s.toRemote({ offset: 5 })]) {
      for (const timestamp of [undefined, null, 0]) {
        const how = { timeWait: true, ...(timestamp !== undefined && { timestamp }) };
        expectRefused(s, () => socket.close(how), { ...refused, says: "only a connected TCP" });
      }
      expect(socket.connect(REMOTE, 53)).toBe(socket.port);
    }
    for (const socket of s.sockets) socket.close({ timeWait: false });
    expect(s.ports.stats()).toMatchObject({ sockets: 0, timeWait: 0 });
  });

  describe("a group", () => {
    test("counts for what is asked after the socket has moved, and takes nothing away", () => {
      const s = open();
      const [a, b] = [s.group("/a", [2000, 2004], [2000, 2004]), s.group("/b", [9, 9], [9, 9])];
      const [bound, connected] = [s.bound("", 2000, { group: a }), s.toRemote({}, { group: a })];
      const { port } = connected;
      bound.group = b;
      connected.group = b;
      expect([a.uses, b.uses]).toEqual([0, 2]);
      expect(bound.connect(REMOTE, 53)).toBe(2000);
      expect(connected).toMatchObject({ port, state: "connected" });
      const socket = s.socket({ group: b });
      const empty = { reason: "empty-range" };
      expectRefused(s, () => socket.bind("", 0), { ...empty, code: "EADDRINUSE" });
      expectRefused(s, () => socket.connect(REMOTE, 53), { ...empty, code: "EAGAIN" });
      socket.group = undefined;
      expect([a.uses, b.uses]).toEqual([0, 2]);
      expect(socket.bind("", 2009)).toBe(2009);
    });

    test("that is narrowed takes nothing away, and stays as long as a socket carries it", () => {
      const s = open();
      const group = s.group("/a");
      const [bound, connected] = [s.bound("", 2000, { group }), s.toRemote({}, { group })];
      const { port } = connected;
      s.groups.root.bindPortRange = { first: 5000, last: 5000 };
      group.connectPortRange = { first: 5001, last: 5001 };
      expect([bound.port, connected.port]).toEqual([2000, port]);
      expectError(() => group.remove(), { code: "EBUSY" });
      bound.close();
      expectError(() => group.remove(), { code: "EBUSY" });
      connected.close();
      group.remove();
      expectError(() => s.ports.socket({ type: "udp", group }), { code: "ENOENT" });
    });
  });
});
