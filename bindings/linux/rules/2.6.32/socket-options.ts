// The options with which sockets of Linux 2.6.32 are made, connected and closed, and the record
// that those of one system share.

import type { Random } from "../../../core/random.ts";
import type { PortGroup } from "../../../groups/group.ts";
import type { Address, AddressLike } from "../../../requests/address.ts";
import type { Selection } from "../../../selection.ts";
import type { OpenSystem } from "../../system.ts";
import type { Exports2632 } from "./core.ts";
import type { Linux2632State } from "./record.ts";

/** The states, by the core's numbers. */
export const STATES: readonly Linux2632State[] = ["closed", "listening", "connected"];

/** The options of a new socket. */
export interface Linux2632SocketOptions {
  /** `"tcp"`, the default, or `"udp"`. */
  type?: "tcp" | "udp" | undefined;
  /** `SO_REUSEADDR`, false by default. */
  reuseAddr?: boolean | undefined;
  /** `SO_BINDTODEVICE`: an interface number, 0..2147483647; 0, the default, is none. */
  bindToDevice?: number | undefined;
  /** The group whose port ranges apply to the socket; none by default. */
  group?: PortGroup | undefined;
  /** `CAP_NET_BIND_SERVICE`: may bind below `ip_unprivileged_port_start`. False by default. */
  privileged?: boolean | undefined;
}

/** How a connection is made. */
export interface Linux2632ConnectOptions {
  /**
   * The local address that routing would choose; used if the socket has none. That of the system by
   * default.
   */
  localAddress?: AddressLike | undefined;
  /**
   * Where the search of the local range starts, for TCP beside the hint: 0..4294967295. By default
   * what the system's selection says, such as a keyed hash of the tuple.
   */
  offset?: number | undefined;
}

/** How a socket is closed. */
export interface Linux2632CloseOptions {
  /** Whether this side closes actively, so that the tuple stays in TIME_WAIT. False by default. */
  timeWait?: boolean | undefined;
  /**
   * When the last TCP timestamp of the connection came: milliseconds, 0 up to the system's time,
   * which is the default; `null`: the connection had no timestamps.
   */
  timestamp?: number | null | undefined;
}

/** The record that the sockets of one system share. */
export interface System extends OpenSystem {
  readonly linux: Exports2632;
  /** How long TIME_WAIT lasts, milliseconds. */
  readonly duration: number;
  /** The source of random numbers, except for draws that the caller gives. */
  readonly random: Random;
  /** The random numbers of bind(), one for each run of the search. */
  readonly draw: () => number;
  /**
   * Whether the caller gives the random numbers or their seed, and so can see how many were drawn.
   */
  readonly isWatched: boolean;
  readonly bindSelection: Selection;
  readonly connectSelection: Selection;
  /** The address that routing would choose. */
  readonly localAddress: Address;
  /** Groups that sockets are in, by their addresses in the core. */
  readonly groups: Map<number, PortGroup>;
}
