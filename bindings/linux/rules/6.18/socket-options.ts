// The options with which sockets of Linux 6.18 are made and connected, and the record that those of
// one system share.

import type { Random } from "../../../core/random.ts";
import { PortError, wrongValue } from "../../../errors.ts";
import { groupAddress, type PortGroup } from "../../../groups/group.ts";
import {
  checkBoolean,
  checkInteger,
  checkPortOrZero,
  readOptions,
} from "../../../requests/checks.ts";
import type { PortRange } from "../../../requests/range.ts";
import type { OpenSystem } from "../../system.ts";
import type { Address } from "./address.ts";
import { type Exports618, IS_UDP, IS_V6, NO_PORT, REUSE_ADDR, REUSE_PORT, V6ONLY } from "./core.ts";
import type { LinuxSocketState, LinuxSocketType } from "./record.ts";

const DEVICE_MAX = 0x7fffffff;
const TYPES: readonly string[] = ["tcp4", "tcp6", "udp4", "udp6"];

/** The states, by their numbers in the core. */
export const STATES: readonly LinuxSocketState[] = [
  "closed",
  "listening",
  "established",
  "fin-wait-2",
  "close-wait",
  "fin-wait-1",
  "last-ack",
];

/** The options of a new socket. */
export interface LinuxSocketOptions {
  /** `"tcp4"` by default. */
  type?: LinuxSocketType | undefined;
  /** `SO_REUSEADDR`, false by default. */
  reuseAddr?: boolean | undefined;
  /** `SO_REUSEPORT`, false by default. */
  reusePort?: boolean | undefined;
  /** `IPV6_V6ONLY`, false by default. */
  v6only?: boolean | undefined;
  /** `IP_BIND_ADDRESS_NO_PORT`, false by default. */
  bindAddressNoPort?: boolean | undefined;
  /** `IP_LOCAL_PORT_RANGE`: first and last, where 0 is not set; both 0 by default. */
  localPortRange?: PortRange | undefined;
  /** `SO_BINDTODEVICE`: an interface number; 0, the default, is none. */
  bindToDevice?: number | undefined;
  /** The user who owns the socket: 0, the default, is root. */
  uid?: number | undefined;
  /** The group whose port ranges apply to the socket; none by default. */
  group?: PortGroup | undefined;
}

/** The answer of a remote machine, and how the local end is chosen. */
export interface LinuxConnectOptions {
  /**
   * How the remote machine answers: `"accepts"`, the default, `"refuses"`, or `"silent"` (a
   * timeout).
   */
  remote?: "accepts" | "refuses" | "silent" | undefined;
  /** The local address that routing chooses; that of the system by default. */
  localAddress?: string | undefined;
  /**
   * Where the search begins: 0..4294967295. By default a keyed hash of the tuple and its counter.
   */
  offset?: number | undefined;
}

/** The record that the sockets of one system share. */
export interface System extends OpenSystem {
  readonly linux: Exports618;
  readonly draw: () => number;
  readonly addresses: ReadonlySet<string> | undefined;
  readonly devices: ReadonlySet<number> | undefined;
  readonly source: Address | undefined;
  /** The groups that its sockets are in, and some that they were in, by their place in the core. */
  readonly groups: Map<number, PortGroup>;
  /** The source of random numbers, unless the caller gives a function. */
  readonly random: Random | undefined;
}

/** The number of a device that there is, or 0. */
export function checkDevice({ devices }: System, value: unknown): number {
  const device = checkInteger("bindToDevice", value, 0, DEVICE_MAX);
  if (device === 0 || devices === undefined || devices.has(device)) return device;
  throw new PortError("ENODEV", "not-found", `there is no device ${device}`);
}

/** The bits of a new socket. */
export function flagsOf(type: string, options: LinuxSocketOptions): number {
  if (!TYPES.includes(type)) throw wrongValue("type", '"tcp4", "tcp6", "udp4" or "udp6"', type);
  let flags = (type.startsWith("udp") ? IS_UDP : 0) | (type.endsWith("6") ? IS_V6 : 0);
  if (checkBoolean("reuseAddr", options.reuseAddr)) flags |= REUSE_ADDR;
  if (checkBoolean("reusePort", options.reusePort)) flags |= REUSE_PORT;
  if (checkBoolean("v6only", options.v6only)) flags |= V6ONLY;
  if (checkBoolean("bindAddressNoPort", options.bindAddressNoPort)) flags |= NO_PORT;
  return flags;
}

/** The bounds of IP_LOCAL_PORT_RANGE. */
export function checkOwnRange(range: PortRange): PortRange {
  const bounds = readOptions("localPortRange", range, ["first", "last"]);
  const first = checkPortOrZero("localPortRange.first", bounds.first);
  const last = checkPortOrZero("localPortRange.last", bounds.last);
  if (first === 0 || last === 0 || first <= last) return { first, last };
  const message = `localPortRange must not begin above its end, got ${first}..${last}`;
  throw new PortError("EINVAL", "invalid-port-range", message);
}

/** Where the core keeps a group, or 0; the system notes the group for its lists. */
export function groupIn(system: System, group: PortGroup | undefined): number {
  if (group === undefined) return 0;
  const address = groupAddress(group, system.core);
  system.groups.set(address, group);
  return address;
}
