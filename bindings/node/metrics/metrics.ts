// Metrics: gauges and counters of a connector, as one object.

import { IPV4, IPV6 } from "../../index.ts";
import type { BlockMetrics } from "../blocks/leases.ts";
import type { ConnectorContext } from "../connector/connector-context.ts";
import type { Exhausted } from "../connector/connector-error.ts";
import type { Destination } from "../sources/destination.ts";
import type { Pair } from "../sources/pair.ts";
import type { Prefix } from "../sources/prefix-sources.ts";
import type { Source } from "../sources/source.ts";
import type { Counts } from "./counts.ts";
import type { WaitHistogram } from "./wait-times.ts";

/** The gauges. */
export interface Gauges {
  /** Ports held by connections and attempts. */
  readonly held: number;
  /** Ports that cool down before they may be used again. */
  readonly cooling: number;
  /** Ports quarantined because they turned out to be held by another program. */
  readonly quarantined: number;
  /**
   * How many connections fit. Of a source: to one destination. Of a destination: from all sources
   * that can be bound. Of the whole: to one destination of the kind, IPv4 or IPv6, that has more
   * sources.
   */
  readonly capacity: number;
  /**
   * How many more fit now. Of a source, and of the whole: to the destination, of those that are
   * known, that has least left.
   */
  readonly left: number;
}

/** Gauges, and counters since the connector was made, of one source or destination. */
export type PairMetrics = Gauges & Readonly<Counts>;

/**
 * The answer of {@link Connector.metrics}. Counters only grow. A destination that no connection
 * goes to may be left out as soon as there are more than a thousand, until one does again; its
 * counters then go on where they were (16,384 such are remembered). The sums, and those by source,
 * always count it.
 */
export interface ConnectorMetrics extends PairMetrics {
  /** Connections that wait for a port, or a file. */
  readonly waiting: number;
  /** How long connections have waited. */
  readonly waits: WaitHistogram;
  /**
   * Sources that are left out for a while, because the system did not let the connector bind them.
   */
  readonly sourcesDown: number;
  /** Refusals by the limit that was met. */
  readonly refusals: Readonly<Partial<Record<Exhausted, number>>>;
  /** Of leased blocks; only with the option `blocks`. */
  readonly blocks?: BlockMetrics | undefined;
  /** By local address; by block where addresses are used on demand. */
  readonly bySource: Readonly<Record<string, PairMetrics>>;
  /** By `address:port`; `udp4` and `udp6` for UDP sockets. */
  readonly byDestination: Readonly<Record<string, PairMetrics & { readonly waiting: number }>>;
}

export function snapshot(context: ConnectorContext): ConnectorMetrics {
  const { pairs, queues, events, waits, errors } = context;
  const { perPair } = errors.capacity(1, 1);
  const present = { 4: pairs.presentSources(IPV4), 6: pairs.presentSources(IPV6) };
  const all = new Sum(perPair * Math.max(present[4], present[6]));
  const sources = new Map<Source, Sum>(
    pairs.sources.all.map((source) => [source, new Sum(perPair)]),
  );
  const blocks = new Map<Prefix | undefined, Sum>(
    pairs.sources.prefixes.map((one) => [one, new Sum(perPair * one.size)]),
  );
  const destinations = new Map<Destination, Sum>(
    [...pairs.destinations].map((one) => [
      one,
      new Sum(perPair * present[familyOf(one)] - errors.avoidedTo(one)),
    ]),
  );
  for (const pair of pairs.pairs()) {
    all.add(pair);
    sources.get(pair.source)?.addLeast(pair);
    blocks.get(pair.source.prefix)?.addShared(pair);
    destinations.get(pair.destination)?.addShared(pair);
  }
  for (const { gauges } of destinations.values()) all.atMost(gauges.left);
  return {
    ...all.gauges,
    ...pairs.counts,
    waiting: queues.count,
    waits: waits.histogram(),
    sourcesDown: pairs.sources.absentCount(pairs.now()),
    refusals: Object.fromEntries(events.refusals),
    ...(pairs.leases !== undefined && { blocks: pairs.leases.metrics() }),
    bySource: Object.fromEntries([
      ...[...sources].map(([{ address, counts }, { gauges }]) => [
        address,
        { ...gauges, ...counts },
      ]),
      ...[...blocks].map(([block, { gauges }]) => [block?.text, { ...gauges, ...block?.counts }]),
    ]),
    byDestination: Object.fromEntries(
      [...destinations].map(([{ name, counts, waiting }, { gauges }]) => [
        name,
        { ...gauges, ...counts, waiting },
      ]),
    ),
  };
}

function familyOf({ family }: Destination): 4 | 6 {
  return family === IPV6 ? 6 : 4;
}

class Sum {
  readonly gauges: { -readonly [Name in keyof Gauges]: number };

  constructor(capacity: number) {
    this.gauges = { held: 0, cooling: 0, quarantined: 0, capacity, left: capacity };
  }

  add(pair: Pair): void {
    this.gauges.held += pair.heldCount;
    this.gauges.cooling += pair.coolingCount;
    this.gauges.quarantined += pair.quarantined.size;
  }

  /** Of a source: each of its pairs has all its ports. */
  addLeast(pair: Pair): void {
    this.add(pair);
    this.atMost(this.gauges.capacity - usedBy(pair));
  }

  /** Of a destination: its pairs have their ports together. */
  addShared(pair: Pair): void {
    this.add(pair);
    // Ports of an absent source are not part of the capacity.
    if (pair.source.place >= 0) this.gauges.left = Math.max(0, this.gauges.left - usedBy(pair));
  }

  atMost(left: number): void {
    this.gauges.left = Math.max(0, Math.min(this.gauges.left, left));
  }
}

/** Ports of a pair that cannot be had now. */
function usedBy({ heldCount, lentCount, coolingCount, quarantined }: Pair): number {
  return heldCount + lentCount + coolingCount + quarantined.size;
}
