// Inside: objects that only the package makes. TypeScript's `private` has no effect at run time, so
// that a slip such as `new PortManager()` for `PortManager.open()` would make an object without a
// core.

import { PortError } from "../errors.ts";

/** The first argument of every constructor that is not for callers. */
export const INSIDE: unique symbol = Symbol("portwarden");

/**
 * Refuses a call from outside of the package.
 * @param how what to call instead.
 * @throws PortError `ERR_ILLEGAL_CONSTRUCTOR`.
 */
export function checkInside(token: unknown, name: string, how: string): void {
  if (token === INSIDE) return;
  const message = `${name} has no constructor for callers: ${how} makes one`;
  throw new PortError("ERR_ILLEGAL_CONSTRUCTOR", "invalid-argument", message);
}
