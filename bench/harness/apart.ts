// Apart: each benchmark of a full run in a process of its own. In one process what V8 has learned
// from one benchmark, or memory that it has left, makes the next one slower, and not all systems alike.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Results, readResults } from "./results.ts";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));

/** Runs one benchmark; its lines appear as it goes on. */
export function runApart(name: string): Results {
  const scratch = mkdtempSync(join(tmpdir(), "portwarden-bench-"));
  const path = join(scratch, "results.json");
  try {
    const { signal } = spawnSync(process.execPath, [MAIN, name, "--json", path], {
      stdio: "inherit",
    });
    if (signal !== null || !existsSync(path)) throw new Error(`${name} did not finish`);
    return readResults(path);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
