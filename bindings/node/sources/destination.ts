// Destination: where connections go; for UDP sockets, which have no destination, any address.

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
  /** Operations that refer to this destination: it is kept for as long as there are any. */
  operations = 0;
  /** By the index of the source, as far as they have been used. */
  readonly pairs: (Pair | undefined)[] = [];
  /** The request for a port to here from whatever source. */
  readonly fromAnySource: PairRequest = { destination: this, source: undefined };
  /** Which source has its turn. */
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

  /** As messages and metrics name it. */
  get name(): string {
    if (this.transport === UDP) return this.family === IPV6 ? "udp6" : "udp4";
    return this.family === IPV6 ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`;
  }
}

/** The address of the destination that UDP sockets of a family have. */
export function anyAddress(family: number): string {
  return family === IPV6 ? "::" : "0.0.0.0";
}
