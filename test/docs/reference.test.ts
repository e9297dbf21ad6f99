// Every exported name, and every option, method, refusal, reason and code, stands in the reference.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Exported, exportsOf, membersOf } from "./exports.ts";
import { type Page, pageOf, pages, ROOT } from "./pages.ts";

const REFERENCE = pages().filter(({ path }) => path.startsWith("docs/reference/"));
const ENTRIES = ["index", "node/index", "node/testing"];
/** A code that is an error's, in quotes. */
const CODE = /"(E[A-Z][A-Z0-9]{2,}|ERR_[A-Z_]+)"/g;
/** What the package asks about, and gives to no error of its own: the system's, and a state. */
const ASKED_ABOUT = [
  "ERR_SOCKET_DGRAM_NOT_RUNNING",
  ...["ECONNRESET", "EPIPE", "ENETRESET", "EPERM", "ENOMEM", "ESTABLISHED"],
];

describe.each(ENTRIES)("what %s exports", (entry) => {
  const all = exportsOf(entry);

  test("is found", () => {
    expect(all.length).toBeGreaterThan(entry === "node/testing" ? 2 : 20);
    const members = all.flatMap((one) => one.members);
    expect(members.length).toBeGreaterThan(entry === "node/testing" ? 3 : 60);
  });

  test.each(all)("$name stands in the reference, with all that it has", (exported) => {
    expect(missing(exported, REFERENCE)).toEqual([]);
  });
});

describe("codes of errors", () => {
  const codes = codesIn(join(ROOT, "build/bindings"));

  test("are found in the code", () => {
    expect(codes).toContain("EADDRNOTAVAIL");
    expect(codes.length).toBeGreaterThan(20);
  });

  test.each(codes)("%s stands in the reference", (code) => {
    expect(ASKED_ABOUT.includes(code) || isNamed(code, textOf(REFERENCE))).toBe(true);
  });
});

describe("what is not in the reference is found", () => {
  const page = pageOf("docs/reference/some.md", "`Some` has `one`, and says two.");

  test("a name is found", () => {
    expect(missing({ name: "Other", members: [] }, [page])).toEqual(["Other"]);
  });

  test("an option is found, also one that stands in the prose alone", () => {
    expect(missing({ name: "Some", members: ["one", "two"] }, [page])).toEqual(["Some: two"]);
  });

  test("the members of a declaration are read, without those of its members", () => {
    const text = [
      "export interface Some {",
      "    /** Says `other: x`. */",
      "    readonly one?: number;",
      "    two(three: {",
      "        four: number;",
      "    }): void;",
      "}",
    ].join("\n");
    expect(membersOf("Some", text)).toEqual(["one", "two"]);
    expect(membersOf("Kind", 'export type Kind = "a"\n/** "x" */\n | "b-c";')).toEqual([
      "a",
      "b-c",
    ]);
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** What of an export stands on no page that names it. */
function missing({ name, members }: Exported, all: readonly Page[]): string[] {
  const naming = all.filter((page) => isNamed(name, textOf([page])));
  if (naming.length === 0) return [name];
  const text = textOf(naming);
  return members.filter((member) => !isNamed(member, text)).map((member) => `${name}: ${member}`);
}

function textOf(all: readonly Page[]): string {
  return all.flatMap(({ lines }) => lines).join("\n");
}

/** Does a word stand between backticks on one line? */
function isNamed(word: string, text: string): boolean {
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const whole = new RegExp(`(?<![\\w-])${word}(?![\\w-])`);
  return spans.some((span) => whole.test(span));
}

function codesIn(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const scripts = files.filter((name) => name.endsWith(".js"));
  const texts = scripts.map((name) => readFileSync(join(folder, name), "utf8"));
  const codes = texts.flatMap((text) => [...text.matchAll(CODE)].map(([, code = ""]) => code));
  return [...new Set(codes)].sort();
}
