// Use: how the sockets of a host limit new connections. Which ports of the kernel's range are in
// use between a source and a destination, what is left, and which limit would be met first.

import { unreservedIn } from "../../groups/reserved.ts";
import { type PortRange, ReservedPorts } from "../../index.ts";
import { type HostState, type HostTransport, socketsAt } from "./host-state.ts";
import type { SocketRow, SocketRowState } from "./proc.ts";

/** Linux's range where `ip_local_port_range` has not been set. */
export const LINUX_RANGE: PortRange = { first: 32768, last: 60999 };

/** Connections of one source and one destination. */
export interface PairUse {
  readonly transport: HostTransport;
  readonly source: string;
  readonly destination: string;
  readonly destinationPort: number;
  /** Sockets, on whatever ports, those in TIME_WAIT among them. */
  readonly sockets: number;
  readonly timeWait: number;
  /** Ports of the range, other than reserved ones, that serve this pair. */
  readonly usedInRange: number;
  /**
   * Ports of the range that no connection of this pair, and no listener or unconnected socket, has:
   * so many more connections can be opened by a connector that keeps no ports free.
   */
  readonly left: number;
  /**
   * Of those, ports that no socket has at all: so many more connections the kernel's own connect()
   * can surely open. It passes over each port that a socket was bound to, at whatever address, and
   * the kernel does not tell which sockets were.
   */
  readonly leftToKernel: number;
}

/** A limit, and how far it is. `limit` is `Infinity` where there is none. */
export interface LimitUse {
  readonly name: "ports" | "files" | "timeWait";
  readonly used: number;
  readonly limit: number;
  readonly left: number;
}

/** The ports of a range that the kernel may pick. */
export interface RangeUse {
  readonly range: PortRange;
  readonly reserved: ReservedPorts;
  /** Ports that are not reserved. */
  readonly available: number;
}

/** One end of a connection elsewhere. */
export interface Remote {
  readonly address: string;
  readonly port: number;
}

/** The kernel's range, or Linux's default where it is not known. */
export function rangeUse({ portRange, reserved = "" }: HostState): RangeUse {
  const range = portRange ?? LINUX_RANGE;
  const list = new ReservedPorts(reserved);
  return { range, reserved: list, available: unreservedIn(list, range) };
}

/** Is the port in the range, and not reserved? */
export function isPicked({ range, reserved }: RangeUse, port: number): boolean {
  return port >= range.first && port <= range.last && !reserved.has(port);
}

/** How many sockets are in each state. */
export function statesOf(rows: readonly SocketRow[]): Partial<Record<SocketRowState, number>> {
  const counts: Partial<Record<SocketRowState, number>> = {};
  for (const { state } of rows) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/**
 * Every source and destination that is connected from here, the busiest first. Connections that a
 * listener of this host has accepted are left out: they are on the listener's port.
 */
export function pairsOf(host: HostState, transport: HostTransport): PairUse[] {
  const rows = host[transport] ?? [];
  const ports = rangeUse(host);
  const listeners = new Set(rows.filter(isOpenToAll).map(({ port }) => port));
  const groups = new Map<string, SocketRow[]>();
  for (const row of rows) {
    if (isOpenToAll(row) || listeners.has(row.port)) continue;
    const key = `${row.address} ${row.remoteAddress} ${row.remotePort}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  const untouched = untouchedIn(host, transport);
  return [...groups.values()]
    .map((group) => pairOf(host, transport, ports, group, untouched))
    .sort((a, b) => b.usedInRange - a.usedInRange || b.sockets - a.sockets);
}

/** The pair of a source and a destination to which nothing may be connected yet. */
export function freshPair(
  host: HostState,
  transport: HostTransport,
  source: string,
  { address, port }: Remote,
): PairUse {
  const row = { address: source, port: 0, remoteAddress: address, remotePort: port } as const;
  const group = [{ ...row, state: "UNKNOWN" } as const];
  const pair = pairOf(host, transport, rangeUse(host), group, untouchedIn(host, transport));
  return { ...pair, sockets: 0 };
}

/**
 * The limits that connections from one more, or the busiest, source and destination would meet,
 * the nearest first.
 */
export function limitsOf(host: HostState, pairs: readonly PairUse[]): LimitUse[] {
  const { available } = rangeUse(host);
  const limits: LimitUse[] = [];
  const { tcp, fileLimits, openFiles = 0, tcpMaxTwBuckets } = host;
  if (tcp !== undefined && host.portRange !== undefined) {
    const left = pairs.reduce((least, pair) => Math.min(least, pair.left), available);
    limits.push({ name: "ports", used: available - left, limit: available, left });
  }
  if (fileLimits !== undefined) limits.push(limitOf("files", openFiles, fileLimits.soft));
  if (tcp !== undefined && tcpMaxTwBuckets !== undefined) {
    limits.push(limitOf("timeWait", statesOf(tcp).TIME_WAIT ?? 0, tcpMaxTwBuckets));
  }
  return limits.sort((a, b) => a.left - b.left);
}

/** How many ports of the range no socket of that transport has, at whatever address. */
export function untouchedIn(host: HostState, transport: HostTransport): number {
  const ports = rangeUse(host);
  const touched = new Set((host[transport] ?? []).map(({ port }) => port));
  return ports.available - [...touched].filter((port) => isPicked(ports, port)).length;
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function limitOf(name: LimitUse["name"], used: number, limit: number): LimitUse {
  return { name, used, limit, left: Math.max(0, limit - used) };
}

/** A listener, or a UDP socket without a peer: its port is taken whatever the destination. */
export function isOpenToAll({ state, remotePort }: SocketRow): boolean {
  return state === "LISTEN" || remotePort === 0;
}

function pairOf(
  host: HostState,
  transport: HostTransport,
  ports: RangeUse,
  rows: readonly SocketRow[],
  leftToKernel: number,
): PairUse {
  const [{ address: source, remoteAddress, remotePort }] = rows as [SocketRow];
  const own = new Set(rows.map(({ port }) => port).filter((port) => isPicked(ports, port)));
  const taken = new Set(own);
  for (const row of socketsAt(host, source, transport) ?? []) {
    if (isOpenToAll(row) && isPicked(ports, row.port)) taken.add(row.port);
  }
  return {
    transport,
    source,
    destination: remoteAddress,
    destinationPort: remotePort,
    sockets: rows.length,
    timeWait: rows.filter(({ state }) => state === "TIME_WAIT").length,
    usedInRange: own.size,
    left: ports.available - taken.size,
    leftToKernel,
  };
}
