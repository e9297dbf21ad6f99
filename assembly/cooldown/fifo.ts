// Fifo: chooses the port to offer next so that each port comes back as late as possible: a port
// that has never been offered, else the one that was released first.
//
//   fifo   0 ┌──────────────────┐
//            │ queue            │  released ports, oldest first (queue.ts)
//         20 ├──────────────────┤
//            │ manager     u32  │  whose account pays
//         24 ├──────────────────┤
//            │ fresh       u8   │  1: the last candidate had never been offered before
//         30 ├──────────────────┤
//            │ seen             │  a port set (ports/set.ts): ports that have been offered
//         40 ├──────────────────┤
//            │ sets      2 u32  │  what a search for fresh ports examines: seen and reserved ports
//         48 ├──────────────────┤
//            │ dry version u64  │  the version of the limits (memory/layout.ts) under which all
//         56 ├──────────────────┤  ports of the dry range had been seen
//            │ dry range   u32  │  0: no such range is known
//         60 └──────────────────┘
//
// A candidate leaves the queue, and the caller tries to take it. A candidate that is in use is
// given back to the end of the queue, as if it had just been released. Ports that have been seen
// and are not in the queue are in use or cooling. A port that the limits exclude (range, group,
// reserved ports) is forgotten when it reaches the front, so that it is fresh again should the
// limits change. A port is also forgotten if there is no memory when it is released: losing its
// place is better than refusing the release. Once all ports of a range have been seen, no search
// for fresh ports is made until one is forgotten or a limit changes.
//
// Must stay true: every port in the queue has been seen.

import { NO_MEMORY } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH, limitsVersion } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { countIn, firstIn, isEmpty, lastIn } from "../ports/range";
import { hasReserved, maskOfReserved, setOfReserved } from "../ports/reserved";
import { findAmong, searchAllUnder } from "../ports/search";
import {
  addPortUpTo,
  chargePortUpTo,
  clearSet,
  hasPort,
  LONG_ARRAY_MAX,
  nextPort,
  removeAndKeep,
  SET_END,
  settleSetUpTo,
  verifySet,
} from "../ports/set";
import {
  canQueue,
  clearQueue,
  isQueued,
  lengthOf,
  placeOf,
  portAt,
  pushFirst,
  pushLast,
  QUEUE_BYTES,
  removeAt,
  settleQueue,
  shiftFirst,
  verifyQueue,
} from "./queue";

const MANAGER: usize = QUEUE_BYTES;
const FRESH: usize = MANAGER + 4;
const SEEN: usize = QUEUE_BYTES;
const SETS: usize = SEEN + SET_END;
const DRY_VERSION: usize = SETS + 8;
const DRY_RANGE: usize = DRY_VERSION + 8;
const FIFO_BYTES: u32 = <u32>DRY_RANGE + 4;
if (FIFO_BYTES != 60) ERROR("Fifo no longer matches its diagram");

/** A new order, in which no port has been offered, or 0 when there is no memory. */
export function openFifo(manager: Address): Address {
  beginBill();
  chargeBlock(FIFO_BYTES);
  if (!canPay(manager)) return 0;
  const fifo = allocZero(manager, FIFO_BYTES);
  store<u32>(fifo, <u32>manager, MANAGER);
  return fifo;
}

export function closeFifo(fifo: Address): void {
  const manager = managerOf(fifo);
  clearQueue(manager, fifo);
  clearSet(manager, seenOf(fifo));
  free(manager, fifo);
}

/** Frees the memory that the queue and the set only keep for reuse. */
export function settleFifo(fifo: Address): void {
  const manager = managerOf(fifo);
  settleQueue(manager, fifo);
  settleSetUpTo(manager, seenOf(fifo), LONG_ARRAY_MAX);
}

/**
 * The port of a range, not reserved, to try next: the first fresh port from `first + offset %
 * count` on, else the port that was released first. 0: there is none; or `NO_MEMORY`.
 */
export function nextCandidate(fifo: Address, range: u32, offset: u32, reserved: Address): i32 {
  if (isEmpty(range)) return 0;
  const port = isDry(fifo, range) ? 0 : findFresh(fifo, range, offset, reserved);
  store<u8>(fifo, port ? 1 : 0, FRESH);
  if (!port) return <i32>oldestWithin(fifo, range, reserved);
  return see(fifo, port) ? <i32>port : NO_MEMORY;
}

/** The last candidate was not tried: restores the state from before it was given. */
export function returnCandidate(fifo: Address, port: Port): void {
  const manager = managerOf(fifo);
  if (load<u8>(fifo, FRESH) || !canQueue(manager, fifo)) forget(fifo, port);
  else pushFirst(manager, fifo, port);
}

/** Adds a port that was released, or a candidate that was in use, to the end of the queue. */
export function release(fifo: Address, port: Port): void {
  if (isQueued(fifo, port)) return;
  if (!see(fifo, port)) return;
  const manager = managerOf(fifo);
  if (canQueue(manager, fifo)) pushLast(manager, fifo, port);
  else forget(fifo, port);
}

/** The same for each of the `count` ports in the batch. */
export function releaseBatch(fifo: Address, count: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    release(fifo, load<u16>(BATCH + ((<usize>index) << 1)));
  }
}

/** Notes that a port has been taken that was not the candidate. */
export function claim(fifo: Address, port: Port): void {
  if (isQueued(fifo, port)) removeAt(managerOf(fifo), fifo, placeOf(fifo, port));
  else see(fifo, port);
}

/** The port at a place of the queue, counted from the one released first; 0: there is none. */
export function queuedAt(fifo: Address, place: u32): Port {
  return place < lengthOf(fifo) ? portAt(fifo, place) : 0;
}

/** The lowest port from `port` on that has been offered, or 0. */
export function nextOffered(fifo: Address, port: Port): Port {
  return nextPort(seenOf(fifo), port);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function managerOf(fifo: Address): Address {
  return load<u32>(fifo, MANAGER);
}

function seenOf(fifo: Address): Address {
  return fifo + SEEN;
}

function findFresh(fifo: Address, range: u32, offset: u32, reserved: Address): Port {
  const sets = fifo + SETS;
  store<u32>(sets, <u32>seenOf(fifo));
  store<u32>(sets, <u32>setOfReserved(reserved), 4);
  const count = reserved ? 2 : 1;
  searchAllUnder(sets, count, maskOfReserved(reserved));
  const first = firstIn(range);
  const start = first + (offset % countIn(range));
  const port = findAmong(sets, count, first, lastIn(range), start);
  if (!port) noteDry(fifo, range);
  return port;
}

/** Is it known that all ports of a range have been seen? */
function isDry(fifo: Address, range: u32): bool {
  if (load<u32>(fifo, DRY_RANGE) != range) return false;
  return load<u64>(fifo, DRY_VERSION) == limitsVersion();
}

function noteDry(fifo: Address, range: u32): void {
  store<u32>(fifo, range, DRY_RANGE);
  store<u64>(fifo, limitsVersion(), DRY_VERSION);
}

/**
 * Removes the first port that the limits allow and returns it, or 0. Ports before it are forgotten.
 */
function oldestWithin(fifo: Address, range: u32, reserved: Address): Port {
  const manager = managerOf(fifo);
  while (lengthOf(fifo)) {
    const port = shiftFirst(manager, fifo);
    const isWithin = port >= firstIn(range) && port <= lastIn(range);
    if (isWithin && !(reserved && hasReserved(reserved, port))) return port;
    forget(fifo, port);
  }
  return 0;
}

/** Notes that a port has been offered. False: no memory. */
function see(fifo: Address, port: Port): bool {
  const seen = seenOf(fifo);
  if (hasPort(seen, port)) return true;
  beginBill();
  chargePortUpTo(seen, LONG_ARRAY_MAX);
  if (!canPay(managerOf(fifo))) return false;
  addPortUpTo(managerOf(fifo), seen, port, LONG_ARRAY_MAX);
  return true;
}

function forget(fifo: Address, port: Port): void {
  store<u32>(fifo, 0, DRY_RANGE);
  removeAndKeep(managerOf(fifo), seenOf(fifo), port);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless all ports of the queue have been seen. */
export function verifyFifo(fifo: Address): void {
  verifyQueue(fifo);
  verifySet(seenOf(fifo));
  for (let place: u32 = 0; place < lengthOf(fifo); place++) {
    assert(hasPort(seenOf(fifo), portAt(fifo, place)));
  }
}
