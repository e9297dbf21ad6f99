// Counts: the events since a connector was made, as one set of counters for the connector and one
// for each source and destination, which survives while a destination is forgotten.

/** Counters, each of which only grows. */
export interface Counts {
  /** Ports that were picked for a connection, further attempts included. */
  picks: number;
  /** Connections that were established. */
  connected: number;
  /** Attempts that failed for reasons that have nothing to do with the local port. */
  failed: number;
  /**
   * Connections, or addresses of a host, refused with a `ConnectorError`; not those that wait. Of a
   * source: those that required it.
   */
  refused: number;
  /**
   * Picked ports that turned out to be held by another program (`EADDRINUSE`, `EADDRNOTAVAIL`,
   * `EACCES`).
   */
  conflicts: number;
  /** Ports given back that went into cooldown. */
  cooledDown: number;
  /** Ports given back. */
  released: number;
}

export function newCounts(): Counts {
  return {
    picks: 0,
    connected: 0,
    failed: 0,
    refused: 0,
    conflicts: 0,
    cooledDown: 0,
    released: 0,
  };
}

/** Counts one more. Each name is written out, so that V8 can cache the place of each property. */
export function countOne(counts: Counts, what: keyof Counts): void {
  if (what === "picks") counts.picks++;
  else if (what === "connected") counts.connected++;
  else if (what === "released") counts.released++;
  else if (what === "cooledDown") counts.cooledDown++;
  else counts[what]++;
}

/** How many forgotten destinations keep their counters; some 200 bytes each. */
const REMEMBERED_MAX = 16_384;

/** Counters of forgotten destinations, so that they continue if a connection goes there again. */
export class Remembered {
  readonly #counts: Map<string, Counts> = new Map();

  keep(key: string, counts: Counts): void {
    this.#counts.set(key, counts);
    if (this.#counts.size <= REMEMBERED_MAX) return;
    const [oldest] = this.#counts.keys();
    this.#counts.delete(oldest as string);
  }

  /** The counters of that destination, which are removed here; new ones if it is not known. */
  recall(key: string): Counts {
    const counts = this.#counts.get(key) ?? newCounts();
    this.#counts.delete(key);
    return counts;
  }
}
