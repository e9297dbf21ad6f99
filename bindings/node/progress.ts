// Progress: one line that is rewritten where a person watches, and four plain lines where the
// output goes to a file or another program.

import type { WriteStream } from "node:tty";
import { counted } from "./words.ts";

const REWRITE_MS = 100;
const BAR_WIDTH = 24;
// Where the terminal does not say how wide it is.
const COLUMNS = 80;
const PLAIN_LINES = 4;

export class Progress {
  readonly #out: WriteStream;
  readonly #label: string;
  readonly #total: number;
  #done = 0;
  #shownAt = 0;
  #plainLines = 0;

  constructor(out: WriteStream, label: string, total: number) {
    this.#out = out;
    this.#label = label;
    this.#total = total;
  }

  /** Shows how far it is, if it is time to. */
  update(done: number): void {
    this.#done = done;
    if (this.#out.isTTY) {
      const now = performance.now();
      if (now - this.#shownAt < REWRITE_MS) return;
      this.#shownAt = now;
      this.#rewrite();
      return;
    }
    const line = Math.floor((done * PLAIN_LINES) / this.#total);
    if (line <= this.#plainLines) return;
    this.#plainLines = line;
    this.#out.write(`${this.#text()}\n`);
  }

  /** Leaves the last figure standing. */
  end(): void {
    if (!this.#out.isTTY) return;
    this.#rewrite();
    this.#out.write("\n");
  }

  #rewrite(): void {
    const filled = Math.round((this.#done / Math.max(1, this.#total)) * BAR_WIDTH);
    const bar = `[${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}]`;
    const line = `${this.#text()}  ${bar}`.slice(
      0,
      Math.max(1, (this.#out.columns || COLUMNS) - 1),
    );
    // Back to the start of the line, and nothing behind what is written now.
    this.#out.write(`\r${line}\x1b[K`);
  }

  #text(): string {
    const total = counted(this.#total);
    return `  ${this.#label}  ${counted(this.#done).padStart(total.length)} of ${total}`;
  }
}
