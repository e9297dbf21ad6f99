// Groups as a port manager sees them: which of the two ranges counts, how it limits explicit ports
// and picks, and that a change takes effect at once. Each story runs by reservation objects, by
// values and by pools.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import type { PortGroup, PortGroups } from "../../../bindings/index.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { type AnyRequest, DNS, Fixture, INTERFACES, SERVER, WEB } from "./fixture.ts";

const RANGE = { first: 1000, last: 1999 };
const BIND = { first: 1100, last: 1102 };
const CONNECT = { first: 1200, last: 1202 };
const KINDS = [
  ["UDP", DNS],
  ["TCP", WEB],
] as const;

describe.each(INTERFACES)("%s, %s build", (through, build) => {
  let fixture: Fixture;
  let groups: PortGroups;
  let group: PortGroup;
  beforeEach(() => {
    fixture = new Fixture(through, build, { portRange: RANGE });
    groups = fixture.groups;
    group = groups.create("/a", { bindPortRange: BIND, connectPortRange: CONNECT });
  });
  afterEach(() => fixture.finish());

  // ── Which range counts ────────────────────────────────────────────────────────────────────

  describe.each(KINDS)("%s", (_name, web) => {
    test("a request without a destination binds: it keeps to the bind range", () => {
      const request = { ...web, group };
      expect(fixture.any(request, 0)).toBe(1100);
      expect(fixture.at(request, 1200)).toBe(OUTSIDE_GROUP);
      expect(fixture.at(request, 1103)).toBe(OUTSIDE_GROUP);
      expect(fixture.at(request, 1102)).toBe(1102);
      expect(fixture.all(request)).toEqual([1101, EXHAUSTED]);
    });

    test("a request with a destination connects: it keeps to the connect range", () => {
      const request = { ...web, destination: SERVER, group };
      expect(fixture.any(request, 0)).toBe(1200);
      expect(fixture.at(request, 1100)).toBe(OUTSIDE_GROUP);
      expect(fixture.at(request, 1199)).toBe(OUTSIDE_GROUP);
      expect(fixture.at(request, 1202)).toBe(1202);
      expect(fixture.all(request)).toEqual([1201, EXHAUSTED]);
    });

    test.each([
      ["a port alone", { port: 443 }],
      ["any IPv4", { address: "0.0.0.0", port: 443 }],
      ["any IPv6", { address: "::" }],
      ["any IPv4 in IPv6", { address: "::ffff:0.0.0.0", port: 1 }],
      ["nothing", {}],
      ["an empty address", { address: "" }],
    ])("%s as destination is none: it is bound", (_what, destination) => {
      expect(fixture.any({ ...web, destination, group }, 0)).toBe(1100);
      expect(fixture.at({ ...web, destination, group }, 1200)).toBe(OUTSIDE_GROUP);
    });

    test.each(["::1", "0.0.0.1", "128.0.0.0", "8000::", "::ffff:0.0.0.1"])(
      "%s as destination is one, whatever its port: it connects",
      (address) => {
        const destination = { address, port: 0 };
        expect(fixture.any({ ...web, destination, group }, 0)).toBe(1200);
        expect(fixture.at({ ...web, destination: { address }, group }, 1100)).toBe(OUTSIDE_GROUP);
      },
    );

    test("the offset counts within what the group leaves", () => {
      const request = { ...web, group };
      const offsets = [4, 5, 2 ** 32 - 1];
      expect(offsets.map((offset) => fixture.any(request, offset))).toEqual([1101, 1102, 1100]);
    });

    test("the group limits the manager's range, and the manager's range the group", () => {
      const request = { ...web, group };
      group.bindPortRange = { first: 1990, last: 2010 };
      expect(fixture.any(request, 10)).toBe(1990);
      expect(fixture.any(request, 9)).toBe(1999);
      group.bindPortRange = { first: 10, last: 1001 };
      expect(fixture.any(request, 1)).toBe(1001);
      fixture.manager.setPortRange(1001, 1001);
      expect(fixture.any(request, 0)).toBe(EXHAUSTED);
      fixture.manager.setPortRange(900, 65535);
      expect([fixture.any(request, 0), fixture.any(request, 100)]).toEqual([900, 1000]);
    });

    test("an explicit port need not be in the manager's range", () => {
      group.bindPortRange = { first: 10, last: 19 };
      expect(fixture.at({ ...web, group }, 19)).toBe(19);
      expect(fixture.at({ ...web, group }, 20)).toBe(OUTSIDE_GROUP);
      expect(fixture.any({ ...web, group }, 0)).toBe(EMPTY_RANGE);
    });

    test("a search says that the group leaves nothing, whatever else is asked for", () => {
      group.bindPortRange = { first: 2000, last: 2001 };
      for (const offset of [0, 1, 2 ** 32 - 1]) {
        expect(fixture.any({ ...web, group }, offset)).toBe(EMPTY_RANGE);
        expect(fixture.any({ ...web, networks: [4, 6], group }, offset)).toBe(EMPTY_RANGE);
      }
      expect(fixture.any({ ...web, destination: SERVER, group }, 0)).toBe(1200);
    });
  });

  // ── Changes ───────────────────────────────────────────────────────────────────────────────

  test("a changed range counts from then on, and revokes no port", () => {
    const request = { ...DNS, group };
    expect(fixture.any(request, 0)).toBe(1100);
    group.bindPortRange = { first: 1101, last: 1101 };
    expect(fixture.all(request)).toEqual([1101, EXHAUSTED]);
    expect(fixture.at(DNS, 1100)).toBe(IN_USE);
    fixture.give(1100);
    expect(fixture.at(request, 1100)).toBe(OUTSIDE_GROUP);
    expect(fixture.at(DNS, 1100)).toBe(1100);
    group.bindPortRange = undefined;
    expect(fixture.any(request, 0)).toBe(1000);
    expect(fixture.any(request, 100)).toBe(1102);
  });

  test("changing the range for connecting does not touch binding, and the other way round", () => {
    group.connectPortRange = { first: 5, last: 5 };
    expect(fixture.any({ ...DNS, group }, 0)).toBe(1100);
    expect(fixture.any({ ...DNS, destination: SERVER, group }, 0)).toBe(EMPTY_RANGE);
    group.bindPortRange = { first: 6, last: 6 };
    group.connectPortRange = undefined;
    expect(fixture.any({ ...DNS, group }, 0)).toBe(EMPTY_RANGE);
    expect(fixture.any({ ...DNS, destination: SERVER, group }, 3)).toBe(1003);
  });

  test("a range that is written to a control file counts as well", () => {
    groups.write("/a/net_cls.bind_port_range", "1500-1501");
    expect(fixture.all({ ...DNS, group })).toEqual([1500, 1501, EXHAUSTED]);
  });

  test("groups above limit a group, at once, and groups beside it do not", () => {
    const child = groups.create("/a/b", { bindPortRange: { first: 1102, last: 1999 } });
    const beside = groups.create("/c");
    expect(fixture.all({ ...DNS, group: child })).toEqual([1102, EXHAUSTED]);
    expect(fixture.any({ ...DNS, group: beside }, 0)).toBe(1000);
    group.bindPortRange = { first: 1, last: 1104 };
    groups.root.bindPortRange = { first: 1103, last: 65535 };
    expect(fixture.all({ ...DNS, group: child })).toEqual([1103, 1104, EXHAUSTED]);
    expect(fixture.any({ ...DNS, group: beside }, 0)).toBe(1105);
    group.bindPortRange = { first: 1, last: 1101 };
    expect(fixture.any({ ...DNS, group: child }, 0)).toBe(EMPTY_RANGE);
    expect(fixture.at({ ...DNS, group: child }, 1102)).toBe(OUTSIDE_GROUP);
    expect(fixture.at({ ...DNS, group: child }, 1101)).toBe(OUTSIDE_GROUP);
  });

  test("the root is a group like any other", () => {
    groups.root.connectPortRange = { first: 1005, last: 1006 };
    const request = { ...DNS, group: groups.root, destination: SERVER };
    expect(fixture.all(request)).toEqual([1005, 1006, EXHAUSTED]);
    expect(fixture.at(request, 1007)).toBe(OUTSIDE_GROUP);
  });

  // ── Groups say where, not who ─────────────────────────────────────────────────────────────

  test("of two groups with the same ports one does not get what the other holds", () => {
    const other = groups.create("/b", { bindPortRange: BIND });
    expect(fixture.at({ ...DNS, group }, 1100)).toBe(1100);
    expect(fixture.at({ ...DNS, group: other }, 1100)).toBe(IN_USE);
    expect(fixture.at(DNS, 1100)).toBe(IN_USE);
    expect(fixture.any({ ...DNS, group: other }, 0)).toBe(1101);
  });

  test("a port that is taken and outside of the group is refused as outside", () => {
    expect(fixture.at(DNS, 1300)).toBe(1300);
    expect(fixture.at({ ...DNS, group }, 1300)).toBe(OUTSIDE_GROUP);
  });

  test("one port may be held in several groups where the flags let it", () => {
    const other = groups.create("/b", { bindPortRange: { first: 1102, last: 1103 } });
    const flags = { loadBalanced: true };
    expect(fixture.at({ ...DNS, flags, group }, 1102)).toBe(1102);
    expect(fixture.any({ ...DNS, flags, group: other }, 0)).toBe(1102);
    expect(fixture.at({ ...DNS, flags, group }, 1103)).toBe(OUTSIDE_GROUP);
  });

  test("addresses conflict within a group as they do without one", () => {
    const at = (address: string, networks = [4]): AnyRequest => ({
      ...DNS,
      networks,
      address,
      group,
    });
    expect(fixture.any(at("10.0.0.1"), 0)).toBe(1100);
    expect(fixture.any(at("10.0.0.2"), 0)).toBe(1100);
    expect(fixture.any(at(""), 0)).toBe(1101);
    expect(fixture.any(at("10.0.0.1"), 0)).toBe(1102);
    expect(fixture.any(at("", [6]), 0)).toBe(1100);
    expect(fixture.any(at("", [4, 6]), 0)).toBe(EXHAUSTED);
    expect(fixture.all(at("10.0.0.2", [6, 4]))).toEqual([1102, EXHAUSTED]);
    expect(fixture.any(at("10.0.0.3"), 2)).toBe(1102);
  });

  test("devices and the any address conflict in two groups as without, in two networks", () => {
    const other = groups.create("/b", { bindPortRange: { first: 1101, last: 1104 } });
    const both = { ...DNS, networks: [4, 6] };
    expect(fixture.any({ ...both, bindToDevice: 1, group }, 0)).toBe(1100);
    expect(fixture.any({ ...both, bindToDevice: 2, group }, 0)).toBe(1100);
    expect(fixture.any({ ...both, bindToDevice: 2, address: "10.0.0.1", group }, 0)).toBe(1101);
    expect(fixture.any({ ...both, group: other }, 0)).toBe(1102);
    expect(fixture.any({ ...both, bindToDevice: 1, group: other }, 0)).toBe(1101);
    expect(fixture.all({ ...both, bindToDevice: 3, group })).toEqual([1100, 1101, EXHAUSTED]);
  });

  test("a request without a group is not limited by the groups of others", () => {
    expect(fixture.any({ ...DNS, group }, 0)).toBe(1100);
    expect(fixture.any(DNS, 0)).toBe(1000);
    expect(fixture.at(DNS, 65535)).toBe(65535);
    expect(fixture.any({ ...DNS, group: undefined }, 1)).toBe(1001);
  });

  test("a test for a port answers as a request for it does", () => {
    const { manager } = fixture;
    const isFree = (request: AnyRequest, port: number): boolean =>
      manager.isAvailable({ ...request, port });
    expect(fixture.at({ ...DNS, group }, 1101)).toBe(1101);
    const ports = [1099, 1100, 1101, 1102, 1103, 1200];
    expect(ports.map((port) => isFree({ ...DNS, group }, port))).toEqual(
      ports.map((port) => port === 1100 || port === 1102),
    );
    const to = { ...DNS, destination: SERVER, group };
    expect(ports.map((port) => isFree(to, port))).toEqual(ports.map((port) => port === 1200));
    expect(group.uses).toBe(1);
  });

  test("picks without a reservation, and tuples, know nothing of groups", () => {
    const { manager } = fixture;
    group.bindPortRange = { first: 1000, last: 1000 };
    fixture.at({ ...DNS, group }, 1000);
    const seen: number[] = [];
    const test = (port: number): boolean => seen.push(port) === 1000;
    expect(manager.pickEphemeralPort(test, 7)).toBe(1006);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => 1000 + ((index + 7) % 1000)));
    expect(manager.pickEphemeralPortStable(3, () => true)).toBe(1003);
    expect(manager.pickEphemeralPortStable(3, () => true)).toBe(1004);
    const tuple = manager.reserveTuple({ ...DNS, port: 1005, destination: SERVER });
    expect(tuple.group).toBe(undefined);
    tuple.release();
    expect(group.uses).toBe(1);
  });
});

describe.each(INTERFACES)("in a tree that copies: %s, %s build", (through, build) => {
  test("a group has what it was made with, whatever happens above", () => {
    const fixture = new Fixture(through, build, { portRange: RANGE }, "copy");
    const parent = fixture.groups.create("/a", { bindPortRange: BIND });
    const group = fixture.groups.create("/a/b");
    parent.bindPortRange = { first: 5, last: 6 };
    expect(fixture.any({ ...DNS, group: parent }, 0)).toBe(EMPTY_RANGE);
    expect(fixture.all({ ...DNS, group })).toEqual([1100, 1101, 1102, EXHAUSTED]);
    group.bindPortRange = { first: 1500, last: 1500 };
    expect(fixture.at({ ...DNS, group }, 5)).toBe(OUTSIDE_GROUP);
    expect(fixture.any({ ...DNS, group }, 9)).toBe(1500);
    fixture.finish();
  });
});

// ── Pools of their own ranges ────────────────────────────────────────────────────────────────

describe.each(BUILDS)("a pool says how it picks: %s build", (build) => {
  test("a pool with a destination may bind, and one without may connect", () => {
    const fixture = new Fixture("pools", build, { portRange: RANGE });
    const { manager, groups } = fixture;
    const group = groups.create("/a", { bindPortRange: BIND, connectPortRange: CONNECT });
    const to = { ...DNS, destination: SERVER };
    using binding = manager.pool({ ...to, mode: "bind", group });
    using connecting = manager.pool({ ...DNS, mode: "connect", group });
    expect([binding.take(0), binding.takeAt(1200), binding.takeAt(1102)]).toEqual([
      1100,
      OUTSIDE_GROUP,
      1102,
    ]);
    expect([connecting.take(0), connecting.takeAt(1100)]).toEqual([1200, OUTSIDE_GROUP]);
    for (const port of [1100, 1102]) expect(binding.free(port)).toBe(true);
    expect(connecting.free(1200)).toBe(true);
    binding.close();
    connecting.close();
    fixture.finish();
  });

  test("ports outside can be freed and tested, and batches stop where nothing is left", () => {
    const manager = openOn(build, { portRange: RANGE, seed: 1 });
    const fixture = new Fixture("pools", build);
    const group = fixture.groups.create("/a", { bindPortRange: { first: 1000, last: 1129 } });
    const pool = manager.pool({ ...DNS, group });
    const ports = new Uint16Array(200);
    expect(pool.takeMany(ports)).toBe(130);
    expect([...ports].slice(0, 130).sort()).toEqual(
      Array.from({ length: 130 }, (_, index) => 1000 + index),
    );
    group.bindPortRange = { first: 1, last: 9 };
    expect(pool.takeMany(ports.slice(0, 5))).toBe(0);
    expect([pool.take(), pool.take(3)]).toEqual([EMPTY_RANGE, EMPTY_RANGE]);
    expect([pool.takeAt(1000), pool.takeAt(10), pool.takeAt(9)]).toEqual([
      OUTSIDE_GROUP,
      OUTSIDE_GROUP,
      9,
    ]);
    expect([pool.has(1000), pool.has(1129), pool.held]).toEqual([true, true, 131]);
    expect(pool.freeMany(ports)).toBe(130);
    expect(pool.free(9)).toBe(true);
    expect(pool.held).toBe(0);
    manager.close();
    fixture.finish();
  });
});
