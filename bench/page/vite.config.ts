// Vite: how the page is built into a folder of static files, and served from it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import binaryen from "assemblyscript/binaryen";
import { defineConfig, type Plugin, type UserConfig } from "vite";

const BUILD = new URL("../../build/", import.meta.url);
const MODULES = ["core", "linux", "cooldown"];
const IDS = ["#wasm", "#linux-wasm", "#cooldown-wasm"];
const ALL = "\0modules";
const UNPACK: string = JSON.stringify(fileURLToPath(new URL("unpack.ts", import.meta.url)));

/** What the page never calls: snapshots, the other rules of Linux, lists of its sockets. */
const UNUSED = /^restore|618$|^(?:nextRecord|readRecord|judgeBind|countOpen)2632$/;

/** A module without exports that the page does not call, and without what only they need. */
function trimmed(name: string): Buffer {
  const module = binaryen.readBinary(readFileSync(new URL(`${name}.wasm`, BUILD)));
  const exports = Array.from({ length: module.getNumExports() }, (_, index) => {
    return binaryen.getExportInfo(module.getExportByIndex(index)).name;
  });
  for (const one of exports) if (UNUSED.test(one)) module.removeExport(one);
  module.runPasses(["remove-unused-module-elements"]);
  return Buffer.from(module.emitBinary());
}

/** Puts the WebAssembly modules into the page, deflated together. */
function packed(): Plugin {
  const modules = MODULES.map(trimmed);
  return {
    name: "packed",
    enforce: "pre",
    resolveId: (id) => (IDS.includes(id) ? `\0${id}` : id === ALL ? id : null),
    load(id) {
      if (id === ALL) {
        const bytes = deflateRawSync(Buffer.concat(modules), { level: 9 });
        const text = JSON.stringify(base85(bytes));
        return (
          `import { unpack } from ${UNPACK};\n` +
          `export const bytes = await unpack(${text}, ${bytes.length});`
        );
      }
      const index = IDS.indexOf(id.slice(1));
      if (index < 0 || !id.startsWith("\0")) return null;
      const ends = modules.map((_, end) => Buffer.concat(modules.slice(0, end + 1)).length);
      return (
        `import { bytes } from ${JSON.stringify(ALL)};\n` +
        `import { base64 } from ${UNPACK};\n` +
        `export const wasm = base64(bytes.subarray(${ends[index - 1] ?? 0}, ${ends[index]}));`
      );
    },
  };
}

/** Five characters for four bytes, as unpack.ts reads them. */
function base85(bytes: Buffer): string {
  const whole = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  let text = "";
  for (let at = 0; at < whole.length; at += 4) {
    const word = whole.readUInt32BE(at);
    for (let power = 85 ** 4; power >= 1; power /= 85) {
      const digit = 40 + (Math.floor(word / power) % 85);
      const above = digit < 92 ? digit : digit + 1;
      text += String.fromCharCode(above < 96 ? above : above + 1);
    }
  }
  return text;
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
