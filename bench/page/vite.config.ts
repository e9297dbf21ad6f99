// Vite: how the page is built into a folder of static files, and served from it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import { defineConfig, type Plugin, type UserConfig } from "vite";

const BUILD = new URL("../../build/", import.meta.url);
const MODULES: Readonly<Record<string, string>> = {
  "#wasm": "core.wasm",
  "#linux-wasm": "linux.wasm",
  "#cooldown-wasm": "cooldown.wasm",
};

/** Puts the WebAssembly modules into the page deflated. */
function packed(): Plugin {
  return {
    name: "packed",
    enforce: "pre",
    resolveId: (id) => (Object.hasOwn(MODULES, id) ? `\0${id}` : null),
    load(id) {
      const name = MODULES[id.slice(1)];
      if (name === undefined || !id.startsWith("\0")) return null;
      const text = deflateRawSync(readFileSync(new URL(name, BUILD)), { level: 9 });
      const unpack = fileURLToPath(new URL("unpack.ts", import.meta.url));
      return (
        `import { unpack } from ${JSON.stringify(unpack)};\n` +
        `export const wasm = await unpack("${text.toString("base64")}");`
      );
    },
  };
}

const config: UserConfig = defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // Relative, so that the folder works under any path.
  base: "./",
  publicDir: false,
  plugins: [{ name: "dense", transformIndexHtml: (html) => html.replace(/\n\s+/g, "\n") }],
  build: {
    outDir: "../../build/page",
    emptyOutDir: true,
    target: "es2022",
    assetsDir: ".",
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  worker: { format: "es", plugins: () => [packed()] },
});

export default config;
