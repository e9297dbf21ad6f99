// Words: numbers as people read them.

/** A whole number with commas, any other with three significant digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "unlimited";
  if (Number.isInteger(value) || Math.abs(value) >= 1000) {
    return Math.round(value).toLocaleString("en-US");
  }
  return String(Number(value.toPrecision(3)));
}

/** "1 port", "2 ports". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${figure(count)} ${count === 1 ? one : many}`;
}
