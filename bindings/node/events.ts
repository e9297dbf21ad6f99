// Events: what happens to ports, counted, and told to whoever listens (`node:diagnostics_channel`).

import { type Channel, channel } from "node:diagnostics_channel";
import type { Attempt, Closer, Verdict } from "./attempt.ts";
import type { ConnectorError } from "./connector-error.ts";
import type { Lease, Pool, Wish } from "./pool.ts";

/**
 * The channels of `node:diagnostics_channel` on which connectors tell what happens. Messages are {@link PortEvent}s.
 *
 * - `portwarden:pick`: a port was picked, and the socket begins to connect.
 * - `portwarden:connected`: the connection is established.
 * - `portwarden:released`: the connection is closed, and its port came back.
 * - `portwarden:conflict`: the port was in other hands, and is set aside.
 * - `portwarden:failed`: connecting failed for another reason; the port came back.
 * - `portwarden:refused`: there was no port or no file, or none in time: a `ConnectorError`.
 * - `portwarden:waiting`: somebody waits for a port from now on.
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
  readonly error: Error | undefined;
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
  readonly #pool: Pool;
  /** Refusals by what was used up. */
  readonly refusals: Map<string, number> = new Map();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  onPick(lease: Lease): void {
    tell(CHANNEL.pick, lease);
  }

  onConnected(lease: Lease): void {
    this.#pool.count(lease.pair, "connected");
    tell(CHANNEL.connected, lease);
  }

  onClosed({ lease }: Attempt): void {
    tell(CHANNEL.released, lease);
  }

  onFailed(lease: Lease, error: Error, verdict: Verdict): void {
    const isConflict = verdict === "port" || verdict === "tuple";
    // A conflict has been counted where the port was set aside.
    if (!isConflict) this.#pool.count(lease.pair, "failed");
    tell(isConflict ? CHANNEL.conflict : CHANNEL.failed, lease, error);
  }

  onRefused(wish: Wish, error: ConnectorError): void {
    this.#pool.counts.refused++;
    wish.destination.counts.refused++;
    const [first, ...more] = this.#pool.sourcesOf(wish.destination.family);
    const source = wish.source ?? (more.length === 0 ? first : undefined);
    if (source !== undefined) source.counts.refused++;
    this.refusals.set(error.exhausted, (this.refusals.get(error.exhausted) ?? 0) + 1);
    tellWish(CHANNEL.refused, wish, error);
  }

  onWaiting(wish: Wish): void {
    tellWish(CHANNEL.waiting, wish);
  }
}

function tell(channel: Channel, { pair, port }: Lease, error?: Error): void {
  if (!channel.hasSubscribers) return;
  const { source, destination } = pair;
  publish(channel, { destination: destination.name, source: source.address, port, error });
}

function tellWish(channel: Channel, { destination, source }: Wish, error?: Error): void {
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
