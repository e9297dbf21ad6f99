// Source: a local address that connections come from.

import { IPV4, IPV6 } from "../../index.ts";
import { type Counts, newCounts } from "../metrics/counts.ts";
import type { Pair } from "./pair.ts";
import type { Prefix } from "./prefix-sources.ts";

export class Source {
  /** Canonical text, with a zone where there is one; a wildcard where the route decides. */
  readonly address: string;
  /** The same without a zone. */
  readonly bare: string;
  /** Does the route decide from which address connections come? */
  readonly isWildcard: boolean;
  readonly family: number;
  /** The index among all sources; negative: a source of a block that has been forgotten. */
  index: number;
  readonly counts: Counts;
  /**
   * The block of a source that was made on demand; an absence counts for all sources of the block.
   */
  readonly prefix: Prefix | undefined;
  /** Of a source that was made on demand: the pairs that are forgotten with it. */
  readonly pairs: Pair[] = [];
  /** Connections and attempts from here, to all destinations. */
  heldCount = 0;
  /**
   * Until when the address is left out, because the system did not let the connector bind it;
   * milliseconds.
   */
  absentUntil = 0;
  /** The index among the sources that can be bound; negative if it is absent. */
  place = -1;
  readonly #quarantined: Map<number, Map<number, number>> = new Map();

  constructor(address: string, index: number, prefix?: Prefix) {
    this.address = address;
    this.bare = withoutZone(address);
    this.isWildcard = address === "::" || address === "0.0.0.0";
    this.family = address.includes(":") ? IPV6 : IPV4;
    this.index = index;
    this.prefix = prefix;
    this.counts = prefix?.counts ?? newCounts();
    if (prefix !== undefined) this.place = 0;
  }

  /**
   * Ports that other programs hold here, by transport, and until when they are quarantined;
   * milliseconds.
   */
  quarantined(transport: number): Map<number, number> {
    const known = this.#quarantined.get(transport);
    if (known !== undefined) return known;
    const ports = new Map<number, number>();
    this.#quarantined.set(transport, ports);
    return ports;
  }
}

/** An address as text, without its zone. */
export function withoutZone(address: string): string {
  const zone = address.indexOf("%");
  return zone < 0 ? address : address.slice(0, zone);
}
