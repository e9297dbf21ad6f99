// ConnectorError: a connection that failed because something that is counted was used up.

import { PortError, type PortErrorDetails, type Reason } from "../../errors.ts";

/**
 * What was used up.
 *
 * - `"source"`: the ports of the required source, to this destination.
 * - `"destination"`: the ports of all sources, to this destination. Another one may have room.
 * - `"sources"`: no source is an address of this machine, or of the destination's kind (IPv4,
 *   IPv6).
 * - `"range"`: the range has no port for the connector: all are reserved, or held by another
 *   program.
 * - `"group"`: the control group leaves nothing of the range, or only ports that are used up.
 * - `"headroom"`: all ports but those that are kept free for other programs.
 * - `"blocks"`: the ports of the leased blocks, and no other block can be had now.
 * - `"cooling"`: ports are left, but they cool down.
 * - `"files"`: the process, or the system, may not open more files (`EMFILE`, `ENFILE`).
 * - `"attempts"`: too many of the picked ports were held by another program.
 * - `"waiters"`: too many wait already.
 * - `"time"`: no port or file became free in the time that the caller would wait.
 * - `"memory"`: records of ports may not take more memory.
 */
export type Exhausted =
  | "source"
  | "destination"
  | "sources"
  | "range"
  | "group"
  | "headroom"
  | "blocks"
  | "cooling"
  | "files"
  | "attempts"
  | "waiters"
  | "time"
  | "memory";

/** How many connections a set of sources can carry, see {@link Connector.capacity}. */
export interface Capacity {
  /** Connections at the same time, to all destinations. */
  readonly connections: number;
  /**
   * To each destination: ports of a pair x sources, less those from which a connection would be one
   * to itself.
   */
  readonly perDestination: number;
  /** Ports that one source may use to one destination: the range without what is reserved or kept free. */
  readonly perPair: number;
  /** Ports of the range that are kept free for other programs. */
  readonly headroom: number;
  /** Addresses that connections come from. */
  readonly sources: number;
  /**
   * Ports of the blocks that are leased now, of all sources; the other figures count all blocks of
   * the range, as if they could all be leased here. Only with the option `blocks`.
   */
  readonly leased?: number | undefined;
  /**
   * The limiting resource: ports; the files that this process may open (where that is known); or
   * sources, where none can be bound.
   */
  readonly limitedBy: "ports" | "files" | "sources";
}

/** The details of the error beside its message. */
interface ConnectorErrorDetails extends PortErrorDetails {
  destination?: { readonly address: string; readonly port: number } | undefined;
}

/**
 * Where a connector has no port for a connection, or the system no file. `code` is `EADDRNOTAVAIL`
 * for most; `EACCES` (a group that leaves nothing), `EMFILE` or `ENFILE` (files), `EADDRINUSE`
 * (attempts), `EAGAIN` (waiters), `ETIMEDOUT` (time), `ENOBUFS` (memory). `address` is the source,
 * if one alone would do; `searched` the range.
 */
export class ConnectorError extends PortError {
  override readonly name: string = "ConnectorError";
  /** What was used up. */
  readonly exhausted: Exhausted;
  /** How many connections the present sources could carry to one destination like this. */
  readonly capacity: Capacity;
  /** The destination of the connection; none for UDP sockets. */
  readonly destination: { readonly address: string; readonly port: number } | undefined;

  constructor(
    exhausted: Exhausted,
    message: string,
    capacity: Capacity,
    { destination, ...details }: ConnectorErrorDetails = {},
    cause?: unknown,
  ) {
    // A group that allows some ports can be used up as well.
    const isEmpty = exhausted !== "group" || details.searched === undefined;
    const [code, reason] = CODES[isEmpty ? exhausted : "source"];
    const fromSystem = (cause as NodeJS.ErrnoException | undefined)?.code;
    super(exhausted === "files" && fromSystem ? fromSystem : code, reason, message, details);
    this.exhausted = exhausted;
    this.capacity = capacity;
    this.destination = destination;
    if (cause !== undefined) this.cause = cause;
  }
}

const CODES: Record<Exhausted, readonly [string, Reason]> = {
  source: ["EADDRNOTAVAIL", "no-port-available"],
  destination: ["EADDRNOTAVAIL", "no-port-available"],
  sources: ["EADDRNOTAVAIL", "no-port-available"],
  range: ["EADDRNOTAVAIL", "no-port-available"],
  group: ["EACCES", "empty-range"],
  headroom: ["EADDRNOTAVAIL", "no-port-available"],
  blocks: ["EADDRNOTAVAIL", "no-port-available"],
  cooling: ["EADDRNOTAVAIL", "no-port-available"],
  files: ["EMFILE", "no-port-available"],
  attempts: ["EADDRINUSE", "port-in-use"],
  waiters: ["EAGAIN", "no-port-available"],
  time: ["ETIMEDOUT", "no-port-available"],
  memory: ["ENOBUFS", "no-memory"],
};
