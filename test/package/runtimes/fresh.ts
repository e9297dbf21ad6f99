// Fresh folders in which somebody has just installed the package: the tarball, its dependency, the
// scenarios, and nothing else.

import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npm } from "./tools.ts";

export const ROOT: string = fileURLToPath(new URL("../../../..", import.meta.url));
const SCENARIOS = ["scenario.js", "node-scenario.js"];
const MS_MAX = 120_000;

const folders: string[] = [];
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

let tarball: Promise<string> | undefined;

/** A folder with the package, and with these files. */
export async function fresh(files: Readonly<Record<string, string>>): Promise<string> {
  tarball ??= pack();
  const path = await tarball;
  const folder = scratch();
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  await npm(["install", path], folder, MS_MAX);
  for (const name of SCENARIOS) {
    copyFileSync(fileURLToPath(new URL(name, import.meta.url)), join(folder, name));
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** What has been built, as it would be published. */
async function pack(): Promise<string> {
  const folder = scratch();
  await npm(["pack", "--pack-destination", folder], ROOT, MS_MAX);
  const [name = ""] = readdirSync(folder);
  return join(folder, name);
}

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "portwarden-"));
  folders.push(folder);
  return folder;
}
