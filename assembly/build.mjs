// From AssemblyScript to what the facade imports: compiles the three modules, each for release and for
// debugging, and makes of each release module
//
//   core.inline.js   the module as text, there synchronously after import, in every bundler, without a fetch
//   core.import.js   the module as the host's own import, for Workers: workerd compiles no bytes at run time
//   core.wasm.d.ts   what importing the file itself gives, where a host or a bundler can do that
//
// and of the debug modules debug.inline.js, all three as text.
//
// Which of the first two `#wasm` means is said by the conditions under "imports" in package.json.

//
// If the digest of all sources has not changed, nothing is compiled again.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
mkdirSync("build", { recursive: true });

// By target, as asconfig.json names them. Every other one is compiled by one of two threads.
const entries = {
  core: "assembly/modules/core.ts",
  linux: "assembly/modules/linux.ts",
  "linux.debug": "assembly/modules/linux.debug.ts",
  "core.debug": "assembly/modules/core.debug.ts",
  cooldown: "assembly/modules/cooldown.ts",
  "cooldown.debug": "assembly/modules/cooldown.debug.ts",
};
const DIGEST = "build/sources.sha256";
const outputs = Object.keys(entries).map((target) => `build/${target}.wasm`);
const digest = digestOfSources();
const isFresh = existsSync(DIGEST) && readFileSync(DIGEST, "utf8") === digest;
if (isFresh && outputs.every((output) => existsSync(output))) process.exit(0);

const threads = [0, 1].map((half) => {
  const workerData = Object.entries(entries).filter((_, index) => index % 2 === half);
  return once(new Worker(new URL("compile.mjs", import.meta.url), { workerData }), "exit");
});
await Promise.all(threads).catch((messages) => {
  process.stderr.write(messages);
  process.exit(1);
});

for (const name of ["core", "linux", "cooldown"]) {
  const base64 = readFileSync(`build/${name}.wasm`).toString("base64");
  const made = "// Made by assembly/build.mjs:";
  writeFileSync(
    `build/${name}.inline.js`,
    `${made} ${name}.wasm, base64.\nexport const wasm =\n  "${base64}";\n`,
  );
  writeFileSync(
    `build/${name}.import.js`,
    `${made} ${name}.wasm, compiled by the host.\nexport { default as wasm } from "./${name}.wasm";\n`,
  );
  writeFileSync(
    `build/${name}.inline.d.ts`,
    "export declare const wasm: string | WebAssembly.Module;\n",
  );
  writeFileSync(
    `build/${name}.wasm.d.ts`,
    "declare const module: WebAssembly.Module;\nexport default module;\n",
  );
}
const debugTexts = ["core", "linux", "cooldown"].map((name) => {
  const base64 = readFileSync(`build/${name}.debug.wasm`).toString("base64");
  return `export const ${name} =\n  "${base64}";\n`;
});
const made = "// Made by assembly/build.mjs: the debug modules, base64.\n";
writeFileSync("build/debug.inline.js", made + debugTexts.join(""));
writeFileSync(
  "build/debug.inline.d.ts",
  "export declare const core: string;\nexport declare const linux: string;\n" +
    "export declare const cooldown: string;\n",
);
writeFileSync(DIGEST, digest);

/** Of the sources, this file, the compiler's options and its version. */
function digestOfSources() {
  const { version } = createRequire(import.meta.url)("assemblyscript/package.json");
  const hash = createHash("sha256").update(version);
  for (const path of sources()) hash.update(`${path}\n`).update(readFileSync(path));
  return hash.digest("hex");
}

function sources() {
  const files = readdirSync("assembly", { recursive: true }).map((path) => `assembly/${path}`);
  return [...files.filter((path) => /\.(?:ts|mjs)$/.test(path)).sort(), "asconfig.json"];
}
