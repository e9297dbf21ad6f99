// Spread: the order in which sources are asked for a port.

import type { Source } from "./source.ts";

/**
 * How connections are spread over the sources.
 *
 * - `"round-robin"`, the default: each destination takes the sources by turns.
 * - `"least-used"`: the source with the fewest connections, to all destinations.
 * - `"sticky"`: the same key always gets the same source, in another process, too, as long as the
 *   list of sources is the same (a keyless hash, FNV-1a, modulo their number). Without a key: by
 *   turns.
 *
 * Where the first one has no port left, the next is asked; under `"sticky"`, none.
 */
export type Spread = "round-robin" | "least-used" | "sticky";

export const SPREADS: readonly Spread[] = ["round-robin", "least-used", "sticky"];

/** The source that a key sticks to. */
export function sourceOfKey(sources: readonly Source[], key: string): Source {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return sources[(hash >>> 0) % sources.length] as Source;
}
