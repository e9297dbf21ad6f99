// The package as its users get it: what is in the tarball, what its entry points load, and whether
// the types say what is there. What runs it elsewhere than in this Node is `npm run test:runtimes`.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { build } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Installed, installPacked, type Target } from "../support/tarball.ts";

const MS_MAX = 600_000;
const { resolve } = createRequire(import.meta.url);

let installed: Installed;
beforeAll(() => {
  installed = installPacked();
});
afterAll(() => installed.remove());

describe("the tarball", () => {
  const allowed = [
    /^(?:LICENSE|README\.md|CHANGELOG\.md|package\.json)$/,
    /^build\/(?:bindings\/(?!cli\/)(?:[\w.-]+\/)*[\w-]+|assembly\/abi)\.d\.ts$/,
    /^build\/lib\/(?:[a-z-]+\.js|linux\.cjs)$/,
    /^build\/(?:core|linux|cooldown)\.(?:wasm|wasm\.d\.ts|inline\.js|import\.js)$/,
    /^build\/debug\.inline\.js$/,
  ];

  test("the tarball has what users need, and nothing else", () => {
    const strange = installed.files.filter((path) => !allowed.some((shape) => shape.test(path)));
    expect(strange).toEqual([]);
    for (const name of ["LICENSE", "README.md", "CHANGELOG.md", "build/core.wasm"]) {
      expect(installed.files).toContain(name);
    }
  });

  test("the tarball has its scripts in few files, and no source map", () => {
    const scripts = installed.files.filter((path) => path.startsWith("build/lib/"));
    expect(scripts.length).toBeGreaterThan(8);
    expect(scripts.length).toBeLessThan(25);
    for (const path of scripts) expect(read(path)).not.toContain("sourceMappingURL");
    expect(installed.files.filter((path) => path.endsWith(".map"))).toEqual([]);
  });

  test("each part of a script is headed by the name of its source", () => {
    const { stdout, stderr } = node("--eval", [
      `const { PortManager } = require("portwarden");
      try { PortManager.open({ seed: -1 }) } catch (error) { console.log(error.stack) }`,
    ]);
    const [, file = "", line = ""] = /open \(.*lib\/(\w+\.js):(\d+)/.exec(stdout) ?? [];
    expect(file, stdout + stderr).toBe("whole.js");
    const above = read(`build/lib/${file}`).split("\n").slice(0, Number(line));
    const heads = above.filter((text) => /^\/\/ \S+\.ts$/.test(text));
    expect(heads.at(-1)).toBe("// bindings/manager.ts");
  });

  test("the tarball has every declaration that a declaration imports, and no map of one", () => {
    const declarations = installed.files.filter((path) => path.endsWith(".d.ts"));
    for (const path of declarations) {
      expect(read(path)).not.toContain("sourceMappingURL");
      for (const name of importsOf(read(path)).filter((name) => name.startsWith("."))) {
        const target = posix.join(posix.dirname(path), name).replace(/\.[jt]s$/, ".d.ts");
        expect(installed.files, `${path} imports ${name}`).toContain(target);
      }
    }
  });

  test("the tarball has every file that package.json names, and no branch twice", () => {
    const { exports, imports } = installed.manifest;
    const { bin = {} } = installed.manifest;
    const targets = [bin, exports, imports].flatMap(filesOf);
    for (const target of targets) expect(installed.files).toContain(target.replace("./", ""));
    for (const [name, target] of Object.entries(imports).filter(
      ([name]) => /wasm/.test(name) && name !== "#debug-wasm",
    )) {
      expect(Object.keys(target), name).toEqual(["workerd", "default"]);
    }
  });

  test("publint finds nothing in the tarball", async () => {
    const { buffer } = new Uint8Array(readFileSync(installed.tarball));
    const { messages } = await publint({ pack: { tarball: buffer }, strict: true });
    expect(messages).toEqual([]);
  });

  test("the tarball has types that ES modules and bundlers find (attw)", {
    timeout: MS_MAX,
  }, () => {
    const { status, stdout } = node(
      join(dirname(resolve("@arethetypeswrong/cli/package.json")), "dist", "index.js"),
      [...[installed.tarball, "--profile", "esm-only", "--no-color", "--no-emoji"]],
    );
    expect(status, stdout).toBe(0);
    expect(stdout).toContain('"portwarden/core.wasm"');
  });
});

describe("what the entry points load", () => {
  test.each([
    [["workerd", "node"], ["index", "linux", "core", "ports"], ["core.wasm"]],
    [[], ["index", "linux", "core", "ports"], ["core.inline.js"]],
    [["node"], ["index", "linux", "whole"], ["linux.inline.js"]],
    [["node", "node-addons"], ["index", "linux", "whole"], ["linux.inline.js"]],
    [["node", "node-addons", "module-sync"], ["index", "whole"], []],
  ])("the main entry point loads nothing of Node, by the conditions %j", (...expected) => {
    const [conditions, scripts, modules] = expected;
    const { files, others } = reachedFrom("build/lib/index.js", conditions);
    const inLib = files.filter((path) => path.startsWith("build/lib/"));
    expect(inLib.sort()).toEqual(scripts.map((name) => `build/lib/${name}.js`).sort());
    expect(files).toEqual(expect.arrayContaining(modules.map((name) => `build/${name}`)));
    expect(others).toEqual([]);
  });

  test("Node reads the rules of Linux when LinuxPorts is first used", () => {
    const path = join(installed.home, "build/lib/linux.cjs");
    const text = readFileSync(path, "utf8");
    const use = `
      const { LinuxPorts, PortManager } = require("portwarden");
      console.log(PortManager.open().stats().descriptors);
      const system = LinuxPorts.open();
      console.log(system instanceof LinuxPorts, {} instanceof LinuxPorts, "open" in LinuxPorts);`;
    expect(node("--eval", [use]).stdout).toBe("0\ntrue false true\n");
    writeFileSync(path, "throw new Error('has been read');");
    try {
      const { stdout, stderr } = node("--eval", [use]);
      expect(stdout).toBe("0\n");
      expect(stderr).toContain("has been read");
    } finally {
      writeFileSync(path, text);
    }
  });

  test("what Node has in place of LinuxPorts is described, replaced and extended as the class", () => {
    const use = `
      const { LinuxPorts } = require("portwarden");
      console.log(Object.hasOwn(LinuxPorts, "open"), Object.getOwnPropertyNames(LinuxPorts).length);
      const { open } = LinuxPorts;
      Object.defineProperty(LinuxPorts, "open", { configurable: true, value: () => "replaced" });
      console.log(LinuxPorts.open(), delete LinuxPorts.open, LinuxPorts.open);
      LinuxPorts.open = open;
      class Own extends LinuxPorts {}
      console.log(Own.open() instanceof LinuxPorts, LinuxPorts.name, LinuxPorts.prototype.constructor.name);
      const { value } = Object.getOwnPropertyDescriptor(LinuxPorts, "prototype");
      console.log(value === LinuxPorts.prototype);
      new LinuxPorts();`;
    const { stdout, stderr } = node("--eval", [use]);
    const [described, ...others] = stdout.split("\n");
    expect(described).toMatch(/^true [3-9]$/);
    expect(others).toEqual(["replaced true undefined", "true LinuxPorts LinuxPorts", "true", ""]);
    expect(stderr).toContain("ERR_ILLEGAL_CONSTRUCTOR");
  });

  test("an import of a module of Node is found in each form", () => {
    expect(importsOf('import "node:fs";\nconst a = await import("node:net");')).toEqual([
      "node:fs",
      "node:net",
    ]);
    expect(importsOf('export {\n  a,\n} from "./node/index.js"; require("net")')).toEqual([
      "./node/index.js",
      "net",
    ]);
  });

  test.each([
    ["IPV4", []],
    ["PortGroups", ["core"]],
    ["PortManager", ["core", "cooldown"]],
    ["LinuxPorts", ["core", "linux"]],
  ])("a bundle that uses %s alone has the modules %s", async (name, modules) => {
    const input = join(installed.folder, "use.mjs");
    writeFileSync(input, `import { ${name} } from "portwarden";\nconsole.log(${name});\n`);
    const { output } = await build({ input, write: false, logLevel: "silent" });
    const { code } = output[0];
    const inside = ["core", "linux", "cooldown"].filter((module) => {
      const [, text = ""] = /"(.{1000,})"/.exec(read(`build/${module}.inline.js`)) ?? [];
      expect(text.length).toBeGreaterThan(1000);
      return code.includes(text);
    });
    expect(inside).toEqual(modules);
    expect(code).not.toMatch(/["']node:/);
  });

  test("an import compiles nothing, and each class compiles its own module once", () => {
    const counted = `
      let compiled = 0;
      const { Module } = WebAssembly;
      WebAssembly.Module = class extends Module {
        constructor(bytes) { super(bytes); compiled += 1; }
        static [Symbol.hasInstance](value) { return value instanceof Module; }
      };
      const counts = [];
      const { PortManager, LinuxPorts } = require("portwarden");
      counts.push(compiled);
      PortManager.open(); PortManager.open();
      counts.push(compiled);
      LinuxPorts.open(); LinuxPorts.open();
      counts.push(compiled);
      const pool = { networks: [4], transport: 6, cooldown: 1000 };
      PortManager.open().pool(pool); PortManager.open().pool(pool);
      counts.push(compiled);
      console.log(JSON.stringify(counts));`;
    const { stdout, stderr } = node("--eval", [counted]);
    expect(stdout.trim(), stderr).toBe("[0,1,2,3]");
  });

  test("a host without WebAssembly gets an error that says what to do, each time", () => {
    const refused = `
      const { PortManager } = require("portwarden");
      for (const attempt of [1, 2]) {
        try { PortManager.open(); } catch (error) {
          console.log(JSON.stringify([error.name, error.code, error.reason, error.message,
            error.cause?.name]));
        }
      }`;
    const { stdout, stderr } = node("--jitless", ["--eval", refused]);
    const answers = stdout.trim().split("\n");
    expect(answers, stderr).toHaveLength(2);
    expect(answers[1]).toBe(answers[0]);
    const [name, code, reason, message, cause] = JSON.parse(answers[0] ?? "[]") as string[];
    expect([name, code, reason]).toEqual([
      ...["PortError", "ERR_WEBASSEMBLY_NOT_SUPPORTED", "not-compiled"],
    ]);
    expect(message).toContain("core.wasm (WebAssembly is not defined)");
    expect(message).toContain("'wasm-unsafe-eval'");
    expect(message).toContain("open({ module })");
    expect(cause).toBe("ReferenceError");
  });

  /** A mistake in the core's use, which only asserts notice, and what was said about it. */
  const mistaken = `
    const { createRequire } = await import("node:module");
    const require = createRequire(process.cwd() + "/");
    const { PortManager, LinuxPorts } = require("portwarden");
    const inside = {};
    const { Instance } = WebAssembly;
    WebAssembly.Instance = class extends Instance {
      constructor(...how) { super(...how); Object.assign(inside, super.exports); }
    };
    const ports = PortManager.open();
    const pool = ports.pool({ networks: [4], transport: 6, cooldown: 1000 });
    const port = LinuxPorts.open().socket().bind("", 0);
    const said = [pool.take() >= 16000, pool.coolDown(pool.take(), 0), port >= 32768];
    const { openManager, openReserved, closeReserved, openCooldown, expire } = inside;
    const reserved = openReserved();
    const mistakes = [
      () => expire(openCooldown(openManager(1, 2, 1e6), 1000), 0, 1e6),
      () => [closeReserved(reserved), closeReserved(reserved)],
    ];
    for (const act of mistakes) {
      try { act(); said.push("no error"); } catch (error) { said.push(error.message); }
    }
    console.log(JSON.stringify(said));`;

  test("portwarden/debug says which assert has failed, and where; all else is as without it", () => {
    const run = (...flags: string[]) => {
      const all = [...flags, "--no-warnings", "--eval", mistaken];
      const { stdout, stderr } = node("--input-type=module", all);
      expect(stdout, stderr).toMatch(/^\[true,true,true,/);
      return (JSON.parse(stdout) as string[]).slice(3);
    };
    expect(run()).toEqual(["no error", "no error"]);
    const [cooldown, core] = run("--import", "portwarden/debug");
    expect(cooldown).toMatch(/^abort: .* at assembly\/cooldown\/cooldown\.ts:\d+:\d+$/);
    expect(core).toMatch(/^abort: .* at assembly\/memory\/arena\.ts:\d+:\d+$/);
  });

  test("portwarden/debug comes too late when something has been opened", () => {
    const late = `require("portwarden").PortManager.open();
      try { require("portwarden/debug"); } catch (error) { console.log(error.message); }`;
    const { stdout, stderr } = node("--eval", [late]);
    expect(stdout, stderr).toContain("EBUSY: portwarden/debug must be imported before");
  });

  test("a host without FinalizationRegistry, as an old Worker, can run it", () => {
    const withoutRegistry = `
      delete globalThis.FinalizationRegistry;
      const { LinuxPorts, PortGroups, PortManager, ReservedPorts } = require("portwarden");
      const reserved = new ReservedPorts("8080");
      const ports = PortManager.open({ selection: "sequential" });
      const group = PortGroups.open().create("/web");
      const pool = ports.pool({ networks: [4], transport: 6, group, reserved });
      const system = LinuxPorts.open();
      const port = system.socket().bind("127.0.0.1", 0);
      console.log(pool.take() > 0, port > 0, typeof FinalizationRegistry);
      ports.close();
      system.close();`;
    const { stdout, stderr } = node("--eval", [withoutRegistry]);
    expect(stdout.trim(), stderr).toBe("true true undefined");
  });
});

describe("the declared types", () => {
  const RESOLUTIONS: readonly (readonly [module: string, resolution: string])[] = [
    ["NodeNext", "NodeNext"],
    ["ESNext", "Bundler"],
  ];

  test.each(RESOLUTIONS)(
    "the declared types are those that are exported (%s, %s)",
    { timeout: MS_MAX },
    (...how) => {
      const { status, stdout } = compiled(consumer(), ...how);
      expect(status, stdout).toBe(0);
    },
  );

  test("a declared name too many is found, and one too few", { timeout: MS_MAX }, () => {
    const text = consumer();
    const more = compiled(text.replace("PortManager: 0", "PortManager: 0, Portier: 0"));
    expect(more.stdout).toContain("'Portier' does not exist");
    const less = compiled(text.replace(/PortManager: 0,/, ""));
    expect(less.stdout).toContain("'PortManager' is missing");
  });

  test("every optional property of a declaration may be there as undefined", () => {
    const declarations = installed.files.filter((path) => path.endsWith(".d.ts"));
    const found = declarations.flatMap((path) => optionalsOf(read(path)));
    expect(found.length).toBeGreaterThan(90);
    expect(found.filter(({ type }) => !acceptsUndefined(type))).toEqual([]);
  });

  test("an optional property that lacks undefined is found", () => {
    const text = `interface A {
      /** b?: string; */
      readonly a?: string | undefined;
      c?: {
        d?: number;
      };
      e?(): void;
      f?: unknown;
      g?: string;
    }`;
    const found = optionalsOf(text).filter(({ type }) => !acceptsUndefined(type));
    expect(found.map(({ name }) => name)).toEqual(["c", "d", "g"]);
  });

  /** A program that names all that the entry points export at run time, and uses some of it. */
  function consumer(): string {
    const entries = Object.keys(installed.manifest.exports)
      .filter((entry) => !/\.(?:wasm|json)$/.test(entry))
      .map((entry) => entry.replace(".", "portwarden"));
    expect(entries).toContain("portwarden");
    const named = entries.map((entry, index) => {
      const names = exportedBy(entry).map((name) => `${name}: 0`);
      const all = `export const all${index}: Record<keyof typeof entry${index}, 0> = `;
      return `import * as entry${index} from "${entry}";\n${all}{ ${names} };`;
    });
    return `${named.join("\n")}
      import { IPV4, PortManager, TCP, type Reservation } from "portwarden";
      import core from "portwarden/core.wasm";
      const ports: PortManager = PortManager.open({ module: core });
      const held: Reservation = ports.reservePort({ networks: [IPV4], transport: TCP });
      export const port: number = held.port;
      // @ts-expect-error Types are there, so this is none.
      ports.reservePort({ networks: "4" });
    `;
  }

  function exportedBy(entry: string): string[] {
    const { stdout, stderr } = node("--eval", [
      `console.log(JSON.stringify(Object.keys(require("${entry}"))))`,
    ]);
    expect(stderr.replace(/.*ExperimentalWarning.*\n.*\n/, "")).toBe("");
    // What `require` adds for modules that are ES modules.
    return (JSON.parse(stdout) as string[]).filter((name) => name !== "__esModule");
  }

  /**
   * The compiler's answer. Libraries are checked as well, and Node's types are not loaded unless
   * needed.
   */
  function compiled(text: string, module = "NodeNext", resolution = "NodeNext") {
    const path = join(installed.folder, "consumer.mts");
    writeFileSync(path, text);
    const typeRoots = fileURLToPath(new URL("../../node_modules/@types", import.meta.url));
    const needsNode = text.includes('"portwarden/node"');
    return node(join(dirname(resolve("typescript/package.json")), "bin", "tsc"), [
      ...["--ignoreConfig", "--noEmit", "--strict", "--target", "ES2022"],
      ...["--lib", "ES2022,DOM", "--module", module],
      ...["--moduleResolution", resolution, "--typeRoots", typeRoots],
      ...["--types", needsNode ? "node" : "", path],
    ]);
  }
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function read(path: string): string {
  return readFileSync(join(installed.home, path), "utf8");
}

/** The optional properties of a declaration, each with its type. */
function optionalsOf(text: string): { name: string; type: string }[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "");
  return [...code.matchAll(/([\w$]+)\?: /g)]
    .map(({ 0: { length }, 1: name = "", index }) => ({ name, type: typeAt(code, index + length) }))
    .filter(({ type }) => type !== "");
}

/** A property's type ends with a semicolon; that of a parameter does not, and is none here. */
function typeAt(code: string, start: number): string {
  let depth = 0;
  for (let at = start; at < code.length; at++) {
    const character = code[at] as string;
    if ("({[".includes(character)) depth++;
    else if (")}]".includes(character)) depth--;
    if (depth < 0 || (depth === 0 && character === ",")) return "";
    if (depth === 0 && character === ";") return code.slice(start, at);
  }
  return "";
}

function acceptsUndefined(type: string): boolean {
  return type === "unknown" || /(?:^|\| )undefined$/.test(type);
}

/** Runs this Node in the folder where the package is installed. */
function node(first: string, rest: readonly string[]) {
  const options = { cwd: installed.folder, encoding: "utf8", timeout: MS_MAX } as const;
  return spawnSync(process.execPath, [first, ...rest], options);
}

/**
 * What a script or a declaration imports, exports again, or requires, by any of the ways there are.
 */
function importsOf(text: string): string[] {
  const form =
    /^(?:import|export)\s+(?:[\w\s{},*$]+\sfrom\s+)?["']([^"'\n]+)["']|\b(?:import|require)\(\s*["']([^"'\n]+)["']/gm;
  return [...text.matchAll(form)].map(([, first, second]) => first ?? second ?? "");
}

/** All files of the package that one loads by some conditions, and what is not of the package. */
function reachedFrom(
  entry: string,
  conditions: readonly string[],
): { files: string[]; others: string[] } {
  const files = new Set([entry]);
  const others = new Set<string>();
  for (const file of files) {
    if (!file.endsWith(".js")) continue;
    for (const name of importsOf(read(file))) {
      const target = installed.manifest.imports[name];
      if (name.startsWith(".")) files.add(posix.join(posix.dirname(file), name));
      else if (target === undefined) others.add(name);
      else files.add(posix.normalize(targetOf(target, conditions)));
    }
  }
  return { files: [...files], others: [...others] };
}

/** What the first condition that applies says. */
function targetOf(target: Target, conditions: readonly string[]): string {
  if (typeof target === "string") return target;
  for (const [condition, inner] of Object.entries(target)) {
    const isGiven = condition === "default" || conditions.includes(condition);
    const found = isGiven ? targetOf(inner, conditions) : "";
    if (found !== "") return found;
  }
  return "";
}

/** Every file that a target may mean. */
function filesOf(target: Target): string[] {
  return typeof target === "string" ? [target] : Object.values(target).flatMap(filesOf);
}
