// Ranges of ports: what a caller may give, and how the core packs one into a number.

import { PORT_MAX } from "../../assembly/abi.ts";
import { PortError, wrongType } from "../errors.ts";
import { readOptions } from "./checks.ts";

/** A range of ports, both ends included: 1 <= first <= last <= 65535. */
export interface PortRange {
  /** The lowest port, 1..65535. */
  readonly first: number;
  /** The highest port, first..65535. */
  readonly last: number;
}

/** The range that limits nothing: every port that can be bound. */
export const ALL_PORTS: PortRange = Object.freeze({ first: 1, last: PORT_MAX });

/**
 * A range as an option or a property gives it: an object of `first` and `last` and nothing else.
 * @param name the caller's name for it.
 * @param advice ends the message about a bad range, for instance by naming the default.
 * @returns a copy.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (a wrong name), `EINVAL`.
 */
export function checkRangeObject(name: string, range: PortRange, advice: string): PortRange {
  const like = "an object, { first, last }";
  const { first, last } = readOptions(name, range, ["first", "last"], like);
  checkRange(first, last, advice);
  return { first, last };
}

/**
 * The two ends of a range: integers, 1 <= first <= last <= 65535.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `EINVAL` (`invalid-port-range`).
 */
export function checkRange(first: unknown, last: unknown, advice: string): void {
  if (typeof first !== "number") throw wrongType("first", "an integer in 1..65535", first);
  if (typeof last !== "number") throw wrongType("last", "an integer in 1..65535", last);
  if (Number.isInteger(first) && Number.isInteger(last) && isRange(first, last)) return;
  throw new PortError(
    "EINVAL",
    "invalid-port-range",
    `a port range must have 1 <= first <= last <= ${PORT_MAX}, got ${first}..${last}; ${advice}`,
  );
}

/** Do two integers make a range? */
export function isRange(first: number, last: number): boolean {
  return 1 <= first && first <= last && last <= PORT_MAX;
}

// The core packs a range into one number: first in the low half, last in the high half.

/** Has a range as the core's number no ports? */
export function isEmpty(both: number): boolean {
  return (both & PORT_MAX) > both >>> 16;
}

/** The range in one of the core's numbers, signed or not; `undefined` when it is empty. */
export function unpackRange(both: number): PortRange | undefined {
  const first = both & PORT_MAX;
  const last = both >>> 16;
  return first <= last ? { first, last } : undefined;
}

/** A range as messages show it: `20000..20999`, or the port alone if it has only one. */
export function showRange({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}..${last}`;
}
