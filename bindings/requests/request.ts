// Requests: the options with which a caller describes a reservation or a pool.

import type { CooldownOption } from "../cooldown.ts";
import type { PortGroup } from "../groups/group.ts";
import type { ReservedPorts } from "../groups/reserved.ts";
import type { BlockStore } from "../node/blocks/store.ts";
import type { PoolSelection } from "../selection.ts";
import type { AddressLike } from "./address.ts";

/** Network number of IPv4. Networks are opaque numbers; these two are the usual ones. */
export const IPV4 = 4;
/** Network number of IPv6. */
export const IPV6 = 6;
/** IANA protocol number of TCP: the one transport whose ephemeral ports are never shared. */
export const TCP = 6;
/** IANA protocol number of UDP. */
export const UDP = 17;

/** Which kinds of reuse a holder allows (gVisor `ports.Flags`). All are false by default. */
export interface Flags {
  /** The newest holder gets the traffic: `SO_REUSEADDR` of a UDP socket. */
  mostRecent?: boolean | undefined;
  /** The holders share the traffic: `SO_REUSEPORT`. */
  loadBalanced?: boolean | undefined;
  /** Holders of other tuples may use the port too: `SO_REUSEADDR` of a TCP socket. */
  tupleOnly?: boolean | undefined;
}

/** The remote end (gVisor `Reservation.Dest`). */
export interface Destination {
  /** The remote address. Absent, `""`, `"0.0.0.0"` and `"::"` are the wildcard. */
  address?: AddressLike | undefined;
  /** 0..65535, 0 by default. A wildcard may carry a port: it is part of the description. */
  port?: number | undefined;
}

/** The description of a socket that holds ports (gVisor `ports.Reservation`, without the port). */
export interface PoolRequest {
  /**
   * One to 16 network numbers, {@link IPV4} and {@link IPV6} as a rule. All are reserved, or none.
   */
  networks: readonly number[];
  /** Transport protocol number, 0..4294967295: {@link TCP}, {@link UDP} or any other. */
  transport: number;
  /** Local address. Absent, `""`, `"0.0.0.0"` and `"::"` mean any. v4-mapped IPv6 is IPv4. */
  address?: AddressLike | undefined;
  /** Interface number, 0..2147483647; 0, the default, is no device. */
  bindToDevice?: number | undefined;
  /** The remote end; the wildcard by default. */
  destination?: Destination | undefined;
  /** Reuse flags. Not together with `reuseAddr` or `reusePort`. */
  flags?: Flags | undefined;
  /** `SO_REUSEADDR`: `tupleOnly` for TCP, `mostRecent` for UDP, as gVisor's endpoints map it. */
  reuseAddr?: boolean | undefined;
  /** `SO_REUSEPORT`: `loadBalanced`. */
  reusePort?: boolean | undefined;
}

/** A request for one port. */
export interface PortRequest extends PoolRequest {
  /** 1..65535. */
  port: number;
}

/** The description of the connections that a listener accepts, without their remote ends. */
export type ListenerRequest = Omit<PortRequest, "destination">;

/** The group that a request is made in. */
export interface GroupOption {
  /**
   * The group whose port ranges apply: the bind range, or for a request with a destination address
   * the connect range. The group is in use until the reservation has been released. None by
   * default.
   */
  group?: PortGroup | undefined;
}

/** The ports that an automatic pick passes over. */
export interface ReservedOption {
  /**
   * Ports that an automatic pick passes over; an explicit port may be one of them. None by default.
   */
  reserved?: ReservedPorts | undefined;
}

/** A request for an explicit port, or for any port of the ephemeral range. */
export interface ReserveRequest extends PoolRequest, GroupOption, ReservedOption {
  /** 1..65535, or 0 (the default) for an ephemeral port. */
  port?: number | undefined;
  /**
   * Where the search of the ephemeral range starts: 0..4294967295, modulo the range's count. By
   * default the manager's selection decides.
   */
  offset?: number | undefined;
}

/** The options of a new pool. */
export interface PoolOptions extends PoolRequest, GroupOption, ReservedOption, CooldownOption {
  /**
   * How `take` picks. `"bind"`: as bind() with port 0, where an ephemeral TCP port is never shared
   * (gVisor `ReservePort`). `"connect"`: each port is judged as an explicit one, so TCP shares
   * ports between destinations (gVisor `PickEphemeralPort`). Default: `"connect"` if there is a
   * destination address, else `"bind"`.
   */
  mode?: "bind" | "connect" | undefined;
  /**
   * Never hold the same tuple twice, even where TupleOnly would allow it: gVisor's transport
   * demuxer ensures that on top of its port manager. Default false; a pool with a cooldown or with
   * the selection `"fifo"` always does so.
   */
  unique?: boolean | undefined;
  /**
   * `"fifo"`: `take` offers ports that this pool has never offered, from the offset on; then the
   * one that the pool released first, and so on. Ports that others hold are tried one by one.
   * Default: the selection of the manager.
   */
  selection?: PoolSelection | undefined;
  /**
   * A port that `take` passes over, 1..65535: for a connection from an address to itself the
   * destination's own port, with which it would connect to itself. `takeAt` may take it. None by
   * default.
   */
  avoid?: number | undefined;
  /**
   * Leases the ports in blocks of 64, so that several threads or processes can share the address:
   * ports come from leased blocks alone. `hostBlocks`, `sliceBlocks` or `memoryBlocks` of
   * `portwarden/node`; one store serves all pools of one manager, which closes it.
   */
  blocks?: BlockStore | undefined;
}
