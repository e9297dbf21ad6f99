// Metrics: gauges and counters of a connector, as one object.

import { IPV4, IPV6 } from "../../index.ts";
import type { ConnectorContext } from "../connector/connector-context.ts";
import type { Exhausted } from "../connector/connector-error.ts";
import type { Pair } from "../sources/pair.ts";
import type { Counts } from "./counts.ts";

/** How things are now. */
export interface Gauges {
  /** Ports held by connections and attempts. */
  readonly held: number;
  /** Ports that cool down before they may be used again. */
  readonly cooling: number;
  /** Ports quarantined because they turned out to be held by another program. */
  readonly quarantined: number;
}

/** Gauges, and counters since the connector was made, of one source or destination. */
export type PairMetrics = Gauges & Readonly<Counts>;

/**
 * What {@link Connector.metrics} answers. Counters only grow. A destination that nothing of ours goes to may be left
 * out as soon as there are more than a thousand, until something does again; its counters then go on where they
 * were (16,384 such are remembered). The sums, and those by source, always count it.
 */
export interface ConnectorMetrics extends PairMetrics {
  /** Connections that wait for a port, or a file. */
  readonly waiting: number;
  /** Sources that are quarantined for a while, because the system did not let us bind them. */
  readonly sourcesDown: number;
  /** Refusals by what was used up. */
  readonly refusals: Readonly<Partial<Record<Exhausted, number>>>;
  /** By local address. */
  readonly bySource: Readonly<Record<string, PairMetrics>>;
  /** By `address:port`; `udp4` and `udp6` for UDP sockets. */
  readonly byDestination: Readonly<Record<string, PairMetrics & { readonly waiting: number }>>;
}

export function snapshot({ pairs, queues, events }: ConnectorContext): ConnectorMetrics {
  const all = new Sum();
  const sources = new Map(pairs.sources.all.map((source) => [source, new Sum()]));
  const destinations = new Map([...pairs.destinations.values()].map((one) => [one, new Sum()]));
  for (const pair of pairs.pairs()) {
    for (const sum of [all, sources.get(pair.source), destinations.get(pair.destination)]) {
      sum?.add(pair);
    }
  }
  return {
    ...all.gauges,
    ...pairs.counts,
    waiting: queues.count,
    sourcesDown: pairs.sources.all.length - pairs.presentSources(IPV4) - pairs.presentSources(IPV6),
    refusals: Object.fromEntries(events.refusals),
    bySource: Object.fromEntries(
      [...sources].map(([{ address, counts }, { gauges }]) => [address, { ...gauges, ...counts }]),
    ),
    byDestination: Object.fromEntries(
      [...destinations].map(([{ name, counts, waiting }, { gauges }]) => [
        name,
        { ...gauges, ...counts, waiting },
      ]),
    ),
  };
}

class Sum {
  readonly gauges: { -readonly [Name in keyof Gauges]: number } = {
    held: 0,
    cooling: 0,
    quarantined: 0,
  };

  add(pair: Pair): void {
    this.gauges.held += pair.heldCount;
    this.gauges.cooling += pair.coolingCount;
    this.gauges.quarantined += pair.quarantined.size;
  }
}
