// Reading vector files: plain or gzipped, one line at a time, never a whole file in memory.

import type { EventEmitter } from "node:events";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";
import { BadInput } from "./input.ts";

/** Calls `visit` with each line and its number from 1, in order; stops at what it throws. */
export async function eachLine(
  path: string,
  visit: (line: string, number: number) => void,
): Promise<void> {
  const file = createReadStream(path);
  const text = path.endsWith(".gz") ? file.pipe(createGunzip()) : file;
  const lines = createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY });

  let number = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      // A listener and not an iterator: an iterator would queue lines that are not asked for yet.
      lines.on("line", (line) => {
        try {
          number += 1;
          visit(line, number);
        } catch (error) {
          lines.removeAllListeners("line");
          reject(error);
        }
      });
      lines.on("close", resolve);
      const sources: EventEmitter[] = [file, text, lines];
      for (const source of sources) {
        source.on("error", (error: Error) => reject(new BadInput(`${path}: ${error.message}`)));
      }
    });
  } finally {
    lines.close();
    file.destroy();
    text.destroy();
  }
}
