// Where failure changes form. Inside, a refusal is a negative number and nothing has changed;
// outside, it is an error with a code that Node programs already handle, what was asked, and
// what was searched or would be valid.

import {
  COOLING,
  EMPTY_RANGE,
  EXHAUSTED,
  IN_USE,
  NO_MEMORY,
  OUTSIDE_GROUP,
} from "../assembly/abi.ts";

/**
 * What a handle's `take` and `takeAt` answer instead of a port. All are negative, and a refused
 * call has changed nothing.
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

/**
 * Why a call was refused, in gVisor's terms (`tcpip.ErrPortInUse`, `ErrNoPortAvailable`,
 * `ErrInvalidPortRange`) and a few of the facade's own. The second lot is for groups, their files
 * and sockets with Linux's rules.
 */
export type Reason =
  | "port-in-use"
  | "no-port-available"
  | "no-memory"
  | "invalid-port-range"
  | "invalid-argument"
  | "closed"
  | "invalid-text"
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
  | "not-compiled";

/** What an error can say beside its message. */
export interface PortErrorDetails {
  /** The system call that would have failed: `bind`, `listen`, `connect` or `close`. */
  syscall?: string;
  /** The local address that was asked for, as canonical text. */
  address?: string;
  /** The port that was asked for; 0 when any would have done. */
  port?: number;
  /** The range that was searched, both ends included. */
  searched?: { first: number; last: number };
  /** The host's own error behind this one. */
  cause?: unknown;
}

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
 * | `EBADF` | `closed`: the manager, pool or tree of groups has been closed |
 * | `ENOENT` | `not-found`: no such group, file or sysctl, or the group has been removed |
 * | `EEXIST` | `exists`: the path of a new group is taken |
 * | `EBUSY` | `busy`: the group is in use, has children, or is the root |
 * | `EACCES` | `read-only` (a file); `privileged-port` (Linux: bind below `ip_unprivileged_port_start`) |
 * | `EISDIR`, `ENOTDIR` | `is-group`, `is-file`: the path names the other one |
 * | `E2BIG`, `ENAMETOOLONG` | `text-too-long` (of a control file), `name-too-long` (of a group) |
 * | `EOPNOTSUPP` | `wrong-state`: a UDP socket cannot listen |
 * | `EAGAIN` | `no-port-available`, `empty-range` of a UDP connect |
 * | `EISCONN` | `connected`: the socket is (Linux: connect) |
 * | `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE` | `invalid-argument` |
 * | `ERR_INVALID_IP_ADDRESS`, `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_RETURN_VALUE` | `invalid-argument` |
 * | `ERR_WEBASSEMBLY_NOT_SUPPORTED` | `not-compiled`: the host does not let the package compile its WebAssembly |
 */
export class PortError extends Error {
  override readonly name: string = "PortError";
  /** A Node error code, see above. */
  readonly code: string;
  /** Why, in a word that a program can switch on. */
  readonly reason: Reason;
  /** The system call that would have failed, where there is one. */
  readonly syscall: string | undefined;
  /** The local address that was asked for, where there is one. */
  readonly address: string | undefined;
  /** The port that was asked for, where there is one. */
  readonly port: number | undefined;
  /** The range that was searched, where one was. */
  readonly searched: { readonly first: number; readonly last: number } | undefined;

  constructor(code: string, reason: Reason, message: string, details: PortErrorDetails = {}) {
    super(`${code}: ${message}`, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.reason = reason;
    this.syscall = details.syscall;
    this.address = details.address;
    this.port = details.port;
    this.searched = details.searched;
  }
}

// ── Bad arguments ─────────────────────────────────────────────────────────────────────────

/** `name` is not what it must be: says what it must be, and what came. */
export function wrongType(name: string, valid: string, got: unknown): PortError {
  return invalid("ERR_INVALID_ARG_TYPE", `${name} must be ${valid}, got ${show(got)}`);
}

export function wrongValue(name: string, valid: string, got: unknown): PortError {
  return invalid("ERR_INVALID_ARG_VALUE", `${name} must be ${valid}, got ${show(got)}`);
}

export function outOfRange(name: string, valid: string, got: unknown): PortError {
  return invalid("ERR_OUT_OF_RANGE", `${name} must be ${valid}, got ${show(got)}`);
}

export function unknownOption(where: string, name: string, known: readonly string[]): PortError {
  const meant = nearest(name, known);
  const advice = meant ? `did you mean "${meant}"?` : `known are ${known.join(", ")}`;
  return invalid("ERR_INVALID_ARG_VALUE", `${where} has no option ${show(name)}; ${advice}`);
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

/** The package could not compile a module of its own. Says what to allow, and what to do without. */
export function notCompiled(option: string, file: string, cause: unknown): PortError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message =
    `this host did not let portwarden compile its ${file} (${shorten(why, 200)}); ` +
    "in a page, allow it with 'wasm-unsafe-eval' in the script-src of the Content-Security-Policy; or " +
    `pass open({ ${option} }), a WebAssembly.Module of portwarden/${file} compiled where that is allowed`;
  const details = { cause };
  return new PortError("ERR_WEBASSEMBLY_NOT_SUPPORTED", "not-compiled", message, details);
}

/** A value as an error message shows it: short, and never failing. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(shorten(value));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

function shorten(text: string, max = 60): string {
  return text.length > max ? `${text.slice(0, max - 3)}...` : text;
}

/**
 * The known name that is nearest to a wrong one, unless all are far. Near is a slip in every third letter, and a
 * name that only goes on, or ends early, by less than half.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wrong = name.toLowerCase().slice(0, 40);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const right = candidate.toLowerCase();
    const distance = editDistance(wrong, right);
    const isNear = distance <= Math.max(1, Math.floor(wrong.length / 3)) || goesOn(wrong, right);
    if (!isNear || distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** Is one the beginning of the other, and more than half of it? */
function goesOn(a: string, b: string): boolean {
  const [shorter, longer] = a.length < b.length ? [a, b] : [b, a];
  return shorter.length >= 3 && 2 * shorter.length > longer.length && longer.startsWith(shorter);
}

/** Insertions, deletions, replacements and swaps of neighbours between two words (Damerau). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] as number;
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const replaced = at(row - 1, column - 1) + (isSame ? 0 : 1);
      const least = Math.min(replaced, at(row - 1, column) + 1, at(row, column - 1) + 1);
      const isSwap = row > 1 && a[row - 2] === b[column - 1] && a[row - 1] === b[column - 2];
      current.push(isSwap ? Math.min(least, at(row - 2, column - 2) + 1) : least);
    }
  }
  return at(a.length, b.length);
}
