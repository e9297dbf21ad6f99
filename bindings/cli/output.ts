// Output of the commands: words, numbers and tables as people read them. Colour is for terminals
// alone, and only for those that want it.

import { styleText } from "node:util";
import { figure } from "../node/connector/words.ts";

/** A cell of a table; numbers are aligned to the right. */
export type Cell = string | number;

type Style = Parameters<typeof styleText>[0];

const WIDTH = 100;
const WIDTH_LEAST = 40;
const TITLE_WIDTH = 10;

/**
 * Colours a text, if the output is a terminal that shows colours: what Node makes of NO_COLOR,
 * FORCE_COLOR, TERM and the like (`hasColors`). Never in a pipe or a file.
 */
export function paint(style: Style, text: string): string {
  const { stdout } = process;
  return stdout.isTTY && stdout.hasColors() ? styleText(style, text) : text;
}

/** A title above what follows. */
export function title(text: string): string {
  return paint("bold", text);
}

/** A time span in seconds, as people say it. */
export function seconds(value: number): string {
  if (value >= 0.0995 || value === 0) return `${figure(Number(value.toPrecision(4)))} s`;
  return `${figure(value * 1000)} ms`;
}

/** A part of a whole. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : `${((part / whole) * 100).toFixed(1)} %`;
}

/** Rows under a heading, in columns that are as wide as they need be. */
export function table(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) =>
    row.map((cell) => (typeof cell === "number" ? figure(cell) : cell)),
  );
  const widths = heading.map((text, column) =>
    Math.max(text.length, ...texts.map((row) => (row[column] ?? "").length)),
  );
  const isRight = heading.map((_, column) => rows.some((row) => typeof row[column] === "number"));
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, column) => {
        const width = widths[column] ?? 0;
        return isRight[column] ? text.padStart(width) : text.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [paint("dim", line(heading)), ...texts.map(line)].map((text) => `  ${text}`).join("\n");
}

/** A sentence after a bullet, on as many lines as it needs. */
export function bullet(text: string): string {
  return wrapped(text, "  - ");
}

/** A text after a title, in a column of such, on as many lines as it needs. */
export function titled(name: string, text: string): string {
  const start = name.padEnd(TITLE_WIDTH);
  return wrapped(text, start).replace(start, title(name) + start.slice(name.length));
}

/** Columns of a line: as COLUMNS says, or else the terminal; 100 where neither does. */
function width(): number {
  const columns = Number(process.env.COLUMNS) || process.stdout.columns || WIDTH;
  return Math.max(WIDTH_LEAST, Math.floor(columns));
}

/** A text on as many lines as it needs, below each other behind what the first one starts with. */
export function wrapped(text: string, start = ""): string {
  const lines = [""];
  const room = width() - start.length;
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    const longer = lines[last] === "" ? word : `${lines[last]} ${word}`;
    if (longer.length <= room || lines[last] === "") lines[last] = longer;
    else lines.push(word);
  }
  return start + lines.join(`\n${" ".repeat(start.length)}`);
}

/**
 * The help of a command within the width of the terminal: paragraphs, and options with a text each,
 * which stands in a column behind them, or below where there is no room for a column.
 */
export function helpText(help: string): string {
  const blocks: { start: string; text: string }[] = [];
  for (const line of help.split("\n")) {
    const [, start = "", text = ""] = /^((?: +\S+(?: \S+)*? {2,}| *))(.*)$/.exec(line) ?? [];
    const last = blocks.at(-1);
    const isMore = last !== undefined && last.text !== "" && text !== "" && start.trim() === "";
    if (isMore && start.length === last.start.length) last.text += ` ${text}`;
    else blocks.push({ start, text });
  }
  return blocks
    .map(({ start, text }) => {
      const isNarrow = start.trim() !== "" && start.length > width() / 2;
      return isNarrow
        ? `${start.trimEnd()}\n${wrapped(text, " ".repeat(6))}`
        : wrapped(text, start);
    })
    .join("\n");
}

let isUnwritten = false;

/**
 * Handles errors of writing, for as long as the process lives. A reader that has gone away, as in
 * `portwarden show | head -1`, is no failure; a file that cannot be written is. Errors of the error
 * output are ignored: there is no place to report them.
 */
export function watchStreams(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    if (code === "EPIPE" || isUnwritten) return;
    isUnwritten = true;
    process.exitCode = 1;
    process.stderr.write(`portwarden: the output cannot be written: ${message}\n`);
  });
}

/** The exit code of a command, unless its output could not be written. */
export function outcome(code: number): number {
  return isUnwritten ? 1 : code;
}

/** Writes a document of JSON. An unlimited figure becomes "unlimited", an unknown one null. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, plain, 2)}\n`);
}

/** Writes lines. */
export function writeText(text: string): void {
  process.stdout.write(`${text}\n`);
}

function plain(_name: string, value: unknown): unknown {
  if (value === undefined) return null;
  return value === Number.POSITIVE_INFINITY ? "unlimited" : value;
}
