// Chromium, unbundled: a page with an import map, and what a Content-Security-Policy changes.
//
//   script-src                               what works
//   none, or with 'wasm-unsafe-eval'         open()
//   without it                               open() is refused with an error that says so; a worker whose own
//                                            script is served with 'wasm-unsafe-eval' compiles for the page,
//                                            which passes the modules: open({ module })

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { visit } from "./chromium.ts";
import { fresh, ROOT } from "./fresh.ts";
import { type Case, type Outcome, reporting, thrice } from "./rows.ts";
import { serve } from "./site.ts";

const PACKAGE = "/node_modules/portwarden/";
const NONCE = "portwarden";
const STRICT = `default-src 'self'; script-src 'self' 'nonce-${NONCE}'`;
const ALLOWED = `${STRICT} 'wasm-unsafe-eval'`;

const PAGE_SCRIPT = `import { run } from "./scenario.js";
${reporting('await import("portwarden")')}`;

const STRICT_SCRIPT = `import * as portwarden from "portwarden";
import { run } from "./scenario.js";

const startedAt = performance.now();
let refusal;
try {
  portwarden.PortManager.open();
} catch (error) {
  refusal = error;
}
const { code, message } = refusal ?? {};
if (code !== "ERR_WEBASSEMBLY_NOT_SUPPORTED" || !message.includes("'wasm-unsafe-eval'")) {
  throw new Error("no clear error: " + code + ": " + message);
}
const bytes = await (await fetch("${PACKAGE}build/core.wasm")).arrayBuffer();
const own = await WebAssembly.compile(bytes).then(() => true, () => false);
if (own) throw new Error("the page could compile for itself: nothing has been shown");

const worker = new Worker("./compiler.js", { type: "module" });
const modules = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
});
console.log("REPORT " + JSON.stringify(run(portwarden, startedAt, modules)));
`;

const COMPILER_SCRIPT = `const compile = async (name) =>
  WebAssembly.compileStreaming(fetch("${PACKAGE}build/" + name + ".wasm"));
const [module, linuxModule, cooldownModule] = await Promise.all(
  ["core", "linux", "cooldown"].map(compile),
);
postMessage({ module, linuxModule, cooldownModule });
`;

export const PAGES: readonly Case[] = [
  { runtime: "Chromium", how: "import map", run: () => page(PAGE_SCRIPT, {}) },
  {
    runtime: "Chromium",
    how: "CSP 'wasm-unsafe-eval'",
    run: () => page(PAGE_SCRIPT, { "index.html": ALLOWED }),
  },
  {
    runtime: "Chromium",
    how: "CSP without it, open({ module })",
    run: async () => {
      const policies = { "index.html": STRICT, "compiler.js": ALLOWED };
      return { ...(await page(STRICT_SCRIPT, policies)), note: NOTE };
    },
  },
];

const NOTE =
  "open() threw ERR_WEBASSEMBLY_NOT_SUPPORTED; a worker served with 'wasm-unsafe-eval' compiled for the page";

/** @param policies by the file that is served with them. */
async function page(script: string, policies: Readonly<Record<string, string>>): Promise<Outcome> {
  const folder = await fresh({ "page.js": script, "compiler.js": COMPILER_SCRIPT });
  writeFileSync(join(folder, "index.html"), markup());
  const site = await serve(folder, (path) => {
    const policy = policies[path.slice(1)];
    return policy === undefined ? {} : { "content-security-policy": policy };
  });
  try {
    return await thrice(() => visit(`${site.url}/index.html`));
  } finally {
    site.close();
  }
}

function markup(): string {
  return `<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script type="importmap" nonce="${NONCE}">${importMap()}</script>
<script type="module" src="./page.js"></script>
`;
}

/** The import map as the guide has it. */
function importMap(): string {
  const guide = readFileSync(join(ROOT, "docs", "guide", "runtimes.md"), "utf8");
  const [, map] = /<script type="importmap">\n(.*?)<\/script>/s.exec(guide) ?? [];
  if (map === undefined) throw new Error("docs/guide/runtimes.md has no import map");
  return map;
}
