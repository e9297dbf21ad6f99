// Errors: the core refuses with a negative number, and nothing has changed; callers get an error
// with a code that Node programs already handle, which says what was asked, and what was searched
// or would be valid.

import {
  COOLING,
  EMPTY_RANGE,
  EXHAUSTED,
  IN_USE,
  NO_MEMORY,
  OUTSIDE_GROUP,
} from "../assembly/abi.ts";
import { kindOf } from "./core/brands.ts";
import type { LinuxExplanation } from "./linux/explanation.ts";
import type { Linux2632Record } from "./linux/rules/2.6.32/record.ts";
import type { LinuxRecord } from "./linux/rules/6.18/record.ts";
import type { Explanation } from "./state/explanation.ts";

/**
 * The answers of `PortPool.take` and `takeAt` instead of a port. All are negative, and a call that
 * is refused has changed nothing.
 */
export const Refusal = {
  /** The port is held in a way that does not allow sharing it. */
  IN_USE: IN_USE as -1,
  /** No port of the ephemeral range can be taken. */
  EXHAUSTED: EXHAUSTED as -2,
  /** The memory limit, or the machine, does not allow one more record. */
  NO_MEMORY: NO_MEMORY as -3,
  /** The port lies outside the range that the pool's group allows. */
  OUTSIDE_GROUP: OUTSIDE_GROUP as -6,
  /** The pool's group leaves nothing of the ephemeral range. */
  EMPTY_RANGE: EMPTY_RANGE as -7,
  /** The port cools down, or only cooling ports are left of the range (`PoolOptions.cooldown`). */
  COOLING: COOLING as -11,
} as const;

/** One of the numbers of {@link Refusal}. */
export type RefusalCode = (typeof Refusal)[keyof typeof Refusal];

/**
 * Why a call was refused: gVisor's reasons (`tcpip.ErrPortInUse`, `ErrNoPortAvailable`,
 * `ErrInvalidPortRange`), those of bad arguments, and from `invalid-text` on those of groups, their
 * files and sockets with Linux's rules.
 */
export type Reason =
  | "port-in-use"
  | "no-port-available"
  | "no-memory"
  | "invalid-port-range"
  | "invalid-argument"
  | "closed"
  | "invalid-text"
  | "invalid-snapshot"
  | "text-too-long"
  | "name-too-long"
  | "not-found"
  | "exists"
  | "busy"
  | "read-only"
  | "is-group"
  | "is-file"
  | "privileged-port"
  | "connected"
  | "wrong-state"
  | "outside-group"
  | "empty-range"
  | "not-compiled"
  | "not-supported";

/** The details of an error beside its message. */
export interface PortErrorDetails {
  /** The system call that would have failed: `bind`, `listen`, `connect` or `close`. */
  syscall?: string | undefined;
  /** The local address that was asked for, as canonical text. */
  address?: string | undefined;
  /** The port that was asked for; 0 when any would have done. */
  port?: number | undefined;
  /** The range that was searched, both ends included. */
  searched?: { first: number; last: number } | undefined;
  /** The host's own error behind this one. */
  cause?: unknown | undefined;
}

/** Of a manager, a pool or a connector; or of a socket of {@link LinuxPorts}. */
type AnyExplanation = Explanation | LinuxExplanation<LinuxRecord | Linux2632Record>;

/** Gives an error its explanation, which is made when it is asked for. */
export let explained: (error: PortError, explain: () => AnyExplanation) => PortError;

/**
 * The one error class of portwarden. `code` is a code that Node uses for the same thing:
 *
 * | code | reason |
 * |---|---|
 * | `EADDRINUSE` | `port-in-use`; `no-port-available` of a bind (Linux: bind with port 0) |
 * | `EADDRNOTAVAIL` | `no-port-available` of a connect or a pick (Linux: connect) |
 * | `EACCES`, `EADDRINUSE` (Linux: bind) | `outside-group`: an explicit port that the group does not allow |
 * | `EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL` | `empty-range`: the group leaves nothing of the range |
 * | `ENOBUFS` | `no-memory` |
 * | `EINVAL` | `invalid-port-range`; `invalid-text` (of a control file or a sysctl); `wrong-state` (of a socket) |
 * | `EINVAL` | `invalid-snapshot`: bytes that are none, cut, changed, or of another version |
 * | `EBADF` | `closed`: the manager, pool or tree of groups has been closed |
 * | `ENOENT` | `not-found`: no such group, file or sysctl, or the group has been removed |
 * | `EEXIST` | `exists`: the path of a new group is taken |
 * | `EBUSY` | `busy`: a group is in use, has children, or is the root; it is too late |
 * | `EACCES` | `read-only` (a file); `privileged-port` (Linux: bind below `ip_unprivileged_port_start`) |
 * | `EISDIR`, `ENOTDIR` | `is-group`, `is-file`: the path names the other one |
 * | `E2BIG`, `ENAMETOOLONG` | `text-too-long` (of a control file), `name-too-long` (of a group) |
 * | `EOPNOTSUPP` | `wrong-state`: a UDP socket cannot listen |
 * | `EAGAIN` | `no-port-available`, `empty-range` of a UDP connect |
 * | `EISCONN` | `connected`: the socket is (Linux: connect) |
 * | `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE` | `invalid-argument` |
 * | `ERR_INVALID_IP_ADDRESS`, `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_RETURN_VALUE` | `invalid-argument` |
 * | `ERR_ILLEGAL_CONSTRUCTOR` | `invalid-argument`: `new` of a class that has another way to make one |
 * | `ENOTSUP` | `not-supported`: the system has no such thing |
 * | `ERR_WEBASSEMBLY_NOT_SUPPORTED` | `not-compiled`: the host does not let the package compile its WebAssembly |
 */
export class PortError extends Error {
  override readonly name: string = "PortError";
  /** A Node error code, see above. */
  readonly code: string;
  /** Why the call was refused; a program can switch on it. */
  readonly reason: Reason;
  /** The system call that would have failed, where there is one. */
  readonly syscall: string | undefined;
  /** The local address that was asked for, where there is one. */
  readonly address: string | undefined;
  /** The port that was asked for, where there is one. */
  readonly port: number | undefined;
  /** The range that was searched, where one was. */
  readonly searched: { readonly first: number; readonly last: number } | undefined;

  #explain: (() => AnyExplanation) | undefined;

  static {
    explained = (error, explain) => {
      error.#explain = explain;
      return error;
    };
  }

  constructor(code: string, reason: Reason, message: string, details: PortErrorDetails = {}) {
    super(`${code}: ${message}`, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.reason = reason;
    this.syscall = details.syscall;
    this.address = details.address;
    this.port = details.port;
    this.searched = details.searched;
  }

  /**
   * The holders and limits in the way of the refused request, at the time of this call; `undefined`
   * where there is nothing to explain, as for bad arguments. Nothing is computed before. Of a
   * refused bind(), listen() or connect() of a {@link LinuxPorts} it is a {@link LinuxExplanation}.
   * @throws PortError `EBADF` when the manager, or the socket, has been closed.
   */
  explain<Told extends AnyExplanation = Explanation>(): Told | undefined {
    return this.#explain?.() as Told | undefined;
  }
}

// ── Bad arguments ─────────────────────────────────────────────────────────────────────────

/** The error for an argument `name` of a wrong type: says what is valid, and what was given. */
export function wrongType(name: string, valid: string, got: unknown): PortError {
  return invalid("ERR_INVALID_ARG_TYPE", `${name} must be ${valid}, got ${show(got)}`);
}

/**
 * The error for an argument `name` that must be an object of a class of this copy of the package.
 */
export function wrongKind(name: string, kind: string, valid: string, got: unknown): PortError {
  const isOther = kindOf(got) === kind;
  const what = isOther ? `a ${kind} of another copy of portwarden` : show(got);
  return invalid("ERR_INVALID_ARG_TYPE", `${name} must be ${valid}, got ${what}`);
}

export function wrongValue(
  name: string,
  valid: string,
  got: unknown,
  shown: string = show(got),
): PortError {
  return invalid("ERR_INVALID_ARG_VALUE", `${name} must be ${valid}, got ${shown}`);
}

export function outOfRange(name: string, valid: string, got: unknown): PortError {
  return invalid("ERR_OUT_OF_RANGE", `${name} must be ${valid}, got ${show(got)}`);
}

export function unknownOption(where: string, name: string, known: readonly string[]): PortError {
  const message = `${where} has no option ${show(name)}; known are ${known.join(", ")}`;
  return invalid("ERR_INVALID_ARG_VALUE", message);
}

export function invalid(code: string, message: string): PortError {
  return new PortError(code, "invalid-argument", message);
}

export function closed(what: string): PortError {
  return new PortError("EBADF", "closed", `the ${what} has been closed`);
}

export function noMemory(what: string): PortError {
  return new PortError("ENOBUFS", "no-memory", `no memory for one more record: ${what}`);
}

/**
 * The error for a module of the package that could not be compiled. Says what to allow, and what to
 * pass otherwise.
 */
export function notCompiled(option: string, file: string, cause: unknown): PortError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message =
    `this host did not let portwarden compile its ${file} (${shorten(why, 200)}); ` +
    "in a page, allow it with 'wasm-unsafe-eval' in the script-src of the Content-Security-Policy; or " +
    `pass open({ ${option} }), a WebAssembly.Module of portwarden/${file} compiled where that is allowed`;
  const details = { cause };
  return new PortError("ERR_WEBASSEMBLY_NOT_SUPPORTED", "not-compiled", message, details);
}

/** A value as an error message shows it: short. Never throws. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(shorten(value));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "object" && value !== null) return showObject(value);
  return String(value);
}

function showObject(value: object): string {
  const kind = kindOf(value);
  if (kind !== undefined) return `a ${kind}`;
  try {
    return Array.isArray(value) ? `an array of ${value.length}` : "an object";
  } catch {
    return "an object"; // a Proxy that has been revoked, or whose traps throw
  }
}

function shorten(text: string, max = 60): string {
  return text.length > max ? `${text.slice(0, max - 3)}...` : text;
}
