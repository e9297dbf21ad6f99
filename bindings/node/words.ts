// Words: numbers as people read them, and rows that line up.

/** 2400 as "2,400". */
export function counted(count: number): string {
  return count.toLocaleString("en-US");
}

/** "1 port", "2 ports". */
export function some(count: number, what: string, plural = `${what}s`): string {
  return `${counted(count)} ${count === 1 ? what : plural}`;
}

/** "a, b and c". */
export function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}

/** Milliseconds in the unit that suits them, to three digits. */
export function duration(ms: number): string {
  if (ms >= 1000) return `${rounded(ms / 1000)} s`;
  if (ms >= 1) return `${rounded(ms)} ms`;
  return `${rounded(ms * 1000)} µs`;
}

/** A name, figures, and a note. */
export type Row = readonly string[];

/** Rows as indented lines: names to the left, figures to the right, notes behind. */
export function table(rows: readonly Row[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: Row): string =>
    row.map((cell, column) => aligned(cell, column, widths)).join("  ");
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join("\n");
}

function aligned(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0;
  const isFigure = column > 0 && column < widths.length - 1;
  return isFigure ? cell.padStart(width) : cell.padEnd(width);
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
