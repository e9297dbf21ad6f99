// From AssemblyScript to what the facade imports: compiles the three modules, each for release and for
// debugging, and makes of each release module
//
//   core.inline.js   the module as text, there synchronously after import, in every bundler, without a fetch
//   core.import.js   the module as the host's own import, for Workers: workerd compiles no bytes at run time
//   core.wasm.d.ts   what importing the file itself gives, where a host or a bundler can do that
//
// Which of the first two `#wasm` means is said by the conditions under "imports" in package.json.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
mkdirSync("build", { recursive: true });

// By target, as asconfig.json names them.
const entries = {
  core: "assembly/modules/core.ts",
  linux: "assembly/modules/linux.ts",
  cooldown: "assembly/modules/cooldown.ts",
  "core.debug": "assembly/modules/core.debug.ts",
  "linux.debug": "assembly/modules/linux.debug.ts",
  "cooldown.debug": "assembly/modules/cooldown.debug.ts",
};
for (const [target, entry] of Object.entries(entries)) {
  const { error, stderr } = await asc.main([entry, "--target", target]);
  const messages = stderr.toString();
  if (error || /WARNING|ERROR/.test(messages)) {
    process.stderr.write(messages || `${error}\n`);
    process.exit(1);
  }
}

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
