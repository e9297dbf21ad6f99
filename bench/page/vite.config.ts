// Vite: how the page is built into a folder of static files, and served from it.

import { fileURLToPath } from "node:url";
import { defineConfig, type UserConfig } from "vite";

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
  worker: { format: "es" },
});

export default config;
