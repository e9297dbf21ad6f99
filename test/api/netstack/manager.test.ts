// The facade: what options mean, what errors say, where random numbers come from.

import { describe, expect, test } from "vitest";
import * as portwarden from "../../../bindings/index.ts";
import { IPV4, IPV6, PortError, PortManager, Refusal, TCP, UDP } from "../../../bindings/index.ts";
import { caught } from "../../invalid-input/fixture.ts";

const WEB = { networks: [IPV4], transport: TCP };
const SERVER = { address: "9.9.9.9", port: 443 };

test("the package exports its managers, lists and trees, its error, its refusals and four numbers", () => {
  const classes = ["LinuxPorts", "PortError", "PortGroups", "PortManager", "ReservedPorts"];
  const names = [...classes, "IPV4", "IPV6", "Refusal", "TCP", "UDP"];
  expect(Object.keys(portwarden).sort()).toEqual(names.sort());
  expect([IPV4, IPV6, TCP, UDP]).toEqual([4, 6, 6, 17]);
  expect(Refusal).toEqual({
    IN_USE: -1,
    EXHAUSTED: -2,
    NO_MEMORY: -3,
    OUTSIDE_GROUP: -6,
    EMPTY_RANGE: -7,
    COOLING: -11,
  });
});

test("a manager opens with gVisor's range, and with nothing held", () => {
  using manager = PortManager.open();
  expect(manager.portRange()).toEqual({ first: 16000, last: 65535 });
  expect(manager.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
  expect(manager.stats().memory.limit).toBe(0xffffffff);
});

// ── Words ─────────────────────────────────────────────────────────────────────────────────

describe("one address has many spellings", () => {
  test.each([
    ["10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:10.0.0.1"]],
    ["2001:db8::1", ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8::0001"]],
    ["::", [undefined, "", "0.0.0.0", "::", "0::0", "::ffff:0.0.0.0", "::ffff:0:0"]],
    ["::1", ["::1", "0:0:0:0:0:0:0:1", "0::1"]],
  ])("%s", (text, spellings) => {
    for (const one of spellings) {
      for (const other of spellings) {
        using manager = PortManager.open();
        const addressed = (address: string | undefined, port: number) =>
          manager.reservePort({
            networks: [IPV6],
            transport: UDP,
            port,
            ...(address === undefined ? {} : { address }),
          });
        expect(addressed(one, 80).address).toBe(text);
        expect(caught(() => addressed(other, 80))).toMatchObject({ code: "EADDRINUSE" });
      }
    }
  });
});

test("an IPv4 address in the last places of ::/96 is not the IPv4 address itself", () => {
  // RFC 4291 2.5.5.1 against 2.5.5.2: ::10.0.0.1 is ::a00:1, and only ::ffff:10.0.0.1 is mapped.
  using manager = PortManager.open();
  const request = { networks: [IPV6], transport: UDP, port: 80 };
  manager.reservePort({ ...request, address: "10.0.0.1" });
  manager.reservePort({ ...request, address: "::a00:1" });
  const error = caught(() => manager.reservePort({ ...request, address: "::10.0.0.1" }));
  expect(error).toMatchObject({ code: "EADDRINUSE", address: "::a00:1" });
});

test("the any address is shown in the network of the request", () => {
  using manager = PortManager.open();
  expect(manager.reservePort({ ...WEB, networks: [IPV4] }).address).toBe("0.0.0.0");
  expect(manager.reservePort({ ...WEB, networks: [IPV6] }).address).toBe("::");
  expect(manager.reservePort({ ...WEB, networks: [IPV4, IPV6] }).address).toBe("::");
  expect(manager.reservePort({ ...WEB, networks: [IPV6], address: "0.0.0.0" }).address).toBe("::");
});

test("reuseAddr means what it means to the transport, reusePort the same to all", () => {
  using manager = PortManager.open();
  const none = { mostRecent: false, loadBalanced: false, tupleOnly: false };
  const flags = (request: object) => manager.reservePort({ ...WEB, ...request }).flags;
  expect(flags({ reuseAddr: true })).toEqual({ ...none, tupleOnly: true });
  expect(flags({ transport: UDP, reuseAddr: true })).toEqual({ ...none, mostRecent: true });
  expect(flags({ reusePort: true })).toEqual({ ...none, loadBalanced: true });
  expect(flags({ transport: 33, reusePort: true })).toEqual({ ...none, loadBalanced: true });
  expect(flags({ transport: 33, reuseAddr: false })).toEqual(none);
  expect(flags({ reuseAddr: false, reusePort: false })).toEqual(none);
  expect(flags({ flags: { mostRecent: true, tupleOnly: true } })).toEqual({
    mostRecent: true,
    loadBalanced: false,
    tupleOnly: true,
  });
});

test("a network that is named twice counts once", () => {
  using manager = PortManager.open();
  const reservation = manager.reservePort({ ...WEB, networks: [4, 6, 4, 4], port: 80 });
  expect(reservation.networks).toEqual([4, 6]);
  expect(manager.stats().references).toBe(2);
  expect(manager.reserveTuple({ ...WEB, networks: [7, 7], port: 80 }).networks).toEqual([7]);
});

test("sixteen different networks fit, however often they are named", () => {
  using manager = PortManager.open();
  const networks = Array.from({ length: 64 }, (_, index) => index % 16);
  expect(manager.reservePort({ ...WEB, networks, port: 80 }).networks).toHaveLength(16);
});

test("options that are undefined are as good as absent", () => {
  using manager = PortManager.open();
  const request = {
    ...WEB,
    address: undefined,
    bindToDevice: undefined,
    destination: undefined,
    flags: undefined,
    reuseAddr: undefined,
    reusePort: undefined,
    port: undefined,
    offset: undefined,
  } as never;
  expect(manager.reservePort(request)).toMatchObject({ bindToDevice: 0, address: "0.0.0.0" });
});

test("the largest numbers of every kind are taken as they are", () => {
  using manager = PortManager.open();
  const reservation = manager.reservePort({
    networks: [0xffffffff],
    transport: 0xffffffff,
    bindToDevice: 0x7fffffff,
    destination: { address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", port: 65535 },
    port: 65535,
  });
  expect(reservation).toMatchObject({
    networks: [0xffffffff],
    transport: 0xffffffff,
    bindToDevice: 0x7fffffff,
    destination: { address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", port: 65535 },
    port: 65535,
  });
  expect(reservation.release()).toBe(true);
  expect(manager.stats().references).toBe(0);
});

// ── Errors ────────────────────────────────────────────────────────────────────────────────

describe("an error says what was asked, and by which call it would have failed", () => {
  test("a port that is taken", () => {
    using manager = PortManager.open();
    manager.reservePort({ ...WEB, port: 80 });
    const error = caught(() => manager.reservePort({ ...WEB, address: "10.0.0.1", port: 80 }));
    expect(error).toBeInstanceOf(PortError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "PortError",
      code: "EADDRINUSE",
      reason: "port-in-use",
      syscall: "bind",
      address: "10.0.0.1",
      port: 80,
      searched: undefined,
    });
    expect((error as Error).message).toBe("EADDRINUSE: the port is taken: tcp 10.0.0.1:80");
  });

  test("a tuple that is taken, on a device, over IPv6", () => {
    using manager = PortManager.open();
    const request = {
      networks: [IPV6],
      transport: 33,
      address: "::1",
      bindToDevice: 2,
      destination: { address: "2001:db8::1", port: 443 },
      port: 80,
    };
    manager.reserveTuple(request);
    const { message } = caught(() => manager.reserveTuple(request)) as Error;
    expect(message).toContain("transport 33 [::1]:80 on device 2 -> [2001:db8::1]:443");
  });

  test("a range that is exhausted for a bind", () => {
    using manager = PortManager.open({ portRange: { first: 2000, last: 2000 } });
    manager.reservePort(WEB);
    expect(caught(() => manager.reservePort(WEB))).toMatchObject({
      code: "EADDRINUSE",
      reason: "no-port-available",
      syscall: "bind",
      port: 0,
      searched: { first: 2000, last: 2000 },
    });
  });

  test("a range that is exhausted for a connect", () => {
    using manager = PortManager.open({ portRange: { first: 2000, last: 2001 } });
    const request = { ...WEB, destination: SERVER };
    manager.reservePort(request);
    manager.reservePort(request);
    const error = caught(() => manager.reservePort(request));
    expect(error).toMatchObject({
      code: "EADDRNOTAVAIL",
      reason: "no-port-available",
      syscall: "connect",
      searched: { first: 2000, last: 2001 },
    });
    expect((error as Error).message).toContain("all 2 of 2000..2001 are taken");
    expect((error as Error).message).toContain("-> 9.9.9.9:443");
  });

  test("a pick that no tester accepted", () => {
    using manager = PortManager.open({ portRange: { first: 2000, last: 2001 } });
    expect(caught(() => manager.pickEphemeralPort(() => false))).toMatchObject({
      code: "EADDRNOTAVAIL",
      reason: "no-port-available",
      searched: { first: 2000, last: 2001 },
    });
  });
});

// ── Chance ────────────────────────────────────────────────────────────────────────────────

describe("chance", () => {
  function drawn(options: { seed?: number }): number[] {
    using manager = PortManager.open(options);
    const pool = manager.pool(WEB);
    const picked = Array.from({ length: 50 }, () => manager.pickEphemeralPort(() => true));
    const reserved = Array.from({ length: 50 }, () => manager.reservePort(WEB).port);
    return [...picked, ...reserved, ...Array.from({ length: 50 }, () => pool.take())];
  }

  test("is the same from the same seed, and another from another", () => {
    expect(drawn({ seed: 5 })).toEqual(drawn({ seed: 5 }));
    expect(drawn({ seed: 5 })).not.toEqual(drawn({ seed: 6 }));
    expect(drawn({ seed: 0 })).not.toEqual(drawn({ seed: 0xffffffff }));
  });

  test("is never the same without a seed", () => {
    expect(drawn({})).not.toEqual(drawn({}));
  });

  test.each([{}, { seed: 11 }])("reaches all parts of the range about equally, %o", (options) => {
    using manager = PortManager.open({ ...options, portRange: { first: 1, last: 64000 } });
    const counts = new Array<number>(16).fill(0);
    for (let draw = 0; draw < 16_000; draw++) {
      const part = Math.floor((manager.pickEphemeralPort(() => true) - 1) / 4000);
      counts[part] = (counts[part] as number) + 1;
    }
    // 1,000 each; six standard deviations are 184.
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1200);
  });
});

test("managers of one module share an instance, and nothing else", () => {
  using one = PortManager.open({ seed: 1 });
  using other = PortManager.open({ seed: 1, portRange: { first: 5, last: 9 } });
  one.reservePort({ ...WEB, port: 80 });
  expect(other.isAvailable({ ...WEB, port: 80 })).toBe(true);
  expect(one.portRange()).not.toEqual(other.portRange());
  expect(one.stats().memory.taken).toBe(other.stats().memory.taken);
});
