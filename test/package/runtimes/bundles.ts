// Bundlers: an application that imports the package, bundled as it comes, then run in Node and in
// Chromium; and vite's own ways of serving one.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { visit } from "./chromium.ts";
import { fresh } from "./fresh.ts";
import { finished, started } from "./processes.ts";
import { type Case, type Outcome, reportIn, reporting, thrice } from "./rows.ts";
import { serve } from "./site.ts";
import { program, script, versionOf } from "./tools.ts";

const BUNDLE_MS_MAX = 120_000;
const RUN_MS_MAX = 60_000;
const READY_MS_MAX = 60_000;
const BUNDLE = "dist/bundle.mjs";

const APPLICATION = `import * as portwarden from "portwarden";
import { run } from "./scenario.js";
export const start = (startedAt) => run(portwarden, startedAt);
`;

/** Loads the bundle as any script would. */
const LOADER = `const startedAt = performance.now();
const { start } = await import(new URL("${BUNDLE}", import.meta.url).href);
console.log("REPORT " + JSON.stringify(start(startedAt)));
`;

const FILES = {
  "application.js": APPLICATION,
  "loader.mjs": LOADER,
  "index.html": `<!doctype html>
<link rel="icon" href="data:,">
<script type="module" src="./loader.mjs"></script>
`,
};

interface Bundler {
  readonly name: "esbuild" | "webpack" | "vite" | "bun";
  readonly files: Readonly<Record<string, string>>;
  bundle(folder: string): Promise<unknown>;
}

const ESBUILD: Bundler = {
  name: "esbuild",
  files: {},
  bundle: async (folder) => {
    const { path } = await program("esbuild");
    const options = ["--bundle", "--minify", "--format=esm", `--outfile=${BUNDLE}`];
    return finished(path, ["application.js", ...options], limits(folder));
  },
};

const WEBPACK: Bundler = {
  name: "webpack",
  files: {
    "webpack.config.mjs": `export default {
  mode: "production",
  target: "es2022",
  entry: "./application.js",
  experiments: { outputModule: true },
  output: { filename: "bundle.mjs", library: { type: "module" }, chunkFormat: "module" },
};
`,
  },
  bundle: async (folder) => {
    const cli = await script("webpack-cli", "webpack");
    return finished(process.execPath, [cli, "build"], limits(folder));
  },
};

const VITE: Bundler = {
  name: "vite",
  files: {
    "vite.config.mjs": `export default {
  build: { lib: { entry: "./application.js", formats: ["es"], fileName: () => "bundle.mjs" } },
};
`,
  },
  bundle: async (folder) => {
    const cli = await script("vite");
    return finished(process.execPath, [cli, "build"], limits(folder));
  },
};

/** For Node: what Node loads when it is first used must be in the bundle. */
const BUN: Bundler = {
  name: "bun",
  files: {},
  bundle: async (folder) => {
    const { path } = await program("bun");
    const options = ["build", "--target=node", `--outfile=${BUNDLE}`];
    return finished(path, [...options, "application.js"], limits(folder));
  },
};

export const BUNDLES: readonly Case[] = [
  ...[ESBUILD, WEBPACK, VITE].flatMap(casesOf),
  ...casesOf(BUN).slice(0, 1),
  { runtime: "Chromium", how: `vite ${versionOf("vite")}, build`, run: viteBuild },
  { runtime: "Chromium", how: `vite ${versionOf("vite")}, server`, run: viteServer },
];

/** One bundle, run in both. */
function casesOf(bundler: Bundler): Case[] {
  let bundled: Promise<string> | undefined;
  const folderOf = async (): Promise<string> => {
    const folder = await fresh({ ...FILES, ...bundler.files });
    await bundler.bundle(folder);
    if (/from\s*["']portwarden["']/.test(readFileSync(join(folder, BUNDLE), "utf8"))) {
      throw new Error("the package has been left out of the bundle");
    }
    return folder;
  };
  const how = `${bundler.name} ${versionOf(bundler.name)}, bundle`;
  return [
    {
      runtime: "Node",
      how,
      run: async (): Promise<Outcome> => {
        bundled ??= folderOf();
        const cwd = await bundled;
        return thrice(async () => {
          const printed = await finished(process.execPath, ["loader.mjs"], { cwd, ms: RUN_MS_MAX });
          return { ...reportIn(printed), version: process.version.slice(1) };
        });
      },
    },
    {
      runtime: "Chromium",
      how,
      run: async (): Promise<Outcome> => {
        bundled ??= folderOf();
        return served(await bundled);
      },
    },
  ];
}

async function served(folder: string): Promise<Outcome> {
  const site = await serve(folder);
  try {
    return await thrice(() => visit(`${site.url}/index.html`));
  } finally {
    site.close();
  }
}

// ── An application made by vite ───────────────────────────────────────────────────────────

const VITE_FILES = {
  "index.html": `<!doctype html>
<link rel="icon" href="data:,">
<script type="module" src="/page.js"></script>
`,
  "page.js": `import { run } from "./scenario.js";\n${reporting('await import("portwarden")')}`,
};

async function viteBuild(): Promise<Outcome> {
  const cli = await script("vite");
  const folder = await fresh(VITE_FILES);
  await finished(process.execPath, [cli, "build"], limits(folder));
  return served(join(folder, "dist"));
}

async function viteServer(): Promise<Outcome> {
  const cli = await script("vite");
  const folder = await fresh(VITE_FILES);
  // The first visit would be reloaded once its dependencies are known.
  writeFileSync(
    join(folder, "vite.config.mjs"),
    'export default { optimizeDeps: { include: ["portwarden"] } };\n',
  );
  const args = [cli, "--host", "127.0.0.1"];
  const server = await started(process.execPath, args, /http:\/\/127\.0\.0\.1:\d+\//, {
    cwd: folder,
    ms: READY_MS_MAX,
  });
  try {
    return await thrice(() => visit(server.ready[0]));
  } finally {
    server.stop();
  }
}

function limits(cwd: string): { cwd: string; ms: number } {
  return { cwd, ms: BUNDLE_MS_MAX };
}
