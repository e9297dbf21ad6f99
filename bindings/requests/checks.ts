// Checks of single values that callers pass: each answers the value, or throws what is wrong with it.

import { PORT_MAX } from "../../assembly/abi.ts";
import { invalid, outOfRange, unknownOption, wrongType } from "../errors.ts";

const UINT32_MAX = 0xffffffff;
/** What Linux' TIME_WAIT, which counts seconds in 32 bits, can say; a clock of this century is below. */
const TIME_MAX = 4_294_967_000_000;

export function checkObject(name: string, value: unknown, like = "an object"): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw wrongType(name, like, value);
}

export function checkNames(where: string, value: object, names: readonly string[]): void {
  for (const name in value) {
    if (!names.includes(name)) throw unknownOption(where, name, names);
  }
}

export function checkUint32(name: string, value: unknown): number {
  if (typeof value === "number" && value >>> 0 === value) return value;
  return checkInteger(name, value, 0, UINT32_MAX);
}

export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") {
    throw wrongType(name, `an integer in ${min}..${max}`, value);
  }
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw outOfRange(name, `an integer in ${min}..${max}`, value);
  }
  return value;
}

/** Milliseconds of any clock, not before `from`. */
export function checkTime(name: string, value: unknown, from = 0): number {
  if (typeof value === "number" && value >= from && value <= TIME_MAX) return value;
  const valid = `milliseconds in ${from}..${TIME_MAX}`;
  throw typeof value === "number" ? outOfRange(name, valid, value) : wrongType(name, valid, value);
}

/** A port that is named: 1..65535. Port 0 asks for any and has no meaning as a key. */
export function checkPort(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= PORT_MAX) {
    return value;
  }
  if (typeof value !== "number") throw wrongType("port", "an integer in 1..65535", value);
  throw invalid("ERR_SOCKET_BAD_PORT", `port must be an integer in 1..65535, got ${value}`);
}

/** A port that is named, or 0. */
export function checkPortOrZero(name: string, value: unknown): number {
  if (value === undefined || value === 0) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= PORT_MAX) {
    return value;
  }
  if (typeof value !== "number") throw wrongType(name, "an integer in 0..65535", value);
  throw invalid("ERR_SOCKET_BAD_PORT", `${name} must be an integer in 0..65535, got ${value}`);
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (value === undefined || value === false) return false;
  if (value === true) return true;
  throw wrongType(name, "a boolean", value);
}
