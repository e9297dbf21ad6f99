// Lane: the straight way of a handle, where two comparisons tell that all is as it was.
//
//   lane  0 ┌──────────────────┐
//           │ shape       u32  │  the manager's, when the lane was opened
//         4 ├──────────────────┤
//           │ limits      u32  │  the version of ranges and reserved ports at that time
//         8 ├──────────────────┤
//           │ range       u32  │  what the handle may pick from
//        12 ├──────────────────┤
//           │ inverse     u32  │  of its count: a remainder without a division
//        16 ├──────────────────┤
//           │ mask        u32  │  bitmap of its reserved ports, or 0
//        20 ├──────────────────┤
//           │ follower    u32  │  the one set that counts the flow's ports, or 0
//        24 └──────────────────┘
//
// A lane is open while its flow blocks itself and nothing else does, and at most one set counts it
// (cached-plan.ts). Taking is then one search, one bit, and one more in the follower; nothing of it needs
// memory. Whatever is not that simple is left as it is, and the general way does the same.
//
// Must stay true: `limits` changes with every range of a manager or group and every list of reserved ports.

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
const FOLLOWER: usize = 20;
export const LANE_BYTES: u32 = 24;

/** What is answered where the general way must be taken. */
export const OFF_LANE: i32 = -128;

export function openLane(
  lane: Address,
  manager: Address,
  range: u32,
  mask: Address,
  follower: Address,
): void {
  store<u32>(lane, load<u32>(manager, TREE_VERSION), SEEN);
  store<u32>(lane, limitsVersion(), LIMITS);
  store<u32>(lane, range, RANGE);
  store<u32>(lane, inverseOf(countIn(range)), INVERSE);
  store<u32>(lane, <u32>mask, MASK);
  store<u32>(lane, <u32>follower, FOLLOWER);
}

export function closeLane(lane: Address, manager: Address): void {
  store<u32>(lane, load<u32>(manager, TREE_VERSION) - 1, SEEN);
  store<u32>(lane, limitsVersion(), LIMITS);
}

export function isOpen(lane: Address, manager: Address): bool {
  return load<u32>(lane, SEEN) == load<u32>(manager, TREE_VERSION) && isSettled(lane);
}

/** Have no limits changed since the lane was opened or closed? */
export function isSettled(lane: Address): bool {
  return load<u32>(lane, LIMITS) == limitsVersion();
}

/** Takes the first port that is open from an offset on: the port, `EXHAUSTED`, or `OFF_LANE`. */
export function takeInLane(lane: Address, manager: Address, flow: Address, offset: u32): i32 {
  if (load<u32>(lane, SEEN) != load<u32>(manager, TREE_VERSION)) return OFF_LANE;
  if (!isSettled(lane)) return OFF_LANE;
  if (!isPlain(flow)) return OFF_LANE;
  const range = load<u32>(lane, RANGE);
  const first = firstIn(range);
  const start = first + remainder(offset, countIn(range), load<u32>(lane, INVERSE));
  if (!isBitmap(flow)) return takeFirst(lane, manager, flow, start);
  const map = portsOf(flow);
  const mask: Address = load<u32>(lane, MASK);
  if (!searchedUnder(map, mask)) return OFF_LANE;
  const port = takeClear(map, mask, first, lastIn(range), start);
  if (!port) return EXHAUSTED;
  const follower: Address = load<u32>(lane, FOLLOWER);
  if (follower && !addOneFree(manager, follower, port)) {
    clearBit(map, port);
    return OFF_LANE;
  }
  countPorts(flow, 1);
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees a port: 1, 0 if it was not held, or `OFF_LANE`. */
export function freeInLane(lane: Address, manager: Address, flow: Address, port: Port): i32 {
  if (load<u32>(lane, SEEN) != load<u32>(manager, TREE_VERSION)) return OFF_LANE;
  if (!isSettled(lane)) return OFF_LANE;
  if (!isPlain(flow)) return OFF_LANE;
  if (!isBitmap(flow)) return freeOnly(lane, manager, flow, port);
  const map = portsOf(flow);
  if (!dropBit(map, port)) return 0;
  const follower: Address = load<u32>(lane, FOLLOWER);
  if (follower && !leaves(manager, follower, port)) {
    setBit(map, port);
    return OFF_LANE;
  }
  countPorts(flow, -1);
  countHeld(manager, -1);
  keep(manager, flow);
  return 1;
}

/**
 * Takes a port that was named: the port, `IN_USE`, or `OFF_LANE`. A flow with flags may share with itself
 * a port that is named, which the lane does not say.
 */
export function takeAtInLane(lane: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!isOpen(lane, manager) || flagsOf(flow) || !isPlain(flow)) return OFF_LANE;
  if (!isBitmap(flow)) return countOf(flow) ? OFF_LANE : takeOnly(lane, manager, flow, port);
  const map = portsOf(flow);
  if (hasBit(map, port)) return IN_USE;
  setBit(map, port);
  const follower: Address = load<u32>(lane, FOLLOWER);
  if (follower && !addOneFree(manager, follower, port)) {
    clearBit(map, port);
    return OFF_LANE;
  }
  countPorts(flow, 1);
  countHeld(manager, 1);
  return <i32>port;
}

// ── A flow with one port ──────────────────────────────────────────────────────────────────

/** A flow without ports takes the one that the search starts at. */
function takeFirst(lane: Address, manager: Address, flow: Address, start: Port): i32 {
  const mask: Address = load<u32>(lane, MASK);
  if (countOf(flow) || (mask && hasBit(mask, start))) return OFF_LANE;
  return takeOnly(lane, manager, flow, start);
}

function takeOnly(lane: Address, manager: Address, flow: Address, port: Port): i32 {
  const follower: Address = load<u32>(lane, FOLLOWER);
  if (follower && !addOneFree(manager, follower, port)) return OFF_LANE;
  addFirst(flow, port);
  countHeld(manager, 1);
  return <i32>port;
}

/** Such a flow frees its port. */
function freeOnly(lane: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!hasOnly(flow, port)) return OFF_LANE;
  const follower: Address = load<u32>(lane, FOLLOWER);
  if (follower && !leaves(manager, follower, port)) return OFF_LANE;
  dropOnly(flow);
  countHeld(manager, -1);
  return 1;
}

// ── A batch ───────────────────────────────────────────────────────────────────────────────

/** Can a whole batch go without a look at anything but one bitmap? */
export function isForBatch(lane: Address, flow: Address): bool {
  const isSingle = load<u32>(lane, FOLLOWER) == 0 && isPlain(flow) && isBitmap(flow);
  return isSingle && searchedUnder(portsOf(flow), load<u32>(lane, MASK));
}

/** Takes a port for each of the `count` offsets in the batch; how many there were. */
export function takeBatch(lane: Address, manager: Address, flow: Address, count: u32): u32 {
  const mask: Address = load<u32>(lane, MASK);
  const inverse = load<u32>(lane, INVERSE);
  const taken = takeClears(portsOf(flow), mask, load<u32>(lane, RANGE), inverse, BATCH, count);
  countPorts(flow, taken);
  countHeld(manager, taken);
  return taken;
}

/** Frees the `count` ports in the batch; how many of them were held. */
export function freeBatch(manager: Address, flow: Address, count: u32): u32 {
  const freed = dropBits(portsOf(flow), BATCH, count);
  countPorts(flow, -freed);
  countHeld(manager, -freed);
  keep(manager, flow);
  return freed;
}

/** A bitmap stays, unless memory is limited. */
function keep(manager: Address, flow: Address): void {
  if (isLimited(manager)) trim(manager, flow);
}

/** Does a follower lose the port without more ado? A flow of the aggregate goes with its last one. */
function leaves(manager: Address, follower: Address, port: Port): bool {
  if (countOf(follower) == 1 && isFlow(follower)) return false;
  return dropOneFree(manager, follower, port);
}
