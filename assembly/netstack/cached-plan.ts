// Memo: what a handle remembers of its plan, so that a take or free need not write it again.
//
// The plan of most flows is short and stays the same for long: the few sets that block, and the
// few that count the flow's ports (aggregates.ts). Both are addresses of nodes, so they are right as long
// as no node comes or goes; the manager's shape tells.
//
//   memo  0 ┌──────────────────┐
//           │ shape       u32  │  the manager's, when this was written
//         4 ├──────────────────┤
//           │ lone shape  u32  │  the same if the flow is alone: it blocks itself, nothing else
//         8 ├──────┬───────┬───┴────┐  does, and nothing counts it
//           │ fits │ block │ updateAggregates │  u8 each: 1 if the memo is all there is to know; how
//        12 ├──────┴───────┴───┬────┘  many blockers and followers
//           │ blockers  u32[4] │
//        28 ├──────────────────┤
//           │ followers u32[3] │
//        40 └──────────────────┘
//
// A memo fits when the handle has one network, nothing blocks in part, and all that counts the flow
// exists already. Even then a port that is held twice, or by another class of the destination,
// takes the general way: `plan`, then `hold` or `letGo`. Both ways do the same.

import { EXHAUSTED } from "../abi";
import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";
import { addOne, dropOne, dropOneFree, hasRoomFor, isPlain } from "../ports/counted";
import { findAmong, searchAllUnder } from "../ports/search";
import { addPort, countOf, hasPort, hasRoom, removeAndKeep } from "../ports/set";
import { countHeld, isHeldInRing } from "./aggregates";
import { aloneAt, aloneCount, isPlanned, partCount } from "./conflicts";
import {
  aggregateBindingOf,
  classIn,
  findAggregate,
  findFlow,
  flagsOf,
  isFlow,
  isOnlyClass,
  listOf,
  nextOf,
  parentOf,
  TREE_VERSION,
  TUPLE,
  uncountedFlowOf,
  WILDCARD,
} from "./records";

const SEEN: usize = 0;
const LONE_SEEN: usize = 4;
const FITS: usize = 8;
const BLOCKER_COUNT: usize = 9;
const FOLLOWER_COUNT: usize = 10;
const SIMPLE: usize = 11;
const BLOCKERS: usize = 12;
const FOLLOWERS: usize = 28;
export const MEMO_BYTES: u32 = 40;

const BLOCKERS_MAX: u32 = 4;

/** What `takeByMemo` answers where the general way must be taken. */
export const UNSURE: i32 = 0;

export function isCurrent(memo: Address, manager: Address): bool {
  return load<u32>(memo, SEEN) == load<u32>(manager, TREE_VERSION);
}

/** Is the flow alone, as far as the memo knows, and is the memo current? */
export function isLone(memo: Address, manager: Address): bool {
  return load<u32>(memo, LONE_SEEN) == load<u32>(manager, TREE_VERSION);
}

export function fits(memo: Address): bool {
  return load<u8>(memo, FITS) != 0;
}

/** Does the flow block itself and nothing else does, and is there one follower at most? */
export function isSimple(memo: Address): bool {
  return load<u8>(memo, SIMPLE) != 0;
}

/** The first follower, or 0. */
export function followerOf(memo: Address): Address {
  return load<u8>(memo, FOLLOWER_COUNT) ? <Address>load<u32>(memo, FOLLOWERS) : 0;
}

/** Notes the plan that has just been written for this flow and a list of reserved ports, if it fits. */
export function writeMemo(memo: Address, manager: Address, flow: Address, reserved: Address): void {
  const shape = load<u32>(manager, TREE_VERSION);
  const isFit = noteBlockers(memo) && noteFollowers(memo, manager, flow);
  store<u32>(memo, shape, SEEN);
  store<u8>(memo, isFit ? 1 : 0, FITS);
  const isSelf = isFit && blocksItself(memo, flow, reserved);
  store<u8>(memo, isSelf && load<u8>(memo, FOLLOWER_COUNT) <= 1 ? 1 : 0, SIMPLE);
  const isLone = isSelf && load<u8>(memo, FOLLOWER_COUNT) == 0;
  store<u32>(memo, isLone ? shape : shape - 1, LONE_SEEN);
}

/** A memo that fits nothing. */
export function clearMemo(memo: Address, manager: Address): void {
  const shape = load<u32>(manager, TREE_VERSION);
  store<u32>(memo, shape, SEEN);
  store<u32>(memo, shape - 1, LONE_SEEN);
  store<u8>(memo, 0, FITS);
  store<u8>(memo, 0, SIMPLE);
}

// ── Taking and freeing ────────────────────────────────────────────────────────────────────

/** Takes the first open port of a range: the port, a refusal, or `UNSURE`. */
export function takeByMemo(
  memo: Address,
  manager: Address,
  flow: Address,
  mask: Address,
  first: Port,
  last: Port,
  start: Port,
): i32 {
  const count = <u32>load<u8>(memo, BLOCKER_COUNT);
  searchAllUnder(memo + BLOCKERS, count, mask);
  const port = findAmong(memo + BLOCKERS, count, first, last, start);
  if (!port) return EXHAUSTED;
  if (!isPlain(flow) || isHeldInRing(flow, port)) return UNSURE;
  const end = followersEnd(memo);
  if (!hasRoom(flow)) return UNSURE;
  for (let at = memo + FOLLOWERS; at < end; at += 4) {
    if (!hasRoomFor(load<u32>(at), port)) return UNSURE;
  }
  addPort(manager, flow, port);
  for (let at = memo + FOLLOWERS; at < end; at += 4) addOne(manager, load<u32>(at), port);
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees a port if that is all there is to it. */
export function freeByMemo(memo: Address, manager: Address, flow: Address, port: Port): bool {
  if (!isPlain(flow) || !isHeldOnlyBy(flow, port)) return false;
  const end = followersEnd(memo);
  for (let at = memo + FOLLOWERS; at < end; at += 4) {
    const follower: Address = load<u32>(at);
    // A flow of the aggregate goes with its last port; a counter stays.
    if (countOf(follower) == 1 && isFlow(follower)) return false;
  }
  removeAndKeep(manager, flow, port);
  for (let at = memo + FOLLOWERS; at < end; at += 4) {
    const follower: Address = load<u32>(at);
    // Its pages stay, as in the lane.
    if (!dropOneFree(manager, follower, port)) dropOne(manager, follower, port);
  }
  countHeld(manager, -1);
  return true;
}

/** Does this flow hold the port, and no other class of its destination? */
function isHeldOnlyBy(flow: Address, port: Port): bool {
  if (!hasPort(flow, port)) return false;
  for (let item = nextOf(flow); item != flow; item = nextOf(item)) {
    if (hasPort(item, port)) return false;
  }
  return true;
}

/** The flow is the only class of its destination and, beside reserved ports, the only blocker. */
function blocksItself(memo: Address, flow: Address, reserved: Address): bool {
  const isOnly = load<u8>(memo, BLOCKER_COUNT) == (reserved ? 2 : 1);
  return isOnly && load<u32>(memo, BLOCKERS) == <u32>flow && isOnlyClass(flow);
}

function followersEnd(memo: Address): Address {
  return memo + FOLLOWERS + ((<usize>load<u8>(memo, FOLLOWER_COUNT)) << 2);
}

/** False if there are too many, or some block in part. */
function noteBlockers(memo: Address): bool {
  const count = aloneCount();
  if (!isPlanned() || partCount() || count > BLOCKERS_MAX) return false;
  for (let index: u32 = 0; index < count; index++) {
    store<u32>(memo + ((<usize>index) << 2), load<u32>(aloneAt(index)), BLOCKERS);
  }
  store<u8>(memo, <u8>count, BLOCKER_COUNT);
  return true;
}

/** False if some of those that count the flow do not exist yet, or are counted themselves. */
function noteFollowers(memo: Address, manager: Address, flow: Address): bool {
  const list = listOf(flow);
  const binding = parentOf(flow);
  store<u8>(memo, 0, FOLLOWER_COUNT);
  if (uncountedFlowOf(binding, list) != flow) {
    if (!noteFollower(memo, findAggregate(binding, list, flagsOf(flow)))) return false;
  }
  const aggregate = aggregateBindingOf(binding);
  if (!aggregate) return true;
  if (list == TUPLE) return noteFollower(memo, findAggregate(aggregate, list, flagsOf(flow)));
  const ring = findFlow(manager, aggregate, flow);
  const aggregateFlow = ring ? classIn(ring, flagsOf(flow)) : 0;
  return noteFollower(memo, aggregateFlow) && uncountedFlowOf(aggregate, WILDCARD) == aggregateFlow;
}

function noteFollower(memo: Address, set: Address): bool {
  if (!set) return false;
  const count = load<u8>(memo, FOLLOWER_COUNT);
  store<u32>(memo + ((<usize>count) << 2), <u32>set, FOLLOWERS);
  store<u8>(memo, count + 1, FOLLOWER_COUNT);
  return true;
}
