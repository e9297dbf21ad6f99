// Everything that portwarden exports.

export type { CooldownOption, CooldownOptions, WhenCooling } from "./cooldown.ts";
export { PortError, type PortErrorDetails, type Reason, Refusal } from "./errors.ts";
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
export type {
  CloseOptions,
  LinuxSocket,
  SocketConnectOptions,
  SocketOptions,
  SocketState,
} from "./linux/socket.ts";
export type { Sysctl } from "./linux/sysctl.ts";
export { PortManager, type PortTester } from "./manager.ts";
export type { OpenOptions, Stats } from "./open.ts";
export type { PortPool } from "./pool.ts";
export type { PortRange } from "./requests/range.ts";
export {
  type Destination,
  type Flags,
  type GroupOption,
  IPV4,
  IPV6,
  type PoolOptions,
  type PoolRequest,
  type PortRequest,
  type ReservedOption,
  type ReserveRequest,
  TCP,
  UDP,
} from "./requests/request.ts";
export type { Reservation } from "./reservation.ts";
export type { SelectionName, SelectionOptions } from "./selection.ts";
