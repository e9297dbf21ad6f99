// CountedSet: a port set that also counts how often each port is held.
//
// Most ports are held once or not at all, and one bit says so. Everything beyond that is an extra
// count, which is kept in a separate structure (extra-counts.ts). The count of a port is the sum of
// its bit and its extra count:
//
//    bit   extra   count
//     0      0       0      not held
//     1      0       1      held once
//     1    n > 0   1 + n    held more than once
//     0    n < 0     n      released more often than held: gVisor's counts go below zero
//
//   record 20 ┌──────────────────┐
//             │ extra   u32      │  0: no port has an extra count
//          24 └──────────────────┘
//
// A port becomes held when its bit is set, and becomes free when its bit is cleared. Memory for an
// addition or a removal is charged before it.
//
// Must stay true: a port whose bit is set has no negative extra count, and one whose bit is clear
// has no positive one.

import { PORT_COUNT } from "../abi";
import { Address, isLimited } from "../memory/arena";
import { Port, raiseBit } from "./bitmap";
import {
  addExtraFree,
  changeExtra,
  chargeExtra,
  clearExtra,
  dropExtraFree,
  extraAt,
  NO_EXTRA,
  NOT_FREE,
  nextExtra,
  stepExtra,
  verifyExtra,
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
  paidBySet,
  portsOf,
  removeFromBitmap,
  removePort,
  SET_END,
  settleSet,
  verifySet,
} from "./set";

const EXTRA: usize = SET_END;

/** Has no port of the set an extra count? */
export function isPlain(set: Address): bool {
  return load<u32>(set, EXTRA) == 0;
}

export function countAt(set: Address, port: Port): i32 {
  return (hasPort(set, port) ? 1 : 0) + extraOf(set, port);
}

export function extraOf(set: Address, port: Port): i32 {
  return extraAt(set + EXTRA, port);
}

/** Lowest port from `port` on that has an extra count, or 0. */
export function nextExtraOf(set: Address, port: Port): Port {
  const next = nextExtra(set + EXTRA, port);
  return next < <u32>PORT_COUNT ? next : 0;
}

/** Charges for adding one to the port's count. */
export function chargeAdd(set: Address, port: Port): void {
  if (hasPort(set, port)) chargeExtra(set + EXTRA, port);
  else if (extraAt(set + EXTRA, port) == 0) chargePort(set);
}

/** Adds one to the port's count and tells whether it became held. */
export function addOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) || extraAt(set + EXTRA, port) < 0) {
    changeExtra(account, set + EXTRA, port, 1);
    return false;
  }
  addPort(account, set, port);
  return true;
}

/** Charges for taking one from the port's count. */
export function chargeDrop(set: Address, port: Port): void {
  if (!hasPort(set, port)) chargeExtra(set + EXTRA, port);
}

/** Takes one from the port's count and tells whether it became free. */
export function dropOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) && extraAt(set + EXTRA, port) == 0) {
    removePort(account, set, port);
    return true;
  }
  changeExtra(account, set + EXTRA, port, -1);
  return false;
}

/** Charges for `setExtra`. */
export function chargeSetExtra(set: Address, port: Port): void {
  chargeExtra(set + EXTRA, port);
}

/** Changes the port's extra count from zero, which must fit its bit, and must have been charged. */
export function setExtra(account: Address, set: Address, port: Port, extra: i32): void {
  changeExtra(account, set + EXTRA, port, extra);
}

/** Sets the port's count to zero and tells whether it became free. */
export function wipe(account: Address, set: Address, port: Port): bool {
  const extra = extraAt(set + EXTRA, port);
  if (extra) changeExtra(account, set + EXTRA, port, -extra);
  if (!hasPort(set, port)) return false;
  removePort(account, set, port);
  return true;
}

/**
 * Frees all memory of the set and leaves it empty. `all` is false: frees only memory that its
 * counts do not need. Account 0: frees nothing. Returns the bytes that it took before.
 */
export function clearCounted(account: Address, set: Address, all: bool): u32 {
  const bytes = clearExtra(account, set + EXTRA, all) + paidBySet(set);
  if (account) {
    if (all) clearSet(account, set);
    else settleSet(account, set);
  }
  return bytes;
}

// ── Changes without memory, for counts that are never negative ────────────────────────────

/** Adds one to the port's count. False if that needs memory; then nothing has changed. */
export function addOneFree(account: Address, set: Address, port: Port): bool {
  if (!isBitmap(set)) return addToSmallFree(account, set, port);
  if (!raiseBit(portsOf(set), port)) return addExtraFree(set + EXTRA, port);
  countPorts(set, 1);
  return true;
}

/** Changes by one the count of a port that is held more than twice. False if that needs memory. */
export function stepOne(set: Address, port: Port, by: i32): bool {
  return stepExtra(set + EXTRA, port, by);
}

function addToSmallFree(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port)) return addExtraFree(set + EXTRA, port);
  if (!hasRoom(set)) return false;
  addPort(account, set, port);
  return true;
}

/**
 * Takes one from the port's count. False if a page or bitmap must be freed, or the page is wide;
 * then nothing has changed.
 */
export function dropOneFree(account: Address, set: Address, port: Port): bool {
  const keeps = isBitmap(set) && !isLimited(account);
  const lowered = dropExtraFree(set + EXTRA, port, keeps);
  if (lowered != NO_EXTRA) return lowered != NOT_FREE;
  if (!isBitmap(set)) removePort(account, set, port);
  else if (isSparse(set) && !keeps) return false;
  else removeFromBitmap(set, port);
  return true;
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Returns what `verifySet` does. */
export function verifyCounted(set: Address): u32 {
  const spare = verifySet(set);
  verifyExtra(set + EXTRA);
  let port = nextExtra(set + EXTRA, 0);
  for (; port < <u32>PORT_COUNT; port = nextExtra(set + EXTRA, port + 1)) {
    assert(hasPort(set, port) == extraAt(set + EXTRA, port) > 0);
  }
  return spare;
}
