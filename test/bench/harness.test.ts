// How benchmarks measure and judge: works in turn, figures, digests and bars; and what is told of
// them. The works here are counted, so that nothing depends on the clock.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compareWith } from "../../bench/harness/compare.ts";
import { format, machine, time } from "../../bench/harness/format.ts";
import { figureOf, measureInTurn, timeOnce, type Work } from "../../bench/harness/measure.ts";
import type { Results } from "../../bench/harness/results.ts";
import {
  type Contender,
  isMet,
  type Row,
  Stage,
  type System,
  showBar,
} from "../../bench/harness/setup.ts";
import { digestOf } from "../../bench/harness/workloads.ts";
import { benchesOf, isCompared, isSameWork, linesOf } from "../../bench/report/lines.ts";
import { comparedLines, losses } from "../../bench/report/losses.ts";

let printed: string[];
beforeEach(() => {
  printed = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void printed.push(line));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** A work that writes down what is done with it. */
function logged(log: string[], name: string, more: Partial<Work> = {}): Work {
  return {
    operations: 10,
    prepare: () => void log.push(`prepare ${name}`),
    run: () => void log.push(name),
    close: () => void log.push(`close ${name}`),
    ...more,
  };
}

describe("figures", () => {
  test("are the median and the tenths at both ends", () => {
    const values = Array.from({ length: 11 }, (_, index) => 110 - 10 * index);
    expect(figureOf(values)).toEqual({ median: 60, p10: 20, p90: 100, samples: 11 });
  });

  test("of one value are that value", () => {
    expect(figureOf([7])).toEqual({ median: 7, p10: 7, p90: 7, samples: 1 });
  });

  test("do not change what they are made of", () => {
    const values = [3, 1, 2];
    figureOf(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test.each([
    [0, "0.00"],
    [0.0123, "0.012"],
    [1.1, "1.10"],
    [99.99, "99.99"],
    [1234.5, "1,235"],
  ])("%s is written %s", (value, text) => {
    expect(format(value)).toBe(text);
  });

  test.each([
    [12.34, "12.3 ns"],
    [1234, "1.23 us"],
    [12_345_678, "12.35 ms"],
  ])("%s nanoseconds are written %s", (ns, text) => {
    expect(time(ns)).toBe(text);
  });
});

describe("works in turn", () => {
  test("are prepared and run once in each round, another first each time, and closed", () => {
    const log: string[] = [];
    measureInTurn({ rounds: 1 }, [logged(log, "a"), logged(log, "b")]);
    expect(log).toEqual(["prepare a", "a", "prepare b", "b", "close a", "close b"]);

    log.length = 0;
    const plain = { prepare: () => {}, close: () => {} };
    measureInTurn({ rounds: 3 }, [logged(log, "a", plain), logged(log, "b", plain)]);
    expect(log.join(" ")).toBe("b a a b b a a b");
  });

  test("are warmed up before the rounds that count", () => {
    const log: string[] = [];
    const work = logged(log, "a", { prepare: () => {} });
    const measured = measureInTurn({ rounds: 20 }, [work]);
    expect(log.filter((entry) => entry === "a")).toHaveLength(22);
    expect(measured.figure(work).samples).toBe(20);
  });

  test("that are very slow are timed so many times, and not warmed up", () => {
    const log: string[] = [];
    const slow = logged(log, "slow", { most: 2 });
    const fast = logged(log, "fast");
    const measured = measureInTurn({ rounds: 10 }, [slow, fast]);
    expect(log.filter((entry) => entry === "slow")).toHaveLength(2);
    expect(measured.figure(slow).samples).toBe(2);
    expect(measured.figure(fast).samples).toBe(10);
  });

  test.each([{}, { most: 8 }])(
    "stop when their time is over, but not before three samples",
    (more) => {
      const work: Work = { operations: 1, run: () => wait(2), ...more };
      const measured = measureInTurn({ rounds: 10, milliseconds: 1 }, [work]);
      expect(measured.figure(work).samples).toBe(3);
    },
  );

  test("have figures per operation, and ratios between them", () => {
    const short: Work = { operations: 1, run: () => wait(1) };
    const long: Work = { operations: 1, run: () => wait(4) };
    const many: Work = { operations: 1000, run: () => wait(1) };
    const measured = measureInTurn({ rounds: 3 }, [short, long, many]);
    expect(measured.figure(short).median).toBeGreaterThanOrEqual(0.9e6);
    expect(measured.figure(many).median).toBeLessThan(measured.figure(short).median / 10);
    expect(measured.ratio(long, short)).toBeGreaterThan(1.5);
    expect(measured.ratio(short, short)).toBe(1);
  });

  test("that are timed once are run once", () => {
    let runs = 0;
    expect(timeOnce(() => void runs++)).toBeGreaterThanOrEqual(0);
    expect(runs).toBe(1);
  });

  test("pass on what they throw", () => {
    const run = (): never => {
      throw new RangeError("no port");
    };
    expect(() => measureInTurn({ rounds: 1 }, [{ operations: 1, run }])).toThrow("no port");
  });
});

describe("a stage", () => {
  const place = { bench: "some", row: "work", occupancy: 50 };

  function contender(
    system: Contender["system"],
    results: number[],
    log: string[] = [],
  ): Contender {
    return { ...logged(log, system), system, digest: () => digestOf(results) };
  }

  test("keeps a row for each of those that do the same work, and prints it", () => {
    const stage = new Stage(false);
    const both = [contender("handles", [1, 2]), contender("reference", [1, 2])];
    const measured = stage.compare(place, both, { rounds: 5 });
    const [ours, reference] = stage.rows;
    expect(stage.rows).toHaveLength(2);
    expect(ours).toEqual({
      ...place,
      system: "handles",
      unit: "ns",
      operations: 10,
      digest: digestOf([1, 2]),
      ...measured.figure(both[0] as Contender),
    });
    expect(reference).toMatchObject({ system: "reference", samples: 5, digest: digestOf([1, 2]) });
    expect(printed).toHaveLength(2);
    expect(printed[0]).toMatch(/^some\/work +50 % handles +\d/);
    expect(stage.median("some", "work", "reference", 50)).toBe(reference?.median);
    expect(() => stage.median("some", "work", "reference")).toThrow(
      "no row some/work of reference",
    );
  });

  test("refuses systems whose results differ, before any of them is timed", () => {
    const log: string[] = [];
    const stage = new Stage(false);
    const both = [contender("handles", [1, 2], log), contender("reference", [2, 1], log)];
    expect(() => stage.compare(place, both)).toThrow(
      `some/work: the digests differ: handles ${digestOf([1, 2])}, reference ${digestOf([2, 1])}`,
    );
    expect(log).toEqual([]);
    expect(stage.rows).toEqual([]);
  });

  test("samples several places in turn, each with results of its own", () => {
    const log: string[] = [];
    const stage = new Stage(true);
    stage.compareAll([
      { place, contenders: [contender("handles", [1], log)] },
      { place: { ...place, occupancy: 99 }, contenders: [contender("handles", [2], log)] },
    ]);
    expect(log.filter((entry) => entry === "handles")).toHaveLength(2);
    expect(stage.rows.map(({ digest }) => digest)).toEqual([digestOf([1]), digestOf([2])]);
    expect(stage.rows.map(({ occupancy }) => occupancy)).toEqual([50, 99]);
  });

  test("runs each work once where the run is tiny", () => {
    const log: string[] = [];
    const stage = new Stage(true);
    stage.compare(place, [contender("handles", [1], log)], { rounds: 100 });
    expect(log.filter((entry) => entry === "handles")).toHaveLength(1);
    expect(stage.rows[0]?.samples).toBe(1);
  });

  test("keeps what was measured apart, if it is a figure", () => {
    const stage = new Stage(false);
    const row = stage.keepOne({ bench: "some", row: "size" }, "handles", 8, { unit: "bytes" });
    expect(row).toEqual({
      bench: "some",
      row: "size",
      system: "handles",
      occupancy: null,
      unit: "bytes",
      median: 8,
      p10: 8,
      p90: 8,
      operations: 1,
      samples: 1,
      digest: null,
    });
    expect(printed[0]).toMatch(/8\.00 B {2}once$/);
    expect(() => stage.keepOne(place, "handles", Number.NaN)).toThrow("some/work has no figure");
  });

  test.each([
    [{ value: 2, atLeast: 2 }, true],
    [{ value: 1.99, atLeast: 2 }, false],
    [{ value: 2, atMost: 2 }, true],
    [{ value: 2.01, atMost: 2 }, false],
    [{ value: 3, atLeast: 2, atMost: 4 }, true],
    [{ value: 5, atLeast: 2, atMost: 4 }, false],
  ])("judges %o: %s", (limits, met) => {
    const bar = { name: "ratio", ...limits };
    const stage = new Stage(false);
    stage.judge(bar);
    stage.close();
    expect(isMet(bar)).toBe(met);
    expect(showBar(bar)).toMatch(met ? /met$/ : /MISSED$/);
    expect(process.exitCode).toBe(met ? undefined : 1);
    expect(printed.at(-1)).toBe(met ? "\n1 bars met, 0 missed" : "\n0 bars met, 1 missed");
  });

  test("judges nothing where the run is tiny", () => {
    const stage = new Stage(true);
    stage.judge({ name: "ratio", value: 1, atLeast: 2000 });
    stage.close();
    expect(printed).toEqual(["        ratio: 1.00 (at least 2,000)"]);
    expect(process.exitCode).toBe(undefined);
  });
});

test("two runs are compared row by row", () => {
  const machine = { cpu: "c", cores: 1, node: "n", v8: "v", system: "s", commit: "c" };
  const results = (medians: Record<string, number>, digest = "d"): Results => {
    const stage = new Stage(true);
    for (const [row, median] of Object.entries(medians)) {
      stage.keepOne({ bench: "b", row }, "handles", median, { digest });
    }
    stage.keepOne({ bench: "b", row: "same" }, "gvisor (recorded)", 5);
    return { machine, smoke: false, rows: stage.rows, bars: [] };
  };
  const [old, now] = [results({ a: 10, b: 10, gone: 1 }), results({ a: 20, b: 5, come: 1 }, "e")];
  printed = [];
  compareWith(old, now);
  expect(printed.slice(2)).toEqual([
    expect.stringMatching(/^b\/a handles +10\.0 ns +20\.0 ns {2}2\.00 \* {2}another digest$/),
    expect.stringMatching(/^b\/b handles +10\.0 ns +5\.0 ns {2}0\.50 \* {2}another digest$/),
    expect.stringMatching(/^b\/come handles +new$/),
    expect.stringMatching(/^b\/gone handles +not measured now$/),
    "\ngeometric means:\nhandles           1.000  of 2 rows",
  ]);
});

test("a comparison leaves out what was not run, and marks what is outside the spread", () => {
  const machine = { cpu: "c", cores: 1, node: "n", v8: "v", system: "s", commit: "c" };
  const results = (bench: string, medians: readonly number[]): Results => {
    const stage = new Stage(true);
    for (const [row, median] of medians.entries()) {
      stage.keepOne({ bench, row: `${row}` }, "words", median, { p10: 9, p90: 11 });
    }
    return { machine, smoke: false, rows: stage.rows, bars: [] };
  };
  const [some, other] = [results("some", [10, 10, 10]), results("other", [1])];
  const old = { ...some, rows: [...some.rows, ...other.rows] };
  const now = results("some", [11, 12, 8]);
  printed = [];
  compareWith(old, now);
  expect(printed.slice(2, -1)).toEqual([
    expect.stringMatching(/ 1\.10$/),
    expect.stringMatching(/ 1\.20 \*$/),
    expect.stringMatching(/ 0\.80 \*$/),
  ]);
});

test("a run knows its machine and its date", () => {
  const { date = "", memory } = machine();
  expect(new Date(date).toISOString()).toBe(date);
  expect(memory).toBeGreaterThan(0);
});

describe("where others win", () => {
  function stageOf(
    ...rows: [row: string, system: System, ns: number, digest: string | null][]
  ): Row[] {
    const stage = new Stage(true);
    for (const [row, system, ns, digest] of rows) {
      stage.keepOne({ bench: "b", row }, system, ns, { digest });
    }
    return stage.rows;
  }

  test("only those compare who did the same work in this run", () => {
    const [ours, same, other, recorded, none] = stageOf(
      ["a", "handles", 10, "x"],
      ["a", "js-bitmap", 5, "x"],
      ["a", "js-bitmap batch", 5, "y"],
      ["a", "gvisor (recorded)", 5, null],
      ["a", "reference", 5, null],
    ) as [Row, Row, Row, Row, Row];
    expect([same, other, recorded, none].map((row) => isSameWork(ours, row))).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(isSameWork(none, recorded)).toBe(false);
    expect(isCompared([ours, same])).toBe(true);
    expect(isCompared([ours, other])).toBe(false);
    expect(isCompared([none, recorded])).toBe(false);
  });

  test("each rival is held against the fastest of ours, words only where they are alone", () => {
    const rows = stageOf(
      ["a", "handles", 20, "x"],
      ["a", "words", 5, "x"],
      ["a", "js-bitmap", 10, "x"],
      ["b", "handles", 30, "y"],
      ["b", "batch", 12, "y"],
      ["b", "js-bitmap", 10, "y"],
      ["c", "words", 40, null],
      ["c", "reference", 10, null],
      ["d", "handles", 10.4, "z"],
      ["d", "js-bitmap", 10, "z"],
    );
    const text = losses(rows);
    expect(text).toContain("| b | js-bitmap | equal | 2 of 3 | 1.60 x | 2.00 x: a, handles |");
    expect(text).toContain("| b | reference | none | 1 of 1 | 4.00 x | 4.00 x: c, words |");
    expect(text).toContain("<summary>all 3 of them</summary>");
    expect(text).toContain("| b/b |  | batch 12.0 ns | js-bitmap 10.0 ns (1.20 x) |");
    expect(comparedLines(rows)).toMatch(/^In 3 of 4 lines, /);
  });

  test("nothing is listed where nobody does", () => {
    const rows = stageOf(["a", "handles", 5, "x"], ["a", "reference", 10, "x"]);
    expect(losses(rows)).toMatch(/\n\nIn none of 1 comparisons\.$/);
    const alone = stageOf(["a", "handles", 5, "x"]);
    expect(comparedLines(alone)).toMatch(/Benchmarks without such a line: b\.$/);
    expect(benchesOf(alone)).toEqual(["b"]);
    expect(linesOf(rows)).toHaveLength(1);
  });
});

function wait(ms: number): void {
  const end = process.hrtime.bigint() + BigInt(ms * 1e6);
  while (process.hrtime.bigint() < end);
}
