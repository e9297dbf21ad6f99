// The command line's streams and its end: outputs that cannot be written, documents, widths and
// signals.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MAIN, run, runProcess, runWith } from "./run.ts";

const FULL = "/dev/full";
const LONG = "x".repeat(100_000);
const PLAN = "plan --sources 10.0.0.1 --destinations 2 --rate 10 --lifetime 5 --cooldown 1";
/** It would take minutes: a signal comes while it works. */
const ENDLESS =
  "plan --sources 10.0.0.1-10.0.3.200 --destinations 1000 --lifetime exp:10 --rate 1e8";

describe.runIf(process.platform === "linux")("where an output is full, the command", () => {
  test.each([
    ["frob", 2],
    ["show --destination nowhere.invalid:80", 1],
    ["--version", 0],
  ])("%s ends with %i though the error output cannot be written", async (line, code) => {
    const stderr = openSync(FULL, "w");
    const child = spawn(process.execPath, [MAIN, ...line.split(" ")], {
      stdio: ["ignore", "ignore", stderr],
    });
    closeSync(stderr);
    expect((await once(child, "close"))[0]).toBe(code);
  });

  test.each(["show", "show --json", "--help", `${PLAN}`])(
    "%s says that its output cannot be written, without a stack trace",
    async (line) => {
      const stdout = openSync(FULL, "w");
      const child = spawn(process.execPath, [MAIN, ...line.split(" ")], {
        stdio: ["ignore", stdout, "pipe"],
      });
      closeSync(stdout);
      const errors = await textOf(child);
      expect(child.exitCode).toBe(1);
      expect(errors).toMatch(/^portwarden: the output cannot be written: ENOSPC.*\n$/);
    },
  );
});

describe("the option --json", () => {
  test("stands before the command as well as behind it", async () => {
    const before = await run(`--json ${PLAN} --files 100`);
    const behind = await run(`${PLAN} --files 100 --json`);
    expect(before).toEqual(behind);
    expect(JSON.parse(before.out)).toMatchObject({ fits: true });
  });

  test.each([
    ["--json", "a command is needed"],
    ["--json frob", 'there is no command "frob"'],
    ["--json=1 show", "--json takes no value"],
    ["show --json=1", '--json takes no value, got "1"'],
    [`${PLAN} --json=true`, '--json takes no value, got "true"'],
    ["help --json", "there is no command"],
  ])("has %s answered by one document that says what is wrong", async (line, part) => {
    const { code, out } = await run(line);
    expect(code).toBe(2);
    const message = expect.stringContaining(part);
    expect(JSON.parse(out)).toEqual({ error: { message, exitCode: 2 } });
  });

  test("makes the version a document", async () => {
    const { out } = await runProcess("--json --version");
    expect(JSON.parse(out)).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });
});

test.each([
  [[LONG]],
  [["show", LONG]],
  [["show", `--${LONG}`]],
  [["show", "--top", LONG]],
  [["show", `--json=${LONG}`]],
  [["show", "--destination", LONG]],
  [["plan", "--sources", LONG, "--destinations", "1", "--rate", "1", "--lifetime", "1"]],
  [["plan", "--rate", `-${LONG}`]],
  [["demo", "--ways", LONG]],
])("an argument of 100,000 letters is repeated in part only (case %#)", async (args) => {
  const { code, errors } = await runWith(args);
  expect(code).toBe(2);
  expect(errors).toContain("xxx...");
  expect(errors.length).toBeLessThan(500);
});

test.each(["--help", "show --help", "plan --help", "demo --help"])(
  "%s keeps to the columns, and says the same in each width",
  async (line) => {
    let words: string[] | undefined;
    for (const COLUMNS of ["44", "60", "", "140"]) {
      const { out } = await run(line, { COLUMNS });
      const said = out.trim().split(/\s+/);
      words ??= said;
      expect(said).toEqual(words);
      const most = Number(COLUMNS) || 100;
      const isLong = (text: string): boolean => text.length > most && text.trim().includes(" ");
      expect(out.split("\n").filter(isLong)).toEqual([]);
    }
    expect(words?.length).toBeGreaterThan(50);
  },
);

test.each([
  ["60", 60],
  ["200", 200],
  ["", 100],
  ["nonsense", 100],
  ["5", 40],
])("prose keeps to the columns that COLUMNS=%j says", async (COLUMNS, most) => {
  const { out } = await run(PLAN, { COLUMNS });
  const prose = out.split("\n").filter((text) => /^ {2}- |^(?:Load|Cooldown) /.test(text));
  const longest = Math.max(...prose.map((text) => text.length));
  expect(longest).toBeLessThanOrEqual(most);
  expect(longest).toBeGreaterThan(most === 200 ? 100 : most - 20);
});

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends a plan with exit code %i", async (signal, code) => {
    const child = spawn(process.execPath, [MAIN, ...ENDLESS.split(" ")], { stdio: "ignore" });
    const timer = setInterval(() => child.kill(signal), 100);
    await once(child, "close");
    clearInterval(timer);
    // One that comes before the program listens ends it as a signal does, which a shell shows by
    // the same code.
    expect([child.exitCode, child.signalCode]).toContain(child.exitCode === null ? signal : code);
  });
});

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await once(child, "close");
  return text;
}
