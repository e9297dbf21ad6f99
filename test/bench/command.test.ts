// `npm run bench`, as it is run: tiny, since what it measures is not looked at.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readResults } from "../../bench/harness/results.ts";
import type { Row } from "../../bench/harness/session.ts";
import { SUITES } from "../../bench/harness/suites.ts";
import { main } from "../../bench/main.ts";
import { captured, type Outcome, spawned } from "../support/captured.ts";

const MAIN = fileURLToPath(new URL("../../build/bench/main.js", import.meta.url));

let scratch: string;
let whole: string;
let outcome: Outcome;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  whole = join(scratch, "whole.json");
  outcome = await spawned(MAIN, ["--smoke", "--json", whole]);
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function bench(...args: string[]): Promise<Outcome> {
  return captured(main, args);
}

test("all suites run with tiny workloads", () => {
  expect(outcome).toMatchObject({ code: 0, errors: "" });
  const { smoke, rows, thresholds } = readResults(whole);
  expect(smoke).toBe(true);
  expect(new Set(rows.map((row) => row.suite))).toEqual(new Set(Object.keys(SUITES)));
  expect(thresholds.length).toBeGreaterThan(50);
});

test("every row has figures, a unit, and a name of its own", () => {
  const { rows } = readResults(whole);
  for (const row of rows) {
    for (const figure of [row.median, row.p10, row.p90]) {
      expect(Number.isFinite(figure), nameOf(row)).toBe(true);
      // What a heap has grown by may be less than nothing where so little was put there.
      if (row.unit !== "bytes") expect(figure, nameOf(row)).toBeGreaterThanOrEqual(0);
    }
    expect(["ns", "bytes", "ratio"]).toContain(row.unit);
    expect(row.operations, nameOf(row)).toBeGreaterThan(0);
    expect(row.samples, nameOf(row)).toBeGreaterThan(0);
  }
  const names = rows.map(nameOf);
  expect(names.filter((name, index) => names.indexOf(name) < index)).toEqual([]);
});

test("systems that do the same work have the same results", () => {
  const works = new Map<string, Set<string | null>>();
  for (const row of readResults(whole).rows) {
    if (row.system.endsWith("(recorded)")) continue;
    // A system that holds a whole batch at a time picks other ports.
    const work = `${workOf(row)}${row.system.endsWith("batch") ? ", in batches" : ""}`;
    const digests = works.get(work) ?? new Set();
    works.set(work, digests.add(row.digest));
  }
  const different = [...works].filter(([, digests]) => digests.size > 1);
  expect(different.map(([work]) => work)).toEqual([]);
  expect([...works].filter(([, digests]) => !digests.has(null)).length).toBeGreaterThan(80);
});

test("a run is compared with an older one", async () => {
  const { code, out, errors } = await bench("--from", whole, "--compare", whole);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(out).toMatch(/^linux\/bind\/scattered 50 % sockets .* 1\.00$/m);
  expect(out).toMatch(/\ngeometric means:\n(?:.+ 1\.000 {2}of \d+ rows\n)+$/);
  expect(out).not.toMatch(/ new$|not measured now|another digest| \*$/m);
});

test("a report has all rows, the thresholds, a picture, and the results beside it", async () => {
  const report = join(scratch, "report");
  const out = `wrote ${join(report, "report.md")}\n`;
  expect(await bench("--from", whole, "--report", report)).toEqual({ code: 0, out, errors: "" });
  const page = readFileSync(join(report, "report.md"), "utf8");
  for (const name of Object.keys(SUITES)) expect(page).toContain(`\n### ${name}\n`);
  expect(page).toContain("\n## Thresholds\n\nNot checked.\n");
  const files = ["occupancy.svg", "report.md", "results.json"];
  expect(readdirSync(report).sort()).toEqual(files);
  const svg = readFileSync(join(report, "occupancy.svg"), "utf8");
  expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(readResults(join(report, "results.json"))).toEqual(readResults(whole));
});

test("a threshold that is missed is named in the report and on the terminal", async () => {
  const [file, report] = [join(scratch, "earlier.json"), join(scratch, "missed")];
  const [good, bad] = [
    { name: "good", value: 1, atMost: 2 },
    { name: "bad", value: 3, atMost: 2 },
  ];
  const results = { ...readResults(whole), smoke: false };
  writeFileSync(file, JSON.stringify({ ...results, thresholds: [good, bad] }));
  const { code, out } = await bench("--from", file);
  expect(code).toBe(1);
  expect(out).toMatch(/\n1 thresholds met, 1 missed\nbad: .* MISSED\n$/);
  await bench("--from", file, "--report", report);
  const page = readFileSync(join(report, "report.md"), "utf8");
  expect(page).toMatch(/Missed:\n\n.*\n.*\n\| bad \| 3\.00 \| at most 2\.00 \|\n\nMet:/);
  writeFileSync(file, JSON.stringify({ ...results, thresholds: [good] }));
  expect((await bench("--from", file)).code).toBe(0);
});

test("a suite runs under each Node that is given, side by side", async () => {
  const report = join(scratch, "nodes");
  const nodes = ["--node", process.execPath, "--node", process.execPath];
  const { code, out } = await spawned(MAIN, ["start", "--smoke", ...nodes, "--report", report]);
  expect(code).toBe(0);
  const { node } = process.versions;
  expect(out).toMatch(new RegExp(`^ +Node ${node} +Node ${node}$`, "m"));
  expect(out).toMatch(/^start\/cold: total pool +\S+ \S+ +\S+ \S+$/m);
  const page = readFileSync(join(report, "report.md"), "utf8");
  expect(page).toContain("\n## Under several Nodes\n");
  const [major] = node.split(".");
  const beside = readResults(join(report, `results.node${major}.json`));
  expect(beside.rows.every(({ suite }) => suite === "start")).toBe(true);
});

test.each([
  ["a name that is not known", ["linus"]],
  ["a name that every object knows", ["toString"]],
  ["an option that is not known", ["--fast"]],
  ["results and names", ["--from", "package.json", "linux"]],
  ["one file for several Nodes", ["--node", "a", "--node", "b", "--json", "c"]],
])("the command explains itself, given %s", async (_name, args) => {
  const { code, out, errors } = await bench(...args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(errors).toContain("npm run bench -- [OPTIONS] [NAME...]");
  expect(errors).not.toContain("    at ");
});

test.each([
  ["a file that is not there", ["--smoke", "--compare", "nowhere.json"]],
  ["a file of another kind", ["--smoke", "--compare", fileURLToPath(import.meta.url)]],
  ["results without rows", ["--from", "package.json"]],
  ["a place where no file can be", ["--smoke", "--json", "package.json/x.json"]],
  ["a directory that is not there", ["--smoke", "--json", "nowhere/x.json"]],
  ["a report where a file is", ["--smoke", "--report", "package.json"]],
  ["a Node that is none", ["--smoke", "--node", "nowhere/node"]],
])("the command says what is wrong with %s", async (_name, args) => {
  const { code, out, errors } = await bench(...args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(errors).toMatch(/^.+\n$/);
});

test("a tiny run is not compared with another", async () => {
  const { code, errors } = await bench("start", "--compare", whole);
  expect({ code, errors }).toEqual({
    code: 2,
    errors: `${whole} is of a tiny run, and this one is not: they do not compare\n`,
  });
});

test("the command knows the names of its suites", async () => {
  const { code, errors } = await bench("linus");
  expect(code).toBe(2);
  expect(errors).toContain("no suite is called linus");
  const { out } = await bench("--help");
  for (const name of Object.keys(SUITES)) {
    expect(out).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  }
});

function workOf({ suite, workload, occupancy }: Row): string {
  return `${suite}/${workload} ${occupancy}`;
}

function nameOf(row: Row): string {
  return `${workOf(row)} ${row.system}`;
}
