// Words: numbers as people read them.

/** 2400 as "2,400". */
export function counted(count: number): string {
  return count.toLocaleString("en-US");
}

/** "1 port", "2 ports". */
export function some(count: number, what: string, plural = `${what}s`): string {
  return `${counted(count)} ${count === 1 ? what : plural}`;
}
