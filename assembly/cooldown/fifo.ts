// Order: which port to offer next so that each comes back as late as possible: one that has never been
// offered, else the one that was released first.
//
//   order  0 ┌──────────────────┐
//            │ queue            │  ports that have been released, oldest first (queue.ts)
//         20 ├──────────────────┤
//            │ manager     u32  │  who pays
//         24 ├──────────────────┤
//            │ fresh       u8   │  1: the candidate given last had never been offered before
//         30 ├──────────────────┤
//            │ seen             │  a port set (set.ts): ports that have been offered
//         40 ├──────────────────┤
//            │ sets      2 u32  │  what a search for fresh ports looks at: seen, and reserved ones
//         48 ├──────────────────┤
//            │ dry range   u32  │  all of this range had been seen; 0: not known of any
//         52 ├──────────────────┤
//            │ dry version u32  │  under these limits (layout.ts)
//         56 └──────────────────┘
//
// A candidate dropsFree the queue, and whoever asked tries to take it. What is in use by others goes back to the
// end, as if they had just released it. Seen ports that do not wait are in use, or rest. A port that the
// limits exclude (range, group, reserved list) is forgotten when its turn comes: it is fresh again
// should the limits change. So is one for which there is no memory when it is released: the order is worth
// no refusal. Once all of a range has been seen, fresh ports are not looked for until one is forgotten or a
// limit changes.
//
// Must stay true: whoever waits has been seen.

import { NO_MEMORY } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH, limitsVersion } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { countIn, firstIn, isEmpty, lastIn } from "../ports/range";
import { hasReserved, maskOfReserved, setOfReserved } from "../ports/reserved";
import { findAmong, searchAllUnder } from "../ports/search";
import {
  addPort,
  chargePort,
  clearSet,
  hasPort,
  removeAndKeep,
  SET_END,
  verifySet,
} from "../ports/set";
import {
  chargeQueued,
  clearQueue,
  isQueued,
  lengthOf,
  placeOf,
  portAt,
  pushFirst,
  pushLast,
  QUEUE_BYTES,
  removeAt,
  shiftFirst,
  verifyQueue,
} from "./queue";

const MANAGER: usize = QUEUE_BYTES;
const FRESH: usize = MANAGER + 4;
const SEEN: usize = QUEUE_BYTES;
const SETS: usize = SEEN + SET_END;
const DRY_RANGE: usize = SETS + 8;
const DRY_VERSION: usize = DRY_RANGE + 4;
const ORDER_BYTES: u32 = <u32>DRY_VERSION + 4;
if (ORDER_BYTES != 56) ERROR("Order no longer matches its diagram");

/** An order in which nothing has been offered, or 0 when there is no memory. */
export function openOrder(manager: Address): Address {
  beginBill();
  chargeBlock(ORDER_BYTES);
  if (!canPay(manager)) return 0;
  const order = allocZero(manager, ORDER_BYTES);
  store<u32>(order, <u32>manager, MANAGER);
  return order;
}

export function closeOrder(order: Address): void {
  const manager = managerOf(order);
  clearQueue(manager, order);
  clearSet(manager, seenOf(order));
  free(manager, order);
}

/**
 * The port of a range to try next, past reserved ones: a fresh one, the first from
 * `first + offset % count` on, else the one released first. 0: none; or `NO_MEMORY`.
 */
export function nextCandidate(order: Address, range: u32, offset: u32, reserved: Address): i32 {
  if (isEmpty(range)) return 0;
  const port = isDry(order, range) ? 0 : findFresh(order, range, offset, reserved);
  store<u8>(order, port ? 1 : 0, FRESH);
  if (!port) return <i32>oldestWithin(order, range, reserved);
  return see(order, port) ? <i32>port : NO_MEMORY;
}

/** The candidate given last could not be tried: all is as it was before. */
export function returnCandidate(order: Address, port: Port): void {
  const manager = managerOf(order);
  if (load<u8>(order, FRESH) || !canQueue(order)) forget(order, port);
  else pushFirst(manager, order, port);
}

/** A port has been released, or was refused: it waits, behind all others, unless it does so already. */
export function release(order: Address, port: Port): void {
  if (isQueued(order, port)) return;
  if (!see(order, port)) return;
  if (canQueue(order)) pushLast(managerOf(order), order, port);
  else forget(order, port);
}

/** So does each of the `count` ports in the batch. */
export function releaseBatch(order: Address, count: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    release(order, load<u16>(BATCH + ((<usize>index) << 1)));
  }
}

/** A port has been taken that was no candidate. */
export function claim(order: Address, port: Port): void {
  if (isQueued(order, port)) removeAt(managerOf(order), order, placeOf(order, port));
  else see(order, port);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function managerOf(order: Address): Address {
  return load<u32>(order, MANAGER);
}

function seenOf(order: Address): Address {
  return order + SEEN;
}

function findFresh(order: Address, range: u32, offset: u32, reserved: Address): Port {
  const sets = order + SETS;
  store<u32>(sets, <u32>seenOf(order));
  store<u32>(sets, <u32>setOfReserved(reserved), 4);
  const count = reserved ? 2 : 1;
  searchAllUnder(sets, count, maskOfReserved(reserved));
  const first = firstIn(range);
  const start = first + (offset % countIn(range));
  const port = findAmong(sets, count, first, lastIn(range), start);
  if (!port) noteDry(order, range);
  return port;
}

/** Is it known that nothing of a range is fresh? */
function isDry(order: Address, range: u32): bool {
  if (load<u32>(order, DRY_RANGE) != range) return false;
  return load<u32>(order, DRY_VERSION) == limitsVersion();
}

function noteDry(order: Address, range: u32): void {
  store<u32>(order, range, DRY_RANGE);
  store<u32>(order, limitsVersion(), DRY_VERSION);
}

/** The first of the queue that the limits allow, taken out; those in front of it are forgotten. */
function oldestWithin(order: Address, range: u32, reserved: Address): Port {
  const manager = managerOf(order);
  while (lengthOf(order)) {
    const port = shiftFirst(manager, order);
    const isWithin = port >= firstIn(range) && port <= lastIn(range);
    if (isWithin && !(reserved && hasReserved(reserved, port))) return port;
    forget(order, port);
  }
  return 0;
}

/** Notes that a port has been offered. False: no memory. */
function see(order: Address, port: Port): bool {
  const seen = seenOf(order);
  if (hasPort(seen, port)) return true;
  beginBill();
  chargePort(seen);
  if (!canPay(managerOf(order))) return false;
  addPort(managerOf(order), seen, port);
  return true;
}

function canQueue(order: Address): bool {
  beginBill();
  chargeQueued(order);
  return canPay(managerOf(order));
}

function forget(order: Address, port: Port): void {
  store<u32>(order, 0, DRY_RANGE);
  removeAndKeep(managerOf(order), seenOf(order), port);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless all that wait have been seen. */
export function verifyOrder(order: Address): void {
  verifyQueue(order);
  verifySet(seenOf(order));
  for (let place: u32 = 0; place < lengthOf(order); place++) {
    assert(hasPort(seenOf(order), portAt(order, place)));
  }
}
