// A held port, and a filter of held ports, as callers see them.

import type { PortGroup } from "../groups/group.ts";
import type { AddressLike } from "../requests/address.ts";
import type { Flags } from "../requests/request.ts";

/** A port that is held in one network with one description: what gVisor counts references of. */
export interface HeldPort {
  /** The network, alone. A dual-stack reservation has a record for each of its networks. */
  readonly networks: readonly number[];
  /** The transport protocol number. */
  readonly transport: number;
  /** The local address; any is `"::"` in IPv6 and `"0.0.0.0"` elsewhere. */
  readonly address: string;
  /** The port, 1..65535. */
  readonly port: number;
  /** The interface number, 0 for none. */
  readonly bindToDevice: number;
  /** The remote end; address `""` is the wildcard. */
  readonly destination: { readonly address: string; readonly port: number };
  /** The reuse flags. */
  readonly flags: { readonly [flag in keyof Flags]-?: boolean };
  /**
   * How often it is held so. Below zero: more was released with these flags than reserved, which
   * gVisor counts so as long as other flags hold the port.
   */
  readonly count: number;
  /** Whether it has been given back, and cools down. */
  readonly cooling: boolean;
}

/** Which records are wanted: those that agree with all that is given. */
export interface HeldFilter {
  /** The transport protocol number. */
  transport?: number | undefined;
  /** The network number. */
  network?: number | undefined;
  /** The local address. The any address means those that are held at it, not all. */
  address?: AddressLike | undefined;
  /** The port, 1..65535. */
  port?: number | undefined;
  /** Ports of pools that are in the group, and of reservation objects made in it. */
  group?: PortGroup | undefined;
}
