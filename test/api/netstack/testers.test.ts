// Testers that change the limits of their own search: the group's range, the list of reserved
// ports, the manager's range, the group's holders, the manager itself. A search goes on within the
// range it began with, and never offers a port that is not allowed at that moment.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PortGroup, PortGroups, PortManager, ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { caught, throwing, wrong } from "../../invalid-input/fixture.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { openGroups } from "../groups/fixture.ts";
import { type AnyRequest, DNS, reservedOn, SERVER } from "./fixture.ts";

const BUSY = { code: "EBUSY", reason: "busy" };
const NONE = { code: "EADDRINUSE", reason: "no-port-available" };
const CLOSED = { code: "EBADF", reason: "closed" };

describe.each(BUILDS)("%s build", (build) => {
  let manager: PortManager;
  let groups: PortGroups;
  let group: PortGroup;
  let reserved: ReservedPorts;
  let anyPort: AnyRequest;
  let used: number;
  beforeEach(() => {
    groups = openGroups(build);
    group = groups.create("/a", { bindPortRange: { first: 1000, last: 1009 } });
    reserved = reservedOn(build);
    anyPort = { ...DNS, group, reserved };
    manager = openOn(build, { seed: 1, portRange: { first: 1000, last: 1019 } });
    used = manager.stats().memory.used;
  });
  /** Whatever has happened, all is given back at the end. */
  afterEach(() => {
    manager.close();
    expect(group.uses).toBe(0);
    groups.close();
  });

  /** The ports that a tester is asked about, until `act` accepts one. */
  function asked(offset: number, act: (port: number, call: number) => boolean): number[] {
    const seen: number[] = [];
    const error = caught(() =>
      manager.reservePort({ ...anyPort, offset }, (port) => act(port, seen.push(port))),
    );
    verify(manager);
    if (typeof error !== "string") {
      expect(error).toMatchObject(NONE);
      expect(group.uses).toBe(0);
      expect(manager.stats()).toMatchObject({ references: 0, memory: { used } });
    }
    return seen;
  }

  // ── The group's range ───────────────────────────────────────────────────────────────────

  test("a group that narrows while a search runs: it goes on in what is left", () => {
    const seen = asked(0, (port) => {
      if (port === 1000) group.bindPortRange = { first: 1003, last: 1004 };
      return false;
    });
    expect(seen).toEqual([1000, 1003, 1004]);
  });

  test("a search goes on where its group narrows to ports before its start, or behind its place", () => {
    const before = asked(8, (port) => {
      if (port === 1008) group.bindPortRange = { first: 1000, last: 1001 };
      return false;
    });
    expect(before).toEqual([1008, 1000, 1001]);
    group.bindPortRange = { first: 1000, last: 1009 };
    const behind = asked(2, (port) => {
      if (port === 1005) group.bindPortRange = { first: 1002, last: 1005 };
      return false;
    });
    expect(behind).toEqual([1002, 1003, 1004, 1005]);
  });

  test("a search goes on in what is left where its group narrows at each port", () => {
    const seen = asked(0, (port) => {
      group.bindPortRange = { first: port + 2, last: 1019 };
      return port === 1008;
    });
    expect(seen).toEqual([1000, 1002, 1004, 1006, 1008]);
    expect(group.uses).toBe(1);
  });

  test("a group that widens while a search runs: it keeps to what it began with", () => {
    const seen = asked(7, () => {
      group.bindPortRange = undefined;
      return false;
    });
    expect(seen).toEqual([1007, 1008, 1009, 1000, 1001, 1002, 1003, 1004, 1005, 1006]);
  });

  test("a group that narrows and widens: what has been passed over is not met again", () => {
    const seen = asked(0, (port, call) => {
      group.bindPortRange = call % 2 ? { first: 1004, last: 1006 } : { first: 1000, last: 1009 };
      return port === 1007;
    });
    expect(seen).toEqual([1000, 1004, 1005, 1006, 1007]);
  });

  test("a search ends where a group above leaves its group without ports", () => {
    const seen = asked(4, () => {
      groups.root.bindPortRange = { first: 1, last: 2 };
      return false;
    });
    expect(seen).toEqual([1004]);
  });

  test("a port that is accepted stays, also where its group does not allow it any more", () => {
    for (const port of [1003, undefined]) {
      const request = port === undefined ? { ...anyPort, offset: 3 } : { ...DNS, group, port };
      const reservation = manager.reservePort(request, () => {
        group.bindPortRange = { first: 5, last: 5 };
        return true;
      });
      expect([reservation.port, reservation.group, group.uses]).toEqual([1003, group, 1]);
      expect(manager.isAvailable({ ...DNS, port: 1003 })).toBe(false);
      reservation.release();
      group.bindPortRange = { first: 1000, last: 1009 };
    }
  });

  test("the connect range narrows a search that connects, and the bind range does not", () => {
    const seen: number[] = [];
    group.connectPortRange = { first: 1010, last: 1013 };
    const refused = caught(() =>
      manager.reservePort({ ...anyPort, destination: SERVER, offset: 0 }, (port) => {
        group.bindPortRange = { first: 1, last: 1 };
        group.connectPortRange = { first: 1010, last: 1012 };
        return seen.push(port) > 9;
      }),
    );
    expect(refused).toMatchObject({ code: "EADDRNOTAVAIL", reason: "no-port-available" });
    expect(seen).toEqual([1010, 1011, 1012]);
  });

  // ── Other things that are changed ───────────────────────────────────────────────────────

  test("ports that are reserved while a search runs are passed over from then on", () => {
    const seen = asked(2, (port) => {
      if (port === 1003) reserved.text = "1004-1008,1000";
      if (port === 1009) reserved.text = "1003";
      return false;
    });
    expect(seen).toEqual([1002, 1003, 1009, 1000, 1001]);
  });

  test("a list that becomes all ports ends the search", () => {
    const seen = asked(2, () => {
      reserved.text = "0-65535";
      return false;
    });
    expect(seen).toEqual([1002]);
  });

  test("the manager's range counts from the next search on", () => {
    const seen = asked(6, () => {
      manager.setPortRange(1004, 1004);
      return false;
    });
    expect(seen).toEqual([1006, 1007, 1008, 1009, 1000, 1001, 1002, 1003, 1004, 1005]);
    expect(asked(6, () => false)).toEqual([1004]);
  });

  test("holders that come into the group and leave it meanwhile are counted", () => {
    const held = manager.reservePort({ ...DNS, port: 1019 });
    const pool = manager.pool({ ...DNS, transport: 33, group });
    const counts: number[] = [];
    manager.reservePort({ ...anyPort, offset: 0 }, (port) => {
      counts.push(group.uses);
      held.group = port % 2 ? undefined : group;
      pool.group = port % 3 ? group : undefined;
      const inner = manager.reservePort({ ...anyPort, offset: 9 });
      counts.push(group.uses);
      inner.release();
      return port === 1003;
    });
    // Two figures for each port: when it is asked about, and after the others have moved.
    expect(counts).toEqual([2, 4, 3, 3, 2, 3, 2, 3]);
    expect(group.uses).toBe(2);
  });

  test("a tester may reserve in the same group itself, to some depth", () => {
    const ports: number[] = [];
    const ask = (): void => {
      const reservation = manager.reservePort({ ...anyPort, offset: 0 }, () => {
        if (ports.length === 0 && group.uses < 6) ask();
        return true;
      });
      ports.push(reservation.port);
    };
    ask();
    verify(manager);
    expect(ports).toEqual([1005, 1004, 1003, 1002, 1001, 1000]);
    expect(group.uses).toBe(6);
  });

  // ── A group that is to go ───────────────────────────────────────────────────────────────

  test.each([
    ["an explicit", { port: 1005 }],
    ["any", { offset: 5 }],
  ])("a group is not removed, nor its tree closed, under a tester of %s port", (_name, which) => {
    const request: AnyRequest = "port" in which ? { ...DNS, group } : anyPort;
    const seen: number[] = [];
    const act = (): unknown =>
      manager.reservePort({ ...request, ...which }, (port) => {
        expect(group.uses).toBe(1);
        expect(caught(() => group.remove())).toMatchObject(BUSY);
        expect(caught(() => groups.close())).toMatchObject(BUSY);
        return seen.push(port) > 99;
      });
    expect(caught(act)).toMatchObject({ code: "EADDRINUSE" });
    expect(seen).toHaveLength("port" in which ? 1 : 10);
    expect(group.uses).toBe(0);
    expect(manager.stats().memory.used).toBe(used);
    verify(manager);
  });

  test("a tester that gives the port back by value: it is given back once, with its use", () => {
    const other = manager.reservePort({ ...DNS, group, port: 1009 });
    for (const verdict of [false, true]) {
      const answer = caught(() =>
        manager.reservePort({ ...DNS, group, port: 1005 }, (port) => {
          expect(group.uses).toBe(2);
          expect(manager.releasePort({ ...DNS, group, port })).toBe(true);
          expect(group.uses).toBe(1);
          return verdict;
        }),
      );
      expect(typeof answer === "string").toBe(verdict);
      expect(group.uses).toBe(1);
      expect(manager.stats().references).toBe(1);
      verify(manager);
    }
    expect(other.release()).toBe(true);
  });

  // ── Testers that end it ─────────────────────────────────────────────────────────────────

  const ENDS: readonly (readonly [string, () => boolean])[] = [
    ["says true", () => true],
    ["says false", () => false],
    ["says nothing", () => wrong(undefined)],
    ["throws", throwing(new Error("mine"))],
  ];

  test.each(ENDS)(
    "a tester that closes the manager and %s leaves the group unused",
    (_name, end) => {
      const pool = manager.pool({ ...DNS, group });
      const held = manager.reservePort({ ...anyPort, offset: 4 });
      for (const which of [{ port: 1005 }, { offset: 5 }, {}]) {
        const own = openOn(build, { portRange: { first: 1000, last: 1019 } });
        const request: AnyRequest = "port" in which ? { ...DNS, group } : anyPort;
        const result = caught(() =>
          own.reservePort({ ...request, ...which }, () => {
            own.close();
            expect(group.uses).toBe(2);
            return end();
          }),
        );
        if (result instanceof Error && result.message !== "mine") {
          expect(result).toMatchObject({ name: "PortError" });
        }
        expect(caught(() => own.stats())).toMatchObject(CLOSED);
        expect(group.uses).toBe(2);
        verify(manager);
      }
      held.release();
      pool.close();
      expect(group.uses).toBe(0);
      expect(manager.stats().memory.used).toBe(used);
    },
  );

  test.each(ENDS)(
    "a tester that %s undoes what was reserved in the group, or keeps it",
    (_name, end) => {
      for (const which of [{ port: 1005 }, { offset: 5 }, {}]) {
        const request: AnyRequest = "port" in which ? { ...DNS, group } : anyPort;
        const result = caught(() => manager.reservePort({ ...request, ...which }, end));
        const stays = typeof result === "string";
        expect(group.uses).toBe(stays ? 1 : 0);
        expect(manager.stats().references).toBe(stays ? 1 : 0);
        if (stays) manager.close();
        if (stays) manager = openOn(build, { seed: 1, portRange: { first: 1000, last: 1019 } });
        expect(manager.stats().memory.used).toBe(used);
        verify(manager);
      }
    },
  );

  test("what a tester throws after some ports were refused is passed on, and nothing stays", () => {
    const error = new Error("enough");
    let calls = 0;
    const thrown = caught(() =>
      manager.reservePort(anyPort, () => {
        if (++calls === 5) throw error;
        return false;
      }),
    );
    expect(thrown).toBe(error);
    expect([group.uses, manager.stats().memory.used]).toEqual([0, used]);
    verify(manager);
  });

  test("a tester may reserve in a group under a pick, as gVisor's connect does", () => {
    const test = (port: number): boolean => {
      const request = { ...DNS, destination: SERVER, group, port };
      if (!manager.isAvailable(request)) return false;
      manager.reservePort(request);
      return true;
    };
    group.connectPortRange = { first: 1015, last: 1016 };
    expect(manager.pickEphemeralPort(test, 0)).toBe(1015);
    expect(manager.pickEphemeralPortStable(17, test)).toBe(1016);
    expect(caught(() => manager.pickEphemeralPort(test, 0))).toMatchObject({
      code: "EADDRNOTAVAIL",
      searched: { first: 1000, last: 1019 },
    });
    expect(group.uses).toBe(2);
  });
});
