// Bundles the facade into the few files that are published, since each file that is loaded takes a
// cold process about a millisecond, and clears the place where tsc puts the same file by file, with
// its declarations.
//
//   build/lib/   index.js            base.js  core.js  ports.js  linux.js
//                node.js             sockets.js, and the four above
//                cli.js              demo.js  plan.js  show.js ...
//
// Names stay, and each part is headed by the name of its source: `// bindings/pool.ts`. The main
//  entry point is in four files, because a bundler leaves out a file as a whole: whoever uses
// PortManager alone has no text of linux.wasm.
//
// simple-ascii-chart becomes part of it with its licence, so that the package does not depend on it.

import { readFileSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
for (const folder of ["build/bindings", "build/lib"]) {
  // Or what has been renamed or removed would be published, too.
  rmSync(folder, { recursive: true, force: true });
}

/** What is reached from nowhere but one entry point stays with it. */
const ENTRIES = {
  index: "index",
  node: "node/index",
  "node-testing": "node/testing",
  debug: "debug",
  cli: "cli/main",
  "autocannon-worker": "node/adapters/autocannon-worker",
  "demo-inside": "cli/demo/demo-inside",
  "demo-server": "cli/demo/demo-server",
};
const GROUPS = {
  linux: /\/bindings\/linux\//,
  ports: /\/assembly\/|\/words\.ts|\/bindings\/(?!node\/|cli\/|debug|core\/debug)/,
  demo: /\/bindings\/cli\/demo\/(?!demo-)|\/host\/namespace\.|\/simple-ascii-chart\//,
  output: /\/bindings\/cli\/(?:args|failure|output)\./,
  sockets: /\/bindings\/node\/(?!testing|blocks\/store-checks|adapters\/autocannon-worker\.)/,
};

await build({
  input: Object.fromEntries(
    Object.entries(ENTRIES).map(([name, path]) => [name, `bindings/${path}.ts`]),
  ),
  platform: "node",
  transform: { target: "es2022" },
  external: [/^node:/, /^#/, "@assemblyscript/loader"],
  preserveEntrySignatures: "allow-extension",
  output: {
    dir: "build/lib",
    chunkFileNames: "[name].js",
    minifyInternalExports: false,
    comments: { jsdoc: false },
    codeSplitting: {
      groups: Object.entries(GROUPS).map(([name, test]) => ({ name, test })),
      includeDependenciesRecursively: false,
    },
    banner: ({ moduleIds }) => licencesOf(moduleIds),
  },
});

/** Of the libraries that are part of a file. */
function licencesOf(paths) {
  const found = paths.flatMap((path) => /^.*\/node_modules\/[^/]+(?=\/)/.exec(path) ?? []);
  return [...new Set(found)]
    .map((folder) => {
      const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
      const licence = readFileSync(`${folder}/LICENSE`, "utf8").trim();
      return `/*! ${basename(folder)} ${version}\n\n${licence}\n*/\n`;
    })
    .join("");
}
