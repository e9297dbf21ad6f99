// Checks: what a block of code that runs in a page calls for its comments (test/docs/checks.ts).

import { expect } from "vitest";

let checks = 0;

export function same(line: number, value: unknown, expected: unknown): void {
  checks += 1;
  expect(value, `line ${line}`).toEqual(expected);
}

/** The end of a block: were all of its checks made? */
export function end(expected: number): void {
  expect(checks).toBe(expected);
  checks = 0;
}
