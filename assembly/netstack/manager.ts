// Manager: one port manager (gVisor `PortManager`).
//
//   manager  0 ┌────────────────────┐
//              │ account            │  bytes used, limit            (memory/arena.ts)
//            8 ├────────────────────┤
//              │ table              │  secrets, slots, capacity, count  (memory/table.ts)
//           76 ├────────────────────┤
//              │ spaces        u32  │  list of spaces               (records.ts)
//           80 ├────────────────────┤
//              │ version       u64  │  the tree version
//           88 ├────────────────────┤
//              │ counters, refs     │  the figures of `stats`
//           96 ├────────────────────┤
//              │ hint          u32  │  number of stable picks that have succeeded
//          100 ├────────────────────┤
//              │ pools         u32  │  list of open pools           (pools.ts)
//          104 ├────────────────────┤
//              │ range     4 bytes  │  ephemeral ports              (ports/range.ts)
//          108 ├────────────────────┤
//              │ idle, emptied      │  unused flows                 (tree.ts)
//          116 ├────────────────────┤
//              │ peak          u32  │  the most references at a time
//          120 ├────────────────────┤
//              │ taken         u64  │  references taken in all
//          128 ├────────────────────┤
//              │ inline space       │  with its first host and binding
//          312 └────────────────────┘
//
// One instance holds any number of managers; they share nothing but the arena.

import { BAD_RANGE, EPHEMERAL_FIRST, EPHEMERAL_LAST, NO_MEMORY } from "../abi";
import { ACCOUNT_LIMIT, ACCOUNT_USED, Address, allocZero, boot, free } from "../memory/arena";
import { changeLimits, INSTANCE_ACCOUNT } from "../memory/layout";
import { closeTable, openTable } from "../memory/table";
import { Port, WORD_COUNT, WORD_FULL } from "../ports/bitmap";
import { isRange, rangeOf } from "../ports/range";
import { beginPlan, blockedAt, bootPlan, isPlanned, planAnyAddress } from "./conflicts";
import { ANY_HOLD } from "./flags";
import { keptBytes } from "./kept";
import { freePools } from "./pools";
import {
  countersOf,
  ephemeralRangeOf,
  firstSpaceOf,
  hintOf,
  MANAGER_BYTES,
  nextOf,
  peakOf,
  referencesOf,
  setEphemeralRange,
  takenOf,
} from "./records";
import { forgetRequests } from "./request-cache";
import { freeTree } from "./tree";

/** A new manager, or 0 when there is no memory for it. The seed is the one of its hash table. */
export function openManager(seedLow: u32, seedHigh: u32, limitBytes: u32): Address {
  const range = rangeOf(EPHEMERAL_FIRST, EPHEMERAL_LAST);
  return newManager(MANAGER_BYTES, range, seedLow, seedHigh, limitBytes);
}

/** A manager at the beginning of a record of `bytes` bytes. */
export function newManager(
  bytes: u32,
  range: u32,
  seedLow: u32,
  seedHigh: u32,
  limitBytes: u32,
): Address {
  boot();
  if (!bootPlan()) return 0;
  const manager = allocZero(INSTANCE_ACCOUNT, bytes);
  if (!manager) return 0;
  store<u32>(manager, limitBytes, ACCOUNT_LIMIT);
  setEphemeralRange(manager, range);
  if (openTable(manager, ((<u64>seedHigh) << 32) | seedLow)) return manager;
  free(INSTANCE_ACCOUNT, manager);
  return 0;
}

/** Frees the manager with all its ports and pools. */
export function closeManager(manager: Address): void {
  forgetRequests();
  freePools(manager);
  freeTree(manager);
  closeTable(manager);
  free(INSTANCE_ACCOUNT, manager);
}

// ── Range and hint ────────────────────────────────────────────────────────────────────────

export function setRange(manager: Address, first: Port, last: Port): i32 {
  if (!isRange(first, last)) return BAD_RANGE;
  setEphemeralRange(manager, rangeOf(first, last));
  changeLimits();
  return 0;
}

/** First port in the low half, last port in the high half. */
export function range(manager: Address): u32 {
  return ephemeralRangeOf(manager);
}

/**
 * The hint, which is added to the offset of a stable pick: how many stable picks have succeeded.
 */
export function hint(manager: Address): u32 {
  return hintOf(manager);
}

// ── Figures ───────────────────────────────────────────────────────────────────────────────

/** Number of (network, transport, port) with a holder, or `NO_MEMORY`. */
export function descriptorCount(manager: Address): i32 {
  let count = 0;
  for (let space = firstSpaceOf(manager); space; space = nextOf(space)) {
    // An exclusive request for the any address is blocked by every holder of the space.
    beginPlan(manager, ANY_HOLD, true, 0, space);
    planAnyAddress(space);
    if (!isPlanned()) return NO_MEMORY;
    for (let word: u32 = 0; word < WORD_COUNT; word++) {
      count += <i32>popcnt(blockedAt(word, WORD_FULL));
    }
  }
  return count;
}

/** Number of (network, transport, port, address, device, destination) with a holder. */
export function counterCount(manager: Address): u32 {
  return countersOf(manager);
}

/** Sum of all reference counts. */
export function referenceCount(manager: Address): u32 {
  return referencesOf(manager);
}

/** The most references that there have been at a time. */
export function peakCount(manager: Address): u32 {
  return peakOf(manager);
}

/** References that have been taken in all. */
export function takenCount(manager: Address): f64 {
  return <f64>takenOf(manager);
}

/** Bytes in the manager's blocks, without those that it only keeps for reuse. */
export function usedBytes(manager: Address): u32 {
  return load<u32>(manager, ACCOUNT_USED) - keptBytes(manager);
}
