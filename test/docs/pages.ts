// Pages: the Markdown files of the repository, and what stands in them: blocks of code, headings,
// links.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { slugOf } from "../../docs/.vitepress/slug.ts";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** A Markdown file. */
export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly lines: readonly string[];
}

export interface Block {
  readonly path: string;
  /** The line of its first line of code, from 1. */
  readonly line: number;
  /** `ts`, `sh`, `text`, …; `""` for an indented block. */
  readonly language: string;
  /** The words behind the language: `server=8080` is `["server", "8080"]`. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly code: string;
}

/** A link, or a picture. */
export interface Link {
  readonly path: string;
  readonly line: number;
  readonly target: string;
}

/** All files that are, or are about to be, under version control. */
export function tracked(): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  return execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\0");
}

/** All pages: those at the root and in docs/. */
export function pages(): Page[] {
  return tracked()
    .filter((path) => /^(?:[A-Z]+\.md|docs\/.+\.md)$/.test(path) && existsSync(join(ROOT, path)))
    .map((path) => pageOf(path, readFileSync(join(ROOT, path), "utf8")));
}

export function pageOf(path: string, text: string): Page {
  return { path, lines: text.split("\n") };
}

/** Fenced blocks and indented ones, in order. */
export function blocksOf({ path, lines }: Page): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^```(\w*)\s*(.*)$/.exec(lines[at] ?? "");
    const start = fence === null ? at : at + 1;
    let end = start;
    if (fence !== null) {
      while (end < lines.length && lines[end] !== "```") end += 1;
    } else {
      while (/^ {4}/.test(lines[end] ?? "")) end += 1;
      // What is indented below an item of a list goes on with it.
      if (end === start || lines[at - 1] !== "") continue;
    }
    const [, language = "", words = ""] = fence ?? [];
    const code = lines.slice(start, end).join("\n");
    blocks.push({ path, line: start + 1, language, attributes: attributesOf(words), code });
    at = fence === null ? end - 1 : end;
  }
  return blocks;
}

function attributesOf(words: string): Map<string, string> {
  const pairs = words.split(/\s+/).filter((word) => word !== "");
  return new Map(pairs.map((pair) => pair.split("=")).map(([name = "", to = ""]) => [name, to]));
}

/** The lines of a page that are in no fenced block, each with its number. */
export function proseOf({ lines }: Page): { readonly line: number; readonly text: string }[] {
  let isCode = false;
  return lines.flatMap((text, index) => {
    if (text.startsWith("```")) {
      isCode = !isCode;
      return [];
    }
    return isCode ? [] : [{ line: index + 1, text }];
  });
}

/**
 * Links and pictures, written inline, or as `[name]: target` and `[text][name]`. One whose name has
 * no target leads to that name.
 */
export function linksOf(page: Page): Link[] {
  const inline = /\]\(([^()\s]+)\)/g;
  const named = /^\[[^\]]+\]: (\S+)$/g;
  const targets = page.lines.flatMap((text, index) => {
    // A target in the middle of a paragraph is none.
    const isApart = /^(?:\[[^\]]+\]: \S+)?$/.test(page.lines[index - 1] ?? "");
    return isApart ? [/^\[([^\]]+)\]: \S+$/.exec(text)?.[1]] : [];
  });
  return proseOf(page).flatMap(({ line, text }) =>
    [
      ...[...text.matchAll(inline), ...text.matchAll(named)].map(([, target = ""]) => target),
      ...[...text.matchAll(/\]\[([^\]]+)\]/g)].map(([, name = ""]) => name),
    ]
      .filter((target) => !targets.includes(target))
      .map((target) => ({ path: page.path, line, target })),
  );
}

/** The anchors of a page's headings. */
export function anchorsOf(page: Page): string[] {
  return proseOf(page)
    .map(({ text }) => /^#+ (.+)$/.exec(text)?.[1])
    .filter((heading) => heading !== undefined)
    .map((heading) => slugOf(heading));
}
