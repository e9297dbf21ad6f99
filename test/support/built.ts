// Tests run on what is built: an import of a source of the facade, or of a reference model, becomes
// one of the file that tsc has made of it, and Node loads that by itself. It is what users get, and
// a test file begins in a tenth of the time that the transformation of all sources would take.

import { statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCE = /^(?:bindings|test\/models)\/.*\.ts$|^assembly\/abi\.ts$/;

/** Files that Node loads by itself. */
export const BUILT: RegExp = /\/build\/(?:bindings|test\/models|assembly)\//;

/** Leads imports of sources to what is built, and fails where that is older. */
export function built(): Plugin {
  return {
    name: "built",
    enforce: "pre",
    async resolveId(name, importer, options) {
      if (!name.endsWith(".ts") || importer === undefined) return null;
      const resolved = await this.resolve(name, importer, { ...options, skipSelf: true });
      const path = resolved === null ? "" : relative(ROOT, resolved.id);
      if (!SOURCE.test(path)) return resolved;
      const file = join(ROOT, "build", path.replace(/ts$/, "js"));
      if (timeOf(file) < timeOf(join(ROOT, path)))
        throw new Error(`${path} is newer than what is built: npm run build`);
      return { id: file, external: true };
    },
  };
}

/** When a file was written; 0 where there is none. */
function timeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
