// The package as npm publishes it: packed from what has been built, unpacked into a fresh folder
// beside its one dependency. Nothing is built and nothing fetched.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LOADER = "node_modules/@assemblyscript/loader";
const MS_MAX = 600_000;

/** A file, or one for each condition. */
export type Target = string | { readonly [condition: string]: Target };

/** What package.json says of the entry points. */
interface Manifest {
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Target>>;
  readonly imports: Readonly<Record<string, Target>>;
}

export interface Installed {
  /** A folder whose node_modules has the package. */
  readonly folder: string;
  /** Where the package lies. */
  readonly home: string;
  readonly tarball: string;
  readonly manifest: Manifest;
  /** All files of the package, with slashes, sorted. */
  readonly files: readonly string[];
  remove(): void;
}

export function installPacked(): Installed {
  const folder = mkdtempSync(join(tmpdir(), "portwarden-"));
  const home = join(folder, "node_modules", "portwarden");
  mkdirSync(home, { recursive: true });
  const name = pack(folder);
  // By a relative name: a drive's colon would mean another machine to some tars.
  const unpack = ["-xzf", name, "-C", "node_modules/portwarden", "--strip-components", "1"];
  execFileSync("tar", unpack, { cwd: folder, timeout: MS_MAX });
  cpSync(join(ROOT, LOADER), join(folder, LOADER), { recursive: true });
  return {
    folder,
    home,
    tarball: join(folder, name),
    manifest: JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as Manifest,
    files: readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(home.length + 1))
      .map((path) => path.replaceAll("\\", "/"))
      .sort(),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The tarball's name in the folder. Scripts are ignored: they would build while tests run. */
function pack(folder: string): string {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const options = { cwd: ROOT, timeout: MS_MAX, shell: process.platform === "win32" };
  execFileSync("npm", args, { ...options, stdio: ["ignore", "pipe", "ignore"] });
  const [name] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  if (name === undefined) throw new Error("npm pack has left no tarball");
  return name;
}
