// Replaying files, as Node reads them.

import { readFile } from "node:fs/promises";
import { BadInput } from "./input.ts";
import { eachLine } from "./lines.ts";
import { replayLinuxLine } from "./linux.ts";
import type { OpenLinux } from "./linux-system.ts";
import { type Counts, replayLine, replayTable } from "./netstack.ts";
import type { System } from "./system.ts";

/**
 * Replays a file of traces (`.jsonl`, `.jsonl.gz`) or a table (`.json`); adds to the counts.
 * @param every how many traces pass for each that is replayed, itself included.
 */
export async function replayFile(
  path: string,
  open: () => System,
  counts: Counts,
  every = 1,
): Promise<void> {
  if (path.endsWith(".json")) {
    replayTable(await text(path), path, open, counts);
  } else if (isTraces(path)) {
    await eachLine(path, (line, number) => {
      if (number % every === 0) replayLine(line, `${path}:${number}`, open, counts);
    });
  } else {
    throw new BadInput(`${path}: expected a file named .jsonl.gz, .jsonl or .json`);
  }
}

/** Replays a file of traces (`.jsonl`, `.jsonl.gz`); adds to the counts. */
export async function replayLinuxFile(
  path: string,
  open: OpenLinux,
  counts: Counts,
): Promise<void> {
  if (!isTraces(path)) throw new BadInput(`${path}: expected a file named .jsonl.gz or .jsonl`);
  await eachLine(path, (line, number) => replayLinuxLine(line, `${path}:${number}`, open, counts));
}

function isTraces(path: string): boolean {
  return path.endsWith(".jsonl") || path.endsWith(".jsonl.gz");
}

async function text(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new BadInput(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}
