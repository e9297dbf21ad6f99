// Checks of single values that callers pass: each returns the value, or throws the error of a bad
// one.

import { PORT_MAX } from "../../assembly/abi.ts";
import { isRevoked } from "../core/brands.ts";
import { invalid, outOfRange, unknownOption, wrongType } from "../errors.ts";

const UINT32_MAX = 0xffffffff;
/**
 * The latest time that Linux' TIME_WAIT, which counts seconds in 32 bits, can store. Clocks of this
 * century are below.
 */
const TIME_MAX = 4_294_967_000_000;

export function checkObject(name: string, value: unknown, like = "an object"): void {
  if (typeof value === "object" && !isRevoked(value) && value !== null && !Array.isArray(value)) {
    return;
  }
  throw wrongType(name, like, value);
}

/**
 * Inherits nothing of Object.prototype, and is read faster than an object of `Object.create(null)`.
 */
class Bare {}
Object.setPrototypeOf(Bare.prototype, null);

/**
 * The options that a caller gives, each read once: the properties of the object itself, and those
 * of its class and the classes above, accessors among them. Object.prototype gives no options,
 * whatever has been added to it.
 * @throws PortError `ERR_INVALID_ARG_TYPE` (not an object), `ERR_INVALID_ARG_VALUE` (an unknown name).
 */
export function readOptions<T extends object>(
  where: string,
  value: T,
  names: readonly string[],
  like?: string,
): T {
  checkObject(where, value, like);
  const options = new Bare() as Record<string, unknown>;
  let from: object | null = value;
  for (; from !== null; from = classAbove(from)) {
    for (const name of Object.getOwnPropertyNames(from)) {
      if (Object.hasOwn(options, name)) continue;
      if (names.includes(name)) options[name] = Reflect.get(value, name);
      else if (isEnumerable(from, name)) throw unknownOption(where, name, names);
    }
  }
  return options as T;
}

/**
 * The same for hot calls: a plain object is returned as it is. Its enumerable properties are the
 * options, whose names have not been checked.
 */
export function plainOptions<T extends object>(
  where: string,
  value: T,
  names: readonly string[],
  like?: string,
): T {
  const isObject = typeof value === "object" && value !== null && !isRevoked(value);
  if (isObject && Object.getPrototypeOf(value) === Object.prototype && !isPolluted()) return value;
  return readOptions(where, value, names, like);
}

/** The prototype of an object, unless it is the Object.prototype of any realm. */
function classAbove(object: object): object | null {
  const above: object | null = Object.getPrototypeOf(object);
  if (above === null || above === Object.prototype) return null;
  const isRoot = Object.getPrototypeOf(above) === null && Object.hasOwn(above, "isPrototypeOf");
  return isRoot ? null : above;
}

function isEnumerable(object: object, name: string): boolean {
  return Object.prototype.propertyIsEnumerable.call(object, name);
}

/** Would a `for` over a plain object find properties that are not its own? */
function isPolluted(): boolean {
  for (const _ in Object.prototype) return true;
  return false;
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

/** An explicit port: 1..65535. Port 0 asks for any port, and cannot be held. */
export function checkPort(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= PORT_MAX) {
    return value;
  }
  if (typeof value !== "number") throw wrongType("port", "an integer in 1..65535", value);
  throw invalid("ERR_SOCKET_BAD_PORT", `port must be an integer in 1..65535, got ${value}`);
}

/** Is it an explicit port? One comparison, for hot calls. */
export function isExplicitPort(value: unknown): boolean {
  return typeof value === "number" && (value & PORT_MAX) === value && value !== 0;
}

/** An explicit port, or 0. */
export function checkPortOrZero(name: string, value: unknown): number {
  if (value === undefined || value === 0) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= PORT_MAX) {
    return value;
  }
  if (typeof value !== "number") throw wrongType(name, "an integer in 0..65535", value);
  throw invalid("ERR_SOCKET_BAD_PORT", `${name} must be an integer in 0..65535, got ${value}`);
}

/** The same where it may not be left out. */
export function checkGivenPort(value: unknown): number {
  if (value === undefined) throw wrongType("port", "an integer in 0..65535", value);
  return checkPortOrZero("port", value);
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (value === undefined || value === false) return false;
  if (value === true) return true;
  throw wrongType(name, "a boolean", value);
}
