// Progress: one line that is rewritten while a person watches. Where the output goes to a file or
// another program there is none.

import type { WriteStream } from "node:tty";
import { figure } from "../../node/connector/words.ts";

const REWRITE_MS = 100;
const BAR_WIDTH = 24;
// Where the terminal does not say how wide it is.
const COLUMNS = 80;

export class Progress {
  readonly #out: WriteStream;
  #label = "";
  #shownAt = 0;

  constructor(out: WriteStream) {
    this.#out = out;
  }

  /** Shows how far that is, if it is time to. */
  update(label: string, done: number, total: number): void {
    if (!this.#out.isTTY) return;
    const now = performance.now();
    if (label === this.#label && now - this.#shownAt < REWRITE_MS) return;
    this.#label = label;
    this.#shownAt = now;
    const filled = Math.min(BAR_WIDTH, Math.round((done / Math.max(1, total)) * BAR_WIDTH));
    const bar = `[${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}]`;
    const columns = Math.max(1, (this.#out.columns || COLUMNS) - 1);
    this.#rewrite(`  ${label}  ${bar}  ${figure(done)} open`.slice(0, columns));
  }

  /** Leaves the line empty for what follows. */
  end(): void {
    if (this.#out.isTTY) this.#rewrite("");
  }

  #rewrite(line: string): void {
    // Back to the start of the line, and nothing behind what is written now.
    this.#out.write(`\r${line}\x1b[K`);
  }
}
