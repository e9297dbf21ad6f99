// Sizes: how many bytes an import of portwarden brings along, raw and as a server sends them
// (gzip).
//
// JavaScript is counted as it is published, comments included and not minified, and as a bundler
// makes it.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "rolldown";
import type { Session } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const BUILD = new URL("../../", import.meta.url);
/** Bytes of the core. */
const RAW_AT_MOST = 32 * 1024;
const GZIP_AT_MOST = 14 * 1024;

export const sizesSuite: Suite = {
  title: "bytes, raw and gzip (level 9)",
  async run(session) {
    for (const name of modules()) {
      const [raw, gzip] = keepSizes(session, name, [read(new URL(name, BUILD))]);
      if (name !== "core.wasm") continue;
      session.check({ name: "core.wasm, bytes", value: raw, atMost: RAW_AT_MOST });
      session.check({ name: "core.wasm, bytes of gzip", value: gzip, atMost: GZIP_AT_MOST });
    }
    const { files, others } = reached(new URL("lib/index.js", BUILD));
    const facade = files.map(read);
    keepSizes(session, `facade, ${files.length} files`, facade);
    const rest = others.map((name) => read(new URL(import.meta.resolve(name))));
    for (const [index, name] of others.entries()) keepSizes(session, name, [rest[index] as Buffer]);
    keepSizes(session, "all that index.js reaches", [...facade, ...rest]);
    keepSizes(session, "bundle, minified: PortManager", [await bundled("{ PortManager }")]);
    keepSizes(session, "bundle, minified: everything", [await bundled("*")]);
    for (const [name, bytes] of Object.entries(packed())) {
      session.keepOne({ suite: "sizes", workload: name }, "portwarden", bytes, { unit: "bytes" });
    }
  },
};

/** The package as npm would publish it. */
function packed(): Record<string, number> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const cwd = fileURLToPath(new URL("../", BUILD));
  const [published] = JSON.parse(execFileSync("npm", args, { cwd, encoding: "utf8" }));
  const { size, unpackedSize } = published as Record<"size" | "unpackedSize", number>;
  return { "package, unpacked": unpackedSize, "package, tarball": size };
}

const ENTRY = "entry";

/** What a bundler makes for a page that uses so much of portwarden. */
async function bundled(names: string): Promise<Buffer> {
  const index = fileURLToPath(new URL("lib/index.js", BUILD));
  const code = `export ${names} from ${JSON.stringify(index)};`;
  const { output } = await build({
    input: ENTRY,
    platform: "browser",
    output: { minify: true },
    write: false,
    plugins: [
      {
        name: ENTRY,
        resolveId: (id) => (id === ENTRY ? id : null),
        load: (id) => (id === ENTRY ? code : null),
      },
    ],
  });
  return Buffer.from(output.map((part) => (part.type === "chunk" ? part.code : "")).join(""));
}

/** What is in the build folder, but for debug builds. */
function modules(): string[] {
  const names = readdirSync(BUILD).filter((name) => name.endsWith(".wasm"));
  return names.filter((name) => !name.endsWith(".debug.wasm")).sort();
}

function keepSizes(session: Session, name: string, parts: readonly Buffer[]): [number, number] {
  const whole = Buffer.concat(parts);
  const gzip = gzipSync(whole, { level: 9 }).length;
  const keep = (workload: string, bytes: number): void => {
    session.keepOne({ suite: "sizes", workload }, "portwarden", bytes, { unit: "bytes" });
  };
  keep(name, whole.length);
  keep(`${name}, gzip`, gzip);
  return [whole.length, gzip];
}

interface Reached {
  readonly files: readonly URL[];
  /** Modules as base64 and what others have published, as they are imported. */
  readonly others: readonly string[];
}

/** All files of the folder that are imported, the first one included, and all other imports. */
function reached(from: URL): Reached {
  const files = new Map([[from.href, from]]);
  const others = new Set<string>();
  // A map may grow while it is walked through.
  for (const file of files.values()) {
    for (const name of importedBy(read(file).toString())) {
      // Of what conditions say, that which a bundler takes.
      const path = /^#(?:core|ports|linux)$/.test(name) ? `./${name.slice(1)}.js` : name;
      const next = new URL(path, file);
      if (path.startsWith(".")) files.set(next.href, next);
      else others.add(name);
    }
  }
  return { files: [...files.values()], others: [...others].sort() };
}

/** What stands behind `from`, or behind `import` alone, at the end of a statement. */
function importedBy(text: string): string[] {
  const found = text.matchAll(
    /^(?:(?:import|export)\b[^;"']*\bfrom|import)\s*["']([^"']+)["'];$/gm,
  );
  return Array.from(found, ([, name]) => name as string);
}

function read(file: URL): Buffer {
  return readFileSync(file);
}
