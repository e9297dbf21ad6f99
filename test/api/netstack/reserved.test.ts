// Reserved ports as a port manager sees them: picks pass over them, explicit requests do not, a
// change takes effect at once, and a list serves every request that names it. And together with
// groups.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import type { ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { type AnyRequest, DNS, Fixture, INTERFACES, reservedOn, SERVER, WEB } from "./fixture.ts";

const RANGE = { first: 1000, last: 1004 };
const KINDS = [
  ["UDP", DNS],
  ["TCP", WEB],
] as const;

describe.each(INTERFACES)("%s, %s build", (through, build) => {
  let fixture: Fixture;
  let reserved: ReservedPorts;
  beforeEach(() => {
    fixture = new Fixture(through, build, { portRange: RANGE });
    reserved = reservedOn(build, "1000,1002-1003");
  });
  afterEach(() => fixture.finish());

  describe.each(KINDS)("%s", (_name, web) => {
    test("a pick passes over reserved ports, from wherever it starts", () => {
      const request = { ...web, reserved };
      for (const [offset, port] of [0, 1, 2, 3, 4, 5, 7].map((at) => [at, pickOf(at)])) {
        expect(fixture.any(request, offset as number), `offset ${offset}`).toBe(port);
        fixture.give();
      }
      expect(fixture.all(request)).toEqual([1001, 1004, EXHAUSTED]);
    });

    test("a connection passes over reserved ports, too", () => {
      const request = { ...web, destination: SERVER, reserved };
      expect(fixture.all(request)).toEqual([1001, 1004, EXHAUSTED]);
    });

    test("an explicit request for a reserved port gets it", () => {
      const request = { ...web, reserved };
      expect([1000, 1002, 1003].map((port) => fixture.at(request, port))).toEqual([
        1000, 1002, 1003,
      ]);
      expect(fixture.at(request, 1002)).toBe(IN_USE);
      expect(fixture.all(request)).toEqual([1001, 1004, EXHAUSTED]);
    });

    test("a request that does not name the list is not limited by it", () => {
      expect(fixture.all(web)).toEqual([1000, 1001, 1002, 1003, 1004, EXHAUSTED]);
      expect(fixture.any({ ...web, reserved: undefined }, 0)).toBe(EXHAUSTED);
    });

    test("a change of the list takes effect at once, and revokes no port", () => {
      const request = { ...web, reserved };
      expect(fixture.any(request, 0)).toBe(1001);
      reserved.text = "1000-1003";
      expect(fixture.all(request)).toEqual([1004, EXHAUSTED]);
      reserved.text = "1001,1004";
      expect(fixture.all(request)).toEqual([1000, 1002, 1003, EXHAUSTED]);
      fixture.give(1001);
      expect(fixture.any(request, 0)).toBe(EXHAUSTED);
      reserved.text = "";
      expect(fixture.all(request)).toEqual([1001, EXHAUSTED]);
    });

    test("no search finds a port if all are reserved, and an explicit request gets each", () => {
      for (const text of ["1000-1004", "0-65535"]) {
        reserved.text = text;
        for (const offset of [0, 1, 4, 2 ** 32 - 1]) {
          expect(fixture.any({ ...web, reserved }, offset)).toBe(EXHAUSTED);
        }
      }
      expect(fixture.at({ ...web, reserved }, 1002)).toBe(1002);
      expect(fixture.any({ ...web, reserved }, 0)).toBe(EXHAUSTED);
    });

    test("port 0 may be in a list, without effect", () => {
      reserved.text = "0-999";
      expect(fixture.any({ ...web, reserved }, 0)).toBe(1000);
      fixture.manager.setPortRange(1, 65535);
      expect(fixture.any({ ...web, reserved }, 0)).toBe(1001);
      reserved.text = "0";
      expect(fixture.any({ ...web, reserved }, 0)).toBe(1);
    });
  });

  test("reserved ports are passed over in each of several networks", () => {
    const both = { ...DNS, networks: [4, 6], reserved };
    expect(fixture.any({ ...DNS, networks: [6] }, 1)).toBe(1001);
    expect(fixture.all(both)).toEqual([1004, EXHAUSTED]);
  });

  test("addresses, devices and flags conflict as without a list", () => {
    const flags = { loadBalanced: true };
    const request = { ...DNS, address: "10.0.0.1", bindToDevice: 2, flags, reserved };
    expect([fixture.any(request, 0), fixture.any(request, 0), fixture.any(request, 2)]).toEqual([
      1001, 1001, 1004,
    ]);
    expect(fixture.any({ ...DNS, reserved }, 0)).toBe(EXHAUSTED);
    expect(fixture.any({ ...DNS, address: "10.0.0.2", reserved }, 3)).toBe(1004);
  });

  test("each of two lists limits only the requests that name it", () => {
    const other = reservedOn(build, "1001,1004");
    expect(fixture.all({ ...DNS, reserved })).toEqual([1001, 1004, EXHAUSTED]);
    expect(fixture.all({ ...DNS, reserved: other })).toEqual([1000, 1002, 1003, EXHAUSTED]);
  });

  test("a test for a port, a pick and a tuple are not limited by lists", () => {
    const { manager } = fixture;
    reserved.text = "0-65535";
    expect(fixture.any({ ...DNS, reserved }, 0)).toBe(EXHAUSTED);
    expect(manager.isAvailable({ ...DNS, port: 1000 })).toBe(true);
    const seen: number[] = [];
    expect(manager.pickEphemeralPort((port) => seen.push(port) === 5, 3)).toBe(1002);
    expect(seen).toEqual([1003, 1004, 1000, 1001, 1002]);
    manager.reserveTuple({ ...DNS, port: 1000 }).release();
  });

  // ── With groups ─────────────────────────────────────────────────────────────────────────

  test("a search finds what both a group and a list leave", () => {
    const group = fixture.groups.create("/a", {
      bindPortRange: { first: 1002, last: 2000 },
      connectPortRange: { first: 1000, last: 1001 },
    });
    const request: AnyRequest = { ...DNS, group, reserved };
    expect(fixture.any(request, 0)).toBe(1004);
    expect(fixture.any(request, 0)).toBe(EXHAUSTED);
    expect(fixture.at(request, 1001)).toBe(OUTSIDE_GROUP);
    expect(fixture.at(request, 1002)).toBe(1002);
    expect(fixture.at(request, 2000)).toBe(2000);
    const to = { ...request, destination: SERVER };
    expect(fixture.all(to)).toEqual([1001, EXHAUSTED]);
    expect(fixture.at(to, 1000)).toBe(1000);
    group.bindPortRange = { first: 3000, last: 3000 };
    expect(fixture.any(request, 0)).toBe(EMPTY_RANGE);
    group.bindPortRange = { first: 1003, last: 1003 };
    expect(fixture.any(request, 0)).toBe(EXHAUSTED);
    reserved.text = "1002";
    expect(fixture.any(request, 0)).toBe(1003);
  });

  test("the offset counts ports of the range, not those that are left of it", () => {
    const group = fixture.groups.create("/a", { bindPortRange: { first: 1001, last: 1003 } });
    reserved.text = "1002";
    const request = { ...DNS, group, reserved };
    expect(fixture.any(request, 2)).toBe(1003);
    fixture.give();
    expect(fixture.any(request, 1)).toBe(1003);
    fixture.give();
    expect(fixture.any(request, 3)).toBe(1001);
    fixture.give();
    expect(fixture.any(request, 2 ** 32 - 1)).toBe(1001);
  });
});

/** The first port of 1001 and 1004 from that offset on. */
function pickOf(offset: number): number {
  return [1, 1, 4, 4, 4][offset % 5] === 1 ? 1001 : 1004;
}

// ── Several who name one list ───────────────────────────────────────────────────────────────

describe.each(BUILDS)("one list serves many: %s build", (build) => {
  test("two managers and their pools follow it at once", () => {
    const reserved = reservedOn(build);
    const managers = [1, 2].map((seed) => openOn(build, { seed, portRange: RANGE }));
    const pools = managers.flatMap((manager) => [
      manager.pool({ ...DNS, reserved }),
      manager.pool({ ...WEB, networks: [4, 6], reserved }),
    ]);
    const takes = (): number[] => pools.map((pool) => pool.take(0));
    expect(takes()).toEqual([1000, 1000, 1000, 1000]);
    reserved.text = "1001";
    expect(takes()).toEqual([1002, 1002, 1002, 1002]);
    reserved.text = "1003-1004";
    expect(takes()).toEqual([1001, 1001, 1001, 1001]);
    expect(takes()).toEqual(pools.map(() => EXHAUSTED));
    reserved.text = "1003";
    expect(takes()).toEqual([1004, 1004, 1004, 1004]);
    for (const manager of managers) {
      verify(manager);
      manager.close();
    }
    expect(reserved.text).toBe("1003");
  });

  test("a list outlives the managers that looked at it, and serves the next", () => {
    const reserved = reservedOn(build, "1000-1003");
    for (let round = 0; round < 3; round++) {
      using manager = openOn(build, { portRange: RANGE });
      using pool = manager.pool({ ...DNS, reserved });
      expect([pool.take(), pool.take()]).toEqual([1004, EXHAUSTED]);
      const refused = () => manager.reservePort({ ...DNS, reserved });
      expect(refused).toThrow("all 5 of 1000..1004 are taken or reserved");
    }
    expect([reserved.size, reserved.text]).toEqual([4, "1000-1003"]);
  });
});
