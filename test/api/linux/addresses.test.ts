// Stories of addresses and devices: IPv4 and IPv6 in one space of ports, the address that routing
// would choose, and which sockets conflict.

import { describe, expect, test } from "vitest";
import { PortManager } from "../../../bindings/index.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import { moduleFor } from "../../support/builds.ts";
import { bind, connect, expectRefused, onBuilds, WEB } from "./fixture.ts";

const TAKEN = { code: "EADDRINUSE", reason: "port-in-use" };
const BAD_ADDRESS = { code: "ERR_INVALID_IP_ADDRESS", reason: "invalid-argument" };
const EXHAUSTED = { code: "EADDRNOTAVAIL", reason: "no-port-available" };
const ONE = { first: 2000, last: 2000 };

/** Texts of one address, and its canonical one. */
const TEXTS: readonly (readonly [canonical: string, ...others: string[]])[] = [
  ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:a00:1"],
  ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8::0001", "2001:db8::0.0.0.1"],
  ["::1", "0:0:0:0:0:0:0:1", "::0.0.0.1"],
  ["", "0.0.0.0", "::", "::ffff:0.0.0.0", "0:0:0:0:0:0:0:0"],
  ["255.255.255.255", "::ffff:ffff:ffff"],
  ["fe80::1:2:3:4", "FE80:0:0:0:1:2:3:4"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
];

onBuilds((open, build) => {
  describe.each(TEXTS)("%s", (canonical, ...others) => {
    test.each(["tcp", "udp"] as const)(
      "is one address in each of its texts, shown in one: %s",
      (type) => {
        const s = Object.assign(open(), { type });
        for (const text of [canonical, ...others]) {
          using socket = s.bound(text, 2000);
          expect(socket.address).toBe(canonical);
          for (const other of others) {
            expectRefused(s, bind(s.socket(), other, 2000), { ...TAKEN, address: canonical });
          }
        }
      },
    );

    test("is the same for connections", () => {
      if (canonical === "") return;
      const s = open({ portRange: ONE, localAddress: canonical });
      const socket = s.connected(canonical);
      expect(socket.address).toBe(canonical);
      for (const to of others) expectRefused(s, connect(s.socket(), to), EXHAUSTED);
      socket.close({ timeWait: true });
      for (const to of others) expectRefused(s, connect(s.socket(), to), EXHAUSTED);
    });
  });

  test("any address is that of both families", () => {
    const s = open();
    s.bound("::", 2000);
    s.bound("2001:db8::1", 2001);
    for (const address of ["10.0.0.1", "2001:db8::1", "0.0.0.0"]) {
      expectRefused(s, bind(s.socket(), address, 2000), TAKEN);
    }
    expectRefused(s, bind(s.socket(), "0.0.0.0", 2001), { ...TAKEN, says: "tcp *:2001" });
    s.bound("10.0.0.1", 2001);
  });

  test("an IPv6 address stands in brackets in messages, and bare in the error's field", () => {
    const s = open();
    s.bound("2001:db8::1", 2000, { reuseAddr: true }).connect("2001:db8::2", 443);
    expectRefused(s, bind(s.socket(), "2001:DB8::1", 2000), {
      ...{ ...TAKEN, address: "2001:db8::1" },
      says: "the port is taken: tcp [2001:db8::1]:2000",
    });
    const socket = s.bound("2001:db8::1", 2000, { reuseAddr: true });
    expectRefused(s, connect(socket, "2001:db8::2"), {
      ...{ code: "EADDRNOTAVAIL", address: "2001:db8::1" },
      says: "tcp [2001:db8::1]:2000 -> [2001:db8::2]:443",
    });
  });

  test("IPv6 connections differ by all of their 128 bits", () => {
    const s = open({ portRange: ONE });
    const ends = Array.from({ length: 128 }, (_, bit) => addressWith(bit));
    for (const end of ends) s.connected(end, { localAddress: "2001:db8::9" });
    const socket = s.socket();
    for (const end of ends) {
      expectError(connect(socket, end, { localAddress: "2001:db8::9" }), EXHAUSTED);
    }
    expect(s.ports.bindBucket(2000)?.owners).toBe(128);
  });

  test.each([
    ...["10.0.0", "10.0.0.1.2", "010.0.0.1", "256.0.0.1", "localhost", " ::1", "fe80::1%eth0"],
    ...["1::2::3", "2001:db8", "10.0.0.1/8", "[::1]", ":::", "1:2:3:4:5:6:7:8:9"],
  ])("%j is no address, of whichever end", (text) => {
    const s = open();
    expectRefused(s, bind(s.socket(), text, 2000), BAD_ADDRESS);
    expectRefused(s, connect(s.socket(), text), BAD_ADDRESS);
    expectRefused(s, connect(s.socket(), WEB, { localAddress: text }), BAD_ADDRESS);
  });

  describe("the local address of a connection", () => {
    test("is what routing chose for the system", () => {
      const s = open({ portRange: ONE, localAddress: "::ffff:10.1.1.1" });
      expect(s.connected().address).toBe("10.1.1.1");
      expectRefused(s, connect(s.socket(), WEB, { localAddress: "10.1.1.1" }), EXHAUSTED);
    });

    test("is what routing chose for this call", () => {
      const s = open({ portRange: ONE });
      for (const localAddress of ["10.0.0.1", "10.0.0.2", "2001:db8::1"]) {
        expect(s.connected(WEB, { localAddress }).address).toBe(localAddress);
      }
      expect(s.connected(WEB, {}).address).toBe("127.0.0.1");
    });

    test("is the socket's own, if it has one, whatever routing says", () => {
      const s = open();
      const socket = s.bound("10.0.0.1", 2000);
      socket.connect(WEB, 443, { localAddress: "10.0.0.2" });
      expect(socket.address).toBe("10.0.0.1");
    });

    test("is not kept by a socket whose connect() is refused", () => {
      const s = open({ portRange: ONE });
      s.bound("10.9.9.9", 2000);
      const socket = s.socket();
      expectRefused(s, connect(socket, WEB, { localAddress: "10.0.0.1" }), EXHAUSTED);
      expect(socket.address).toBe("");
      s.ports.setPortRange(2001, 2001);
      expect(socket.connect(WEB, 443)).toBe(2001);
      expect(socket.address).toBe("127.0.0.1");
    });
  });

  describe("a device", () => {
    test("keeps its ports apart from those of other devices, not from those of none", () => {
      const s = open();
      for (const bindToDevice of [1, 2, 0x7fffffff]) s.bound("", 2000, { bindToDevice });
      expect(s.ports.bindBucket(2000)?.owners).toBe(3);
      expectRefused(s, bind(s.socket(), "10.0.0.1", 2000), TAKEN);
      expectRefused(s, bind(s.socket({ bindToDevice: 2 }), "10.0.0.1", 2000), TAKEN);
      s.bound("", 2001);
      expectRefused(s, bind(s.socket({ bindToDevice: 1 }), "", 2001), TAKEN);
    });

    test("is searched for itself", () => {
      const s = open({ portRange: ONE });
      for (const bindToDevice of [1, 2, 3])
        expect(s.bound("", 0, { bindToDevice }).port).toBe(2000);
      expectRefused(s, bind(s.socket(), "", 0), { code: "EADDRINUSE" });
    });

    test("is part of a tuple", () => {
      const s = open({ portRange: ONE });
      for (const bindToDevice of [0, 1, 2]) s.connected(WEB, undefined, { bindToDevice });
      for (const bindToDevice of [0, 1, 2]) {
        expectRefused(s, connect(s.socket({ bindToDevice }), WEB), EXHAUSTED);
      }
    });
  });

  test("two systems and a port manager of one module know nothing of each other", () => {
    const [s, other] = [open(), open()];
    using manager = PortManager.open({
      ...moduleFor(build),
      portRange: { first: 2000, last: 2009 },
    });
    const request = { networks: [4, 6], transport: 6, address: "10.0.0.1", port: 2000 };
    for (let turn = 0; turn < 3; turn++) {
      // By turns, since all of them ask through the same block.
      const [one, two] = [s.bound("10.0.0.1", 2000), other.bound("10.0.0.1", 2000)];
      const reservation = manager.reservePort(request);
      expect(s.connected().port).toBeGreaterThan(0);
      expect(manager.isAvailable(request)).toBe(false);
      expectRefused(s, bind(s.socket(), "", 2000), TAKEN);
      expectRefused(other, bind(other.socket(), "10.0.0.1", 2000), TAKEN);
      expect(manager.isAvailable({ ...request, address: "10.0.0.2" })).toBe(true);
      expect(reservation.release()).toBe(true);
      expect(manager.isAvailable(request)).toBe(true);
      one.close();
      two.close();
    }
    expect(manager.stats()).toMatchObject({ references: 0 });
  });
});

/** An IPv6 address of which one bit is set, and one more, so that it is never any. */
function addressWith(bit: number): string {
  const groups = Array.from({ length: 8 }, (_, group) =>
    group === bit >> 4 ? 1 << (bit & 15) : 0,
  );
  groups[0] = ((groups[0] ?? 0) ^ 0x2001) & 0xffff;
  return groups.map((group) => group.toString(16)).join(":");
}
