// The figures in README and docs/benchmarks.md are those of bench/results.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Results, readResults } from "../../bench/harness/results.ts";
import { FIGURES, PAGES, time, withFigures } from "./figures.ts";
import { ROOT } from "./pages.ts";

const RESULTS = join(ROOT, "bench/results/results.json");

describe("figures of the pages", () => {
  const results = readResults(RESULTS);

  test.each(PAGES)("those of %s are those of bench/results (npm run figures)", (page) => {
    const text = readFileSync(join(ROOT, page), "utf8");
    expect(text).toContain("<!-- figures: ");
    expect(text).toBe(withFigures(text, results));
  });

  test.each(Object.keys(FIGURES))("the table %s has a figure in every line and column", (name) => {
    const table = withFigures(`<!-- figures: ${name} -->\n`, results);
    const cells = table.split("\n").slice(3).join("").split("|");
    // gVisor was recorded at some occupancies only, and the reference model is timed up to some.
    expect(cells.filter((cell) => cell === "  ").length).toBeLessThan(4);
    expect(cells.filter((cell) => /^ [\d.,]+ (?:ns|us|ms) $/.test(cell)).length).toBeGreaterThan(
      10,
    );
  });

  test("a figure that is another is found", () => {
    const named = { suite: "connector", workload: "connect", system: "connector" };
    const row = { ...named, occupancy: 10, unit: "ns" };
    const other = { ...results, rows: [{ ...row, median: 79_000 }] } as unknown as Results;
    const page = "<!-- figures: connector -->\n| old | table |\n\nmore";
    expect(withFigures(page, other)).toContain("| 10 % | 79.0 us |  |  |\n");
    expect(withFigures(page, other)).toMatch(/\n\nmore$/);
    expect(() => withFigures("<!-- figures: none -->\n", other)).toThrow(
      "no figures are named none",
    );
  });

  test("times have two or three digits", () => {
    expect([5.4, 999.4, 1449, 523_000, 50_800_000].map(time)).toEqual([
      ...["5 ns", "999 ns", "1.4 us", "523 us", "50.8 ms"],
    ]);
  });
});
