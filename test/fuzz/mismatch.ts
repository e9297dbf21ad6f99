// The model and the implementation differ, or the implementation broke: how a session says so.

import { isDeepStrictEqual } from "node:util";

export class Mismatch extends Error {
  override readonly name = "Mismatch";
}

/** @throws {Mismatch} unless both are the same in every part. */
export function compare(what: string, got: unknown, expected: unknown): void {
  if (isDeepStrictEqual(got, expected)) return;
  throw new Mismatch(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

/** @throws {Mismatch} for whatever `act` throws: an error that is no answer, or a trap. */
export function settled<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Mismatch) throw error;
    throw new Mismatch(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
