// Reserved: ports that automatic selection skips (Linux `ip_local_reserved_ports`).
//
//   reserved  0 ┌──────────────────┐
//               │ reserved    u32  │  number of ports
//             4 ├──────────────────┤
//               │ set              │  a port set that is always a bitmap (set.ts)
//            24 └──────────────────┘
//
// The bitmap is allocated when the list is opened, so no change can fail. A search treats it as one
// more set, and as the mask of the others (bitmap.ts). Requests for an explicit port ignore it.

import { Address, allocZero, boot, free } from "../memory/arena";
import { INSTANCE_ACCOUNT } from "../memory/layout";
import { BITMAP_BYTES, clearBit, hasBit, Port, renewMask, setBit } from "./bitmap";
import { makeBitmap, portsOf, SET_END } from "./set";

const COUNT: usize = 0;
const SET: usize = 4;
const RESERVED_BYTES: u32 = <u32>(SET + SET_END);

/** A list without ports, or 0 when there is no memory for it. */
export function openReserved(): Address {
  boot();
  const map = allocZero(INSTANCE_ACCOUNT, BITMAP_BYTES);
  if (!map) return 0;
  const reserved = allocZero(INSTANCE_ACCOUNT, RESERVED_BYTES);
  if (!reserved) {
    free(INSTANCE_ACCOUNT, map);
    return 0;
  }
  makeBitmap(reserved + SET, map);
  renewMask(map);
  return reserved;
}

export function closeReserved(reserved: Address): void {
  renewMask(mapOfReserved(reserved)); // for bitmaps whose summaries were made for it
  free(INSTANCE_ACCOUNT, mapOfReserved(reserved));
  free(INSTANCE_ACCOUNT, reserved);
}

export function clearReserved(reserved: Address): void {
  memory.fill(mapOfReserved(reserved), 0, BITMAP_BYTES);
  store<u32>(reserved, 0, COUNT);
  renewMask(mapOfReserved(reserved));
}

/** Adds the ports first..last, 0..65535; those that are reserved already stay so. */
export function addReserved(reserved: Address, first: Port, last: Port): void {
  for (let port = first; port <= last; port++) {
    if (hasReserved(reserved, port)) continue;
    setBit(mapOfReserved(reserved), port);
    store<u32>(reserved, reservedCount(reserved) + 1, COUNT);
  }
  renewMask(mapOfReserved(reserved));
}

/** Takes the ports first..last, 0..65535, out of the list; those that are not in it stay so. */
export function deleteReserved(reserved: Address, first: Port, last: Port): void {
  for (let port = first; port <= last; port++) {
    if (!hasReserved(reserved, port)) continue;
    clearBit(mapOfReserved(reserved), port);
    store<u32>(reserved, reservedCount(reserved) - 1, COUNT);
  }
  renewMask(mapOfReserved(reserved));
}

export function hasReserved(reserved: Address, port: Port): bool {
  return hasBit(mapOfReserved(reserved), port);
}

function reservedCount(reserved: Address): u32 {
  return load<u32>(reserved, COUNT);
}

/**
 * The list, or 0 if it has no ports. Not for callers that keep the answer: ports may be added
 * later.
 */
export function unlessEmpty(reserved: Address): Address {
  return reserved && reservedCount(reserved) ? reserved : 0;
}

/** The set of reserved ports, or 0 if there is no list. */
export function setOfReserved(reserved: Address): Address {
  return reserved ? reserved + SET : 0;
}

/** The mask for a search: the list's bitmap, or 0 if there is no list or it has no ports. */
export function maskOfReserved(reserved: Address): Address {
  return unlessEmpty(reserved) ? mapOfReserved(reserved) : 0;
}

function mapOfReserved(reserved: Address): Address {
  return portsOf(reserved + SET);
}
