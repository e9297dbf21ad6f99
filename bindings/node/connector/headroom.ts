// Headroom: ports of the system's range that a connector keeps free, for all programs that let the
// kernel pick. The kernel's connect() passes over each port that some socket was bound to, whatever
// that socket's address and destination (Linux `__inet_hash_connect`); so a connector that takes
// every port of the range leaves no port to any other program of the host.
//
//   range   ··██······██········██······██······██··     ██ kept free: a pair of ports
//
// The ports depend only on the range and their number, so all connectors of a host leave the same
// ones, and a smaller number is a subset of a larger one. They lie apart evenly, so that the
// kernel's search, port by port, soon meets one; and in pairs, since connect() searches the even
// offsets first and bind() the odd ones.

import { addPorts, unreservedIn } from "../../groups/reserved.ts";
import { type PortRange, ReservedPorts } from "../../index.ts";
import type { HostState } from "../host/host-state.ts";
import { isOpenToAll, type RangeUse } from "../host/use.ts";

/** What part of the system's range is kept free by default, and at most. */
export const HEADROOM_SHARE: number = 1 / 10;
export const HEADROOM_MOST: number = 1 / 4;
/** 2^32 divided by the golden ratio: multiples of it lie apart evenly, however many there are. */
const GOLDEN = 0x9e3779b1;

/**
 * The ports to keep free, ascending, so that so many ports of the system's range are unused. Ports
 * that are out of the connector's range or reserved count.
 */
export function portsKeptFree(
  headroom: number,
  system: RangeUse,
  range: PortRange,
  reserved: ReservedPorts,
): number[] {
  if (headroom === 0) return [];
  const first = Math.max(range.first, system.range.first);
  const last = Math.min(range.last, system.range.last);
  if (first > last) return [];
  const out = new ReservedPorts([system.reserved.text, reserved.text].filter(Boolean).join());
  const missing = headroom - (system.available - unreservedIn(out, { first, last }));
  if (missing <= 0) return [];
  const passesOver = out.size > 0;
  const isOurs = (port: number): boolean =>
    port >= first && port <= last && !(passesOver && out.has(port));
  const found: number[] = [];
  for (const pair of pairsApart(system.range)) {
    if (found.length >= missing) break;
    if (isOurs(2 * pair)) found.push(2 * pair);
    if (isOurs(2 * pair + 1)) found.push(2 * pair + 1);
  }
  return Array.from(Uint16Array.from(found.slice(0, missing)).sort());
}

/**
 * Pairs of ports in an order in which any first few of them lie apart evenly: by their multiples of
 * `GOLDEN`, modulo 2^32, from the first pair's on. No sort is needed: the next greater multiple is
 * always `up` pairs farther on, `down` pairs back, or both (three-gap theorem, Sós 1958).
 */
function* pairsApart({ first, last }: PortRange): Generator<number> {
  const start = first >> 1;
  const count = (last >> 1) - start + 1;
  let [up, above] = [1, GOLDEN];
  let [down, below] = [1, 2 ** 32 - GOLDEN];
  while (up + down < count) {
    if (above > below) [up, above] = [up + down, above - below];
    else [down, below] = [down + up, below - above];
  }
  for (let at = 0, left = count; left > 0; left--) {
    yield start + at;
    at += at < count - up ? up : at >= down ? -down : up - down;
  }
}

/** Ports that sockets of this host listen on, or wait for datagrams on, at whatever address. */
export function portsListenedOn({ tcp = [], udp = [] }: HostState): number[] {
  return [...tcp, ...udp].filter(isOpenToAll).map(({ port }) => port);
}

/** A list of reserved ports, and more. */
export function withPorts(text: string, ports: readonly number[]): ReservedPorts {
  const list = new ReservedPorts(text);
  addPorts(list, ports);
  return list;
}
