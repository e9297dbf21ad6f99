// Checks: what a block of code in the pages calls for its comments. Copied beside the blocks, and
// imported by each.

import { inspect, isDeepStrictEqual } from "node:util";

let checks = 0;

/** `value; // => expected` on a line of a page. */
export function same(line: number, value: unknown, expected: unknown): void {
  checks += 1;
  if (isDeepStrictEqual(value, expected)) return;
  throw new Error(`line ${line}: got ${inspect(value)}, and the page says ${inspect(expected)}`);
}

/** `call; // throws CODE` on a line of a page. */
export async function throws(line: number, call: () => unknown, code: string): Promise<void> {
  checks += 1;
  let got: unknown = "nothing";
  try {
    await call();
  } catch (error) {
    got = (error as { code?: unknown }).code ?? error;
  }
  if (got === code) return;
  throw new Error(`line ${line}: ${inspect(got)} was thrown, and the page says ${code}`);
}

/** The end of a block: were all of its checks made? */
export function end(expected: number): void {
  if (checks === expected) return;
  throw new Error(`${checks} of ${expected} results were compared`);
}
