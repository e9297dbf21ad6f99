// Pools: a pool keeps flows open, so that their ports are taken and freed with numbers alone.
//
//   pool    0 ┌──────────────────┐
//             │ manager     u32  │
//           4 ├──────────────────┤
//             │ next        u32  │  open pools of the manager
//           8 ├──────────────────┤
//             │ previous    u32  │
//          12 ├──────┬───────────┴──┬──────┐
//             │ count│ excl. │unique│ kind │  u8 each: number of networks; 1 if no port is shared
//          16 ├──────┴───────┴──────┴──────┤  (TCP and port 0); 1 if tuples are unique, TupleOnly or
//             │ group                  u32 │  not; which of the group's ranges applies
//          20 ├────────────────────────────┤
//             │ reserved               u32 │  a list of ports to skip, or 0
//          24 ├────────────────────────────┤
//             │ fast path        60 bytes  │  (fast-path.ts)
//          84 ├────────────────────────────┤
//             │ place                  u32 │  the index in the range where the next search begins, of
//          88 ├────────────────────────────┤  pools that count ports up
//             │ flow     u32, per network  │
//             └────────────────────────────┘
//
// The flows of an open pool exist even without ports. Ports stay held when the pool closes: they
// belong to the manager, and reservations and pools see the same state.

import {
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  IN_USE,
  MODE_BIND,
  NO_MEMORY,
  OUTSIDE_GROUP,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_RESERVED,
} from "../abi";
import { allows, clamp, enterGroup, leaveGroup } from "../groups/tree";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH, REQUEST } from "../memory/layout";
import { pushFirst, takeOut } from "../memory/list";
import { Port } from "../ports/bitmap";
import { countIn, firstIn, intersect, isEmpty, lastIn, rangeOf } from "../ports/range";
import { maskOfReserved } from "../ports/reserved";
import { countOf, hasPort, trim } from "../ports/set";
import { advance, counterAt } from "../selection/selector";
import { acquire, chargeAcquire, releaseAll } from "./aggregates";
import {
  beginPlan,
  findInRange,
  isBlocked,
  isPlanned,
  planAddress,
  planAnyAddress,
  planReserved,
  planUnique,
} from "./conflicts";
import {
  FAST_PATH_BYTES,
  freeBatch,
  freeCached,
  freeFast,
  isCurrent,
  isForBatch,
  NOT_FAST,
  rememberPlan,
  takeAtFast,
  takeBatch,
  takeCached,
  takeEach,
  takeFast,
} from "./fast-path";
import { isExclusive, wantedOf } from "./flags";
import {
  anyHostOf,
  countOpenPools,
  deviceOf,
  ephemeralRangeOf,
  flagsOf,
  openPoolsOf,
  parentOf,
  poolList,
  transportOf,
} from "./records";
import { chargeRequested, openBelow } from "./reservations";
import { keepEmptied, settleFlow } from "./tree";

const MANAGER: usize = 0;
const LINKS: usize = 4;
const COUNT: usize = 12;
const EXCLUSIVE: usize = 13;
const UNIQUE: usize = 14;
const KIND: usize = 15;
const GROUP: usize = 16;
const RESERVED: usize = 20;
const FAST_PATH: usize = 24;
const PLACE: usize = FAST_PATH + <usize>FAST_PATH_BYTES;
const FLOWS: usize = PLACE + 4;
if (FLOWS != 88) ERROR("Pool no longer matches its diagram");

/** A pool for what the request block describes, or 0 when there is no memory. */
export function openPool(manager: Address, mode: u32, unique: u32): Address {
  const count = load<u32>(REQUEST + REQUEST_NETWORK_COUNT);
  const bytes = <u32>FLOWS + (count << 2);
  beginBill();
  chargeBlock(bytes);
  for (let index: u32 = 0; index < count; index++) chargeRequested(manager, index);
  if (!canPay(manager)) return 0;

  const pool = allocZero(manager, bytes);

  assert(pool != 0); // charged too little
  store<u32>(pool, <u32>manager, MANAGER);
  store<u8>(pool, <u8>unique, UNIQUE);
  store<u8>(pool, <u8>count, COUNT);
  store<u8>(pool, <u8>(mode == MODE_BIND ? GROUP_BIND : GROUP_CONNECT), KIND);
  store<u32>(pool, load<u32>(REQUEST + REQUEST_GROUP), GROUP);
  store<u32>(pool, load<u32>(REQUEST + REQUEST_RESERVED), RESERVED);
  enterGroup(groupOf(pool));
  for (let index: u32 = 0; index < count; index++) {
    const flow = openBelow(manager, index);
    countOpenPools(flow, 1);
    store<u32>(flowAt(pool, index), <u32>flow, FLOWS);
  }
  const transport = transportOf(spaceOf(firstFlowOf(pool)));
  store<u8>(pool, isExclusive(transport, mode == MODE_BIND) ? 1 : 0, EXCLUSIVE);
  pushFirst(poolList(manager), pool, LINKS);
  remember(pool);
  return pool;
}

export function closePool(pool: Address): void {
  const manager = managerOf(pool);
  takeOut(poolList(manager), pool, LINKS);
  leaveGroup(groupOf(pool), 1);
  closeFlows(pool);
  keepEmptied(manager);
  free(manager, pool);
}

/** Moves the pool to another group; 0: no group. Its ports stay held. */
export function movePool(pool: Address, group: Address): void {
  enterGroup(group);
  leaveGroup(groupOf(pool), 1);
  store<u32>(pool, <u32>group, GROUP);
  remember(pool);
}

/** Frees the records of a manager's pools when the manager closes. */
export function freePools(manager: Address): void {
  let pool: Address = load<u32>(poolList(manager));
  while (pool) {
    const next = load<u32>(pool, LINKS);
    leaveGroup(groupOf(pool), 1);
    free(manager, pool);
    pool = next;
  }
}

// ── Taking and freeing ────────────────────────────────────────────────────────────────────

/** Takes the first acceptable port of the pool's range from that offset on. */
export function take(pool: Address, offset: u32): i32 {
  const port = takeFast(pool + FAST_PATH, managerOf(pool), firstFlowOf(pool), offset);
  return port == NOT_FAST ? takeFrom(pool, poolRange(pool), offset) : port;
}

/** Takes the first acceptable port from the place on, and moves the place behind it. */
export function takeNext(pool: Address): i32 {
  const port = take(pool, placeOf(pool));
  if (port > 0) setPlace(pool, port - firstIn(poolRange(pool)) + 1);
  return port;
}

export function placeOf(pool: Address): u32 {
  return load<u32>(pool, PLACE);
}

export function setPlace(pool: Address, index: u32): void {
  store<u32>(pool, index, PLACE);
}

/**
 * Takes the first acceptable port from the offset hash + counter on, and moves the counter by the
 * number of ports that were tried (RFC 6056 § 3.3.3, § 3.3.4).
 */
export function takeHashed(pool: Address, selector: Address, slot: u32, hash: u32): i32 {
  const offset = counterAt(selector, slot) + hash;
  const port = take(pool, offset);
  if (port <= 0) return port;
  const range = poolRange(pool);
  const count = countIn(range);
  const start = firstIn(range) + (offset % count);
  advance(selector, slot, port - start + 1 + (<u32>port < start ? count : 0));
  return port;
}

/** Takes the first acceptable port of a part of the pool's range. */
export function takeBetween(pool: Address, first: Port, last: Port, offset: u32): i32 {
  return takeFrom(pool, intersect(poolRange(pool), rangeOf(first, last)), offset);
}

/** The manager's ephemeral range, as far as the pool's group allows. */
export function poolRange(pool: Address): u32 {
  return clamp(ephemeralRangeOf(managerOf(pool)), groupOf(pool), kindOf(pool));
}

function takeFrom(pool: Address, range: u32, offset: u32): i32 {
  if (isEmpty(range)) return EMPTY_RANGE;
  refresh(pool);
  const flows = pool + FLOWS;
  const fast = pool + FAST_PATH;
  const taken = takeCached(fast, managerOf(pool), flows, load<u8>(pool, COUNT), range, offset);
  return taken == NOT_FAST ? takeAnyway(pool, range, offset) : taken;
}

/** Takes the first acceptable port of a range that is not empty by a plan of its own. */
function takeAnyway(pool: Address, range: u32, offset: u32): i32 {
  planFlows(pool, isExclusivePool(pool));
  planReserved(reservedOf(pool));
  const port = findInRange(firstIn(range), lastIn(range), offset, 0);
  if (!isPlanned()) return NO_MEMORY;
  return port ? acquirePort(pool, port) : EXHAUSTED;
}

/** Takes an explicit port. */
export function takeAt(pool: Address, port: Port): i32 {
  if (!allows(groupOf(pool), kindOf(pool), port)) return OUTSIDE_GROUP;
  const taken = takeAtFast(pool + FAST_PATH, managerOf(pool), pool + FLOWS, port);
  if (taken != NOT_FAST) return taken;
  planFlows(pool, false);
  const isTaken = isBlocked(port);
  if (!isPlanned()) return NO_MEMORY;
  return isTaken ? IN_USE : acquirePort(pool, port);
}

/** Takes a port for each of the `count` offsets in the batch, and returns how many. */
export function takeMany(pool: Address, count: u32): u32 {
  const manager = managerOf(pool);
  const flow = firstFlowOf(pool);
  const fast = pool + FAST_PATH;
  if (isForBatch(fast, manager, flow)) return takeBatch(fast, manager, flow, count);
  const flows = pool + FLOWS;
  const networks = <u32>load<u8>(pool, COUNT);
  const range = poolRange(pool);
  let index: u32 = isEmpty(range) ? count : 0;
  while (index < count) {
    refresh(pool);
    const end = takeEach(fast, manager, flows, networks, range, BATCH, index, count);
    if (end == EXHAUSTED) return index;
    if (end > 0) {
      index = end;
      continue;
    }
    const port = takeAnyway(pool, range, load<u32>(BATCH + ((<usize>index) << 2)));
    if (port < 0) return index;
    store<u16>(BATCH + ((<usize>index) << 1), <u16>port);
    index++;
  }
  return isEmpty(range) ? 0 : count;
}

/** Frees a port and returns in how many networks it was held, or `NO_MEMORY`. */
export function freePort(pool: Address, port: Port): i32 {
  const manager = managerOf(pool);
  const flow = firstFlowOf(pool);
  const freed = freeFast(pool + FAST_PATH, manager, flow, port);
  return freed == NOT_FAST ? freeAnyway(pool, port) : freed;
}

function freeAnyway(pool: Address, port: Port): i32 {
  const manager = managerOf(pool);
  const flows = pool + FLOWS;
  const count = <u32>load<u8>(pool, COUNT);
  refresh(pool);
  const freed = freeCached(pool + FAST_PATH, manager, flows, count, port);
  if (freed != NOT_FAST) return freed;
  const released = releaseAll(manager, flows, count, flagsOf(firstFlowOf(pool)), port);
  keepEmptied(manager);
  return released;
}

/** Frees the `count` ports in the batch, and returns how many of them were held. */
export function freeMany(pool: Address, count: u32): u32 {
  const manager = managerOf(pool);
  const flow = firstFlowOf(pool);
  if (isForBatch(pool + FAST_PATH, manager, flow)) return freeBatch(manager, flow, count);
  let released: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    if (freePort(pool, load<u16>(BATCH + ((<usize>index) << 1))) > 0) released++;
  }
  return released;
}

/** Does the pool's flow hold the port in every network? */
export function hasTaken(pool: Address, port: Port): bool {
  const count = <u32>load<u8>(pool, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    if (!hasPort(load<u32>(flowAt(pool, index), FLOWS), port)) return false;
  }
  return true;
}

/** The number of ports that the pool's flow holds in its first network. */
export function heldCount(pool: Address): u32 {
  return countOf(firstFlowOf(pool));
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function managerOf(pool: Address): Address {
  return load<u32>(pool, MANAGER);
}

function kindOf(pool: Address): u32 {
  return load<u8>(pool, KIND);
}

function groupOf(pool: Address): Address {
  return load<u32>(pool, GROUP);
}

function reservedOf(pool: Address): Address {
  return load<u32>(pool, RESERVED);
}

function flowAt(pool: Address, index: u32): Address {
  return pool + ((<usize>index) << 2);
}

/** The flow of the pool in its first network. */
export function firstFlowOf(pool: Address): Address {
  return load<u32>(pool, FLOWS);
}

function hostOf(flow: Address): Address {
  return parentOf(parentOf(flow));
}

function spaceOf(flow: Address): Address {
  return parentOf(hostOf(flow));
}

function planFlows(pool: Address, exclusive: bool): void {
  const first = firstFlowOf(pool);
  const wanted = wantedOf(flagsOf(first), exclusive);
  beginPlan(managerOf(pool), wanted, exclusive, deviceOf(parentOf(first)), first);
  const count = <u32>load<u8>(pool, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const flow: Address = load<u32>(flowAt(pool, index), FLOWS);
    const host = hostOf(flow);
    const space = parentOf(host);
    if (anyHostOf(space) == host) planAnyAddress(space);
    else planAddress(space, host);
    if (load<u8>(pool, UNIQUE)) planUnique(flow);
  }
}

function isExclusivePool(pool: Address): bool {
  return load<u8>(pool, EXCLUSIVE) != 0;
}

/** Writes the plan again if records have come or gone, or limits have changed. */
function refresh(pool: Address): void {
  if (!isCurrent(pool + FAST_PATH, managerOf(pool))) remember(pool);
}

function remember(pool: Address): void {
  const manager = managerOf(pool);
  planFlows(pool, isExclusivePool(pool));
  const reserved = reservedOf(pool);
  planReserved(reserved);
  const mask = maskOfReserved(reserved);
  const fast = pool + FAST_PATH;
  const count = <u32>load<u8>(pool, COUNT);
  rememberPlan(fast, manager, pool + FLOWS, count, poolRange(pool), mask, reserved != 0);
}

function acquirePort(pool: Address, port: Port): i32 {
  const manager = managerOf(pool);
  const end = flowAt(pool, load<u8>(pool, COUNT));
  beginBill();
  for (let at = pool; at < end; at += 4) chargeAcquire(manager, load<u32>(at, FLOWS), port);
  if (!canPay(manager)) return NO_MEMORY;
  for (let at = pool; at < end; at += 4) acquire(manager, load<u32>(at, FLOWS), port);
  return <i32>port;
}

function closeFlows(pool: Address): void {
  const manager = managerOf(pool);
  const count = <u32>load<u8>(pool, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const flow: Address = load<u32>(flowAt(pool, index), FLOWS);
    countOpenPools(flow, -1);
    if (!openPoolsOf(flow)) trim(manager, flow);
    settleFlow(manager, flow);
  }
}
