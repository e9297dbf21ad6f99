// Occupied ports: those of our sources that other programs hold, as far as the host tells.

import { type PortRange, TCP, UDP } from "../../index.ts";
import { anyAddress } from "../sources/destination.ts";
import type { PairTable } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import type { HostState } from "./host-state.ts";
import type { SocketRow } from "./proc.ts";

const WILDCARDS = ["0.0.0.0", "::"];

/**
 * Quarantines at each source, until then, the ports of the range that sockets of other programs
 * hold, on that address or on a wildcard. Not those in TIME_WAIT, which keep a tuple, and not the
 * port.
 */
export function quarantineOccupied(
  host: HostState,
  pairs: PairTable,
  range: PortRange,
  until: number,
): void {
  note(TCP, host.tcp ?? [], pairs, range, until);
  note(UDP, host.udp ?? [], pairs, range, until);
}

function note(
  transport: number,
  rows: readonly SocketRow[],
  pairs: PairTable,
  { first, last }: PortRange,
  until: number,
): void {
  const { all } = pairs.sources;
  const wildcards = all.filter(({ isWildcard }) => isWildcard);
  const byAddress = new Map<string, Source[]>();
  for (const source of all) {
    if (source.isWildcard) continue;
    byAddress.set(source.bare, [...(byAddress.get(source.bare) ?? []), source]);
  }
  for (const row of rows) {
    if (row.port < first || row.port > last || row.state === "TIME_WAIT") continue;
    const isAny = WILDCARDS.includes(row.address);
    const there = isAny ? all : [...(byAddress.get(row.address) ?? []), ...wildcards];
    for (const source of there) {
      if (!isOurs(pairs, source, transport, row))
        source.quarantined(transport).set(row.port, until);
    }
  }
}

function isOurs(pairs: PairTable, source: Source, transport: number, row: SocketRow): boolean {
  const { remoteAddress, remotePort } = row;
  const [address, port] =
    transport === TCP ? [remoteAddress, remotePort] : [anyAddress(source.family), 0];
  const pair = pairs.find(transport, address, port)?.pairs[source.index];
  return pair?.pool.has(row.port) === true;
}
