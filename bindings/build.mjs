// Bundles the facade into the few files that are published, since each file that is loaded takes a
// cold process about a millisecond, and clears the place where tsc puts the same file by file, with
// its declarations.
//
//   build/lib/   index.js            #core  #ports  #linux
//                node.js             sockets.js, #core and #ports
//                cli.js              demo.js  plan.js  show.js ...
//
// What the names with # are is said by the conditions under "imports" in package.json:
//
//   #core, #ports   core.js and ports.js: a bundler leaves out a file as a whole, so that a page
//                   with PortGroups alone has no text of cooldown.wasm
//                   whole.js, where the condition is "node": both, and the texts of their modules
//   #linux          linux.js; or whole.js, which loads linux.cjs when LinuxPorts is first used, where
//                   both "node-addons" and "module-sync" are conditions: in Node, and in no bundler
//
// Names stay, and each part is headed by the name of its source: `// bindings/pool.ts`.
//
// simple-ascii-chart becomes part of it with its licence, so that the package does not depend on it.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
for (const folder of ["build/bindings", "build/lib"]) {
  // Or what has been renamed or removed would be published, too.
  rmSync(folder, { recursive: true, force: true });
}

/** A file that only one entry point reaches stays with that entry point. */
const ENTRIES = {
  index: "index",
  node: "node/index",
  "node-testing": "node/testing",
  debug: "debug",
  cli: "cli/main",
  "autocannon-worker": "node/adapters/autocannon-worker",
  "demo-inside": "cli/demo/demo-inside",
  "demo-server": "cli/demo/demo-server",
};
const GROUPS = {
  core: new RegExp(
    "/assembly/|/(?:errors|words)[.]ts|/bindings/(?:core/(?!debug|cooldown)|groups/|requests/" +
      "|(?:search|selection|refusals)[.]|state/(?:bytes|group-tables|selections)[.])",
  ),
  linux: /\/bindings\/linux\//,
  ports: /\/bindings\/(?!node\/|cli\/|debug|core\/debug|linux-later)/,
  demo: /\/bindings\/cli\/demo\/(?!demo-)|\/host\/namespace\.|\/simple-ascii-chart\//,
  output: /\/bindings\/cli\/(?:args|failure|output)\./,
  sockets: /\/bindings\/node\/(?!testing|blocks\/store-checks|adapters\/autocannon-worker\.)/,
};

const LIB = "build/lib";
const COMMON = { platform: "node", transform: { target: "es2022" } };
const OUTPUT = { minifyInternalExports: false, comments: { jsdoc: false } };

await build({
  ...COMMON,
  input: Object.fromEntries(
    Object.entries(ENTRIES).map(([name, path]) => [name, `bindings/${path}.ts`]),
  ),
  plugins: [{ name: "conditional", renderChunk: withConditions }],
  external: [/^node:/, /^#/, "@assemblyscript/loader"],
  preserveEntrySignatures: "allow-extension",
  output: {
    ...OUTPUT,
    dir: LIB,
    chunkFileNames: "[name].js",
    codeSplitting: {
      groups: Object.entries(GROUPS).map(([name, test]) => ({ name, test })),
      includeDependenciesRecursively: false,
    },
    banner: ({ moduleIds }) => licencesOf(moduleIds),
  },
});

await buildWhole();
buildLater();

/** Imports by the names whose files are said by conditions. */
function withConditions(code, { name }) {
  if (name === "ports") return null;
  const own = name === "sockets" ? withBuiltins(code) : code;
  return own.replace(/ "\.\/(core|ports|linux)\.js";$/gm, ' "#$1";');
}

/**
 * Modules of Node as what they are, not imported: that reads each export, of which some load more,
 * and takes some time for each module.
 */
function withBuiltins(code) {
  return code.replace(
    /^import (?:\* as )?(.+) from ("node:[\w/]+");$/gm,
    (_, names, module) => `const ${asObject(names)} = process.getBuiltinModule(${module});`,
  );
}

/** core.js and ports.js in one file, which exports all that either does; and linux-later.ts. */
async function buildWhole() {
  const later = readFileSync("bindings/linux-later.ts", "utf8")
    // An object of all of the core, a getter for each name, would be made at the start.
    .replace('* as core from "#core"', `${importedByLinux()} from "./core.js"`)
    .replace("(core)", `(${asObject(importedByLinux())})`);
  const files = {
    whole: ["core.js", "ports.js", "later.ts"].map((name) => `export * from "./${name}";`).join(""),
    "./core.js": readFileSync(`${LIB}/core.js`, "utf8"),
    "./ports.js": readFileSync(`${LIB}/ports.js`, "utf8"),
    "./later.ts": `// bindings/linux-later.ts\n${later}`,
  };
  const { output } = await build({
    ...COMMON,
    input: "whole",
    write: false,
    plugins: [
      {
        name: "built",
        resolveId: (id) => (id in files ? `\0${id}` : null),
        // A comment that is no licence would be lost.
        load: (id) => files[id.slice(1)]?.replace(/^\/\/ (\S+\.ts)$/gm, "/*! $1 */") ?? null,
      },
    ],
    output: OUTPUT,
  });
  const code = output[0].code.replace(/^\/\/ \\0.*\n/gm, "");
  writeFileSync(`${LIB}/whole.js`, code.replace(/^\/\*! (\S+\.ts) \*\/$/gm, "// $1"));
  // For the types of linux-later.ts.
  writeFileSync(`${LIB}/whole.d.ts`, "export {};\n");
}

/** linux.js and the text of its module as a function of what it imports. */
function buildLater() {
  const names = asObject(importedByLinux());
  const code = readFileSync(`${LIB}/linux.js`, "utf8")
    .replace(/^import .* from "#core";$/m, () => `module.exports = (${names}) => {`)
    .replace(/^import .*"#linux-wasm";$/m, () => readFileSync("build/linux.inline.js", "utf8"))
    .replace(/^export (const wasm)/m, "$1")
    .replace(/^export (\{.*\});$/m, (_, exported) => `return ${asObject(exported)};\n};`);
  writeFileSync(`${LIB}/linux.cjs`, `"use strict";\n${code}`);
}

function importedByLinux() {
  const [, names] = /^import (\{.*\}) from "#core";$/m.exec(
    readFileSync(`${LIB}/linux.js`, "utf8"),
  );
  return names;
}

/** Names as an import has them, as an object has them. */
function asObject(names) {
  return names.replaceAll(" as ", ": ");
}

/** Of the libraries that are part of a file. */
function licencesOf(paths) {
  const found = paths.flatMap((path) => /^.*\/node_modules\/[^/]+(?=\/)/.exec(path) ?? []);
  return [...new Set(found)]
    .map((folder) => {
      const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
      const licence = readFileSync(`${folder}/LICENSE`, "utf8").trim();
      return `/*! ${basename(folder)} ${version}\n\n${licence}\n*/\n`;
    })
    .join("");
}
