// Occupied ports: ports of the sources that other programs hold, as far as the host lists them.

import { type PortRange, TCP, UDP } from "../../index.ts";
import { anyAddress } from "../sources/destination.ts";
import type { PairTable } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import type { HostState } from "./host-state.ts";
import type { SocketRow } from "./proc.ts";

const WILDCARDS = ["0.0.0.0", "::"];

/** A socket of another program that is in the way of a source. */
export interface ForeignSocket {
  readonly transport: number;
  readonly source: Source;
  readonly row: SocketRow;
}

/** Quarantines at each source, until that time, the ports of {@link foreignSockets}. */
export function quarantineOccupied(foreign: Iterable<ForeignSocket>, until: number): void {
  for (const { transport, source, row } of foreign) {
    source.quarantined(transport).set(row.port, until);
  }
}

/**
 * The sockets of other programs on ports of the range, on the address of a source or on a wildcard.
 * Not those in TIME_WAIT, which keep a tuple, and not the port.
 */
export function* foreignSockets(
  host: HostState,
  pairs: PairTable,
  range: PortRange,
): Generator<ForeignSocket> {
  yield* foreignOf(TCP, host.tcp ?? [], pairs, range);
  yield* foreignOf(UDP, host.udp ?? [], pairs, range);
}

function* foreignOf(
  transport: number,
  rows: readonly SocketRow[],
  pairs: PairTable,
  { first, last }: PortRange,
): Generator<ForeignSocket> {
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
      if (!isOurs(pairs, source, transport, row)) yield { transport, source, row };
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
