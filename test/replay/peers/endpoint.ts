// One endpoint of the network stack: a TCP or UDP socket with what it holds of the port manager and
// of the demuxer.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../../../assembly/abi.ts";
import { type PortRequest, TCP, UDP } from "../../../bindings/index.ts";
import type { SocketType } from "../linux-6.18/system.ts";
import { IPV4, IPV6, type Place } from "./addresses.ts";
import type { Registration } from "./demuxer.ts";

/** failed: a connection was refused, and the endpoint can do nothing more. */
export type State = "initial" | "bound" | "listening" | "connected" | "failed" | "closed";

/** A reservation by value, with the port that it has got. */
export type Held = PortRequest & { port: number };

export class Endpoint {
  readonly transport: number;
  readonly isIPv6: boolean;
  reuseAddress = false;
  reusePort = false;
  v6Only = false;
  device = 0;

  state: State = "initial";
  address = "";
  port = 0;
  /** What bind() has set, to which a UDP socket returns when it disconnects. */
  boundAddress = "";
  isBound = false;
  held: Held | undefined;
  heldFlags = 0;
  registration: Registration | undefined;

  /** Of a listener: connections that are not accepted yet. */
  readonly waiting: Endpoint[] = [];
  /** Of a connection: the other end, unless that has been reset. */
  peer: Endpoint | undefined;
  hasClosed = false;

  constructor(type: SocketType) {
    this.transport = type.startsWith("tcp") ? TCP : UDP;
    this.isIPv6 = type.endsWith("6");
  }

  /**
   * SO_REUSEADDR lets tuples differ where the transport is TCP, and lets the last one win in UDP.
   */
  get flags(): number {
    const ofAddress = this.transport === TCP ? TUPLE_ONLY : MOST_RECENT;
    return (this.reuseAddress ? ofAddress : 0) | (this.reusePort ? LOAD_BALANCED : 0);
  }

  /** The networks in which a socket takes its port when it binds to this. */
  networksAt({ network, address }: Place, text: string): number[] {
    const isDual = this.isIPv6 && !this.v6Only && address === "" && !text.startsWith("::ffff:");
    return isDual ? [IPV6, IPV4] : [this.isIPv6 && text === "" ? IPV6 : network];
  }
}
