// The explanation of a refused bind(), listen() or connect(): types alone.

import type { PortRange } from "../requests/range.ts";
import type { LinuxRecord } from "./rules/6.18/record.ts";

/**
 * Why a port cannot be had by bind(), listen() or connect():
 *
 * - `"wrong-state"`: the socket has a port, is connected or listens.
 * - `"wrong-family"`: the address is of another family, or IPv4 for an IPv6-only socket.
 * - `"not-local"`: the address is none of the machine's.
 * - `"privileged"`: the port lies below `unprivilegedPortStart`, and the user is not root.
 * - `"outside-group"`: the group does not allow the port.
 * - `"flags"`: socket and holder have neither SO_REUSEADDR nor SO_REUSEPORT in common.
 * - `"listening"`: they have SO_REUSEADDR in common, but the holder listens.
 * - `"user"`: they have SO_REUSEPORT in common, but not the user.
 * - `"outside-own-range"`, `"reserved"`, `"held"`, for any port: what `localPortRange`, the reserved
 *   ports and the holders take away; of connect() the holders by bind().
 * - `"tuple"`: a connection to the same remote end, or its TIME_WAIT, has the port (connect).
 */
export type LinuxRule =
  | "wrong-state"
  | "wrong-family"
  | "not-local"
  | "privileged"
  | "outside-group"
  | "flags"
  | "listening"
  | "user"
  | "outside-own-range"
  | "reserved"
  | "held"
  | "tuple";

/** One reason. */
export interface LinuxObstacle<Holder = LinuxRecord> {
  readonly rule: LinuxRule;
  /** The reason in words. */
  readonly text: string;
  /** The holder, for an explicit port: a socket, or a connection without one. */
  readonly holder?: Holder | undefined;
  /** The path of the group that set the limit. */
  readonly group?: string | undefined;
  /** For any port: how many ports of the system's range the rule takes away, each counted once. */
  readonly ports?: number | undefined;
}

/** Whether bind(), listen() or connect() gets a port, and why not. */
export interface LinuxExplanation<Holder = LinuxRecord> {
  /** Would the call succeed now? */
  readonly allowed: boolean;
  /** The port that was asked about; 0: any. */
  readonly port: number;
  /**
   * The reasons against it. For an explicit port every holder that has to go, and no other; for any
   * port how many ports each rule takes away: with {@link free} it adds up to the system's range.
   */
  readonly because: readonly LinuxObstacle<Holder>[];
  /** For any port: the system's range. */
  readonly searched?: PortRange | undefined;
  /**
   * For any port: how many ports of the range can be had. Where a range has an odd number of ports,
   * the kernel may overlook the last one (`exact`).
   */
  readonly free?: number | undefined;
}
