// The blocks of code in README and docs/ do what they say.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canMakeNamespace, runInNamespace } from "../../bindings/node/host/namespace.ts";
import { compile, type Example } from "./examples.ts";
import type { Outcomes, Task } from "./inside.ts";
import { isForPage } from "./page-blocks.ts";
import { type Block, blocksOf, pageOf, pages, ROOT } from "./pages.ts";

const PACKAGE = readFileSync(join(ROOT, "package.json"), "utf8");
const RUNNER = join(ROOT, "build/test/docs/inside.js");
const CLI = join(ROOT, "build/lib/cli.js");
const RUN_MS_MAX = 600_000;
const ALL_MS_MAX = 1_200_000;
const PORT_RANGE = { first: 32_768, last: 60_999 };

const BLOCKS = pages().flatMap(blocksOf);
const PROGRAMS = BLOCKS.filter(({ language }) => language === "ts");

describe("blocks of TypeScript", async () => {
  const { examples: all, errors } = await compile(join(ROOT, "build/docs-blocks"), PROGRAMS);
  // Those for a page run in one: test/replay/browser/blocks.test.ts.
  const examples = all.filter((_, index) => !isForPage(PROGRAMS[index] as Block));
  const outcomes = await runAll(examples, RUN_MS_MAX);

  test("stand in the pages", () => {
    expect(PROGRAMS.length).toBeGreaterThan(30);
  });

  test("all compile against the package", () => {
    expect(errors).toEqual([]);
  });

  test.each(examples)("the one at $name runs as it stands, with the results it states", (one) => {
    const { wrong, out } = outcomes[one.name] ?? { wrong: "was not run", out: "" };
    expect(wrong).toBe("");
    const stated = BLOCKS[BLOCKS.indexOf(PROGRAMS[all.indexOf(one)] as Block) + 1];
    if (stated?.attributes.has("output")) expect(out).toMatch(patternOf(stated.code));
  });
});

describe("a block that is wrong is found", () => {
  const faulty = (code: string): Block[] =>
    blocksOf(pageOf("wrong.md", `\`\`\`ts\n${code}\n\`\`\``));
  const folder = (name: string): string => join(ROOT, "build/docs-blocks-wrong", name);
  const outcomeOf = async (name: string, code: string, timeoutMs = RUN_MS_MAX): Promise<string> => {
    const { examples, errors } = await compile(folder(name), faulty(code));
    expect(errors).toEqual([]);
    return (await runAll(examples, timeoutMs))["wrong.md:2"]?.wrong ?? "nothing";
  };

  test("one that does not compile is found", async () => {
    const code = 'import { PortManager } from "portwarden";\nPortManager.open({ ports: 1 });';
    const { errors } = await compile(folder("types"), faulty(code));
    expect(errors.join("\n")).toMatch(/^wrong-2\.ts\(2,.*'ports' does not exist/);
  });

  test("one that states another value is found", async () => {
    expect(await outcomeOf("value", "1 + 1; // => 3")).toContain(
      "line 2: got 2, and the page says 3",
    );
  });

  test("one that states an error that is not thrown is found", async () => {
    expect(await outcomeOf("throws", "Math.max(1); // throws EBADF")).toContain(
      "line 2: 'nothing' was thrown, and the page says EBADF",
    );
  });

  test("one whose statement is never reached is found", async () => {
    expect(await outcomeOf("skipped", "if (Math.random() > 2) {\n  1; // => 1\n}")).toContain(
      "0 of 1 results were compared",
    );
  });

  test("one that fails is found", async () => {
    expect(await outcomeOf("fails", 'throw new Error("no");')).toContain("Error: no");
  });

  test("one that does not end is found", async () => {
    expect(await outcomeOf("endless", "setInterval(() => {}, 10);", 3_000)).toContain(
      "has not ended after 3000 ms",
    );
  });
});

describe("blocks of JavaScript for a page", () => {
  const scripts = BLOCKS.filter(({ language }) => language === "js");

  test("stand in the pages, and say that they are for a page", () => {
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.filter(({ attributes }) => !attributes.has("page"))).toEqual([]);
  });

  test.each(scripts)("the one at $path:$line can be parsed", async ({ code }) => {
    expect((await check(code)).errors).toBe("");
  });

  test("one that cannot be parsed is found", async () => {
    expect((await check("const = 1;")).errors).toContain("SyntaxError");
  });
});

describe("commands", () => {
  const commands = BLOCKS.flatMap(({ path, line, language, code }) =>
    ["sh", ""].includes(language)
      ? code.split("\n").map((text, index) => ({ where: `${path}:${line + index}`, text }))
      : [],
  ).flatMap(({ where, text }) => commandsOf(text).map((command) => ({ where, command })));

  test("stand in the pages", () => {
    expect(commands.length).toBeGreaterThan(20);
  });

  test.each(commands)("`$command` at $where is there", ({ command }) => {
    expect(whyUnknown(command)).toBe("");
  });

  test("those that are not there are found", () => {
    expect(commandsOf("    npm ci && npm run no-such-script   runs it")).toEqual([
      "npm ci",
      "npm run no-such-script",
    ]);
    expect(whyUnknown("npm run no-such-script")).toContain("no script");
    expect(whyUnknown("npx portwarden guess")).toContain("no command");
    expect(whyUnknown("npm publish-it")).toContain("no command");
  });

  const runnable = BLOCKS.filter(({ attributes }) => attributes.has("run"));

  test.each(runnable)("those at $path:$line end as they say", async (block) => {
    const code = Number(block.attributes.get("run") || 0);
    for (const line of block.code.replace(/\\\n\s*/g, "").split("\n")) {
      const outcome = await portwarden(line);
      expect({ line, code: outcome.code, errors: outcome.errors }).toEqual({
        line,
        code,
        errors: "",
      });
      const stated = BLOCKS[BLOCKS.indexOf(block) + 1];
      if (stated?.attributes.has("output")) expect(outcome.out).toMatch(patternOf(stated.code));
    }
  });

  test("an output that is another is found", () => {
    expect("a fits\nb\nc\n").toMatch(patternOf("a …\n…\nc"));
    expect("a fits\nb\nd\n").not.toMatch(patternOf("a …\n…\nc"));
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

async function runAll(examples: readonly Example[], timeoutMs: number): Promise<Outcomes> {
  const args = [RUNNER, JSON.stringify({ examples, timeoutMs } satisfies Task)];
  if (!canMakeNamespace().ok) return JSON.parse((await node(args)).out) as Outcomes;
  const options = { portRange: PORT_RANGE, timeoutMs: ALL_MS_MAX };
  const { stdout, stderr } = await runInNamespace(args, options);
  if (stdout === "") throw new Error(`the blocks were not run: ${stderr}`);
  return JSON.parse(stdout) as Outcomes;
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

function node(args: readonly string[], input = ""): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { maxBuffer: 16e6, env: { ...process.env, NO_COLOR: "1" } };
    const child = execFile(process.execPath, args, options, (error, out, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, errors });
    });
    child.stdin?.end(input);
  });
}

function check(code: string): Promise<Outcome> {
  return node(["--input-type=module", "--check", "-"], code);
}

/** The commands in a line of a block, without what is said of them. */
function commandsOf(text: string): string[] {
  const line = text.trim().split(/\s{3,}/)[0] ?? "";
  return line.split(" && ").filter((command) => /^(?:npm|npx|node) /.test(command));
}

/** Why a command of a page is not there; `""`: it is. */
function whyUnknown(command: string): string {
  const [program, verb = "", name = ""] = command.split(" ");
  const { scripts } = JSON.parse(PACKAGE) as { scripts: Record<string, string> };
  if (program === "npx") {
    const isKnown = verb === "portwarden" && ["show", "plan", "demo", "with"].includes(name);
    return isKnown ? "" : `no command: ${command}`;
  }
  if (program === "node") return "";
  if (verb === "run") return name in scripts ? "" : `no script: ${name}`;
  if (["ci", "install", "pack"].includes(verb)) return "";
  return verb in scripts ? "" : `no command: ${command}`;
}

/** Runs `npx portwarden …` as it is built here. */
function portwarden(line: string): Promise<Outcome> {
  const words = [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
  const [, , ...args] = words;
  return node([CLI, ...args]);
}

/** A block of output as a pattern: a line `…` is any lines, and `…` in a line any text. */
function patternOf(output: string): RegExp {
  const lines = output.split("\n").map((line) => {
    if (line === "…") return "(?:.*\n)*?";
    return `${line.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll("…", ".*")}\n`;
  });
  return new RegExp(lines.join(""));
}
