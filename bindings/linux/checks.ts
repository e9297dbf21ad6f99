// Checks of the options that systems have under all rules.

import { PORT_MAX } from "../../assembly/abi.ts";
import { invalid, PortError, show, wrongType } from "../errors.ts";
import { checkInteger } from "../requests/checks.ts";
import type { PortRange } from "../requests/range.ts";

/** `net.ipv4.ip_local_port_range` of a new system. */
export const DEFAULT_RANGE: PortRange = { first: 32768, last: 60999 };
export const RANGE_ADVICE = "the default is 32768..60999";
/** `net.ipv4.ip_unprivileged_port_start` of a new system. */
export const UNPRIVILEGED_DEFAULT = 1024;
const TIME_WAIT_MS = 60_000;
const UINT32_MAX = 0xffffffff;
const LIMIT_MIN = 8192;

/** An option's value, or its default if it is left out. `null` does not leave it out. */
export function orDefault(value: unknown, byDefault: unknown): unknown {
  return value === undefined ? byDefault : value;
}

/** How many bytes a system's records may take. */
export function checkLimit(value: unknown = UINT32_MAX): number {
  return checkInteger("memoryLimit", value, LIMIT_MIN, UINT32_MAX);
}

/** How long TIME_WAIT lasts, milliseconds. */
export function checkDuration(value: unknown = TIME_WAIT_MS): number {
  return checkInteger("timeWaitMs", value, 0, UINT32_MAX);
}

/** `ip_unprivileged_port_start`, which may not lie above the range. */
export function checkStart(value: unknown, range: PortRange): number {
  const start = checkInteger("unprivilegedPortStart", value, 0, PORT_MAX);
  if (start <= range.first) return start;
  throw new PortError(
    "EINVAL",
    "invalid-port-range",
    `the local port range must not begin below unprivilegedPortStart, got ${range.first} and ${start}`,
  );
}

/** A caller's source of random numbers, each of which is checked. */
export function checkedDraw(random: unknown): () => number {
  if (typeof random !== "function") {
    throw wrongType("random", "a function that answers an integer in 0..4294967295", random);
  }
  return () => {
    const answer: unknown = random();
    if (typeof answer === "number" && answer >>> 0 === answer) return answer;
    const message = `random must answer an integer in 0..4294967295, got ${show(answer)}`;
    throw invalid("ERR_INVALID_RETURN_VALUE", message);
  };
}
