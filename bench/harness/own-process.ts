// Own process: each suite of a full run has one. In a shared process what V8 has learned from one
// suite, or memory that it has left, makes the next one slower, and not all systems alike.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Results, readResults } from "./results.ts";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));

/**
 * Runs one suite, whose lines appear as it goes on.
 *
 * @param node The path of the Node that runs it.
 * @throws Error if it does not come to its end.
 */
export function runInOwnProcess(
  name: string,
  node: string = process.execPath,
  options: readonly string[] = [],
): Results {
  const scratch = mkdtempSync(join(tmpdir(), "portwarden-bench-"));
  const path = join(scratch, "results.json");
  try {
    const { signal } = spawnSync(node, [MAIN, name, "--json", path, ...options], {
      stdio: "inherit",
    });
    if (signal !== null || !existsSync(path)) throw new Error(`${name} did not finish`);
    return readResults(path);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
