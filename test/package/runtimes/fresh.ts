// Fresh folders in which a user has just installed the package: the tarball, its dependency, the
// scenarios, and nothing else.

import { copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

let installed: Promise<string> | undefined;

/** A folder with the package, and with these files. */
export async function fresh(files: Readonly<Record<string, string>>): Promise<string> {
  installed ??= install();
  const folder = scratch();
  cpSync(await installed, folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** The folder that all others are copies of: npm installs what has been built, once. */
async function install(): Promise<string> {
  const [packed, folder] = [scratch(), scratch()];
  await npm(["pack", "--pack-destination", packed], ROOT, MS_MAX);
  const [name = ""] = readdirSync(packed);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  await npm(["install", join(packed, name)], folder, MS_MAX);
  for (const name of SCENARIOS) {
    copyFileSync(fileURLToPath(new URL(name, import.meta.url)), join(folder, name));
  }
  return folder;
}

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "portwarden-"));
  folders.push(folder);
  return folder;
}
