// Which sockets may share a port on Linux 6.18: the rules for one new socket and one owner.

import { type Address, isAny, isAny6, keyOf } from "./address.ts";

/** A socket or a TIME_WAIT, as far as the rules look at it. */
export interface Party {
  readonly isV6: boolean;
  readonly address: Address;
  readonly v6only: boolean;
  readonly reuseAddr: boolean;
  readonly reusePort: boolean;
  /** 0: none. */
  readonly device: number;
  readonly uid: number;
}

export interface Owner extends Party {
  readonly isListening: boolean;
  readonly isTimeWait: boolean;
}

/** How a search or an explicit port is judged. */
export interface Strictness {
  /** May sockets with SO_REUSEADDR share at overlapping addresses? */
  readonly sharesAddr: boolean;
  /** May sockets of one SO_REUSEPORT group share? */
  readonly sharesPort: boolean;
}

/** An explicit port, and listen(). */
export const NAMED: Strictness = { sharesAddr: true, sharesPort: true };
/** Port 0, first pass. */
export const SEARCH: Strictness = { sharesAddr: false, sharesPort: false };
/** Port 0, second pass (`ip_autobind_reuse`). */
export const SEARCH_AGAIN: Strictness = { sharesAddr: true, sharesPort: false };

/** Do two addresses meet, seen from the first one's family? */
export function overlaps(
  a: Pick<Party, "isV6" | "address" | "v6only">,
  b: Pick<Party, "address" | "v6only">,
  isAnyA = true,
  isAnyB = true,
): boolean {
  if (!a.isV6 || (a.address.v4 !== undefined && b.address.v4 !== undefined)) {
    return !b.v6only && overlapsAsV4(a.address, b.address, isAnyA, isAnyB);
  }
  const isV4A = a.address.v4 !== undefined;
  const isV4B = b.address.v4 !== undefined;
  if (isAny6(a.address) && isAny6(b.address)) return true;
  if (isAny6(b.address) && isAnyB && !(b.v6only && isV4A)) return true;
  if (isAny6(a.address) && isAnyA && !(a.v6only && isV4B)) return true;
  return isV4A === isV4B && a.address.text === b.address.text;
}

/** As IPv4 sees it: `::` counts as 0.0.0.0, and another IPv6 address equals nothing. */
function overlapsAsV4(a: Address, b: Address, isAnyA: boolean, isAnyB: boolean): boolean {
  const isV4ish = (address: Address) => address.v4 !== undefined || isAny6(address);
  if (isV4ish(a) && isV4ish(b) && (keyOf(a) === keyOf(b) || (isAny(a) && isAny(b)))) return true;
  return (isAnyA && isAny(a)) || (isAnyB && isAny(b));
}

function areDevicesApart(a: Party, b: Party): boolean {
  return a.device !== 0 && b.device !== 0 && a.device !== b.device;
}

/** TCP: does the owner keep the new socket away? */
export function conflictsOnTcp(
  a: Party,
  b: Owner,
  { sharesAddr, sharesPort }: Strictness,
): boolean {
  if (areDevicesApart(a, b) || !overlaps(a, b)) return false;
  const bothReusePort = a.reusePort && b.reusePort;
  if (a.reuseAddr && b.reuseAddr && !b.isListening) {
    if (!sharesAddr) return true;
    return !sharesPort && bothReusePort && (b.isTimeWait || a.uid === b.uid);
  }
  return !sharesPort || !bothReusePort || (!b.isTimeWait && a.uid !== b.uid);
}

/** UDP: the owner is passed over, lets the new socket in, or keeps it away. */
export function judgeOnUdp(a: Party, b: Party, isGrouped: boolean): "pass" | "share" | "conflict" {
  if ((a.reuseAddr && b.reuseAddr) || areDevicesApart(a, b) || !overlaps(a, b)) return "pass";
  const shares = a.reusePort && b.reusePort && !isGrouped && a.uid === b.uid;
  return shares ? "share" : "conflict";
}
