// Foreign ports: those of our sources that other programs have, as far as the machine tells.

import { type PortRange, TCP } from "../index.ts";
import type { Machine } from "./machine.ts";
import type { Source } from "./pair.ts";
import type { Pool } from "./pool.ts";
import type { SocketRow } from "./proc.ts";

const WILDCARDS = ["0.0.0.0", "::"];

/**
 * By source, the ports of the range that sockets of others have, on that address or on a wildcard. Not those in
 * TIME_WAIT: they keep a tuple, and not the port.
 */
export function foreignPorts(
  machine: Machine,
  pool: Pool,
  { first, last }: PortRange,
): Map<Source, Set<number>> {
  const byAddress = new Map(pool.sources.map((source) => [source.address, source]));
  const found = new Map(pool.sources.map((source) => [source, new Set<number>()]));
  for (const row of machine.tcp ?? []) {
    if (row.port < first || row.port > last || row.state === "TIME_WAIT") continue;
    const source = byAddress.get(row.address);
    if (source !== undefined && !isOurs(pool, source, row)) found.get(source)?.add(row.port);
    if (!WILDCARDS.includes(row.address)) continue;
    for (const ports of found.values()) ports.add(row.port);
  }
  return found;
}

function isOurs(pool: Pool, source: Source, row: SocketRow): boolean {
  const pair = pool.find(TCP, row.remoteAddress, row.remotePort)?.pairs[source.index];
  return pair?.flow.has(row.port) === true;
}
