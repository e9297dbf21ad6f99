// The command lines, as they are run: the replays, the fuzzer and the benchmarks.

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BENCHMARKS } from "../../bench/harness/benchmarks.ts";
import { readResults } from "../../bench/harness/results.ts";
import type { Row } from "../../bench/harness/setup.ts";

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

const BUILD = new URL("../../build/test/", import.meta.url);
const VECTORS = fileURLToPath(new URL("../vectors/netstack/", import.meta.url));
const SOME = join(VECTORS, "public-a.jsonl.gz");
const TABLE = join(VECTORS, "table.json");

function run(command: string, ...args: string[]): Promise<Outcome> {
  const path = fileURLToPath(new URL(`${command}/main.js`, BUILD));
  return new Promise((resolve) => {
    execFile(process.execPath, [path, ...args], (error, out, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, errors });
    });
  });
}

describe("replay", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true });
  });

  test.each([[], ["--handles"], ["--system", "words"], ["--system", "reference"]])(
    "says how much agrees, and succeeds",
    async (...how) => {
      const outcome = await run("replay", "netstack", SOME, TABLE, ...how);
      expect(outcome).toMatchObject({ code: 0, errors: "" });
      expect(outcome.out).toMatch(
        /^104 traces, \d+ operations, 0 mismatching traces, 0 skipped\n$/,
      );
    },
  );

  test("says what is skipped, and why", async () => {
    const { code, out } = await run("replay", "netstack", join(VECTORS, "public-h.jsonl.gz"));
    expect(code).toBe(0);
    expect(out).toContain("0 mismatching traces, 15 skipped (");
    expect(out).toContain("duplicate-networks: 5");
  });

  test("shows where a recording was tampered with, and fails", async () => {
    const lines = gunzipSync(readFileSync(SOME)).toString().trimEnd().split("\n");
    const trace = JSON.parse(lines[7] as string);
    const at = trace.ops.findIndex((op: { expect: { port?: number } }) => op.expect.port);
    trace.ops[at].expect = { err: "port-in-use" };
    lines[7] = JSON.stringify(trace);
    const path = join(scratch, "tampered.jsonl.gz");
    writeFileSync(path, gzipSync(lines.join("\n")));

    const { code, out } = await run("replay", "netstack", path);
    expect(code).toBe(1);
    expect(out).toContain(`${trace.name}, operation ${at}: `);
    expect(out).toContain('expected {"err":"port-in-use"}');
    expect(out).toMatch(/\n\d+ traces, \d+ operations, 1 mismatching traces, 0 skipped\n$/);
  });

  test.each([
    ["a file that is not there", ["netstack", "nowhere.jsonl"]],
    ["a file of another kind", ["netstack", fileURLToPath(import.meta.url)]],
    ["no file", ["netstack"]],
    ["vectors that nobody knows", ["linux", SOME]],
    ["an option that nobody knows", ["netstack", SOME, "--fast"]],
    ["a system that nobody knows", ["netstack", SOME, "--system", "oracle"]],
    ["nothing", []],
  ])("has nothing to judge, given %s", async (_name, args) => {
    const { code, out, errors } = await run("replay", ...args);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(errors).not.toBe("");
    expect(errors).not.toContain("    at ");
  });

  test.each([
    ["no JSON", "{"],
    ["no trace", '{"name":"x"}'],
    ["an operation without an answer", '{"name":"x","ops":[{"op":"stats"}]}'],
    ["an unknown operation", '{"name":"x","ops":[{"op":"fly","expect":{}}]}'],
  ])("has nothing to judge in a file with %s", async (_name, text) => {
    const path = join(scratch, "odd.jsonl");
    writeFileSync(path, text);
    const { code, errors } = await run("replay", "netstack", path);
    expect(code).toBe(2);
    expect(errors).toContain(`${path}:1`);
  });

  test("explains itself", async () => {
    expect(await run("replay", "--help")).toMatchObject({ code: 0 });
  });
});

describe("fuzz", () => {
  test("goes on until its time is over, and prints the seed and what it did", async () => {
    const { code, out } = await run("fuzz", "--minutes", "0.01", "--seed", "7");
    expect(code).toBe(0);
    expect(out).toMatch(/^seed 7, 0.01 minutes\n/);
    expect(out).toMatch(/\d+ s: \d+ operations, \d+ battles, seed 7\n$/);
  });

  test("draws a seed when it is given none", async () => {
    const { code, out } = await run("fuzz", "--minutes", "0.0001");
    expect(code).toBe(0);
    expect(out).toMatch(/^seed \d+, /);
  });

  test.each(["sparse", "dense", "tight"])("goes to %s worlds alone", async (worlds) => {
    const { code, out } = await run(
      "fuzz",
      "--minutes",
      "0.0001",
      "--seed",
      "5",
      "--worlds",
      worlds,
    );
    expect(out).toMatch(/\d+ s: \d+ operations, \d+ battles, seed 5\n$/);
    expect(code).toBe(0);
  });

  test.each([
    ["no number of minutes", ["--minutes", "soon"]],
    ["no time at all", ["--minutes", "0"]],
    ["a seed that is no number", ["--seed", "x"]],
    ["worlds that nobody knows", ["--worlds", "toString"]],
    ["an option that nobody knows", ["--hours", "1"]],
  ])("explains itself, given %s", async (_name, args) => {
    const { code, errors } = await run("fuzz", ...args);
    expect(code).toBe(2);
    expect(errors).toContain("usage: fuzz");
  });
});

describe("bench", () => {
  let scratch: string;
  let whole: string;
  let outcome: Outcome;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
    whole = join(scratch, "whole.json");
    outcome = await run("../bench", "--smoke", "--json", whole);
  }, 180_000);
  afterAll(() => {
    rmSync(scratch, { recursive: true });
  });

  function bench(...args: string[]): Promise<Outcome> {
    return run("../bench", ...args);
  }

  test("all benchmarks run, tiny", () => {
    expect(outcome).toMatchObject({ code: 0, errors: "" });
    const { smoke, rows, bars } = readResults(whole);
    expect(smoke).toBe(true);
    expect(new Set(rows.map((row) => row.bench))).toEqual(new Set(Object.keys(BENCHMARKS)));
    expect(bars.length).toBeGreaterThan(50);
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
      // Who holds a whole batch at a time picks other ports.
      const work = `${placeOf(row)}${row.system.endsWith("batch") ? ", in batches" : ""}`;
      const digests = works.get(work) ?? new Set();
      works.set(work, digests.add(row.digest));
    }
    const different = [...works].filter(([, digests]) => digests.size > 1);
    expect(different.map(([work]) => work)).toEqual([]);
    expect([...works].filter(([, digests]) => !digests.has(null)).length).toBeGreaterThan(100);
  });

  test("compares a run with an older one", async () => {
    const { code, out, errors } = await bench("--from", whole, "--compare", whole);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(out).toMatch(/^policies\/sequential 50 % handles .* 1\.00$/m);
    expect(out).toMatch(/\ngeometric means:\n(?:.+ 1\.000 {2}of \d+ rows\n)+$/);
    expect(out).not.toMatch(/ new$|not measured now|another digest| \*$/m);
  });

  test("writes a page with charts", async () => {
    const report = join(scratch, "report");
    const out = `wrote ${join(report, "report.md")}\n`;
    expect(await bench("--from", whole, "--report", report)).toEqual({ code: 0, out, errors: "" });
    const page = readFileSync(join(report, "report.md"), "utf8");
    for (const name of Object.keys(BENCHMARKS)) expect(page).toContain(`\n### ${name}: `);
    for (const heading of [
      "Systems",
      "Bars",
      "Charts",
      "Where portwarden does not win",
      "All rows",
    ]) {
      expect(page).toContain(`\n## ${heading}\n`);
    }
    const charts = [...page.matchAll(/\]\((\w+\.svg)\)\]/g)].map(([, file = ""]) => file);
    expect(charts).toContain("linux.svg");
    expect(readdirSync(report).sort()).toEqual(["report.md", "results.json", ...charts].sort());
    for (const chart of charts) {
      const svg = readFileSync(join(report, chart), "utf8");
      expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
      expect(svg).not.toMatch(/NaN|undefined|Infinity|\bid="/);
    }
    expect(readResults(join(report, "results.json"))).toEqual(readResults(whole));
  });

  test("runs what is named, and says what is missing then", async () => {
    const json = join(scratch, "part.json");
    const report = join(scratch, "part");
    const { code, out } = await bench("policies", "--smoke", "--json", json, "--report", report);
    expect(code).toBe(0);
    expect(out).not.toContain("linux/");
    expect(readResults(json).rows.every((row) => row.bench === "policies")).toBe(true);
    expect(readdirSync(report).sort()).toEqual(["report.md", "results.json"]);
    expect(readFileSync(join(report, "report.md"), "utf8")).toContain("Left out, because");
  });

  test.each([
    ["a name that nobody knows", ["linus"]],
    ["a name that every object knows", ["toString"]],
    ["an option that nobody knows", ["--fast"]],
    ["results and names", ["--from", "package.json", "linux"]],
  ])("explains itself, given %s", async (_name, args) => {
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
    ["a page where a file is", ["--smoke", "--report", "package.json"]],
  ])("says what is wrong with %s", async (_name, args) => {
    const { code, out, errors } = await bench(...args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toMatch(/^.+\n$/);
  });

  test("does not compare a tiny run with another", async () => {
    const { code, errors } = await bench("policies", "--compare", whole);
    expect({ code, errors }).toEqual({
      code: 2,
      errors: `${whole} is of a tiny run, and this one is not: they do not compare\n`,
    });
  });

  test("prints the bars of an earlier run, missed ones first", async () => {
    const file = join(scratch, "earlier.json");
    const [good, bad] = [
      { name: "good", value: 1, atMost: 2 },
      { name: "bad", value: 3, atMost: 2 },
    ];
    const results = { ...readResults(whole), smoke: false };
    writeFileSync(file, JSON.stringify({ ...results, bars: [good, bad] }));
    const { code, out } = await bench("--from", file);
    expect(code).toBe(1);
    expect(out).toMatch(/\nbad: .* MISSED\ngood: .* met\n\n1 bars met, 1 missed\n$/);
    writeFileSync(file, JSON.stringify({ ...results, bars: [good] }));
    expect((await bench("--from", file)).code).toBe(0);
  });

  test("knows its names", async () => {
    const { code, errors } = await bench("linus");
    expect(code).toBe(2);
    expect(errors).toContain("no benchmark is called linus");
    const { out } = await bench("--help");
    for (const name of Object.keys(BENCHMARKS)) {
      expect(out).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
    }
  });
});

function placeOf({ bench, row, occupancy }: Row): string {
  return `${bench}/${row} ${occupancy}`;
}

function nameOf(row: Row): string {
  return `${placeOf(row)} ${row.system}`;
}
