// CountedSet: a port set that also knows how often each port is held.
//
// Nearly every port is held once or not at all, and one bit says that. What goes beyond is kept
// aside as an excess (extra-counts.ts): the count of a port is its bit plus its excess.
//
//    bit  excess   count
//     0     0        0      not held
//     1     0        1      held, the plain case
//     1    n > 0   1 + n    held more than once
//     0    n < 0     n      released more often than held (gVisor counts below zero)
//
//   record 20 ┌──────────────────┐
//             │ excess  u32      │  0: every port is plain
//          24 └──────────────────┘
//
// A port "rises" when its bit is set and "falls" when it is cleared. What adding or dropping is
// going to need is charged beforehand.
//
// Must stay true: no bit has a negative excess, no clear bit a positive one.

import { PORT_COUNT } from "../abi";
import { Address } from "../memory/arena";
import { Port, raiseBit } from "./bitmap";
import {
  canRaise,
  changeExcess,
  chargeExcess,
  clearExcess,
  excessAt,
  lowerFree,
  NO_EXCESS,
  NOT_FREE,
  nextExcess,
  raiseFree,
  verifyExcess,
} from "./extra-counts";
import {
  addPort,
  chargePort,
  clearSet,
  countPorts,
  hasPort,
  hasRoom,
  isBitmap,
  isSparse,
  portsOf,
  removeFromBitmap,
  removePort,
  SET_END,
  verifySet,
} from "./set";

const EXCESS: usize = SET_END;

/** Is every port of the set held once or not at all? */
export function isPlain(set: Address): bool {
  return load<u32>(set, EXCESS) == 0;
}

export function countAt(set: Address, port: Port): i32 {
  return (hasPort(set, port) ? 1 : 0) + excessAt(set + EXCESS, port);
}

/** Charges for adding one to the port's count. */
export function chargeAdd(set: Address, port: Port): void {
  if (hasPort(set, port)) chargeExcess(set + EXCESS, port);
  else if (excessAt(set + EXCESS, port) == 0) chargePort(set);
}

/** Adds one to the port's count and tells whether it rose. */
export function addOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) || excessAt(set + EXCESS, port) < 0) {
    changeExcess(account, set + EXCESS, port, 1);
    return false;
  }
  addPort(account, set, port);
  return true;
}

/** Charges for taking one from the port's count. */
export function chargeDrop(set: Address, port: Port): void {
  if (!hasPort(set, port)) chargeExcess(set + EXCESS, port);
}

/** Takes one from the port's count and tells whether it fell. */
export function dropOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) && excessAt(set + EXCESS, port) == 0) {
    removePort(account, set, port);
    return true;
  }
  changeExcess(account, set + EXCESS, port, -1);
  return false;
}

/** Sets the port's count to zero and tells whether it fell. */
export function wipe(account: Address, set: Address, port: Port): bool {
  const excess = excessAt(set + EXCESS, port);
  if (excess) changeExcess(account, set + EXCESS, port, -excess);
  if (!hasPort(set, port)) return false;
  removePort(account, set, port);
  return true;
}

/** Gives back all that the set occupies. */
export function clearCounted(account: Address, set: Address): void {
  clearExcess(account, set + EXCESS);
  clearSet(account, set);
}

// ── Counts that are never negative, where it costs no memory ──────────────────────────────

/** Adds one to the port's count; false, and nothing has changed, if that needs memory. */
export function addOneFree(account: Address, set: Address, port: Port): bool {
  if (!isBitmap(set)) return addToFewFree(account, set, port);
  if (!raiseBit(portsOf(set), port)) return raiseFree(set + EXCESS, port);
  countPorts(set, 1);
  return true;
}

/** Would adding one need no memory? */
export function hasRoomFor(set: Address, port: Port): bool {
  return hasPort(set, port) ? canRaise(set + EXCESS, port) : hasRoom(set);
}

function addToFewFree(account: Address, set: Address, port: Port): bool {
  if (!isPlain(set) || hasPort(set, port) || !hasRoom(set)) return false;
  addPort(account, set, port);
  return true;
}

/** Takes one from the port's count; false, and nothing has changed, if a page or a bitmap has to go. */
export function dropOneFree(account: Address, set: Address, port: Port): bool {
  if (!isBitmap(set)) return dropFromFew(account, set, port);
  const lowered = lowerFree(account, set + EXCESS, port);
  if (lowered != NO_EXCESS) return lowered != NOT_FREE;
  if (isSparse(set)) return false;
  removeFromBitmap(set, port);
  return true;
}

function dropFromFew(account: Address, set: Address, port: Port): bool {
  if (!isPlain(set)) return false;
  removePort(account, set, port);
  return true;
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

export function verifyCounted(set: Address): void {
  verifySet(set);
  verifyExcess(set + EXCESS);
  let port = nextExcess(set + EXCESS, 0);
  for (; port < <u32>PORT_COUNT; port = nextExcess(set + EXCESS, port + 1)) {
    assert(hasPort(set, port) == excessAt(set + EXCESS, port) > 0);
  }
}
