// Node, Deno and Bun: programs that are given a script.

import { fresh } from "./fresh.ts";
import { finished } from "./processes.ts";
import { type Case, type Outcome, reportIn, reporting, thrice } from "./rows.ts";
import { program, type Tool } from "./tools.ts";

const MS_MAX = 60_000;

const FILES = {
  "import.mjs": `import { run } from "./scenario.js";\n${reporting('await import("portwarden")')}`,
  "require.cjs": `const { run } = require("./scenario.js");\n${reporting('require("portwarden")')}`,
};

type Program = () => Promise<{ path: string; version: string }>;

const own: Program = async () => ({ path: process.execPath, version: process.version.slice(1) });
const [ownMajor] = process.version.slice(1).split(".");

/** The Node that runs this stands in for the one from npm of the same line. */
const NODES: readonly Case[] = (["node20", "node22", "node24", "node26"] as const).flatMap(
  (tool) => {
    const major = tool.slice("node".length);
    const found: Program = major === ownMajor ? own : () => program(tool);
    return casesOf(`Node ${major}`, found, { import: ["import.mjs"], require: ["require.cjs"] });
  },
);

const runtime =
  (tool: Tool): Program =>
  () =>
    program(tool);

export const SHELLS: readonly Case[] = [
  ...NODES,
  // Without any permission: it needs none.
  ...casesOf("Deno", runtime("deno"), { import: ["run", "--no-prompt", "import.mjs"] }),
  ...casesOf("Bun", runtime("bun"), {
    import: ["--no-install", "import.mjs"],
    require: ["--no-install", "require.cjs"],
  }),
];

/** One folder for all ways of a runtime, fresh for each runtime. */
function casesOf(
  name: string,
  found: Program,
  ways: Readonly<Record<string, readonly string[]>>,
): Case[] {
  let folder: Promise<string> | undefined;
  return Object.entries(ways).map(([how, args]) => ({
    runtime: name,
    how,
    run: async (): Promise<Outcome> => {
      const { path, version } = await found();
      folder ??= fresh(FILES);
      const cwd = await folder;
      return thrice(async () => {
        const printed = await finished(path, args, { cwd, ms: MS_MAX });
        return { ...reportIn(printed), version };
      });
    },
  }));
}
