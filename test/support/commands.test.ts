// The command lines, as they are run: the replays and the fuzzer.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main as fuzz } from "../fuzz/main.ts";
import { main as replay } from "../replay/main.ts";
import { captured, firstLine, type Outcome, spawned } from "./captured.ts";

const BUILD = new URL("../../build/test/", import.meta.url);
const VECTORS = fileURLToPath(new URL("../vectors/netstack/", import.meta.url));
const SOME = join(VECTORS, "public-a.jsonl.gz");
const TABLE = join(VECTORS, "table.json");

const COMMANDS = { replay, fuzz };

function run(command: keyof typeof COMMANDS, ...args: string[]): Promise<Outcome> {
  return captured(COMMANDS[command], args);
}

test.each(["replay", "fuzz"])(
  "%s is a program whose exit code says what came of it",
  async (name) => {
    const program = fileURLToPath(new URL(`${name}/main.js`, BUILD));
    expect(await spawned(program, ["--fast"])).toMatchObject({ code: 2, out: "" });
  },
);

test("a process that prints nothing is not waited for", async () => {
  const { stdout } = spawn(process.execPath, ["--eval", ""]);
  await expect(firstLine(stdout)).rejects.toThrow("it has ended and printed nothing");
});

describe("replay", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true });
  });

  test.each([[], ["--pools"], ["--system", "reservations"], ["--system", "reference"]])(
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
    ["vectors that are unknown", ["linux", SOME]],
    ["an option that is unknown", ["netstack", SOME, "--fast"]],
    ["a system that is unknown", ["netstack", SOME, "--system", "oracle"]],
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

  test("replays on the debug build, and says the same", async () => {
    const { code, out } = await run("replay", "netstack", TABLE, "--debug", "--pools");
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^\d+ traces, \d+ operations, 0 mismatching traces, 0 skipped\n$/),
    });
  });

  test("prints its usage", async () => {
    expect(await run("replay", "--help")).toMatchObject({ code: 0 });
  });
});

describe("npm run fuzz", () => {
  test("goes on until its time is over, and prints the seed and what it did", async () => {
    const { code, out } = await run("fuzz", "--minutes", "0.01", "--seed", "7");
    expect(code).toBe(0);
    expect(out).toMatch(/^seed 7, 0.01 minutes: netstack, linux, udp, cooldown, api, groups\n/);
    expect(out).toMatch(
      /\nnetstack, all: \d+ operations, \d+ sessions, seed 7\n|^.*\nnetstack, all: /,
    );
    expect(out).toMatch(/\d+ operations, seed 7\n$/);
  });

  test("draws a seed when it is given none", async () => {
    const { code, out } = await run("fuzz", "--minutes", "0.0001", "--cooldown");
    expect(code).toBe(0);
    expect(out).toMatch(/^seed \d+, /);
  });

  test.each([
    ["--linux", "linux, mixed"],
    ["--udp", "udp, mixed"],
    ["--subject", "linux, tight"],
  ])("runs what %s asks for", async (option, name) => {
    const args = option === "--subject" ? [option, name] : [option];
    const { code, out } = await run("fuzz", "--minutes", "0.0001", "--seed", "5", ...args);
    expect(out).toMatch(new RegExp(`\n${name}: \\d+ operations, \\d+ sessions, seed 5\n`));
    expect(code).toBe(0);
  });

  test.each([
    ["no number of minutes", ["--minutes", "soon"]],
    ["no time at all", ["--minutes", "0"]],
    ["a seed that is no number", ["--seed", "x"]],
    ["an option that it does not have", ["--hours", "1"]],
  ])("prints its usage, given %s", async (_name, args) => {
    const { code, errors } = await run("fuzz", ...args);
    expect(code).toBe(2);
    expect(errors).toContain("usage: fuzz");
  });

  test("names a subject that it does not have", async () => {
    const { code, errors } = await run("fuzz", "--subject", "toString");
    expect(code).toBe(2);
    expect(errors).toContain("no subject is called toString");
  });
});
