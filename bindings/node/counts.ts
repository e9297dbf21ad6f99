// Counts: what has happened since a connector was made, one set of counters for the whole and one
// for each source and destination.

/** Counters, each of which only grows. */
export interface Counts {
  /** Ports that were picked for a connection, tries included. */
  picks: number;
  /** Connections that came to be. */
  connected: number;
  /** Attempts that failed for reasons that have nothing to do with the local port. */
  failed: number;
  /** Requests for which there was no port. */
  refused: number;
  /** Picked ports that turned out to be in other hands (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`). */
  conflicts: number;
  /** Ports given back that went into cooldown. */
  rested: number;
  /** Ports given back. */
  released: number;
}

export function newCounts(): Counts {
  return { picks: 0, connected: 0, failed: 0, refused: 0, conflicts: 0, rested: 0, released: 0 };
}
