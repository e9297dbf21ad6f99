// Picking and testers: who is asked, how often, and what is undone.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../assembly/abi.ts";
import { STAGES, type Stage } from "../support/stage.ts";
import { askOf, UDP } from "../support/story.ts";

const WEB = askOf({ transport: UDP });

describe.each(STAGES)("%s", (_name, open) => {
  /** Opens a stage with a range of five ports. */
  function five(): Stage {
    const stage = open();
    stage.setRange(2000, 2004);
    return stage;
  }

  /** A tester that writes down what it is asked. */
  function noting(asked: number[], likes: (port: number) => boolean): (port: number) => boolean {
    return (port) => {
      asked.push(port);
      return likes(port);
    };
  }

  test("a tester of an explicit port is asked once, when the port is held already", () => {
    const stage = five();
    const asked: number[] = [];
    const port = stage.reserve(
      WEB,
      80,
      noting(asked, () => !stage.isAvailable(WEB, 80)),
    );
    expect(port).toBe(80);
    expect(asked).toEqual([80]);
    stage.close();
  });

  test("a tester is not asked about a port that is taken", () => {
    const stage = five();
    stage.reserve(WEB, 80);
    const asked: number[] = [];
    expect(
      stage.reserve(
        WEB,
        80,
        noting(asked, () => true),
      ),
    ).toBe(IN_USE);
    expect(asked).toEqual([]);
    stage.close();
  });

  test("what a tester refuses is undone", () => {
    const stage = five();
    expect(stage.reserve(WEB, 80, () => false)).toBe(IN_USE);
    expect(stage.stats().references).toBe(0);
    expect(stage.reserve(WEB, 80)).toBe(80);
    stage.close();
  });

  test("what a tester throws comes out, and the port is free again", () => {
    const stage = five();
    const error = new Error("no");
    const fails = (): boolean => {
      throw error;
    };
    expect(() => stage.reserve(WEB, 80, fails)).toThrow(error);
    expect(() => stage.bind(WEB, 0, fails)).toThrow(error);
    expect(stage.stats().references).toBe(0);
    stage.close();
  });

  test("a search goes on behind what its tester refuses, round the range, once", () => {
    const stage = five();
    const asked: number[] = [];
    expect(
      stage.bind(
        WEB,
        3,
        noting(asked, (port) => port === 2002),
      ),
    ).toBe(2002);
    expect(asked).toEqual([2003, 2004, 2000, 2001, 2002]);
    expect(stage.stats().references).toBe(1);
    stage.close();
  });

  test("a search offers a tester only what it could hold", () => {
    const stage = five();
    stage.reserve(WEB, 2001);
    stage.reserve(WEB, 2003);
    const asked: number[] = [];
    expect(
      stage.bind(
        WEB,
        1,
        noting(asked, () => false),
      ),
    ).toBe(EXHAUSTED);
    expect(asked).toEqual([2002, 2004, 2000]);
    expect(stage.stats().references).toBe(2);
    stage.close();
  });

  test("a search stops where its tester throws", () => {
    const stage = five();
    const asked: number[] = [];
    const fails = noting(asked, (port) => {
      if (port === 2000) throw new Error("enough");
      return false;
    });
    expect(() => stage.bind(WEB, 3, fails)).toThrow("enough");
    expect(asked).toEqual([2003, 2004, 2000]);
    expect(stage.stats().references).toBe(0);
    stage.close();
  });

  test("a tester may take, within a search, what the search would have come to", () => {
    const stage = five();
    const asked: number[] = [];
    const port = stage.bind(
      WEB,
      0,
      noting(asked, (candidate) => {
        if (candidate === 2000) stage.reserve(WEB, 2001);
        return candidate > 2001;
      }),
    );
    expect(port).toBe(2002);
    expect(asked).toEqual([2000, 2002]);
    expect(stage.stats().references).toBe(2);
    stage.close();
  });

  test("a tester may free, within a search, what the search would have passed", () => {
    const stage = five();
    stage.reserve(WEB, 2001);
    const port = stage.bind(WEB, 0, (candidate) => {
      if (candidate === 2000) stage.release(WEB, 2001);
      return candidate !== 2000;
    });
    expect(port).toBe(2001);
    stage.close();
  });

  test("a tester that changes the range does not change the search that is on", () => {
    const stage = five();
    const asked: number[] = [];
    const change = noting(asked, () => {
      stage.setRange(3000, 3001);
      return false;
    });
    expect(stage.bind(WEB, 4, change)).toBe(EXHAUSTED);
    expect(asked).toEqual([2004, 2000, 2001, 2002, 2003]);
    expect(stage.bind(WEB, 0)).toBe(3000);
    stage.close();
  });

  test("picking reserves nothing, and offers what is held, too", () => {
    const stage = five();
    stage.reserve(WEB, 2002);
    const asked: number[] = [];
    expect(
      stage.pick(
        2,
        noting(asked, (port) => port === 2001),
      ),
    ).toBe(2001);
    expect(asked).toEqual([2002, 2003, 2004, 2000, 2001]);
    expect(stage.stats().references).toBe(1);
    stage.close();
  });

  test("picking that finds nothing has asked about each port once", () => {
    const stage = five();
    for (const offset of [0, 4, 5, 0xfffffffe, 0xffffffff]) {
      const asked: number[] = [];
      const nothing = noting(asked, () => false);
      expect(stage.pick(offset, nothing)).toBe(EXHAUSTED);
      expect(stage.pickStable(offset, nothing)).toBe(EXHAUSTED);
      expect(asked.slice(0, 5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
      expect(asked.slice(5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
    }
    stage.close();
  });

  test("a stable pick moves on by one with each success, and only then", () => {
    const stage = five();
    const yes = (): boolean => true;
    expect(stage.pickStable(1, yes)).toBe(2001);
    expect(stage.pickStable(1, yes)).toBe(2002);
    expect(stage.pickStable(1, () => false)).toBe(EXHAUSTED);
    expect(() =>
      stage.pickStable(1, () => {
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(stage.pickStable(1, yes)).toBe(2003);
    expect(stage.pickStable(0, (port) => port === 2001)).toBe(2001);
    expect(stage.pickStable(0, yes)).toBe(2004);
    stage.close();
  });

  test("neither a pick nor a reservation moves the hint, and a new range keeps it", () => {
    const stage = five();
    const yes = (): boolean => true;
    expect(stage.pickStable(0, yes)).toBe(2000);
    stage.pick(0, yes);
    stage.bind(WEB, 0);
    stage.setRange(3000, 3009);
    expect(stage.pickStable(0, yes)).toBe(3001);
    expect(stage.pickStable(0xffffffff, yes)).toBe(3001);
    stage.close();
  });
});
