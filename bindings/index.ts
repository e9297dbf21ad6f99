// Everything that portwarden exports. Its declarations say which library they need beside ES2022:
// the types of `using` and Symbol.dispose.
/// <reference lib="esnext.disposable" preserve="true" />

export type { CooldownOption, CooldownOptions, WhenCooling } from "./cooldown.ts";
export type { RefusedCalls } from "./counts.ts";
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
export type { GroupHolder } from "./groups/holders.ts";
export { type ReservedOptions, ReservedPorts } from "./groups/reserved.ts";
export type { LinuxExplanation, LinuxObstacle, LinuxRule } from "./linux/explanation.ts";
export type { Linux2632Options } from "./linux/rules/2.6.32/options.ts";
export type { Linux2632Ports } from "./linux/rules/2.6.32/ports.ts";
export type { Linux2632Record, Linux2632State } from "./linux/rules/2.6.32/record.ts";
export type { Linux2632Socket } from "./linux/rules/2.6.32/socket.ts";
export type {
  Linux2632CloseOptions,
  Linux2632ConnectOptions,
  Linux2632SocketOptions,
} from "./linux/rules/2.6.32/socket-options.ts";
export type { LinuxOptions } from "./linux/rules/6.18/options.ts";
export { LinuxPorts } from "./linux/rules/6.18/ports.ts";
export type { LinuxRecord, LinuxSocketState, LinuxSocketType } from "./linux/rules/6.18/record.ts";
export type { LinuxSocket } from "./linux/rules/6.18/socket.ts";
export type {
  LinuxConnectOptions,
  LinuxSocketOptions,
} from "./linux/rules/6.18/socket-options.ts";
export type {
  Linux2632RestoreOptions,
  LinuxRestoreOptions,
  RestoredLinux,
} from "./linux/snapshot.ts";
export type { Sysctl } from "./linux/sysctl.ts";
export type { BindBucket, LinuxStats } from "./linux/system.ts";
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
export type { Restored, RestoreOptions } from "./state/restore.ts";
export type { SnapshotOptions } from "./state/selections.ts";
