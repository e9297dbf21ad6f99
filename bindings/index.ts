// Everything that portwarden exports.

export { PortError, type PortErrorDetails, type Reason, Refusal } from "./errors.ts";
export type { Flow } from "./flow.ts";
export {
  type OpenOptions,
  PortManager,
  type PortRange,
  type PortTester,
  type Stats,
} from "./manager.ts";
export {
  type Destination,
  type Flags,
  type FlowOptions,
  type FlowRequest,
  IPV4,
  IPV6,
  type PortRequest,
  type ReserveRequest,
  TCP,
  UDP,
} from "./request.ts";
export type { Reservation } from "./reservation.ts";
