// Events: what happens to ports, counted, and published (`node:diagnostics_channel`).

import { type Channel, channel } from "node:diagnostics_channel";
import type { Attempt, Closer, FailureCause } from "../connector/attempt.ts";
import type { ConnectorError } from "../connector/connector-error.ts";
import type { Checkout } from "../sources/checkout.ts";
import type { PairRequest, PairTable } from "../sources/pair-table.ts";

/**
 * The channels of `node:diagnostics_channel` on which connectors tell what happens. Messages are {@link PortEvent}s.
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

/** What a message on one of the {@link CHANNELS} says. */
export interface PortEvent {
  /** Where the connection goes, `127.0.0.1:80`. */
  readonly destination: string;
  /** The local address; for `refused` and `waiting` only if one source alone would do. */
  readonly source: string | undefined;
  /** The local port; none for `refused` and `waiting`. */
  readonly port: number | undefined;
  /** What stood in the way, for `conflict`, `failed` and `refused`. */
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
  /** Refusals by what was used up. */
  readonly refusals: Map<string, number> = new Map();

  constructor(pairs: PairTable) {
    this.#pairs = pairs;
  }

  onPick(checkout: Checkout): void {
    tell(CHANNEL.pick, checkout);
  }

  onConnected(checkout: Checkout): void {
    this.#pairs.count(checkout.pair, "connected");
    tell(CHANNEL.connected, checkout);
  }

  onClosed({ checkout }: Attempt): void {
    tell(CHANNEL.released, checkout);
  }

  onFailed(checkout: Checkout, error: unknown, cause: FailureCause): void {
    const isConflict = cause === "port" || cause === "tuple";
    // A conflict has been counted where the port was quarantined.
    if (!isConflict) this.#pairs.count(checkout.pair, "failed");
    tell(isConflict ? CHANNEL.conflict : CHANNEL.failed, checkout, error);
  }

  onRefused(request: PairRequest, error: ConnectorError): void {
    this.#pairs.counts.refused++;
    request.destination.counts.refused++;
    const sources = this.#pairs.sourcesOf(request.destination.family);
    const source = request.source ?? (sources.length === 1 ? sources[0] : undefined);
    if (source !== undefined) source.counts.refused++;
    this.refusals.set(error.exhausted, (this.refusals.get(error.exhausted) ?? 0) + 1);
    tellRequest(CHANNEL.refused, request, error);
  }

  onWaiting(request: PairRequest): void {
    tellRequest(CHANNEL.waiting, request);
  }
}

function tell(channel: Channel, { pair, port }: Checkout, error?: unknown): void {
  if (!channel.hasSubscribers) return;
  const { source, destination } = pair;
  publish(channel, { destination: destination.name, source: source.address, port, error });
}

function tellRequest(channel: Channel, { destination, source }: PairRequest, error?: Error): void {
  if (!channel.hasSubscribers) return;
  publish(channel, {
    destination: destination.name,
    source: source?.address,
    port: undefined,
    error,
  });
}

function publish(channel: Channel, event: PortEvent): void {
  channel.publish(event);
}
