// From AssemblyScript to what the facade imports: compiles the three modules, each for release and for
// debugging, and writes the release modules as text into JavaScript files, so that they are there
// synchronously after import, in every bundler, without a fetch.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
mkdirSync("build", { recursive: true });

// By target, as asconfig.json names them.
const entries = {
  core: "assembly/index.ts",
  linux: "assembly/index.linux.ts",
  cooldown: "assembly/index.cooldown.ts",
  "core.debug": "assembly/index.debug.ts",
  "linux.debug": "assembly/index.linux.debug.ts",
  "cooldown.debug": "assembly/index.cooldown.debug.ts",
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
  writeFileSync(
    `build/${name}.inline.js`,
    `// Made by assembly/build.mjs: ${name}.wasm, base64.\nexport const base64 =\n  "${base64}";\n`,
  );
  writeFileSync(`build/${name}.inline.d.ts`, "export declare const base64: string;\n");
}
