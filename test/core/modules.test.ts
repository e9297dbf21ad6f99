// The shape of the modules: what a host must give them (the core nothing, the others the core's
// memory, and cooldown.wasm what it calls of the core), and what they bring along.
// test/package/sizes.test.ts has their sizes.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { wasm as cooldownWasm } from "#cooldown-wasm";
import { wasm as linuxWasm } from "#linux-wasm";
import { wasm as coreWasm } from "#wasm";
import { cooldownCoreOf } from "../../bindings/core/cooldown-core.ts";
import { coreOf } from "../../bindings/core/core.ts";
import { linuxCoreOf } from "../../bindings/linux/core.ts";
import { BUILDS, bytesOf, freshModules, type Part } from "../support/builds.ts";

// Section numbers of the binary format (WebAssembly core specification 5.5.2).
const CUSTOM = 0;
const IMPORT = 2;
const GLOBAL = 6;
const START = 8;
const DATA = 11;

interface Section {
  readonly id: number;
  readonly bytes: Uint8Array;
}

interface Shape {
  /** Every function of the facade's type of its exports. */
  readonly names: readonly string[];
  /** What a release build imports, and exports beside functions. */
  readonly imports: readonly WebAssembly.ModuleImportDescriptor[];
  readonly exports: readonly object[];
  /** What the package carries. */
  readonly wasm: string | WebAssembly.Module;
  /** What a debug build exports to check its invariants. */
  readonly checks: readonly string[];
  /** Where a debug build's texts lie (assembly/memory/layout.ts). */
  readonly texts: readonly [first: number, end: number];
}

const MEMORY = { module: "env", name: "memory", kind: "memory" } as const;
const CALLED = ["take", "takeAt", "takeBetween", "hasTaken", "freePort", "freeMany", "poolRange"];

const SHAPES: Readonly<Record<Part, Shape>> = {
  core: {
    names: functionsOf("CoreExports", "../../bindings/core/core.ts"),
    imports: [],
    exports: [{ name: "memory", kind: "memory" }],
    wasm: coreWasm,
    checks: ["verify"],
    texts: [8192, 12288],
  },
  linux: {
    names: [
      ...linuxFunctions("2632", "../../bindings/linux/rules/2.6.32/core.ts"),
      ...linuxFunctions("618", "../../bindings/linux/rules/6.18/core.ts"),
    ],
    imports: [MEMORY],
    exports: [],
    wasm: linuxWasm,
    checks: ["verify2632", "verify618"],
    texts: [12288, 16384],
  },
  cooldown: {
    names: functionsOf("CooldownExports", "../../bindings/core/cooldown-core.ts"),
    imports: [
      ...CALLED.map((name) => ({ module: "core", name, kind: "function" as const })),
      MEMORY,
    ],
    exports: [],
    wasm: cooldownWasm,
    checks: ["verifyCooldown", "verifyFifo"],
    texts: [16384, 20480],
  },
};
const PARTS = Object.keys(SHAPES) as Part[];
/** Where the heap begins, with the header of its first block. */
const HEAP = { release: 8192, debug: 20480 };

describe.each(PARTS)("the release build, %s.wasm", (part) => {
  const { wasm, names, ...shape } = SHAPES[part];
  const bytes = bytesOf("release", part);
  const module = new WebAssembly.Module(bytes);

  test("has no data and no globals, starts nothing, and carries no names", () => {
    const ids = sectionsOf(bytes).map(({ id }) => id);
    for (const id of [GLOBAL, START, DATA, CUSTOM]) expect(ids).not.toContain(id);
    for (const name of ["name", "sourceMappingURL", "producers"]) {
      expect(WebAssembly.Module.customSections(module, name)).toEqual([]);
    }
  });

  test("imports a memory if it exports none, what it calls of the core, and nothing else", () => {
    expect(WebAssembly.Module.imports(module).sort(byName)).toEqual(
      [...shape.imports].sort(byName),
    );
    const hasImports = sectionsOf(bytes).some(({ id }) => id === IMPORT);
    expect(hasImports).toBe(shape.imports.length > 0);
  });

  test("exports what the facade calls, and nothing else", () => {
    const exported = WebAssembly.Module.exports(module);
    const functions = exported.filter(({ kind }) => kind === "function").map(({ name }) => name);
    expect(functions.sort()).toEqual([...names].sort());
    expect(exported.filter(({ kind }) => kind !== "function")).toEqual(shape.exports);
  });

  test("is the module inside of the package", () => {
    expect(Buffer.from(String(wasm), "base64").equals(bytes)).toBe(true);
  });

  test("passes only 32-bit integers across the border, and times as floats", () => {
    const kinds = [0x7c, 0x7f];
    for (const type of signatureTypes(bytes)) expect(kinds).toContain(type);
  });
});

describe.each(PARTS)("the debug build, %s.debug.wasm", (part) => {
  const { names, checks, ...shape } = SHAPES[part];
  const bytes = bytesOf("debug", part);
  const module = new WebAssembly.Module(bytes);

  test("exports what the release build does, and the check of its invariants", () => {
    const exported = WebAssembly.Module.exports(module).map(({ name }) => name);
    const others = part === "core" ? ["memory"] : [];
    expect(exported.sort()).toEqual([...names, ...others, ...checks].sort());
  });

  test("imports what the release build does, and how to abort", () => {
    const abort = { module: "env", name: "abort", kind: "function" } as const;
    expect(WebAssembly.Module.imports(module).sort(byName)).toEqual(
      [abort, ...shape.imports].sort(byName),
    );
  });

  test("keeps its texts where no other module writes", () => {
    const [first, end] = shape.texts;
    const segments = dataSegmentsOf(bytes);
    expect(segments.length).toBeGreaterThan(0);
    for (const { at, length } of segments) {
      expect(at).toBeGreaterThanOrEqual(first);
      expect(at + length).toBeLessThanOrEqual(end);
    }
  });
});

describe.each(BUILDS)("the %s build", (build) => {
  const { module, linuxModule } = freshModules(build);
  const core = coreOf(module);
  const cooldownModule = new WebAssembly.Module(bytesOf(build, "cooldown"));
  const instances = {
    core,
    linux: linuxCoreOf(core, linuxModule),
    cooldown: cooldownCoreOf(core, cooldownModule),
  };

  test("runs as the facade finds it", () => {
    for (const part of PARTS) {
      const { names, checks } = SHAPES[part];
      const exports = instances[part].exports as Readonly<Record<string, unknown>>;
      for (const name of names) expect(exports).toHaveProperty(name);
      for (const check of checks) {
        expect(typeof exports[check]).toBe(build === "debug" ? "function" : "undefined");
      }
    }
  });

  test("has one instance of each overlay over each core", () => {
    expect(coreOf(module)).toBe(core);
    const other = coreOf(freshModules(build).module);
    expect(linuxCoreOf(core, linuxModule)).toBe(instances.linux);
    expect(linuxCoreOf(other, linuxModule)).not.toBe(instances.linux);
    expect(cooldownCoreOf(core, cooldownModule)).toBe(instances.cooldown);
    expect(cooldownCoreOf(other, cooldownModule)).not.toBe(instances.cooldown);
  });

  test("has its heap behind all that lies at fixed places", () => {
    const first = core.exports.openTree(0);
    expect(first).toBeGreaterThan(HEAP[build]);
    expect(first).toBeLessThan(HEAP[build] + 32);
  });
});

function byName({ name: one }: { name: string }, { name: other }: { name: string }): number {
  return one.localeCompare(other);
}

/** Their names end with the rules that they belong to. */
function linuxFunctions(rules: string, path: string): string[] {
  const names = [
    ...functionsOf("SharedExports", "../../bindings/linux/core.ts"),
    ...functionsOf(`Exports${rules}`, path),
  ];
  return names.map((name) => `${name}${rules}`);
}

/** The functions of a type, read from its source: types leave nothing behind. */
function functionsOf(type: string, path: string): string[] {
  const source = readFileSync(new URL(path, import.meta.url), "utf8");
  const [, body = ""] =
    new RegExp(`export type ${type} = (?:\\w+ & )?\\{(.*?)\\n\\};`, "s").exec(source) ?? [];
  const names = [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(10);
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
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(Uint8Array.from(bytes)));
  // Functions are numbered from the imported ones on.
  const first = imports.filter(({ kind }) => kind === "function").length;
  return Array.from({ length: exported.number() }, () => {
    exported.take(exported.number());
    const kind = exported.byte();
    const index = exported.number();
    return kind === 0 ? (signatures[typeOf[index - first] as number] as number[]) : [];
  }).flat();
}
