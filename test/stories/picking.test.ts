// Picking and testers: who is asked, how often, and what is undone.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../assembly/abi.ts";
import { throwing } from "../invalid-input/fixture.ts";
import { FIXTURES, type Fixture } from "../support/fixture.ts";
import { askOf, UDP } from "../support/story.ts";

const WEB = askOf({ transport: UDP });

describe.each(FIXTURES)("%s", (_name, open) => {
  /** Opens a fixture with a range of five ports. */
  function five(): Fixture {
    const fixture = open();
    fixture.setRange(2000, 2004);
    return fixture;
  }

  /** A tester that writes down what it is asked. */
  function noting(asked: number[], likes: (port: number) => boolean): (port: number) => boolean {
    return (port) => {
      asked.push(port);
      return likes(port);
    };
  }

  test("a tester of an explicit port is asked once, when the port is held already", () => {
    const fixture = five();
    const asked: number[] = [];
    const port = fixture.reserve(
      WEB,
      80,
      noting(asked, () => !fixture.isAvailable(WEB, 80)),
    );
    expect(port).toBe(80);
    expect(asked).toEqual([80]);
    fixture.close();
  });

  test("a tester is not asked about a port that is taken", () => {
    const fixture = five();
    fixture.reserve(WEB, 80);
    const asked: number[] = [];
    expect(
      fixture.reserve(
        WEB,
        80,
        noting(asked, () => true),
      ),
    ).toBe(IN_USE);
    expect(asked).toEqual([]);
    fixture.close();
  });

  test("what a tester refuses is undone", () => {
    const fixture = five();
    expect(fixture.reserve(WEB, 80, () => false)).toBe(IN_USE);
    expect(fixture.stats().references).toBe(0);
    expect(fixture.reserve(WEB, 80)).toBe(80);
    fixture.close();
  });

  test("what a tester throws comes out, and the port is free again", () => {
    const fixture = five();
    const error = new Error("no");
    const fails = throwing(error);
    expect(() => fixture.reserve(WEB, 80, fails)).toThrow(error);
    expect(() => fixture.bind(WEB, 0, fails)).toThrow(error);
    expect(fixture.stats().references).toBe(0);
    fixture.close();
  });

  test("a search goes on behind what its tester refuses, round the range, once", () => {
    const fixture = five();
    const asked: number[] = [];
    expect(
      fixture.bind(
        WEB,
        3,
        noting(asked, (port) => port === 2002),
      ),
    ).toBe(2002);
    expect(asked).toEqual([2003, 2004, 2000, 2001, 2002]);
    expect(fixture.stats().references).toBe(1);
    fixture.close();
  });

  test("a search offers a tester only what it could hold", () => {
    const fixture = five();
    fixture.reserve(WEB, 2001);
    fixture.reserve(WEB, 2003);
    const asked: number[] = [];
    expect(
      fixture.bind(
        WEB,
        1,
        noting(asked, () => false),
      ),
    ).toBe(EXHAUSTED);
    expect(asked).toEqual([2002, 2004, 2000]);
    expect(fixture.stats().references).toBe(2);
    fixture.close();
  });

  test("a search stops where its tester throws", () => {
    const fixture = five();
    const asked: number[] = [];
    const fails = noting(asked, (port) => {
      if (port === 2000) throw new Error("enough");
      return false;
    });
    expect(() => fixture.bind(WEB, 3, fails)).toThrow("enough");
    expect(asked).toEqual([2003, 2004, 2000]);
    expect(fixture.stats().references).toBe(0);
    fixture.close();
  });

  test("a tester may take, within a search, what the search would have come to", () => {
    const fixture = five();
    const asked: number[] = [];
    const port = fixture.bind(
      WEB,
      0,
      noting(asked, (candidate) => {
        if (candidate === 2000) fixture.reserve(WEB, 2001);
        return candidate > 2001;
      }),
    );
    expect(port).toBe(2002);
    expect(asked).toEqual([2000, 2002]);
    expect(fixture.stats().references).toBe(2);
    fixture.close();
  });

  test("a tester may free, within a search, what the search would have passed", () => {
    const fixture = five();
    fixture.reserve(WEB, 2001);
    const port = fixture.bind(WEB, 0, (candidate) => {
      if (candidate === 2000) fixture.release(WEB, 2001);
      return candidate !== 2000;
    });
    expect(port).toBe(2001);
    fixture.close();
  });

  test("a tester that changes the range does not change the search that is on", () => {
    const fixture = five();
    const asked: number[] = [];
    const change = noting(asked, () => {
      fixture.setRange(3000, 3001);
      return false;
    });
    expect(fixture.bind(WEB, 4, change)).toBe(EXHAUSTED);
    expect(asked).toEqual([2004, 2000, 2001, 2002, 2003]);
    expect(fixture.bind(WEB, 0)).toBe(3000);
    fixture.close();
  });

  test("picking reserves nothing, and offers what is held, too", () => {
    const fixture = five();
    fixture.reserve(WEB, 2002);
    const asked: number[] = [];
    expect(
      fixture.pick(
        2,
        noting(asked, (port) => port === 2001),
      ),
    ).toBe(2001);
    expect(asked).toEqual([2002, 2003, 2004, 2000, 2001]);
    expect(fixture.stats().references).toBe(1);
    fixture.close();
  });

  test("picking that finds nothing has asked about each port once", () => {
    const fixture = five();
    for (const offset of [0, 4, 5, 0xfffffffe, 0xffffffff]) {
      const asked: number[] = [];
      const nothing = noting(asked, () => false);
      expect(fixture.pick(offset, nothing)).toBe(EXHAUSTED);
      expect(fixture.pickStable(offset, nothing)).toBe(EXHAUSTED);
      expect(asked.slice(0, 5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
      expect(asked.slice(5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
    }
    fixture.close();
  });

  test("a stable pick moves on by one with each success, and only then", () => {
    const fixture = five();
    const yes = (): boolean => true;
    expect(fixture.pickStable(1, yes)).toBe(2001);
    expect(fixture.pickStable(1, yes)).toBe(2002);
    expect(fixture.pickStable(1, () => false)).toBe(EXHAUSTED);
    expect(() => fixture.pickStable(1, throwing(new Error("no")))).toThrow("no");
    expect(fixture.pickStable(1, yes)).toBe(2003);
    expect(fixture.pickStable(0, (port) => port === 2001)).toBe(2001);
    expect(fixture.pickStable(0, yes)).toBe(2004);
    fixture.close();
  });

  test("neither a pick nor a reservation moves the hint, and a new range keeps it", () => {
    const fixture = five();
    const yes = (): boolean => true;
    expect(fixture.pickStable(0, yes)).toBe(2000);
    fixture.pick(0, yes);
    fixture.bind(WEB, 0);
    fixture.setRange(3000, 3009);
    expect(fixture.pickStable(0, yes)).toBe(3001);
    expect(fixture.pickStable(0xffffffff, yes)).toBe(3001);
    fixture.close();
  });
});
