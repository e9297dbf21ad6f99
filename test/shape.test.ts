// The shape of the modules: what a host must give them (nothing) and what they bring along (code).

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { base64 } from "#wasm";
import { BATCH_AT, BATCH_MAX, REQUEST_AT, REQUEST_BYTES } from "../assembly/abi.ts";
import { coreOf } from "../bindings/core.ts";
import { bytesOf, optionsFor } from "./support/builds.ts";

const SIZE_MAX = 33 * 1024;

// Section numbers of the binary format (WebAssembly core specification 5.5.2).
const CUSTOM = 0;
const IMPORT = 2;
const START = 8;
const DATA = 11;

/** Every function of the type `CoreExports`, read from its source: types leave nothing behind. */
const NAMES = functionsOf(readFileSync(new URL("../bindings/core.ts", import.meta.url), "utf8"));

interface Section {
  readonly id: number;
  readonly bytes: Uint8Array;
}

describe("the release build", () => {
  const bytes = bytesOf("release");
  const module = new WebAssembly.Module(bytes);

  test("is at most 33 KiB", () => {
    const gzipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`core.wasm: ${bytes.length} bytes, ${gzipped} gzipped`);
    expect(bytes.length).toBeLessThanOrEqual(SIZE_MAX);
  });

  test("imports nothing, has no data, starts nothing, and carries no names", () => {
    const ids = sectionsOf(bytes).map(({ id }) => id);
    for (const id of [IMPORT, START, DATA, CUSTOM]) expect(ids).not.toContain(id);
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    for (const name of ["name", "sourceMappingURL", "producers"]) {
      expect(WebAssembly.Module.customSections(module, name)).toEqual([]);
    }
  });

  test("exports what the facade calls, its memory, and nothing else", () => {
    const exported = WebAssembly.Module.exports(module);
    const functions = exported.filter(({ kind }) => kind === "function").map(({ name }) => name);
    expect(functions.sort()).toEqual([...NAMES].sort());
    const others = exported.filter(({ kind }) => kind !== "function");
    expect(others).toEqual([{ name: "memory", kind: "memory" }]);
  });

  test("is the module inside of the package", () => {
    expect(Buffer.from(base64, "base64").equals(bytes)).toBe(true);
  });

  test("passes only 32-bit integers across the border, and times as floats", () => {
    const kinds = new Set(signatureTypes(bytes));
    expect([...kinds].sort()).toEqual([0x7c, 0x7f]);
  });
});

describe("the debug build", () => {
  const bytes = bytesOf("debug");
  const module = new WebAssembly.Module(bytes);

  test("exports what the release build does, and the check of its invariants", () => {
    const exported = WebAssembly.Module.exports(module).map(({ name }) => name);
    expect(exported).toEqual(expect.arrayContaining([...NAMES, "memory", "verify", "verifyLinux"]));
  });

  test("imports nothing but how to abort", () => {
    const imported = WebAssembly.Module.imports(module);
    expect(imported).toEqual([{ module: "env", name: "abort", kind: "function" }]);
  });

  test("keeps its messages out of the arena's header, the request and the batch", () => {
    const segments = dataSegmentsOf(bytes);
    expect(segments.length).toBeGreaterThan(0);
    const batchEnd = BATCH_AT + BATCH_MAX * 4;
    for (const { at, length } of segments) {
      expect(at).toBeGreaterThanOrEqual(REQUEST_AT + REQUEST_BYTES);
      expect(at >= batchEnd || at + length <= BATCH_AT).toBe(true);
    }
  });
});

test.each(["release", "debug"] as const)("the %s build runs as the facade finds it", (build) => {
  const { exports } = coreOf(optionsFor(build).module);
  for (const name of NAMES) expect(exports).toHaveProperty(name);
  expect(typeof exports.verify).toBe(build === "debug" ? "function" : "undefined");
});

function functionsOf(source: string): string[] {
  const [, body = ""] = /export type CoreExports = \{(.*?)\n\};/s.exec(source) ?? [];
  const names = [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(20);
  return names;
}

// ── Reading the binary format ─────────────────────────────────────────────────────────────

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.at++] as number;
  }

  /** An unsigned number in seven-bit groups (LEB128). */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Uint8Array {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

function sectionsOf(bytes: Uint8Array): Section[] {
  const reader = new Reader(bytes);
  reader.take(8); // Magic and version.
  const sections: Section[] = [];
  while (!reader.isOver) sections.push({ id: reader.byte(), bytes: reader.take(reader.number()) });
  return sections;
}

/** Where the active segments of a data section lie; their place is one `i32.const`. */
function dataSegmentsOf(bytes: Uint8Array): { at: number; length: number }[] {
  const section = sectionsOf(bytes).find(({ id }) => id === DATA);
  if (section === undefined) return [];
  const reader = new Reader(section.bytes);
  return Array.from({ length: reader.number() }, () => {
    expect(reader.number()).toBe(0);
    expect(reader.byte()).toBe(0x41);
    const at = reader.number();
    expect(reader.byte()).toBe(0x0b);
    const length = reader.number();
    reader.take(length);
    return { at, length };
  });
}

/** The types of all parameters and results of the functions that are exported. */
function signatureTypes(bytes: Uint8Array): number[] {
  const sections = new Map(sectionsOf(bytes).map(({ id, bytes }) => [id, bytes]));
  const types = new Reader(sections.get(1) as Uint8Array);
  const signatures = Array.from({ length: types.number() }, () => {
    expect(types.byte()).toBe(0x60);
    return [...types.take(types.number()), ...types.take(types.number())];
  });
  const functions = new Reader(sections.get(3) as Uint8Array);
  const typeOf = Array.from({ length: functions.number() }, () => functions.number());
  const exported = new Reader(sections.get(7) as Uint8Array);
  return Array.from({ length: exported.number() }, () => {
    exported.take(exported.number());
    const kind = exported.byte();
    const index = exported.number();
    return kind === 0 ? (signatures[typeOf[index] as number] as number[]) : [];
  }).flat();
}
