// CachedPlan: the plan of a pool or of a repeated bind, kept between operations.
//
// The plan of most flows is short and rarely changes: a few sets block, and a few aggregates count
// the flow (aggregates.ts). Both lists are addresses of nodes, so they are valid as long as the
// manager's tree version stays the same.
//
//   cached  0 ┌──────────────────┐
//             │ version     u32  │  the tree version when the plan was cached
//           4 ├──────────────────┤
//             │ uncontended u32  │  the same version if only the flow blocks itself and no
//           8 ├──────┬───────┬───┴────┐  aggregate counts it
//             │ fits │ block │ aggr.  │  u8 each: 1 if the lists are complete; their lengths; and
//          12 ├──────┴───────┴───┬────┘  1 if the fast path may be used
//             │ blockers  u32[4] │
//          28 ├──────────────────┤
//             │ aggregates u32[3]│
//          40 └──────────────────┘
//
// A plan fits when the pool has one network, no set blocks partially, and all aggregates of the flow
// exist. For a port with an extra count, or one that another flow of the destination holds, the
// general operation is used all the same: `plan`, then `hold` or `letGo`. Results are the same.

import { EXHAUSTED } from "../abi";
import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";
import { addOne, dropOne, dropOneFree, hasRoomFor, isPlain } from "../ports/counted";
import { findAmong, searchAllUnder } from "../ports/search";
import { addPort, countOf, hasPort, hasRoom, removeAndKeep } from "../ports/set";
import { countHeld, isHeldInRing } from "./aggregates";
import { blockerAt, blockerCount, isPlanned, partialCount } from "./conflicts";
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
const UNCONTENDED_VERSION: usize = 4;
const FITS: usize = 8;
const BLOCKER_COUNT: usize = 9;
const AGGREGATE_COUNT: usize = 10;
const ALLOWS_FAST_PATH: usize = 11;
const BLOCKERS: usize = 12;
const AGGREGATES: usize = 28;
export const CACHED_PLAN_BYTES: u32 = 40;

const BLOCKERS_MAX: u32 = 4;

/** The answer of `takeByCachedPlan` if the general operation must be used. */
export const NOT_CACHED: i32 = 0;

export function isCurrent(cached: Address, manager: Address): bool {
  return load<u32>(cached, SEEN) == load<u32>(manager, TREE_VERSION);
}

/** Is the plan current, does only the flow block itself, and does no aggregate count it? */
export function isUncontended(cached: Address, manager: Address): bool {
  return load<u32>(cached, UNCONTENDED_VERSION) == load<u32>(manager, TREE_VERSION);
}

export function fits(cached: Address): bool {
  return load<u8>(cached, FITS) != 0;
}

/** Does only the flow block itself, and does at most one aggregate count it? */
export function allowsFastPath(cached: Address): bool {
  return load<u8>(cached, ALLOWS_FAST_PATH) != 0;
}

/** The first aggregate that counts the flow, or 0. */
export function aggregateOf(cached: Address): Address {
  return load<u8>(cached, AGGREGATE_COUNT) ? <Address>load<u32>(cached, AGGREGATES) : 0;
}

/** Caches the plan that has just been written for this flow and these reserved ports, if it fits. */
export function cachePlan(
  cached: Address,
  manager: Address,
  flow: Address,
  reserved: Address,
): void {
  const shape = load<u32>(manager, TREE_VERSION);
  const isFit = noteBlockers(cached) && noteAggregates(cached, manager, flow);
  store<u32>(cached, shape, SEEN);
  store<u8>(cached, isFit ? 1 : 0, FITS);
  const isSelf = isFit && blocksItself(cached, flow, reserved);
  store<u8>(cached, isSelf && load<u8>(cached, AGGREGATE_COUNT) <= 1 ? 1 : 0, ALLOWS_FAST_PATH);
  const isUncontended = isSelf && load<u8>(cached, AGGREGATE_COUNT) == 0;
  store<u32>(cached, isUncontended ? shape : shape - 1, UNCONTENDED_VERSION);
}

/** Caches that there is no plan which fits. */
export function clearCachedPlan(cached: Address, manager: Address): void {
  const shape = load<u32>(manager, TREE_VERSION);
  store<u32>(cached, shape, SEEN);
  store<u32>(cached, shape - 1, UNCONTENDED_VERSION);
  store<u8>(cached, 0, FITS);
  store<u8>(cached, 0, ALLOWS_FAST_PATH);
}

// ── Taking and freeing ────────────────────────────────────────────────────────────────────

/** Takes the first acceptable port of a range: the port, a refusal, or `NOT_CACHED`. */
export function takeByCachedPlan(
  cached: Address,
  manager: Address,
  flow: Address,
  mask: Address,
  first: Port,
  last: Port,
  start: Port,
): i32 {
  const count = <u32>load<u8>(cached, BLOCKER_COUNT);
  searchAllUnder(cached + BLOCKERS, count, mask);
  const port = findAmong(cached + BLOCKERS, count, first, last, start);
  if (!port) return EXHAUSTED;
  if (!isPlain(flow) || isHeldInRing(flow, port)) return NOT_CACHED;
  const end = aggregatesEnd(cached);
  if (!hasRoom(flow)) return NOT_CACHED;
  for (let at = cached + AGGREGATES; at < end; at += 4) {
    if (!hasRoomFor(load<u32>(at), port)) return NOT_CACHED;
  }
  addPort(manager, flow, port);
  for (let at = cached + AGGREGATES; at < end; at += 4) addOne(manager, load<u32>(at), port);
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees a port that only this flow holds, once. False: the general operation must be used. */
export function freeByCachedPlan(
  cached: Address,
  manager: Address,
  flow: Address,
  port: Port,
): bool {
  if (!isPlain(flow) || !isHeldOnlyBy(flow, port)) return false;
  const end = aggregatesEnd(cached);
  for (let at = cached + AGGREGATES; at < end; at += 4) {
    const aggregate: Address = load<u32>(at);
    // A flow of the any-address aggregate is freed with its last port; an aggregate stays.
    if (countOf(aggregate) == 1 && isFlow(aggregate)) return false;
  }
  removeAndKeep(manager, flow, port);
  for (let at = cached + AGGREGATES; at < end; at += 4) {
    const aggregate: Address = load<u32>(at);
    // The pages of its extra counts stay, as on the fast path.
    if (!dropOneFree(manager, aggregate, port)) dropOne(manager, aggregate, port);
  }
  countHeld(manager, -1);
  return true;
}

/** Does this flow hold the port, and no other flow of its destination? */
function isHeldOnlyBy(flow: Address, port: Port): bool {
  if (!hasPort(flow, port)) return false;
  for (let item = nextOf(flow); item != flow; item = nextOf(item)) {
    if (hasPort(item, port)) return false;
  }
  return true;
}

/** Is the flow the only one of its destination and, beside reserved ports, the only blocker? */
function blocksItself(cached: Address, flow: Address, reserved: Address): bool {
  const isOnly = load<u8>(cached, BLOCKER_COUNT) == (reserved ? 2 : 1);
  return isOnly && load<u32>(cached, BLOCKERS) == <u32>flow && isOnlyClass(flow);
}

function aggregatesEnd(cached: Address): Address {
  return cached + AGGREGATES + ((<usize>load<u8>(cached, AGGREGATE_COUNT)) << 2);
}

/** False if there are too many blockers, or a set blocks partially. */
function noteBlockers(cached: Address): bool {
  const count = blockerCount();
  if (!isPlanned() || partialCount() || count > BLOCKERS_MAX) return false;
  for (let index: u32 = 0; index < count; index++) {
    store<u32>(cached + ((<usize>index) << 2), load<u32>(blockerAt(index)), BLOCKERS);
  }
  store<u8>(cached, <u8>count, BLOCKER_COUNT);
  return true;
}

/** False if an aggregate does not exist yet, or a flow that counts this one is counted itself. */
function noteAggregates(cached: Address, manager: Address, flow: Address): bool {
  const list = listOf(flow);
  const binding = parentOf(flow);
  store<u8>(cached, 0, AGGREGATE_COUNT);
  if (uncountedFlowOf(binding, list) != flow) {
    if (!noteAggregate(cached, findAggregate(binding, list, flagsOf(flow)))) return false;
  }
  const aggregate = aggregateBindingOf(binding);
  if (!aggregate) return true;
  if (list == TUPLE) return noteAggregate(cached, findAggregate(aggregate, list, flagsOf(flow)));
  const ring = findFlow(manager, aggregate, flow);
  const aggregateFlow = ring ? classIn(ring, flagsOf(flow)) : 0;
  return (
    noteAggregate(cached, aggregateFlow) && uncountedFlowOf(aggregate, WILDCARD) == aggregateFlow
  );
}

function noteAggregate(cached: Address, set: Address): bool {
  if (!set) return false;
  const count = load<u8>(cached, AGGREGATE_COUNT);
  store<u32>(cached + ((<usize>count) << 2), <u32>set, AGGREGATES);
  store<u8>(cached, count + 1, AGGREGATE_COUNT);
  return true;
}
