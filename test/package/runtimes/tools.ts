// The runtimes and bundlers that the package is proved in, with their versions, and where they are
// kept: in build/runtimes/tools, each in a folder of its own, so that a second run finds them
// there.
//
// They come from npm, without running their install scripts: what is started is the program in the
// package of the platform, which npm picks.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { finished } from "./processes.ts";

/** All that is installed, and in which version. */
const VERSIONS = {
  node20: "20.20.2",
  node22: "22.23.3",
  node24: "24.21.0",
  node26: "26.10.0",
  deno: "2.9.6",
  bun: "1.4.5",
  workerd: "1.20261117.1",
  esbuild: "0.28.2",
  vite: "8.3.8",
  webpack: "5.112.2",
  "webpack-cli": "7.3.1",
  "typescript5.4": "5.4.5",
  "typescript5.9": "5.9.3",
  typescript7: "7.0.2",
  jest: "30.5.2",
  "jest-environment-jsdom": "30.5.2",
  ses: "2.3.0",
  vitest: "4.1.12",
} as const;

export type Tool = keyof typeof VERSIONS;

/** Where programs lie in the packages of the platform. */
const PROGRAMS: Partial<Record<Tool, RegExp>> = {
  deno: /^@deno\/[^/]+\/deno(?:\.exe)?$/,
  bun: /^@oven\/[^/]+\/bin\/bun(?:\.exe)?$/,
  workerd: /^@cloudflare\/workerd-[^/]+\/bin\/workerd(?:\.exe)?$/,
  esbuild: /^@esbuild\/[^/]+\/(?:bin\/)?esbuild(?:\.exe)?$/,
};

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const CACHE = join(ROOT, "build", "runtimes", "tools");
const INSTALL_MS_MAX = 300_000;

/** It is not available on this machine: the run says nothing about it. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

const installed = new Map<string, Promise<string>>();

/** The folder whose node_modules has the tools, and nothing else. */
export function install(...asked: readonly [Tool, ...Tool[]]): Promise<string> {
  const tools = [...asked].sort();
  const home = join(CACHE, tools.map((tool) => `${tool}@${VERSIONS[tool]}`).join("+"));
  const installing = installed.get(home) ?? installInto(home, tools);
  installed.set(home, installing);
  return installing;
}

async function installInto(home: string, tools: readonly Tool[]): Promise<string> {
  const stamp = join(home, "installed");
  if (existsSync(stamp)) return home;
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const dependencies = Object.fromEntries(tools.map((tool) => [packageOf(tool), VERSIONS[tool]]));
  writeFileSync(join(home, "package.json"), JSON.stringify({ private: true, dependencies }));
  const names = tools.map((tool) => `${packageOf(tool)}@${VERSIONS[tool]}`).join(", ");
  process.stdout.write(`installing ${names}\n`);
  try {
    await npm(["install"], home, INSTALL_MS_MAX);
  } catch (error) {
    throw new Unavailable(`npm does not install ${names}: ${(error as Error).message}`);
  }
  writeFileSync(stamp, "");
  return home;
}

/** A program, and its version. */
export async function program(tool: Tool): Promise<{ path: string; version: string }> {
  const home = join(await install(tool), "node_modules");
  const path = tool.startsWith("node") ? nodeIn(home, tool) : platformProgram(home, tool);
  if (path === undefined) {
    throw new Unavailable(`${tool} ${VERSIONS[tool]} has no program for ${platform()}`);
  }
  return { path, version: VERSIONS[tool] };
}

/** A script that Node runs: the `bin` of a package. */
export async function script(tool: Tool, ...beside: readonly Tool[]): Promise<string> {
  const name = packageOf(tool);
  const home = join(await install(tool, ...beside), "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as {
    bin: string | Record<string, string>;
  };
  const command = name === "typescript" ? "tsc" : name;
  return join(home, typeof bin === "string" ? bin : (bin[command] as string));
}

/** What `import` takes for a package that is installed with others. */
export async function entryOf(tool: Tool, ...beside: readonly Tool[]): Promise<string> {
  const home = await install(tool, ...beside);
  return createRequire(join(home, "package.json")).resolve(packageOf(tool));
}

export function versionOf(tool: Tool): string {
  return VERSIONS[tool];
}

/** Runs npm. It does not download again what it has cached, and runs no package's script. */
export function npm(args: readonly string[], cwd: string, ms: number): Promise<string> {
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  const windows = process.platform === "win32";
  const [command, ...first] = windows ? ["cmd", "/c", "npm"] : ["npm"];
  return finished(command as string, [...first, ...args, ...quiet], { cwd, ms });
}

/** Node comes in a package for each platform, and several lines of TypeScript from one package. */
function packageOf(tool: Tool): string {
  if (tool.startsWith("typescript")) return "typescript";
  return tool.startsWith("node") ? `node-${platform()}` : tool;
}

function platform(): string {
  return `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
}

function nodeIn(home: string, tool: Tool): string | undefined {
  const suffix = process.platform === "win32" ? ".exe" : "";
  const path = join(home, packageOf(tool), "bin", `node${suffix}`);
  return existsSync(path) ? path : undefined;
}

function platformProgram(home: string, tool: Tool): string | undefined {
  const shape = PROGRAMS[tool];
  const paths = readdirSync(home, { recursive: true, encoding: "utf8" });
  const found = paths.find((path) => shape?.test(path.replaceAll("\\", "/")));
  return found === undefined ? undefined : join(home, found);
}
