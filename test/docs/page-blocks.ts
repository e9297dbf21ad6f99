// Blocks that run in a page: those of TypeScript that say so (```ts page). A Vite plugin makes a
// module of each, and one that lists them.

import { join } from "node:path";
import type { Plugin } from "vite";
import { sourceOf } from "./examples.ts";
import { type Block, blocksOf, pages, ROOT } from "./pages.ts";

const LIST = "virtual:page-blocks";
const IMPORTS = new Map([
  ["portwarden", "bindings/index.ts"],
  ["./checks.js", "test/replay/browser/checks.ts"],
]);

/** Does the block run in a page, and nowhere else? */
export function isForPage({ language, attributes }: Block): boolean {
  return language === "ts" && attributes.has("page");
}

export function pageBlocks(): Plugin {
  const blocks = pages().flatMap(blocksOf).filter(isForPage);
  const modules = new Map(
    blocks.map((block) => [join(ROOT, `${block.path}-${block.line}.ts`), block]),
  );
  return {
    name: "page-blocks",
    enforce: "pre",
    resolveId(id, importer = "") {
      if (id === LIST || modules.has(id)) return id;
      const path = modules.has(importer) ? IMPORTS.get(id) : undefined;
      return path === undefined ? null : join(ROOT, path);
    },
    load(id) {
      if (id === LIST) {
        const entries = [...modules].map(([path, { path: page, line }]) => {
          return `"${page}:${line}": () => import(${JSON.stringify(path)}),`;
        });
        return `export const blocks = {${entries.join("\n")}};`;
      }
      const block = modules.get(id);
      return block === undefined ? null : sourceOf(block);
    },
  };
}
