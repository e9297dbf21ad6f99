// FastPath: operations of a pool while two comparisons show that nothing has changed.
//
//   fast    0 ┌──────────────────┐
//             │ version     u32  │  the tree version when the fast path was opened
//           4 ├──────────────────┤
//             │ limits      u32  │  the version of ranges and reserved ports at that time
//           8 ├──────────────────┤
//             │ range       u32  │  the pool's effective range
//          12 ├──────────────────┤
//             │ inverse     u32  │  of the range's count: a remainder without a division
//          16 ├──────────────────┤
//             │ mask        u32  │  bitmap of the pool's reserved ports, or 0
//          20 ├──────────────────┤
//             │ aggregate   u32  │  the only aggregate that counts the flow, or 0
//          24 └──────────────────┘
//
// The fast path is open while only the flow blocks itself, and at most one aggregate counts it
// (cached-plan.ts). A take is then one search and one bit, and one bit in the aggregate, and needs
// no memory. Every other case is left to the general operation, which gives the same results.
//
// Must stay true: `limits` changes with every range of a manager or group and every list of reserved
// ports.

import { EXHAUSTED, IN_USE } from "../abi";
import { Address, isLimited } from "../memory/arena";
import { BATCH, limitsVersion } from "../memory/layout";
import {
  clearBit,
  dropBit,
  dropBits,
  hasBit,
  Port,
  searchedUnder,
  setBit,
  takeClear,
  takeClears,
} from "../ports/bitmap";
import { addOneFree, dropOneFree, isPlain } from "../ports/counted";
import { countIn, firstIn, inverseOf, lastIn, remainder } from "../ports/range";
import {
  addFirst,
  countOf,
  countPorts,
  dropOnly,
  hasOnly,
  isBitmap,
  portsOf,
  trim,
} from "../ports/set";
import { countHeld } from "./aggregates";
import { flagsOf, isFlow, TREE_VERSION } from "./records";

const SEEN: usize = 0;
const LIMITS: usize = 4;
const RANGE: usize = 8;
const INVERSE: usize = 12;
const MASK: usize = 16;
const AGGREGATE: usize = 20;
export const FAST_PATH_BYTES: u32 = 24;

/** The answer if the general operation must be used. Nothing has changed then. */
export const NOT_FAST: i32 = -128;

export function openFastPath(
  fast: Address,
  manager: Address,
  range: u32,
  mask: Address,
  aggregate: Address,
): void {
  store<u32>(fast, load<u32>(manager, TREE_VERSION), SEEN);
  store<u32>(fast, limitsVersion(), LIMITS);
  store<u32>(fast, range, RANGE);
  store<u32>(fast, inverseOf(countIn(range)), INVERSE);
  store<u32>(fast, <u32>mask, MASK);
  store<u32>(fast, <u32>aggregate, AGGREGATE);
}

export function closeFastPath(fast: Address, manager: Address): void {
  store<u32>(fast, load<u32>(manager, TREE_VERSION) - 1, SEEN);
  store<u32>(fast, limitsVersion(), LIMITS);
}

export function isOpen(fast: Address, manager: Address): bool {
  return load<u32>(fast, SEEN) == load<u32>(manager, TREE_VERSION) && isSettled(fast);
}

/** Are ranges and reserved ports those of the time when the fast path was opened or closed? */
export function isSettled(fast: Address): bool {
  return load<u32>(fast, LIMITS) == limitsVersion();
}

/** Takes the first acceptable port from an offset on: the port, `EXHAUSTED`, or `NOT_FAST`. */
export function takeFast(fast: Address, manager: Address, flow: Address, offset: u32): i32 {
  if (load<u32>(fast, SEEN) != load<u32>(manager, TREE_VERSION)) return NOT_FAST;
  if (!isSettled(fast)) return NOT_FAST;
  if (!isPlain(flow)) return NOT_FAST;
  const range = load<u32>(fast, RANGE);
  const first = firstIn(range);
  const start = first + remainder(offset, countIn(range), load<u32>(fast, INVERSE));
  if (!isBitmap(flow)) return takeFirst(fast, manager, flow, start);
  const map = portsOf(flow);
  const mask: Address = load<u32>(fast, MASK);
  if (!searchedUnder(map, mask)) return NOT_FAST;
  const port = takeClear(map, mask, first, lastIn(range), start);
  if (!port) return EXHAUSTED;
  const aggregate: Address = load<u32>(fast, AGGREGATE);
  if (aggregate && !addOneFree(manager, aggregate, port)) {
    clearBit(map, port);
    return NOT_FAST;
  }
  countPorts(flow, 1);
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees a port: 1, 0 if it was not held, or `NOT_FAST`. */
export function freeFast(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  if (load<u32>(fast, SEEN) != load<u32>(manager, TREE_VERSION)) return NOT_FAST;
  if (!isSettled(fast)) return NOT_FAST;
  if (!isPlain(flow)) return NOT_FAST;
  if (!isBitmap(flow)) return freeOnly(fast, manager, flow, port);
  const map = portsOf(flow);
  if (!dropBit(map, port)) return 0;
  const aggregate: Address = load<u32>(fast, AGGREGATE);
  if (aggregate && !dropsFree(manager, aggregate, port)) {
    setBit(map, port);
    return NOT_FAST;
  }
  countPorts(flow, -1);
  countHeld(manager, -1);
  keep(manager, flow);
  return 1;
}

/**
 * Takes an explicit port: the port, `IN_USE`, or `NOT_FAST`. A flow with flags may hold an explicit port
 * twice, which the fast path does not know.
 */
export function takeAtFast(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!isOpen(fast, manager) || flagsOf(flow) || !isPlain(flow)) return NOT_FAST;
  if (!isBitmap(flow)) return countOf(flow) ? NOT_FAST : takeOnly(fast, manager, flow, port);
  const map = portsOf(flow);
  if (hasBit(map, port)) return IN_USE;
  setBit(map, port);
  const aggregate: Address = load<u32>(fast, AGGREGATE);
  if (aggregate && !addOneFree(manager, aggregate, port)) {
    clearBit(map, port);
    return NOT_FAST;
  }
  countPorts(flow, 1);
  countHeld(manager, 1);
  return <i32>port;
}

// ── A flow with one port ──────────────────────────────────────────────────────────────────

/** A flow without ports takes the port at which the search starts. */
function takeFirst(fast: Address, manager: Address, flow: Address, start: Port): i32 {
  const mask: Address = load<u32>(fast, MASK);
  if (countOf(flow) || (mask && hasBit(mask, start))) return NOT_FAST;
  return takeOnly(fast, manager, flow, start);
}

function takeOnly(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  const aggregate: Address = load<u32>(fast, AGGREGATE);
  if (aggregate && !addOneFree(manager, aggregate, port)) return NOT_FAST;
  addFirst(flow, port);
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees the only port of a flow. */
function freeOnly(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!hasOnly(flow, port)) return NOT_FAST;
  const aggregate: Address = load<u32>(fast, AGGREGATE);
  if (aggregate && !dropsFree(manager, aggregate, port)) return NOT_FAST;
  dropOnly(flow);
  countHeld(manager, -1);
  return 1;
}

// ── A batch ───────────────────────────────────────────────────────────────────────────────

/** Does a batch concern nothing but one bitmap? */
export function isForBatch(fast: Address, flow: Address): bool {
  const isSingle = load<u32>(fast, AGGREGATE) == 0 && isPlain(flow) && isBitmap(flow);
  return isSingle && searchedUnder(portsOf(flow), load<u32>(fast, MASK));
}

/** Takes a port for each of the `count` offsets in the batch, and returns how many. */
export function takeBatch(fast: Address, manager: Address, flow: Address, count: u32): u32 {
  const mask: Address = load<u32>(fast, MASK);
  const inverse = load<u32>(fast, INVERSE);
  const taken = takeClears(portsOf(flow), mask, load<u32>(fast, RANGE), inverse, BATCH, count);
  countPorts(flow, taken);
  countHeld(manager, taken);
  return taken;
}

/** Frees the `count` ports in the batch, and returns how many of them were held. */
export function freeBatch(manager: Address, flow: Address, count: u32): u32 {
  const freed = dropBits(portsOf(flow), BATCH, count);
  countPorts(flow, -freed);
  countHeld(manager, -freed);
  keep(manager, flow);
  return freed;
}

/** Keeps the bitmap, unless the manager's memory is limited. */
function keep(manager: Address, flow: Address): void {
  if (isLimited(manager)) trim(manager, flow);
}

/** Drops one in the aggregate if that frees no record; a flow there is freed with its last port. */
function dropsFree(manager: Address, aggregate: Address, port: Port): bool {
  if (countOf(aggregate) == 1 && isFlow(aggregate)) return false;
  return dropOneFree(manager, aggregate, port);
}
