// What the files look like: rules that a compiler does not know and a formatter does not keep.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { RETIRED } from "./retired-words.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LINES_MAX = 500;
const COLUMNS_MAX = 120;
/** What was recorded or measured once, and the list of retired words itself. */
const SPEAK_FREELY = [
  ...["test/vectors/", "bench/results/", "package-lock.json", "LICENSE"],
  ...["retired-words.ts", "tidy.test.ts"],
];
const QUIET = { throwIfNoEntry: false };

/** The rooms of assembly/, each of which may use itself and those before it. */
const ROOMS = [
  ...["memory", "ports", "selection", "cooldown"],
  ...["groups", "netstack", "linux", "modules"],
];

/** What imports these is outside. */
const ROOTS = [
  ...["assembly/modules/core.ts", "assembly/modules/core.debug.ts"],
  ...["assembly/modules/linux.ts", "assembly/modules/linux.debug.ts"],
  ...["assembly/modules/cooldown.ts", "assembly/modules/cooldown.debug.ts"],
  "bindings/index.ts",
  "bindings/linux-later.ts",
  "bindings/node/adapters/autocannon-worker.ts",
];

interface File {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

interface Import {
  /** Of the file that is imported, without its extension. */
  readonly from: string;
  readonly names: readonly string[];
}

/** All retired words at once, since the files have many lines. */
const ANY_RETIRED = new RegExp(`(?<!\\w)(?:${Object.keys(RETIRED).join("|")})(?!\\w)`);
/** Where one word of a name ends and the next begins. */
const NEXT_WORD = /(?<=[a-z0-9])(?=[A-Z])/g;

const FILES = tracked();
const SOURCES = FILES.filter(({ path }) => path.endsWith(".ts"));
const PAGES = FILES.filter(({ path }) => path.endsWith(".md"));

test("there is something to look at", () => {
  expect(SOURCES.length).toBeGreaterThan(40);
  expect(FILES.length).toBeGreaterThan(SOURCES.length);
});

test("nothing is left to do, and no check is silenced", () => {
  // In two parts, so that they are not found here.
  const marks = ["@ts-" + "ignore", "@ts-" + "nocheck", "TO" + "DO", "FIX" + "ME"];
  expect(places((line) => marks.find((mark) => line.includes(mark)))).toEqual([]);
});

test("no test is left out, and none is alone", () => {
  const aside = /\b(?:test|describe|it)\.(?:only|skip|todo|fails)\b/;
  const tests = SOURCES.filter(({ path }) => path.startsWith("test/"));
  expect(places((line) => aside.exec(line)?.[0], tests)).toEqual([]);
});

test("every source file opens with a comment that says what lives there", () => {
  // A program that is run by its name begins with its interpreter's.
  const opening = ({ lines }: File): string => lines.find((line) => !line.startsWith("#!")) ?? "";
  const silent = SOURCES.filter((file) => !/^\/\/ \S.{15,}/.test(opening(file)));
  expect(silent.map(({ path }) => path)).toEqual([]);
});

test(`no source file has more than ${LINES_MAX} lines`, () => {
  const long = SOURCES.filter(({ lines }) => lines.length - 1 > LINES_MAX);
  expect(long.map(({ path, lines }) => `${path}: ${lines.length - 1}`)).toEqual([]);
});

test(`no line of a source file has more than ${COLUMNS_MAX} columns`, () => {
  const tooLong = (line: string): string | undefined =>
    [...line].length > COLUMNS_MAX ? `${[...line].length} columns` : undefined;
  expect(places(tooLong, SOURCES)).toEqual([]);
});

test("no file names a place on a person's machine", () => {
  const homes = ["home", "Users", "root", "work", "tmp", "mnt", "private/var"].join("|");
  const place = new RegExp(`(?:^|[\\s"'\`(=:])(?:/(?:${homes})/[\\w.~-]+|[A-Z]:\\\\\\w+)`);
  expect(places((line) => place.exec(line)?.[0])).toEqual([]);
});

test("no retired word is left", () => {
  const looked = FILES.filter(({ path }) => !SPEAK_FREELY.some((part) => path.includes(part)));
  expect(looked.length).toBeGreaterThan(300);
  expect(places(retiredIn, looked)).toEqual([]);
});

test("a retired word is found as a whole word, in code and in prose", () => {
  expect(retiredIn("const lane = 1;")).toBe("lane is now fast path");
  expect(retiredIn("it is in other hands")).toBe("in other hands is now held by another program");
  expect(retiredIn("const isRipe = hasLane();")).toBe("ripe is now due");
  expect(retiredIn("planes and planet")).toBeUndefined();
});

test("no file cites a document that is not in the repository", () => {
  // A name in capitals and a number of a section, or such a name as a file.
  const cited = /\b(?!RFC|IPV|UTF|SHA)([A-Z]{5,}) (?:§ ?)?\d+\.\d|\b([A-Z]{5,})\.md\b/;
  const own = ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"];
  const citation = (line: string): string | undefined => {
    const name = cited.exec(line)?.slice(1).find(Boolean);
    return name === undefined || own.includes(name) ? undefined : name;
  };
  expect(citation(`what is judged (${"NETWORKS"} 2.4)`)).toBe("NETWORKS");
  expect(citation("as RFC 6056 3.3 and CHANGELOG.md say")).toBeUndefined();
  expect(places(citation, [...SOURCES, ...PAGES])).toEqual([]);
});

// ── Imports and exports ───────────────────────────────────────────────────────────────────

test("whatever assembly/ and bindings/ export, another file imports", () => {
  const imported = new Set(
    SOURCES.flatMap(importsOf).flatMap(({ from, names }) => names.map((name) => `${from} ${name}`)),
  );
  const unused = sourcesOf("assembly", "bindings")
    .filter(({ path }) => !ROOTS.includes(path))
    .flatMap((file) => exportsOf(file).map((name) => [file.path, name] as const))
    .filter(([path, name]) => !imported.has(`${bare(path)} ${name}`));
  expect(unused.map(([path, name]) => `${path}: ${name}`)).toEqual([]);
});

test("inside assembly/ imports point down the list of rooms", () => {
  const upward = sourcesOf("assembly").flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => from !== "assembly/abi")
      .filter(({ from }) => roomOf(from) > roomOf(bare(file.path)) || roomOf(from) < 0)
      .map(({ from }) => `${file.path} imports ${from}`),
  );
  expect(upward).toEqual([]);
});

test("the shared numbers of assembly/abi.ts import nothing", () => {
  const abi = SOURCES.filter(({ path }) => path === "assembly/abi.ts");
  expect(abi).toHaveLength(1);
  expect(abi.flatMap(importsOf)).toEqual([]);
});

test("bindings/ import from assembly/ its shared numbers, and nothing else", () => {
  const strange = sourcesOf("bindings").flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => !from.startsWith("bindings/") && from !== "assembly/abi")
      .map(({ from }) => `${file.path} imports ${from}`),
  );
  expect(strange).toEqual([]);
});

test("what is imported for anything but LinuxPorts does not load the linux module", () => {
  const reached = reachedFrom("manager", "groups/group", "groups/reserved");
  expect(reached.size).toBeGreaterThan(10);
  expect(reached).not.toContain("bindings/linux/core");
});

test("what is imported for anything but port managers does not load the cooldown module", () => {
  expect(reachedFrom("manager")).toContain("bindings/core/cooldown-core");
  const reached = reachedFrom("linux/rules/6.18/ports", "groups/group", "groups/reserved");
  expect(reached).toContain("bindings/linux/core");
  expect(reached).not.toContain("bindings/core/cooldown-core");
});

test("imports name files that are there", () => {
  const lost = SOURCES.flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => !existsSync(join(ROOT, `${from}.ts`)))
      .map(({ from }) => `${file.path} imports ${from}`),
  );
  expect(lost).toEqual([]);
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** What these files of bindings/ import, and what that imports, and so on. */
function reachedFrom(...names: readonly string[]): Set<string> {
  const reached = new Set(names.map((name) => `bindings/${name}`));
  for (const from of reached) {
    for (const file of SOURCES.filter(({ path }) => bare(path) === from)) {
      for (const other of importsOf(file)) reached.add(other.from);
    }
  }
  return reached;
}

/** All text files that are, or are about to be, under version control. */
function tracked(): File[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const paths = execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\0");
  return paths
    .filter((path) => path !== "" && statSync(join(ROOT, path), QUIET)?.isFile())
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }))
    .filter(({ text }) => !text.includes("\0"))
    .map(({ path, text }) => ({ path, text, lines: text.split("\n") }));
}

/** The first retired word in a line, also as part of a name, and what it is called now. */
function retiredIn(line: string): string | undefined {
  const parts = line.replace(NEXT_WORD, " ").toLowerCase();
  const word = (ANY_RETIRED.exec(line) ?? ANY_RETIRED.exec(parts))?.[0];
  if (word === undefined) return undefined;
  const known = Object.entries(RETIRED).find(([pattern]) => new RegExp(`^${pattern}$`).test(word));
  return `${word} is now ${known?.[1]}`;
}

function sourcesOf(...folders: string[]): File[] {
  return SOURCES.filter(({ path }) => folders.some((folder) => path.startsWith(`${folder}/`)));
}

/** Where a line has something that it should not have, and what. */
function places(find: (line: string) => string | undefined, files = FILES): string[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => {
      const found = find(line);
      return found === undefined ? [] : [`${path}:${index + 1}: ${found}`];
    }),
  );
}

/** What a file imports from, or exports again of, other files of ours. */
function importsOf({ path, text }: File): Import[] {
  const statement =
    /^(?:import|export)\s+(?:type\s+)?(\{[^}]*\}|\*(?: as \w+)?)\s+from\s+"(\.[^"]*)"/gm;
  const dynamic = /\bimport\("(\.[^"]*)"\)\)?\.?(\w*)/g;
  const resolved = (to: string): string => bare(normalize(join(dirname(path), to)));
  return [
    ...[...text.matchAll(statement)].map(([, names = "", to = ""]) => ({
      from: resolved(to),
      names: namesIn(names),
    })),
    ...[...text.matchAll(dynamic)].map(([, to = "", name = ""]) => ({
      from: resolved(to),
      names: [name],
    })),
  ];
}

/** `{ type A, b as c }` is A and b. */
function namesIn(list: string): string[] {
  const inner = list.replace(/[{}]/g, "").replace(/\/\/.*$/gm, "");
  const names = inner.split(",").map((name) => name.trim().replace(/^type /, ""));
  return names.filter((name) => name !== "").map((name) => name.split(" ")[0] as string);
}

function exportsOf({ text }: File): string[] {
  const declared =
    /^export (?:declare |abstract |async )*(?:const|let|function\*?|class|type|interface|enum) (\w+)/gm;
  const listed = /^export (?:type )?(\{[^}]*\});/gm;
  return [
    ...[...text.matchAll(declared)].map(([, name = ""]) => name),
    ...[...text.matchAll(listed)].flatMap(([, names = ""]) => namesIn(names)),
  ];
}

function bare(path: string): string {
  return path.replace(/\.(?:ts|js)$/, "");
}

/** Its place in the list of rooms; -1 for a file that is in none. */
function roomOf(path: string): number {
  const [, room = ""] = path.split("/");
  return ROOMS.indexOf(room.replace(/\..*$/, ""));
}
