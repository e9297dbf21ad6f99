// From AssemblyScript to what the facade imports: compiles both targets and writes the release
// module as text into a JavaScript file, so that it is there synchronously after import, in every
// bundler, without a fetch.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
mkdirSync("build", { recursive: true });

const targets = { release: "assembly/index.ts", debug: "assembly/index.debug.ts" };
for (const [target, entry] of Object.entries(targets)) {
  const { error, stderr } = await asc.main([entry, "--target", target]);
  const messages = stderr.toString();
  if (error || /WARNING|ERROR/.test(messages)) {
    process.stderr.write(messages || `${error}\n`);
    process.exit(1);
  }
}

const base64 = readFileSync("build/core.wasm").toString("base64");
writeFileSync(
  "build/core.inline.js",
  `// Made by assembly/build.mjs: the release core, base64.\nexport const base64 =\n  "${base64}";\n`,
);
writeFileSync("build/core.inline.d.ts", "export declare const base64: string;\n");
