// Destination: the remote end of connections; for UDP sockets, which have none, the any address.

import { IPV4, IPV6, UDP } from "../../index.ts";
import type { Counts } from "../metrics/counts.ts";
import type { Pair } from "./pair.ts";
import type { PairRequest } from "./pair-table.ts";

export class Destination {
  readonly transport: number;
  /** Canonical text, with a zone where there is one. */
  readonly address: string;
  readonly port: number;
  readonly family: number;
  readonly counts: Counts;
  /** How many operations refer to this destination, which is kept as long as there are any. */
  operations = 0;
  /** The pairs that have been used, by the index of the source. */
  readonly pairs: (Pair | undefined)[] = [];
  /** The request for a port to here from any source. */
  readonly fromAnySource: PairRequest = { destination: this, source: undefined };
  /** The source whose turn it is. */
  turn = 0;
  /** Connections that wait for a port to here. */
  waiting = 0;

  constructor(transport: number, address: string, port: number, counts: Counts) {
    this.transport = transport;
    this.address = address;
    this.port = port;
    this.family = address.includes(":") ? IPV6 : IPV4;
    this.counts = counts;
  }

  /** The destination in messages and metrics. */
  get name(): string {
    if (this.transport === UDP) return this.family === IPV6 ? "udp6" : "udp4";
    return this.family === IPV6 ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`;
  }
}

/** The address of the destination that UDP sockets of a family have. */
export function anyAddress(family: number): string {
  return family === IPV6 ? "::" : "0.0.0.0";
}
