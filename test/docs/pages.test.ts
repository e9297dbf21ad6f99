// What README and the pages of docs/ look like: short, narrow, opened by a definition, and with
// links that lead somewhere.

import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { describe, expect, test } from "vitest";
import {
  anchorsOf,
  blocksOf,
  linksOf,
  type Page,
  pageOf,
  pages,
  proseOf,
  ROOT,
  tracked,
} from "./pages.ts";

const LINES_MAX = 200;
const COLUMNS_MAX = 99;
const EXAMPLE_BEFORE = 30;

const PAGES = pages();
const TRACKED = tracked();
const README = PAGES.find(({ path }) => path === "README.md");

test("the docs have pages", () => {
  expect(PAGES.length).toBeGreaterThan(30);
  expect(README).toBeDefined();
});

describe.each(PAGES)("$path", (page) => {
  test(`has at most ${LINES_MAX} lines`, () => {
    expect(page.lines.length - 1).toBeLessThanOrEqual(LINES_MAX);
  });

  test(`has no line of more than ${COLUMNS_MAX} columns, rows of tables apart`, () => {
    expect(tooWide(page)).toEqual([]);
  });

  test("opens with its title and a sentence", () => {
    expect(whyBadOpening(page)).toBe("");
  });

  test("has links that lead somewhere", () => {
    expect(broken(page)).toEqual([]);
  });
});

describe("files that the pages name", () => {
  const named = PAGES.flatMap((page) => filesIn(page));

  test("are there", () => {
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter(({ file }) => !isTracked(file))).toEqual([]);
  });

  test("one that is not there is found", () => {
    const [file] = filesIn(pageOf("docs/some.md", "`netstack/no-such.ts` of `a/b` and `x.ts`"));
    expect(file).toEqual({ where: "docs/some.md:1", file: "netstack/no-such.ts" });
    expect(isTracked("netstack/no-such.ts")).toBe(false);
    expect(isTracked("netstack/records.ts")).toBe(true);
    expect(isTracked("bindings/node/")).toBe(true);
  });
});

describe("README", () => {
  const text = README as Page;

  test(`shows an example before line ${EXAMPLE_BEFORE}, and how to install`, () => {
    const examples = blocksOf(text).filter(({ language }) => language === "ts");
    expect(examples[0]?.line).toBeLessThanOrEqual(EXAMPLE_BEFORE);
    expect(text.lines.join("\n")).toContain("npm install portwarden");
  });

  test("has no wide rows either", () => {
    expect(text.lines.filter((line) => [...line].length > COLUMNS_MAX)).toEqual([]);
  });

  test("links to every page of docs, directly or by the index of the reference", () => {
    const reached = new Set(linksOf(text).map((link) => resolve(link.path, link.target).path));
    for (const index of ["docs/reference/index.md", "ARCHITECTURE.md", "docs/index.md"]) {
      const page = PAGES.find(({ path }) => path === index) as Page;
      for (const link of linksOf(page)) reached.add(resolve(index, link.target).path);
    }
    const docs = PAGES.map(({ path }) => path).filter((path) => path.startsWith("docs/"));
    expect(docs.filter((path) => !reached.has(path) && path !== "docs/index.md")).toEqual([]);
  });
});

describe("a page that breaks a rule is found", () => {
  const wrong = (text: string): Page => pageOf("docs/guide/wrong.md", text);

  test("one with a wide line is found", () => {
    expect(tooWide(wrong(`# T\n\n${"x".repeat(COLUMNS_MAX + 1)}\n| ${"y".repeat(200)} |`))).toEqual(
      ["line 3: 100 columns"],
    );
  });

  test("one that opens with a list is found", () => {
    expect(whyBadOpening(wrong("# T\n\n- x"))).toBe("does not open with a sentence");
    expect(whyBadOpening(wrong("T\n\nA sentence."))).toBe("has no title");
  });

  test("one with a link by a name that has no target is found", () => {
    expect(broken(wrong("[a][b]\n[b]: wrong.md"))).toEqual(["line 1: b", "line 2: wrong.md"]);
    expect(broken(wrong("[a][b]\n\n[b]: cooldown.md"))).toEqual([]);
  });

  test("one with a link to nowhere is found", () => {
    expect(
      broken(wrong("[a](none.md) [b](../glossary.md#no-such) [c](cooldown.md#in-a-pool)")),
    ).toEqual(["line 1: none.md", "line 1: ../glossary.md#no-such"]);
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A row of a table cannot be broken, and neither can the address of a picture or a link. */
function tooWide({ lines }: Page): string[] {
  return lines.flatMap((text, index) => {
    const isWhole = /^\||^!?\[[^\]]*\](?:\(\S+\)|: \S+)$/.test(text);
    const columns = [...text].length;
    return isWhole || columns <= COLUMNS_MAX ? [] : [`line ${index + 1}: ${columns} columns`];
  });
}

function whyBadOpening(page: Page): string {
  const [title = "", blank = "-", first = ""] = page.lines;
  if (!/^# \S/.test(title) || blank !== "") return "has no title";
  const isSentence = /^[\p{L}`*]/u.test(first) && !/^(?:\* |```)/.test(first);
  if (page.path === "CHANGELOG.md") return "";
  return isSentence ? "" : "does not open with a sentence";
}

function broken(page: Page): string[] {
  return linksOf(page).flatMap(({ line, target }) => {
    if (/^[a-z]+:/.test(target)) return [];
    const { path, anchor } = resolve(page.path, target);
    const to = path === page.path ? page : PAGES.find((other) => other.path === path);
    const isThere = existsSync(join(ROOT, path));
    const isRight = anchor === "" || (to !== undefined && anchorsOf(to).includes(anchor));
    return isThere && isRight ? [] : [`line ${line}: ${target}`];
  });
}

/** Files and folders in code spans: `netstack/records.ts`, `bindings/node/`. */
function filesIn(page: Page): { where: string; file: string }[] {
  const span = /`([a-z][\w.-]*(?:\/[\w.-]+)*\/(?:[\w.-]+\.(?:ts|mjs|json|md))?)`/g;
  return proseOf(page).flatMap(({ line, text }) =>
    [...text.matchAll(span)].map(([, file = ""]) => ({ where: `${page.path}:${line}`, file })),
  );
}

/** Is there such a file, or a folder, at the end or within a path of the repository? */
function isTracked(file: string): boolean {
  return TRACKED.some((path) =>
    file.endsWith("/") ? `/${path}`.includes(`/${file}`) : `/${path}`.endsWith(`/${file}`),
  );
}

/** A link's file, from the root of the repository, and its anchor. */
function resolve(from: string, target: string): { path: string; anchor: string } {
  const [file = "", anchor = ""] = target.split("#");
  return { path: file === "" ? from : normalize(join(dirname(from), file)), anchor };
}

test("links in the prose are looked at", () => {
  expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(100);
  expect(PAGES.flatMap(proseOf).length).toBeGreaterThan(1000);
});
