// Picking and testers: which ports a tester is asked about, how often, and what is undone.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../assembly/abi.ts";
import { throwing } from "../invalid-input/fixture.ts";
import type { System } from "../replay/system.ts";
import { FIXTURES } from "../support/fixture.ts";
import { askOf, UDP } from "../support/story.ts";

const WEB = askOf({ transport: UDP });

describe.each(FIXTURES)("%s", (_name, open) => {
  /** A test on a system with a range of five ports. */
  function five(name: string, act: (system: System) => void): void {
    test(name, () => {
      const system = open();
      system.setRange(2000, 2004);
      act(system);
      system.close();
    });
  }

  /** A tester that writes down what it is asked. */
  function noting(asked: number[], likes: (port: number) => boolean): (port: number) => boolean {
    return (port) => {
      asked.push(port);
      return likes(port);
    };
  }

  five("a tester of an explicit port is asked once, when the port is held already", (system) => {
    const asked: number[] = [];
    const tester = noting(asked, () => !system.isAvailable(WEB, 80));
    const port = system.reserve(WEB, 80, tester);
    expect(port).toBe(80);
    expect(asked).toEqual([80]);
  });

  five("a tester is not asked about a port that is taken", (system) => {
    system.reserve(WEB, 80);
    const asked: number[] = [];
    const tester = noting(asked, () => true);
    expect(system.reserve(WEB, 80, tester)).toBe(IN_USE);
    expect(asked).toEqual([]);
  });

  five("what a tester refuses is undone", (system) => {
    expect(system.reserve(WEB, 80, () => false)).toBe(IN_USE);
    expect(system.stats().references).toBe(0);
    expect(system.reserve(WEB, 80)).toBe(80);
  });

  five("what a tester throws comes out, and the port is free again", (system) => {
    const error = new Error("no");
    const fails = throwing(error);
    expect(() => system.reserve(WEB, 80, fails)).toThrow(error);
    expect(() => system.search(WEB, 0, fails)).toThrow(error);
    expect(system.stats().references).toBe(0);
  });

  five("a search goes on behind what its tester refuses, round the range, once", (system) => {
    const asked: number[] = [];
    const tester = noting(asked, (port) => port === 2002);
    expect(system.search(WEB, 3, tester)).toBe(2002);
    expect(asked).toEqual([2003, 2004, 2000, 2001, 2002]);
    expect(system.stats().references).toBe(1);
  });

  five("a search offers a tester only what it could hold", (system) => {
    system.reserve(WEB, 2001);
    system.reserve(WEB, 2003);
    const asked: number[] = [];
    const tester = noting(asked, () => false);
    expect(system.search(WEB, 1, tester)).toBe(EXHAUSTED);
    expect(asked).toEqual([2002, 2004, 2000]);
    expect(system.stats().references).toBe(2);
  });

  five("a search stops where its tester throws", (system) => {
    const asked: number[] = [];
    const fails = noting(asked, (port) => {
      if (port === 2000) throw new Error("enough");
      return false;
    });
    expect(() => system.search(WEB, 3, fails)).toThrow("enough");
    expect(asked).toEqual([2003, 2004, 2000]);
    expect(system.stats().references).toBe(0);
  });

  five("a tester may take, within a search, what the search would have come to", (system) => {
    const asked: number[] = [];
    const tester = noting(asked, (candidate) => {
      if (candidate === 2000) system.reserve(WEB, 2001);
      return candidate > 2001;
    });
    const port = system.search(WEB, 0, tester);
    expect(port).toBe(2002);
    expect(asked).toEqual([2000, 2002]);
    expect(system.stats().references).toBe(2);
  });

  five("a tester may free, within a search, what the search would have passed", (system) => {
    system.reserve(WEB, 2001);
    const port = system.search(WEB, 0, (candidate) => {
      if (candidate === 2000) system.release(WEB, 2001);
      return candidate !== 2000;
    });
    expect(port).toBe(2001);
  });

  five("a tester that changes the range does not change the search that is on", (system) => {
    const asked: number[] = [];
    const change = noting(asked, () => {
      system.setRange(3000, 3001);
      return false;
    });
    expect(system.search(WEB, 4, change)).toBe(EXHAUSTED);
    expect(asked).toEqual([2004, 2000, 2001, 2002, 2003]);
    expect(system.search(WEB, 0)).toBe(3000);
  });

  five("picking reserves nothing, and offers what is held, too", (system) => {
    system.reserve(WEB, 2002);
    const asked: number[] = [];
    const tester = noting(asked, (port) => port === 2001);
    expect(system.pick(2, tester)).toBe(2001);
    expect(asked).toEqual([2002, 2003, 2004, 2000, 2001]);
    expect(system.stats().references).toBe(1);
  });

  five("picking that finds nothing has asked about each port once", (system) => {
    for (const offset of [0, 4, 5, 0xfffffffe, 0xffffffff]) {
      const asked: number[] = [];
      const nothing = noting(asked, () => false);
      expect(system.pick(offset, nothing)).toBe(EXHAUSTED);
      expect(system.pickStable(offset, nothing)).toBe(EXHAUSTED);
      expect(asked.slice(0, 5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
      expect(asked.slice(5).sort()).toEqual([2000, 2001, 2002, 2003, 2004]);
    }
  });

  five("a stable pick moves on by one with each success, and only then", (system) => {
    const yes = (): boolean => true;
    expect(system.pickStable(1, yes)).toBe(2001);
    expect(system.pickStable(1, yes)).toBe(2002);
    expect(system.pickStable(1, () => false)).toBe(EXHAUSTED);
    expect(() => system.pickStable(1, throwing(new Error("no")))).toThrow("no");
    expect(system.pickStable(1, yes)).toBe(2003);
    expect(system.pickStable(0, (port) => port === 2001)).toBe(2001);
    expect(system.pickStable(0, yes)).toBe(2004);
  });

  five("neither a pick nor a reservation moves the hint, and a new range keeps it", (system) => {
    const yes = (): boolean => true;
    expect(system.pickStable(0, yes)).toBe(2000);
    system.pick(0, yes);
    system.search(WEB, 0);
    system.setRange(3000, 3009);
    expect(system.pickStable(0, yes)).toBe(3001);
    expect(system.pickStable(0xffffffff, yes)).toBe(3001);
  });
});
