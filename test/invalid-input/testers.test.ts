// Testers that misbehave: they answer no boolean, throw, use the manager, close it, or change the
// range; and getters of a request that do the same. The manager is never half changed.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PortManager, TCP, UDP } from "../../bindings/index.ts";
import { BUILDS, openOn } from "../support/builds.ts";
import {
  CLOSED,
  caught,
  closeFixture,
  expectRefused,
  expectThrown,
  type Fixture,
  getting,
  openFixture,
  picture,
  type Refused,
  RIGHT,
  throwing,
  wrong,
} from "./fixture.ts";

const WEB = { networks: [4, 6], transport: UDP };
const VERDICT: Refused = { code: "ERR_INVALID_RETURN_VALUE", says: "must answer true or false" };

type Test = (port: number) => boolean;

/** Every call that takes a tester. */
const ASKS: readonly (readonly [string, (manager: PortManager, test: Test) => unknown])[] = [
  ["reservePort with a port", (manager, test) => manager.reservePort({ ...WEB, port: 90 }, test)],
  ["reservePort without one", (manager, test) => manager.reservePort({ ...WEB, offset: 3 }, test)],
  ["tryReserve", (manager, test) => manager.tryReserve({ ...WEB, offset: 3 }, test)],
  ["pickEphemeralPort", (manager, test) => manager.pickEphemeralPort(test, 3)],
  ["pickEphemeralPortStable", (manager, test) => manager.pickEphemeralPortStable(3, test)],
];

describe.each(BUILDS)("%s build", (build) => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = openFixture(build);
  });
  afterEach(() => {
    closeFixture(fixture);
  });

  describe.each(ASKS)("%s", (name, ask) => {
    const isNamed = name === "reservePort with a port";

    test.each([
      ["nothing", undefined],
      ["null", null],
      ["1", 1],
      ["0", 0],
      ["a text", "true"],
      ["a promise of true", Promise.resolve(true)],
      ["a boxed boolean", Object(false)],
    ])("refuses a tester that answers %s, and undoes the reservation", (_name, verdict) => {
      expectRefused(fixture, ({ manager }) => ask(manager, () => wrong(verdict)), VERDICT);
    });

    test("refuses an async function as tester", () => {
      const tester = wrong<Test>(async () => true);
      expectRefused(fixture, ({ manager }) => ask(manager, tester), VERDICT);
    });

    test.each([
      ["an error", new Error("mine")],
      ["a text", "mine"],
      ["nothing", undefined],
      [
        "an error that looks like one of ours",
        Object.assign(new Error("x"), { code: "EADDRINUSE" }),
      ],
    ])("passes on %s that a tester throws", (_name, thrown) => {
      const fails = throwing(thrown);
      expectThrown(fixture, ({ manager }) => ask(manager, fails), thrown);
    });

    test("passes on what a tester throws after it has refused some ports", () => {
      const error = new Error("enough");
      let calls = 0;
      const fails = (): boolean => {
        if (++calls > 2 || isNamed) throw error;
        return false;
      };
      expectThrown(fixture, ({ manager }) => ask(manager, fails), error);
    });

    test("lets a tester use the manager", () => {
      const { manager } = fixture;
      const other = { networks: [4], transport: 33 };
      const answer = ask(manager, (port) => {
        manager.reservePort({ ...other, port });
        manager.pool(other).close();
        manager.stats();
        return manager.releasePort({ ...other, port });
      });
      expect(answer).toBeDefined();
    });

    test.each([
      ["says true", () => true],
      ["says false", () => false],
      ["throws", throwing(new Error("mine"))],
    ])("survives a tester that closes the manager and %s: it ends at once", (_name, end) => {
      const manager = openOn(build, { portRange: { first: 3000, last: 3003 } });
      const before = picture(fixture);
      let calls = 0;
      const error = caught(() =>
        ask(manager, () => {
          calls++;
          manager.close();
          return end();
        }),
      );
      const isOurs = !(error instanceof Error && error.message === "mine");
      if (isOurs) expect(error).toMatchObject({ name: "PortError", code: "EBADF" });
      expect(calls).toBe(1);
      expect(caught(() => manager.stats())).toMatchObject({ code: "EBADF" });
      expect(picture(fixture)).toEqual(before);
    });

    test("goes on in the range that it began with, when a tester changes it", () => {
      using manager = openOn(build, { portRange: { first: 3000, last: 3003 } });
      const seen: number[] = [];
      caught(() =>
        ask(manager, (port) => {
          seen.push(port);
          manager.setPortRange(4000, 4001);
          return false;
        }),
      );
      const whole = [3003, 3000, 3001, 3002];
      expect(seen).toEqual(isNamed ? [90] : whole);
      expect(manager.portRange()).toEqual({ first: 4000, last: 4001 });
    });

    test("may be called again from its own tester", () => {
      const { manager } = fixture;
      let depth = 0;
      const tester = (): boolean => {
        if (++depth < 4) caught(() => ask(manager, tester));
        return depth >= 4;
      };
      caught(() => ask(manager, tester));
      // An explicit port is held while its tester is asked, so it is not offered again.
      expect(depth).toBe(isNamed ? 1 : 4);
      picture(fixture);
    });
  });

  // ── Code of the caller's that runs elsewhere ────────────────────────────────────────────

  describe("a getter of the request that closes the manager", () => {
    const operations: readonly (readonly [
      string,
      (manager: PortManager, request: never) => unknown,
    ])[] = [
      ["reservePort", (manager, request) => manager.reservePort(request)],
      ["reserveTuple", (manager, request) => manager.reserveTuple(request)],
      ["releasePort", (manager, request) => manager.releasePort(request)],
      ["isAvailable", (manager, request) => manager.isAvailable(request)],
    ];

    test.each(operations)("does not get %s to touch what is gone", (_name, ask) => {
      const manager = openOn(build);
      const request = { ...RIGHT };
      getting(request, "address", () => {
        manager.close();
        return "10.0.0.1";
      });
      expectRefused(fixture, () => ask(manager, wrong(request)), CLOSED);
    });

    test("does not get a pool opened on what is gone", () => {
      const manager = openOn(build);
      const options = {
        networks: [4],
        transport: TCP,
        get unique() {
          manager.close();
          return true;
        },
      };
      expectRefused(fixture, () => manager.pool(options), CLOSED);
    });
  });

  test("a getter that uses the manager does not change what is asked", () => {
    const { manager } = fixture;
    const reservation = manager.reservePort({
      networks: [4],
      transport: TCP,
      address: "10.0.0.7",
      get port() {
        manager.reservePort({ ...WEB, address: "10.0.0.8", port: 1234 });
        return 4321;
      },
    });
    expect(reservation).toMatchObject({ address: "10.0.0.7", port: 4321, transport: TCP });
  });
});
