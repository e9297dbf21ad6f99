// FastPath: what a pool, or a repeated bind, remembers of its plan, so that an operation need not
// write it again. One comparison shows that nothing has changed since.
//
// The plan of most flows is short and rarely changes: a few sets block, and a few aggregates count
// the flow (aggregates.ts). Both lists are addresses of nodes, valid for one tree version; the
// range and the mask are valid for one version of the limits. Neither version ever goes back, so
// their sum changes with each of them.
//
//   fast    0 ┌──────────────────┐
//             │ versions     u64 │  sum of both versions when the plan was remembered
//           8 ├──────────────────┤
//             │ fast         u64 │  the same if the fast path is open, else ~0
//          16 ├──────────────────┤
//             │ range        u32 │  the pool's effective range
//          20 ├──────────────────┤
//             │ inverse      u32 │  of the range's count: a remainder without a division
//          24 ├──────────────────┤
//             │ mask         u32 │  bitmap of the reserved ports, or 0
//          28 ├──────────────────┤
//             │ blockers  u32[4] │
//          44 ├──────────────────┤
//             │ aggregates u32[3]│  the first is 0 if there are none
//          56 ├──────┬───────┬───┴──┬──────┐
//             │ fits │ block │ aggr.│ self │  u8 each: 1 if the lists are complete; their lengths; 1
//          60 └──────┴───────┴──────┴──────┘  if only the flow itself blocks it; fits is 2 if no holder
//                                              of the same destination shares a port
//
// The plan does not fit if a set blocks partially, an aggregate does not exist yet, or the lists are
// too long; then every operation writes its plan. A plan of several networks has the blockers and
// aggregates of all its flows. The fast path is open if there is one network, only the flow itself
// and reserved ports block, and at most one aggregate counts the flow. Then a take is one search and
// one bit, and one bit or extra count in the aggregate.
//
// Nothing here allocates memory. A port with an extra count, or one that another flow of the
// destination holds, and everything that needs memory is `NOT_FAST`: then nothing has changed, and
// the caller uses `plan`, `acquire` and `release`, which give the same results.

import { EXHAUSTED, IN_USE } from "../abi";
import { Address, isLimited } from "../memory/arena";
import { BATCH, LIST_OF_ONE, limitsVersion } from "../memory/layout";
import {
  bitmapWord,
  bitsFrom,
  clearBit,
  dropBit,
  dropBits,
  hasBit,
  Port,
  searchedUnder,
  searchUnder,
  setBit,
  takeClear,
  takeClears,
  WORD_SHIFT,
} from "../ports/bitmap";
import { addOneFree, dropOne, dropOneFree, isPlain } from "../ports/counted";
import { countIn, firstIn, inverseOf, isEmpty, lastIn, remainder } from "../ports/range";
import { findAmong, searchAllUnder } from "../ports/search";
import {
  addFirst,
  addPort,
  addToBitmap,
  countOf,
  countPorts,
  dropOnly,
  hasOnly,
  hasPort,
  hasRoom,
  isBitmap,
  portsOf,
  removeAndKeep,
  trim,
  wordOf,
} from "../ports/set";
import { isHeldInRing, totalInRing } from "./aggregates";
import { blockerAt, blockerCount, blocksEveryHolder, isPlanned, partialCount } from "./conflicts";
import {
  aggregateBindingOf,
  classIn,
  countFreed,
  countHeld,
  flagsOf,
  isFlow,
  isOnlyClass,
  listOf,
  nextOf,
  parentOf,
  TUPLE,
  treeVersionOf,
  uncountedFlowOf,
  WILDCARD,
} from "./records";
import { findAggregate, findFlow } from "./tree";

const VERSIONS: usize = 0;
const FAST: usize = 8;
const RANGE: usize = 16;
const INVERSE: usize = 20;
const MASK: usize = 24;
const BLOCKERS: usize = 28;
const AGGREGATES: usize = 44;
const FITS: usize = 56;
const BLOCKER_COUNT: usize = 57;
const AGGREGATE_COUNT: usize = 58;
const BLOCKS_ITSELF: usize = 59;
export const FAST_PATH_BYTES: u32 = 60;

const COVERS: u32 = 2;
const BLOCKERS_MAX: u32 = 4;
const AGGREGATES_MAX: u32 = 3;

/** The answer if the general operation must be used. Nothing has changed then. */
export const NOT_FAST: i32 = -128;

// ── Remembering ───────────────────────────────────────────────────────────────────────────

/** Have no records come or gone, and no limits changed, since the plan was remembered? */
export function isCurrent(fast: Address, manager: Address): bool {
  return load<u64>(fast, VERSIONS) == versionsOf(manager);
}

/**
 * Remembers the plan that has just been written for `count` flows in as many networks, its range,
 * and the mask of its reserved ports. `hasReserved`: reserved ports are in the plan.
 */
export function rememberPlan(
  fast: Address,
  manager: Address,
  flows: Address,
  count: u32,
  range: u32,
  mask: Address,
  hasReserved: bool,
): void {
  forgetPlan(fast, manager);
  if (!noteBlockers(fast)) return;
  const end = endOf(flows, count);
  for (let at = flows; at < end; at += 4) {
    if (!noteAggregates(fast, manager, load<u32>(at))) return;
  }
  store<u8>(fast, blocksEveryHolder() ? COVERS : 1, FITS);
  store<u32>(fast, <u32>mask, MASK);
  store<u32>(fast, range, RANGE);
  if (!isEmpty(range)) store<u32>(fast, inverseOf(countIn(range)), INVERSE);
  const flow: Address = load<u32>(flows);
  const isOnly = count == 1 && load<u8>(fast, BLOCKER_COUNT) == (hasReserved ? 2 : 1);
  if (!isOnly || load<u32>(fast, BLOCKERS) != <u32>flow || !isOnlyClass(flow)) return;
  store<u8>(fast, 1, BLOCKS_ITSELF);
  if (load<u8>(fast, AGGREGATE_COUNT) > 1 || isEmpty(range)) return;
  store<u64>(fast, versionsOf(manager), FAST);
  // The fast path compares the mask's address only, so the summaries must be up to date now.
  if (isBitmap(flow)) searchUnder(portsOf(flow), mask);
}

/** Remembers that every operation has to write its plan. */
export function forgetPlan(fast: Address, manager: Address): void {
  store<u64>(fast, versionsOf(manager), VERSIONS);
  store<u64>(fast, ~0, FAST);
  store<u32>(fast, 0, FITS); // and all that lies behind it
  store<u32>(fast, 0, AGGREGATES);
}

/** Is the plan current, does only the flow block itself, and does no aggregate count it? */
export function isUncontended(fast: Address, manager: Address): bool {
  if (!isCurrent(fast, manager) || load<u8>(fast, BLOCKS_ITSELF) == 0) return false;
  return load<u8>(fast, AGGREGATE_COUNT) == 0;
}

function versionsOf(manager: Address): u64 {
  return treeVersionOf(manager) + limitsVersion();
}

/** False if there are too many blockers, or a set blocks partially. */
function noteBlockers(fast: Address): bool {
  const count = blockerCount();
  if (!isPlanned() || partialCount() || count > BLOCKERS_MAX) return false;
  for (let index: u32 = 0; index < count; index++) {
    store<u32>(fast + ((<usize>index) << 2), load<u32>(blockerAt(index)), BLOCKERS);
  }
  store<u8>(fast, <u8>count, BLOCKER_COUNT);
  return true;
}

/** False if an aggregate does not exist yet, or a flow that counts this one is counted itself. */
function noteAggregates(fast: Address, manager: Address, flow: Address): bool {
  const list = listOf(flow);
  const flags = flagsOf(flow);
  const binding = parentOf(flow);
  if (uncountedFlowOf(binding, list) != flow) {
    if (!noteAggregate(fast, findAggregate(binding, list, flags))) return false;
  }
  const aggregate = aggregateBindingOf(binding);
  if (!aggregate) return true;
  let counter: Address;
  if (list == TUPLE) {
    counter = findAggregate(aggregate, list, flags);
  } else {
    const ring = findFlow(manager, aggregate, flow);
    counter = ring ? classIn(ring, flags) : 0;
    if (uncountedFlowOf(aggregate, WILDCARD) != counter) return false;
  }
  return noteAggregate(fast, counter);
}

function noteAggregate(fast: Address, set: Address): bool {
  const count = <u32>load<u8>(fast, AGGREGATE_COUNT);
  if (!set || count == AGGREGATES_MAX) return false;
  store<u32>(fast + ((<usize>count) << 2), <u32>set, AGGREGATES);
  store<u8>(fast, <u8>(count + 1), AGGREGATE_COUNT);
  return true;
}

// ── Taking and freeing ────────────────────────────────────────────────────────────────────

/** Takes the first acceptable port from an offset on: the port, `EXHAUSTED`, or `NOT_FAST`. */
export function takeFast(fast: Address, manager: Address, flow: Address, offset: u32): i32 {
  if (!isFast(fast, manager) || !isPlain(flow)) return NOT_FAST;
  const range = load<u32>(fast, RANGE);
  const first = firstIn(range);
  const start = first + remainder(offset, countIn(range), load<u32>(fast, INVERSE));
  const mask: Address = load<u32>(fast, MASK);
  if (!isBitmap(flow)) {
    // A flow without ports takes the port at which the search starts.
    if (countOf(flow) || (mask && hasBit(mask, start))) return NOT_FAST;
    return acquireOnly(fast, manager, flow, start);
  }
  const map = portsOf(flow);
  if (!searchedUnder(map, mask)) return NOT_FAST;
  const port = takeClear(map, mask, first, lastIn(range), start);
  return port ? acquireBit(fast, manager, flow, port) : EXHAUSTED;
}

/**
 * Takes an explicit port: the port, `IN_USE`, or `NOT_FAST`. A flow with flags may hold an explicit
 * port twice, which the fast path does not know.
 */
export function takeAtFast(fast: Address, manager: Address, flows: Address, port: Port): i32 {
  const flow: Address = load<u32>(flows);
  if (!isFast(fast, manager) || flagsOf(flow)) return NOT_FAST;
  if (hasPort(flow, port)) return IN_USE;
  if (!acquireCounted(fast, manager, flows, 1, port)) return NOT_FAST;
  countHeld(manager, 1);
  return <i32>port;
}

/** Frees a port: 1, 0 if it was not held, or `NOT_FAST`. */
export function freeFast(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!isFast(fast, manager) || !isPlain(flow)) return NOT_FAST;
  if (!isBitmap(flow)) return releaseOnly(fast, manager, flow, port);
  return dropBit(portsOf(flow), port) ? releaseBit(fast, manager, flow, port) : 0;
}

/**
 * Takes the first acceptable port of a range for `count` flows by a plan that is current: the port,
 * `EXHAUSTED`, or `NOT_FAST`.
 */
export function takeCached(
  fast: Address,
  manager: Address,
  flows: Address,
  count: u32,
  range: u32,
  offset: u32,
): i32 {
  store<u32>(LIST_OF_ONE, offset);
  const end = takeEach(fast, manager, flows, count, range, LIST_OF_ONE, 0, 1);
  return end > 0 ? <i32>load<u16>(LIST_OF_ONE) : end;
}

/**
 * Frees a port that only these flows hold, each once, by a plan that is current: how many they are,
 * or `NOT_FAST`.
 */
export function freeCached(
  fast: Address,
  manager: Address,
  flows: Address,
  count: u32,
  port: Port,
): i32 {
  if (load<u8>(fast, FITS) == 0) return NOT_FAST;
  const flowsEnd = endOf(flows, count);
  for (let at = flows; at < flowsEnd; at += 4) {
    const flow: Address = load<u32>(at);
    if (!hasPort(flow, port)) return NOT_FAST;
    for (let item = nextOf(flow); item != flow; item = nextOf(item)) {
      if (hasPort(item, port) || !isPlain(item)) return NOT_FAST;
    }
    if (!isPlain(flow) && totalInRing(flow, port) != 1) return NOT_FAST;
  }
  const end = aggregatesEnd(fast);
  for (let at = fast + AGGREGATES; at < end; at += 4) {
    const aggregate: Address = load<u32>(at);
    // A flow of the any-address aggregate is freed with its last port; an aggregate stays.
    if (countOf(aggregate) == 1 && isFlow(aggregate)) return NOT_FAST;
  }
  for (let at = flows; at < flowsEnd; at += 4) {
    removeAndKeep(manager, load<u32>(at), port);
  }
  dropInAggregates(fast, manager, end, port);
  countFreed(manager, count);
  return count;
}

/** Is the fast path open, and is its plan current? */
function isFast(fast: Address, manager: Address): bool {
  return load<u64>(fast, FAST) == versionsOf(manager);
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────

/** Does a batch concern nothing but one bitmap? */
export function isForBatch(fast: Address, manager: Address, flow: Address): bool {
  if (!isFast(fast, manager) || load<u8>(fast, AGGREGATE_COUNT) != 0) return false;
  if (!isPlain(flow) || !isBitmap(flow)) return false;
  return searchedUnder(portsOf(flow), load<u32>(fast, MASK));
}

/** Takes a port for each of the `count` offsets in the batch, and returns how many. */
export function takeBatch(fast: Address, manager: Address, flow: Address, count: u32): u32 {
  const mask: Address = load<u32>(fast, MASK);
  const inverse = load<u32>(fast, INVERSE);
  const taken = takeClears(portsOf(flow), mask, load<u32>(fast, RANGE), inverse, BATCH, count);
  countBits(manager, flow, taken);
  return taken;
}

/** Frees the `count` ports in the batch, and returns how many of them were held. */
export function freeBatch(manager: Address, flow: Address, count: u32): u32 {
  const freed = dropBits(portsOf(flow), BATCH, count);
  countPorts(flow, -freed);
  countFreed(manager, freed);
  if (isLimited(manager)) trim(manager, flow);
  return freed;
}

// ── Acquiring and releasing, where that needs no memory ───────────────────────────────────
// The general functions of these names are in aggregates.ts.

/** The bit of the port has been set in the flow's bitmap: counts it, or clears it again. */
function acquireBit(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  const aggregate: Address = load<u32>(fast, AGGREGATES);
  if (aggregate && !addOneFree(manager, aggregate, port)) {
    clearBit(portsOf(flow), port);
    return NOT_FAST;
  }
  countBits(manager, flow, 1);
  return <i32>port;
}

/** The bit of the port has been cleared: counts that, or sets it again. */
function releaseBit(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  const aggregate: Address = load<u32>(fast, AGGREGATES);
  if (aggregate && !dropInAggregate(manager, aggregate, port)) {
    setBit(portsOf(flow), port);
    return NOT_FAST;
  }
  countPorts(flow, -1);
  countFreed(manager, 1);
  if (isLimited(manager)) trim(manager, flow);
  return 1;
}

/** A flow without ports and without a bitmap acquires a port. */
function acquireOnly(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  const aggregate: Address = load<u32>(fast, AGGREGATES);
  if (aggregate && !addOneFree(manager, aggregate, port)) return NOT_FAST;
  addFirst(flow, port);
  countHeld(manager, 1);
  return <i32>port;
}

/** A flow without a bitmap releases its only port. */
function releaseOnly(fast: Address, manager: Address, flow: Address, port: Port): i32 {
  if (!hasOnly(flow, port)) return NOT_FAST;
  const aggregate: Address = load<u32>(fast, AGGREGATES);
  if (aggregate && !dropInAggregate(manager, aggregate, port)) return NOT_FAST;
  dropOnly(flow);
  countFreed(manager, 1);
  return 1;
}

// ── Flows of any size, with any number of aggregates ──────────────────────────────────────

/**
 * Takes the first acceptable port of a range for each of the offsets `from..until - 1` of a list, 4
 * bytes each, by a plan that is current. The offsets are replaced by ports, 2 bytes each. Returns
 * the index of the first offset that it could not serve, or `until`. If that is the very first
 * offset, it returns the reason instead: `NOT_FAST` or `EXHAUSTED`.
 */
export function takeEach(
  fast: Address,
  manager: Address,
  flows: Address,
  count: u32,
  range: u32,
  list: Address,
  from: u32,
  until: u32,
): i32 {
  if (load<u8>(fast, FITS) == 0) return NOT_FAST;
  const sets = fast + BLOCKERS;
  const blockers = <u32>load<u8>(fast, BLOCKER_COUNT);
  const setsEnd = endOf(sets, blockers);
  const first = firstIn(range);
  const ports = countIn(range);
  const inverse = range == load<u32>(fast, RANGE) ? load<u32>(fast, INVERSE) : inverseOf(ports);
  let refusal = NOT_FAST;
  let index = from;
  for (; index < until; index++) {
    const offset = load<u32>(list + ((<usize>index) << 2));
    const start = first + remainder(offset, ports, inverse);
    const word = start >> WORD_SHIFT;
    let open = bitsFrom(start);
    for (let at = sets; at < setsEnd; at += 4) {
      const set: Address = load<u32>(at);
      open &= ~(isBitmap(set) ? bitmapWord(portsOf(set), word) : wordOf(set, word));
    }
    let port = (word << WORD_SHIFT) + <u32>ctz(open);
    if (!open || port > lastIn(range)) {
      searchAllUnder(sets, blockers, load<u32>(fast, MASK));
      port = findAmong(sets, blockers, first, lastIn(range), start);
      if (!port) refusal = EXHAUSTED;
    }
    if (!port || !acquireCounted(fast, manager, flows, count, port)) break;
    store<u16>(list + ((<usize>index) << 1), <u16>port);
  }
  countHeld(manager, count * (index - from));
  return index > from ? <i32>index : refusal;
}

/**
 * The flows acquire a port that their plan does not block. False: the general operation must do it.
 */
function acquireCounted(
  fast: Address,
  manager: Address,
  flows: Address,
  count: u32,
  port: Port,
): bool {
  const flowsEnd = endOf(flows, count);
  const isFree = load<u8>(fast, FITS) == COVERS;
  for (let at = flows; at < flowsEnd; at += 4) {
    const flow: Address = load<u32>(at);
    // A port that no flow of the destination holds has no extra counts either.
    if (!hasRoom(flow) || (!isFree && isHeldInRing(flow, port))) return false;
  }
  const end = aggregatesEnd(fast);
  for (let at = fast + AGGREGATES; at < end; at += 4) {
    if (addOneFree(manager, load<u32>(at), port)) continue;
    dropInAggregates(fast, manager, at, port);
    return false;
  }
  for (let at = flows; at < flowsEnd; at += 4) {
    const flow: Address = load<u32>(at);
    if (isBitmap(flow)) addToBitmap(flow, port);
    else addPort(manager, flow, port);
  }
  return true;
}

/** Drops one in the aggregates of the list up to `end`. */
function dropInAggregates(fast: Address, manager: Address, end: Address, port: Port): void {
  for (let at = fast + AGGREGATES; at < end; at += 4) {
    const aggregate: Address = load<u32>(at);
    if (!dropOneFree(manager, aggregate, port)) dropOne(manager, aggregate, port);
  }
}

// ── Counting ──────────────────────────────────────────────────────────────────────────────

/** Bits of the flow's bitmap have been set. */
function countBits(manager: Address, flow: Address, count: u32): void {
  countPorts(flow, count);
  countHeld(manager, count);
}

/**
 * Drops one in the aggregate, unless that frees a record: a flow there is freed with its last port.
 */
function dropInAggregate(manager: Address, aggregate: Address, port: Port): bool {
  if (countOf(aggregate) == 1 && isFlow(aggregate)) return false;
  return dropOneFree(manager, aggregate, port);
}

function aggregatesEnd(fast: Address): Address {
  return endOf(fast + AGGREGATES, load<u8>(fast, AGGREGATE_COUNT));
}

/** Behind a list of so many addresses. */
function endOf(list: Address, count: u32): Address {
  return list + ((<usize>count) << 2);
}
