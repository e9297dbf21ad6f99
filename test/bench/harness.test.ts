// How benchmarks measure, check and report: works that take turns, figures, digests, thresholds.
// The works here are counted, so that nothing depends on the clock.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  openBitmaps,
  openPools,
  openReferenceModel,
  openReservations,
  openSets,
  plainMember,
} from "../../bench/harness/allocators.ts";
import { compareWith } from "../../bench/harness/compare.ts";
import { format, runOn, time } from "../../bench/harness/format.ts";
import { copyFor, takingMany, takingOne } from "../../bench/harness/loops.ts";
import { figureOf, measureByTurns, type Work } from "../../bench/harness/measure.ts";
import { draining, keepOnce, Runner, taking } from "../../bench/harness/phases.ts";
import type { Results } from "../../bench/harness/results.ts";
import { isSameWork } from "../../bench/harness/rows.ts";
import {
  type Implementation,
  isMet,
  type Row,
  Session,
  type System,
  showThreshold,
} from "../../bench/harness/session.ts";
import { showSideBySide } from "../../bench/harness/side-by-side.ts";
import { digestOf, offsetsOf } from "../../bench/harness/workloads.ts";

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

test("a figure is the median and the tenths at both ends, and is written in three digits", () => {
  const values = Array.from({ length: 11 }, (_, index) => 110 - 10 * index);
  expect(figureOf(values)).toEqual({ median: 60, p10: 20, p90: 100, samples: 11 });
  expect(values[0]).toBe(110);
  expect(figureOf([7])).toEqual({ median: 7, p10: 7, p90: 7, samples: 1 });
  expect([0, 0.0123, 99.99, 1234.5].map(format)).toEqual(["0.00", "0.012", "99.99", "1,235"]);
  expect([12.34, 1234, 12_345_678].map(time)).toEqual(["12.3 ns", "1.23 us", "12.35 ms"]);
});

describe("works that take turns", () => {
  test("are prepared and run once in each round, another first each time, and closed", () => {
    const log: string[] = [];
    measureByTurns({ rounds: 1 }, [logged(log, "a"), logged(log, "b")]);
    expect(log).toEqual(["prepare a", "a", "prepare b", "b", "close a", "close b"]);

    log.length = 0;
    const plain = { prepare: () => {}, close: () => {} };
    measureByTurns({ rounds: 3 }, [logged(log, "a", plain), logged(log, "b", plain)]);
    expect(log.join(" ")).toBe("b a a b b a a b");
  });

  test("are warmed up, but for a slow one, which is timed so many times", () => {
    const log: string[] = [];
    const [slow, fast] = [logged(log, "slow", { most: 2 }), logged(log, "fast")];
    const measured = measureByTurns({ rounds: 20 }, [slow, fast]);
    const runs = (name: string): number => log.filter((entry) => entry === name).length;
    expect([runs("slow"), runs("fast")]).toEqual([2, 22]);
    expect([slow, fast].map((work) => measured.figure(work).samples)).toEqual([2, 20]);
  });

  test.each([{}, { most: 8 }])("stop in time, but after three samples at least: %o", (more) => {
    const work: Work = { operations: 1, run: () => wait(2), ...more };
    const measured = measureByTurns({ rounds: 10, milliseconds: 1 }, [work]);
    expect(measured.figure(work).samples).toBe(3);
  });

  test("have figures for each operation, and ratios between them", () => {
    const short: Work = { operations: 1, run: () => wait(1) };
    const many: Work = { operations: 1000, run: () => wait(1) };
    const measured = measureByTurns({ rounds: 3 }, [short, many]);
    expect(measured.figure(short).median).toBeGreaterThanOrEqual(0.9e6);
    expect(measured.ratio(short, many)).toBeGreaterThan(1);
    expect(measured.ratio(short, short)).toBe(1);
  });
});

describe("a session", () => {
  const key = { suite: "some", workload: "work", occupancy: 50 };

  function implementation(system: System, results: number[], log: string[] = []): Implementation {
    return { ...logged(log, system), system, digest: () => digestOf(results) };
  }

  test("a session keeps and prints a row for each of those that do the same work", () => {
    const session = new Session(false);
    const both = [implementation("pool", [1, 2]), implementation("reference model", [1, 2])];
    const measured = session.compare(key, both, { rounds: 5 });
    const [ours, model] = session.rows;
    expect(session.rows).toHaveLength(2);
    expect(ours).toEqual({
      ...key,
      system: "pool",
      unit: "ns",
      operations: 10,
      digest: digestOf([1, 2]),
      ...measured.figure(both[0] as Implementation),
    });
    expect(model).toMatchObject({ system: "reference model", samples: 5 });
    expect(printed).toHaveLength(2);
    expect(printed[0]).toMatch(/^some\/work +50 % pool +\d/);
    expect(session.median(key, "reference model")).toBe(model?.median);
    expect(() => session.median({ suite: "some", workload: "work" }, "pool")).toThrow(
      "no row some/work of pool",
    );
  });

  test("a session refuses systems whose results differ, before any of them is timed", () => {
    const log: string[] = [];
    const session = new Session(false);
    const both = [implementation("pool", [1, 2], log), implementation("Set", [2, 1], log)];
    expect(() => session.compare(key, both)).toThrow(
      `some/work: the digests differ: pool ${digestOf([1, 2])}, Set ${digestOf([2, 1])}`,
    );
    expect(log).toEqual([]);
    expect(session.rows).toEqual([]);
  });

  test("a tiny session runs several works by turns once, each with results of its own", () => {
    const log: string[] = [];
    const session = new Session(true);
    session.compareAll([
      { key, implementations: [implementation("pool", [1], log)] },
      { key: { ...key, occupancy: 99 }, implementations: [implementation("pool", [2], log)] },
    ]);
    expect(log.filter((entry) => entry === "pool")).toHaveLength(2);
    const [one, other] = session.rows;
    expect(one).toMatchObject({ digest: digestOf([1]), occupancy: 50, samples: 1 });
    expect(other).toMatchObject({ digest: digestOf([2]), occupancy: 99, samples: 1 });
  });

  test("a session keeps what was measured elsewhere, if it is a figure", () => {
    const session = new Session(false);
    const size = { suite: "some", workload: "size" };
    const row = session.keepOne(size, "pool", 8, { unit: "bytes" });
    expect(row).toMatchObject({ ...size, median: 8, p10: 8, p90: 8, samples: 1, digest: null });
    expect(printed[0]).toMatch(/8\.00 B {2}once$/);
    expect(() => session.keepOne(key, "pool", Number.NaN)).toThrow("some/work has no figure");
  });

  test("a row of one run must have the digest of the rows that are there", () => {
    const session = new Session(true);
    session.keepOne(key, "pool", 1, { digest: "aa" });
    const model = { system: "reference model", operations: 1 } as const;
    expect(() => keepOnce(session, key, model, 1, "bb")).toThrow("the digests differ: pool aa");
    keepOnce(session, key, model, 1, "aa");
    expect(session.rows).toHaveLength(2);
  });

  test.each([
    [{ value: 2, atLeast: 2 }, true],
    [{ value: 1.99, atLeast: 2 }, false],
    [{ value: 2, atMost: 2 }, true],
    [{ value: 2.01, atMost: 2 }, false],
    [{ value: 3, atLeast: 2, atMost: 4 }, true],
    [{ value: 5, atLeast: 2, atMost: 4 }, false],
  ])("the threshold %o is met: %s; a tiny session misses none", (limits, met) => {
    const threshold = { name: "ratio", ...limits };
    const tiny = new Session(true);
    tiny.check(threshold);
    tiny.close();
    expect([printed.length, process.exitCode]).toEqual([1, undefined]);
    const session = new Session(false);
    session.check(threshold);
    session.close();
    expect(isMet(threshold)).toBe(met);
    expect(showThreshold(threshold)).toMatch(met ? /met$/ : /MISSED$/);
    expect(process.exitCode).toBe(met ? undefined : 1);
    expect(printed).toContain(`\n${met ? 1 : 0} thresholds met, ${met ? 0 : 1} missed`);
    if (!met) expect(printed.at(-1)).toMatch(/^ratio: .* MISSED$/);
  });
});

describe("loops", () => {
  const range = { first: 100, last: 163 };
  const fixture = { range, members: [plainMember([100, 101, 130])] };
  const offsets = offsetsOf(1, 40);
  const many = offsetsOf(1, 200);
  const opened = [
    ["pool", openPools(fixture)],
    ["reservations", openReservations(fixture)],
    ["reference model", openReferenceModel(fixture)],
    ["Set", openSets(fixture)],
    ["bitmap", openBitmaps(fixture)],
  ] as const;

  test("a system has one copy of a function, with the same answers", () => {
    const add = (one: number, other: number): number => one + other;
    const copy = copyFor("pool", add);
    expect(copy).not.toBe(add);
    expect(copyFor("pool", add)).toBe(copy);
    expect(copyFor("Set", add)).not.toBe(copy);
    expect(copy(2, 3)).toBe(5);
  });

  test("all systems take the same ports of a fixture, and leave what was held", () => {
    const digests = opened.map(([system, { pools }]) => {
      const ports = pools[0] as (typeof pools)[number];
      const work = takingOne({ system, ports, offsets, operations: 10, digested: 40 });
      work.run();
      return [work.digest(), work.digest()];
    });
    expect(new Set(digests.flat()).size).toBe(1);
  });

  test("batches take what single calls do, and a full range is refused", () => {
    const [pools, bitmaps] = [openPools(fixture), openBitmaps(fixture)];
    const of = (ports: (typeof pools | typeof bitmaps)["pools"][number], size: number) =>
      takingMany(
        { system: "pool", ports, offsets: many, operations: 10, digested: 0 },
        size,
        size > 64,
      );
    for (const size of [4, 61, 65]) {
      const works = [of(pools.pools[0] as never, size), of(bitmaps.pools[0] as never, size)];
      for (const work of works) work.run();
      expect(works[0]?.digest()).toBe(works[1]?.digest());
    }
  });

  test("a runner takes and frees places of an order, and a model follows without a search", () => {
    const [pool, model] = [
      new Runner("pool", openPools(fixture), offsets),
      new Runner("reference model", openReferenceModel(fixture), offsets),
    ];
    const expected = taking(pool, 20, 40).digest();
    model.follow(20, pool);
    expect([model.goTo(40), digestOf(model.picks.subarray(20, 40))]).toEqual([20, expected]);
    expect(draining(pool, 40).digest()).toBe(draining(model, 40).digest());
    expect(pool.goTo(0)).toBe(40);
  });
});

const machine = { ...runOn(), node: "20.1.0" };

function resultsOf(
  suite: string,
  medians: Readonly<Record<string, number>>,
  more: Partial<Row> = {},
  node = machine.node,
): Results {
  const session = new Session(true);
  for (const [workload, median] of Object.entries(medians)) {
    session.keepOne({ suite, workload }, "pool", median, more);
  }
  session.keepOne({ suite, workload: "same" }, "gVisor (recorded)", 5);
  const thresholds = [{ name: "ratio", value: medians.a ?? 0, atMost: 15 }];
  return { machine: { ...machine, node }, smoke: false, rows: session.rows, thresholds };
}

describe("several runs", () => {
  test("two runs are compared row by row", () => {
    const old = resultsOf("b", { a: 10, b: 10, gone: 1 }, { digest: "d" });
    const now = resultsOf("b", { a: 20, b: 5, come: 1 }, { digest: "e" });
    printed = [];
    compareWith(old, now);
    expect(printed.slice(2)).toEqual([
      expect.stringMatching(/^b\/a pool +10\.0 ns +20\.0 ns {2}2\.00 \* {2}another digest$/),
      expect.stringMatching(/^b\/b pool +10\.0 ns +5\.0 ns {2}0\.50 \* {2}another digest$/),
      expect.stringMatching(/^b\/come pool +new$/),
      expect.stringMatching(/^b\/gone pool +not measured now$/),
      "\ngeometric means:\npool              1.000  of 2 rows",
    ]);
  });

  test("a comparison leaves out what was not run, and marks what is outside the spread", () => {
    const spread = { p10: 9, p90: 11 };
    const [some, other] = [resultsOf("some", { a: 10, b: 10, c: 10 }, spread), resultsOf("o", {})];
    const old = { ...some, rows: [...some.rows, ...other.rows] };
    const now = resultsOf("some", { a: 11, b: 12, c: 8 }, spread);
    printed = [];
    compareWith(old, now);
    expect(printed.slice(2, -1)).toEqual([
      expect.stringMatching(/ 1\.10$/),
      expect.stringMatching(/ 1\.20 \*$/),
      expect.stringMatching(/ 0\.80 \*$/),
    ]);
  });

  test("runs under several Nodes stand side by side, what is recorded left out", () => {
    const runs = [
      resultsOf("s", { a: 10, alone: 1 }),
      resultsOf("s", { a: 20, other: 1 }, {}, "26.0.0"),
    ];
    printed = [];
    showSideBySide(runs);
    expect(printed.filter((line) => line !== "")).toEqual([
      expect.stringMatching(/^ +Node 20\.1\.0 +Node 26\.0\.0$/),
      expect.stringMatching(/^s\/a pool +10\.0 ns +20\.0 ns$/),
      expect.stringMatching(/^ +Node 20\.1\.0 +Node 26\.0\.0$/),
      expect.stringMatching(/^ratio +10\.00 +20\.00 MISSED$/),
    ]);
  });

  test("systems are compared only if they did the same work in this run", () => {
    const session = new Session(true);
    const keep = (system: System, digest: string | null): Row =>
      session.keepOne({ suite: "b", workload: "a" }, system, 5, { digest });
    const ours = keep("pool", "x");
    const recorded = keep("gVisor (recorded)", null);
    const none = keep("reference model", null);
    const others = [keep("bitmap", "x"), keep("bitmap batch", "y"), recorded, none];
    expect(others.map((row) => isSameWork(ours, row))).toEqual([true, false, false, false]);
    expect(isSameWork(none, recorded)).toBe(false);
  });
});

function wait(ms: number): void {
  const end = process.hrtime.bigint() + BigInt(ms * 1e6);
  while (process.hrtime.bigint() < end);
}
