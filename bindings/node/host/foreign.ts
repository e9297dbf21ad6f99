// Foreign ports: those of our sources that other programs have, as far as the machine tells.

import { type PortRange, TCP, UDP } from "../../index.ts";
import { anywhere, type Source } from "../sources/pair.ts";
import type { PairTable } from "../sources/pair-table.ts";
import type { HostState } from "./host-state.ts";
import type { SocketRow } from "./proc.ts";

const WILDCARDS = ["0.0.0.0", "::"];

/**
 * Notes for each source the ports of the range that sockets of others have, on that address or on a wildcard, to
 * be quarantined until then. Not those in TIME_WAIT: they keep a tuple, and not the port.
 */
export function noteForeign(
  machine: HostState,
  pairs: PairTable,
  range: PortRange,
  until: number,
): void {
  note(TCP, machine.tcp ?? [], pairs, range, until);
  note(UDP, machine.udp ?? [], pairs, range, until);
}

function note(
  transport: number,
  rows: readonly SocketRow[],
  pairs: PairTable,
  { first, last }: PortRange,
  until: number,
): void {
  const byAddress = new Map(pairs.sources.map((source) => [source.address, source]));
  for (const row of rows) {
    if (row.port < first || row.port > last || row.state === "TIME_WAIT") continue;
    const isAny = WILDCARDS.includes(row.address);
    for (const source of isAny ? pairs.sources : listOf(byAddress.get(row.address))) {
      if (!isOurs(pairs, source, transport, row)) source.foreign(transport).set(row.port, until);
    }
  }
}

function listOf(source: Source | undefined): readonly Source[] {
  return source === undefined ? [] : [source];
}

function isOurs(pairs: PairTable, source: Source, transport: number, row: SocketRow): boolean {
  const { remoteAddress, remotePort } = row;
  const [address, port] =
    transport === TCP ? [remoteAddress, remotePort] : [anywhere(source.family), 0];
  const pair = pairs.find(transport, address, port)?.pairs[source.index];
  return pair?.pool.has(row.port) === true;
}
