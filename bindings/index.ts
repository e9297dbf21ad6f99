// Everything that portwarden exports. Its declarations say which library they need beside ES2022: the
// types of `using` and Symbol.dispose.
/// <reference lib="esnext.disposable" preserve="true" />

export type { CooldownOption, CooldownOptions, WhenCooling } from "./cooldown.ts";
export {
  PortError,
  type PortErrorDetails,
  type Reason,
  Refusal,
  type RefusalCode,
} from "./errors.ts";
export {
  type EffectiveRanges,
  type GroupRanges,
  type GroupsOptions,
  type PortGroup,
  PortGroups,
} from "./groups/group.ts";
export { type ReservedOptions, ReservedPorts } from "./groups/reserved.ts";
export { type BindBucket, LinuxPorts, type LinuxStats } from "./linux/linux.ts";
export type { LinuxOptions } from "./linux/linux-options.ts";
export type { Linux618Options } from "./linux/modern/modern-options.ts";
export type { Linux618Ports } from "./linux/modern/modern-ports.ts";
export type { Linux618Socket } from "./linux/modern/modern-socket.ts";
export type {
  Linux618ConnectOptions,
  Linux618SocketOptions,
  Linux618State,
  Linux618Type,
} from "./linux/modern/modern-socket-options.ts";
export type {
  CloseOptions,
  LinuxSocket,
  SocketConnectOptions,
  SocketOptions,
  SocketState,
} from "./linux/socket.ts";
export type { Sysctl } from "./linux/sysctl.ts";
export type { PortListener } from "./listener.ts";
export { PortManager } from "./manager.ts";
export type { OpenOptions, Stats } from "./open.ts";
export type { PortPool } from "./pool.ts";
export type { AddressLike } from "./requests/address.ts";
export type { PortRange } from "./requests/range.ts";
export {
  type Destination,
  type Flags,
  type GroupOption,
  IPV4,
  IPV6,
  type ListenerRequest,
  type PoolOptions,
  type PoolRequest,
  type PortRequest,
  type ReservedOption,
  type ReserveRequest,
  TCP,
  UDP,
} from "./requests/request.ts";
export type { Reservation } from "./reservation.ts";
export type { PortTester } from "./reserving.ts";
export type { AsyncPortTester } from "./reserving-async.ts";
export type { PolicyName, PoolSelection, SelectionName, SelectionOptions } from "./selection.ts";
export type { ExplainRule, Explanation, Meeting, Obstacle } from "./state/explanation.ts";
export type { HeldFilter, HeldPort } from "./state/held-port.ts";
