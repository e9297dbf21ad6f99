// Vite: how the page is built into a folder of static files, and served from it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import binaryen from "assemblyscript/binaryen";
import { defineConfig, type Plugin, type UserConfig } from "vite";

const BUILD = new URL("../../build/", import.meta.url);
const NAMES = ["core", "linux", "cooldown"];
const IDS = ["#wasm", "#linux-wasm", "#cooldown-wasm"];
const ALL = "\0modules";
const UNPACK: string = JSON.stringify(fileURLToPath(new URL("unpack.ts", import.meta.url)));
/** Stands for the modules in the script until it is known which of their exports that names. */
const PLACE = "__MODULES__";
/** What the page never does: snapshots, lists, reasons, listeners, awaiting a port, sysctls. */
const UNUSED = new RegExp(
  "/bindings/(?:(?:state|linux/rules/[0-9.]+)/(?:explain|held|records|restore|snapshot)" +
    "|listener|reserving-async|linux/(?:rules/6[.]18/)?sysctl)[.]ts$",
);

/** Puts the WebAssembly modules into the page, deflated together, without what it never calls. */
function packed(): Plugin {
  return {
    name: "packed",
    enforce: "pre",
    resolveId: (id) => (IDS.includes(id) ? `\0${id}` : id === ALL ? id : null),
    load(id) {
      if (UNUSED.test(id)) return hollow(readFileSync(id, "utf8"));
      if (id === ALL) {
        return `import { unpack } from ${UNPACK};\nexport const modules = await unpack(${PLACE});`;
      }
      const index = IDS.indexOf(id.slice(1));
      if (index < 0 || !id.startsWith("\0")) return null;
      return `import { modules } from ${JSON.stringify(ALL)};\nexport const wasm = modules[${index}];`;
    },
    renderChunk(code) {
      return code.includes(PLACE) ? code.replace(PLACE, () => modulesFor(code)) : null;
    },
  };
}

/** The same exports, with nothing behind them. */
function hollow(source: string): string {
  const exported = source.matchAll(/^export (?:async )?(function\*?|const|class) (\w+)/gm);
  return [...exported]
    .map(([, kind, name]) => {
      return kind === "class" ? `export class ${name} {}` : `export const ${name} = undefined;`;
    })
    .join("\n");
}

/** The arguments of `unpack` for a script. */
function modulesFor(script: string): string {
  const words = new Set(script.match(/\w+/g));
  const modules = NAMES.map((name) => trimmed(name, words));
  const bytes = deflateRawSync(Buffer.concat(modules), { level: 9 });
  const lengths = modules.map(({ length }) => length);
  return `${JSON.stringify(base85(bytes))}, ${bytes.length}, ${JSON.stringify(lengths)}`;
}

/** A module without exports that are not among the words, and without what only they need. */
function trimmed(name: string, words: ReadonlySet<string>): Buffer {
  const module = binaryen.readBinary(readFileSync(new URL(`${name}.wasm`, BUILD)));
  const exports = Array.from({ length: module.getNumExports() }, (_, index) => {
    return binaryen.getExportInfo(module.getExportByIndex(index)).name;
  });
  for (const one of exports) {
    // The facade names what belongs to either rules of Linux without them.
    if (!words.has(one) && !words.has(one.replace(/618$|2632$/, ""))) module.removeExport(one);
  }
  module.runPasses(["remove-unused-module-elements"]);
  return Buffer.from(module.emitBinary());
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
