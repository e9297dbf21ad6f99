// Events: counts the events of ports, and publishes them (`node:diagnostics_channel`).

import { type Channel, channel } from "node:diagnostics_channel";
import type { Attempt, Closer, FailureCause } from "../connector/attempt.ts";
import type { ConnectorError } from "../connector/connector-error.ts";
import type { Checkout } from "../sources/checkout.ts";
import type { PairRequest, PairTable } from "../sources/pair-table.ts";

/**
 * The channels of `node:diagnostics_channel` on which connectors publish events. Messages are
 * {@link PortEvent}s.
 *
 * - `portwarden:pick`: a port was picked, and the socket begins to connect.
 * - `portwarden:connected`: the connection is established.
 * - `portwarden:released`: the connection is closed, and its port came back.
 * - `portwarden:conflict`: the port was held by another program, and is quarantined.
 * - `portwarden:failed`: connecting failed for another reason; the port came back.
 * - `portwarden:refused`: there was no port or no file, or none in time: a `ConnectorError`.
 * - `portwarden:waiting`: the connection waits for a port or a file from now on.
 */
export const CHANNELS = {
  pick: "portwarden:pick",
  connected: "portwarden:connected",
  released: "portwarden:released",
  conflict: "portwarden:conflict",
  failed: "portwarden:failed",
  refused: "portwarden:refused",
  waiting: "portwarden:waiting",
} as const;

/** One connection on its way. */
export interface Trip {
  readonly id: number;
  readonly waitedMs: number;
}

/** A message on one of the {@link CHANNELS}. */
export interface PortEvent {
  /** A number that all events of one connection have, and no other connection of this process. */
  readonly id: number;
  /** Milliseconds that the connection has waited for a port or a file so far. */
  readonly waitedMs: number;
  /** The destination, `127.0.0.1:80`. */
  readonly destination: string;
  /** The local address; for `refused` and `waiting` only if the request required a source. */
  readonly source: string | undefined;
  /** The local port; none for `refused` and `waiting`. */
  readonly port: number | undefined;
  /** The cause of `conflict`, `failed` and `refused`. */
  readonly error: unknown;
}

const CHANNEL: Record<keyof typeof CHANNELS, Channel> = {
  pick: channel(CHANNELS.pick),
  connected: channel(CHANNELS.connected),
  released: channel(CHANNELS.released),
  conflict: channel(CHANNELS.conflict),
  failed: channel(CHANNELS.failed),
  refused: channel(CHANNELS.refused),
  waiting: channel(CHANNELS.waiting),
};

export class Events implements Closer {
  readonly #pairs: PairTable;
  /** Refusals by the limit that was met. */
  readonly refusals: Map<string, number> = new Map();

  constructor(pairs: PairTable) {
    this.#pairs = pairs;
  }

  onPick(checkout: Checkout, trip: Trip): void {
    publishPort(CHANNEL.pick, checkout, trip);
  }

  onConnected(checkout: Checkout, trip: Trip): void {
    this.#pairs.count(checkout.pair, "connected");
    publishPort(CHANNEL.connected, checkout, trip);
  }

  onClosed(attempt: Attempt): void {
    publishPort(CHANNEL.released, attempt, attempt);
  }

  onFailed(checkout: Checkout, error: unknown, cause: FailureCause, trip: Trip): void {
    const isConflict = cause === "port" || cause === "tuple";
    // A conflict has been counted where the port was quarantined.
    if (!isConflict) this.#pairs.count(checkout.pair, "failed");
    publishPort(isConflict ? CHANNEL.conflict : CHANNEL.failed, checkout, trip, error);
  }

  onRefused(request: PairRequest, error: ConnectorError, trip: Trip): void {
    this.#pairs.counts.refused++;
    request.destination.counts.refused++;
    const sources = this.#pairs.sourcesOf(request.destination.family);
    const source = request.source ?? (sources.length === 1 ? sources[0] : undefined);
    if (source !== undefined) source.counts.refused++;
    this.refusals.set(error.exhausted, (this.refusals.get(error.exhausted) ?? 0) + 1);
    publishRequest(CHANNEL.refused, request, trip, error);
  }

  onWaiting(request: PairRequest, trip: Trip): void {
    publishRequest(CHANNEL.waiting, request, trip);
  }
}

function publishPort(
  channel: Channel,
  { pair, port }: Checkout,
  { id, waitedMs }: Trip,
  error?: unknown,
): void {
  if (!channel.hasSubscribers) return;
  const { source, destination } = pair;
  const event: PortEvent = {
    ...{ id, waitedMs, port, error },
    ...{ destination: destination.name, source: source.address },
  };
  channel.publish(event);
}

function publishRequest(
  channel: Channel,
  { destination, source }: PairRequest,
  { id, waitedMs }: Trip,
  error?: unknown,
): void {
  if (!channel.hasSubscribers) return;
  const event: PortEvent = {
    ...{ id, waitedMs, port: undefined, error },
    ...{ destination: destination.name, source: source?.address },
  };
  channel.publish(event);
}
