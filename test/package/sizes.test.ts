// Sizes: what the modules bring along. CHANGELOG has the size of each, so that a module that grows
// does so with a line that says it.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { BUILDS, bytesOf, type Part } from "../support/builds.ts";

const PARTS: readonly Part[] = ["core", "linux", "cooldown"];
/** Each module of each build, by its name: `core`, `core.debug`. */
const MODULES = BUILDS.flatMap((build) =>
  PARTS.map((part) => ({ build, part, name: build === "debug" ? `${part}.debug` : part })),
);
const CORE_MAX = 32 * 1024;
const CORE_GZIP_MAX = 14 * 1024;
/** How far a module may be from its line. */
const CHANGE_MAX = 0.03;

const CHANGELOG = readFileSync(new URL("../../CHANGELOG.md", import.meta.url), "utf8");

/** What is wrong with a module's size, held against the newest line about it. */
function complaintAbout(part: string, bytes: number, changelog: string): string | undefined {
  const file = `${part}.wasm`.replaceAll(".", "\\.");
  const line = new RegExp(`\`${file}\`[\\s(]*([\\d,]+) bytes`);
  const [, text] = line.exec(changelog) ?? [];
  if (text === undefined) return `${part}.wasm has no size in CHANGELOG.md`;
  const written = Number(text.replaceAll(",", ""));
  if (Math.abs(bytes - written) <= CHANGE_MAX * written) return undefined;
  return `${part}.wasm has ${bytes} bytes, and CHANGELOG.md says ${written}`;
}

test.each(MODULES)("the module $name has the size that CHANGELOG says", ({ build, part, name }) => {
  const bytes = bytesOf(build, part);
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  console.log(`${name}.wasm: ${bytes.length} bytes, ${gzipped} gzipped`);
  expect(complaintAbout(name, bytes.length, CHANGELOG)).toBe(undefined);
});

test("core.wasm is at most 32 KiB, and 14 KiB gzipped", () => {
  const bytes = bytesOf("release", "core");
  expect(bytes.length).toBeLessThanOrEqual(CORE_MAX);
  expect(gzipSync(bytes, { level: 9 }).length).toBeLessThanOrEqual(CORE_GZIP_MAX);
});

describe("the check of sizes", () => {
  const changelog =
    "`core.wasm` (20,000 bytes), `linux.wasm`\n(100 bytes)\n\n`core.wasm` (1 bytes)";

  test.each([
    ["core", 20_000, undefined],
    ["core", 20_600, undefined],
    ["core", 19_400, undefined],
    ["linux", 103, undefined],
    ["core", 20_700, "core.wasm has 20700 bytes, and CHANGELOG.md says 20000"],
    ["core", 18_000, "core.wasm has 18000 bytes, and CHANGELOG.md says 20000"],
    ["cooldown", 1, "cooldown.wasm has no size in CHANGELOG.md"],
    ["core.debug", 1, "core.debug.wasm has no size in CHANGELOG.md"],
  ] as const)("the check answers of %s.wasm with %i bytes: %s", (part, bytes, complaint) => {
    expect(complaintAbout(part, bytes, changelog)).toBe(complaint);
  });
});
