// Handle: a flow that stays open, so that its ports are taken and freed by numbers alone.
//
//   handle  0 ┌──────────────────┐
//             │ manager     u32  │
//           4 ├──────────────────┤
//             │ next        u32  │  open handles of the manager
//           8 ├──────────────────┤
//             │ previous    u32  │
//          12 ├──────┬───────────┴──┬──────┐
//             │ count│ strict│unique│ kind │  u8 each: networks; port 0's rule for TCP; whether
//          16 ├──────┴───────┴──────┴──────┤  a tuple may be held twice under TupleOnly; which of
//             │ group                  u32 │  the group's ranges
//          20 ├────────────────────────────┤
//             │ reserved               u32 │  a list of ports to pass over, or 0
//          24 ├────────────────────────────┤
//             │ memo             40 bytes  │  (cached-plan.ts)
//          64 ├────────────────────────────┤
//             │ lane             24 bytes  │  (fast-path.ts)
//          88 ├────────────────────────────┤
//             │ flow     u32, per network  │
//             └────────────────────────┘
//
// An open handle keeps its flows alive without ports, and ports stay held when it closes: both
// belong to the manager, and words see the same state.

import {
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  IN_USE,
  NO_MEMORY,
  NO_RANGE,
  OUTSIDE,
  PICK_BIND,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_RESERVED,
} from "../abi";
import { allows, clamp, enterGroup, leaveGroup } from "../groups/tree";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH, REQUEST } from "../memory/layout";
import { pushFirst, takeOut } from "../memory/list";
import { Port, searchUnder } from "../ports/bitmap";
import { countIn, firstIn, intersect, isEmpty, lastIn, rangeOf } from "../ports/range";
import { maskOfReserved } from "../ports/reserved";
import { countOf, hasPort, isBitmap, portsOf, trim } from "../ports/set";
import { chargeHold, hold, letGoAll } from "./aggregates";
import {
  clearMemo,
  fits,
  followerOf,
  freeByMemo,
  isCurrent,
  isSimple,
  MEMO_BYTES,
  takeByMemo,
  UNSURE,
  writeMemo,
} from "./cached-plan";
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
  closeLane,
  freeBatch,
  freeInLane,
  isForBatch,
  isOpen,
  isSettled,
  LANE_BYTES,
  OFF_LANE,
  openLane,
  takeAtInLane,
  takeBatch,
  takeInLane,
} from "./fast-path";
import { isStrict, wantedOf } from "./flags";
import { anyHostOf, deviceOf, flagsOf, HANDLES, parentOf, transportOf } from "./records";
import { chargeRequested, openBelow } from "./reservations";
import { keepEmptied, settleFlow } from "./tree";

// Manager: the list of handles and the ephemeral range.
const OPEN: usize = 48;
export const RANGE: usize = 52;

const MANAGER: usize = 0;
const LINKS: usize = 4;
const COUNT: usize = 12;
const STRICT: usize = 13;
const UNIQUE: usize = 14;
const KIND: usize = 15;
const GROUP: usize = 16;
const RESERVED: usize = 20;
const MEMO: usize = 24;
const LANE: usize = MEMO + <usize>MEMO_BYTES;
const FLOWS: usize = LANE + <usize>LANE_BYTES;

/** A handle on the flow that the request block names, or 0 when there is no memory. */
export function openFlowHandle(manager: Address, picking: u32, unique: u32): Address {
  const count = load<u32>(REQUEST + REQUEST_NETWORK_COUNT);
  const bytes = <u32>FLOWS + (count << 2);
  beginBill();
  chargeBlock(bytes);
  for (let index: u32 = 0; index < count; index++) chargeRequested(manager, index);
  if (!canPay(manager)) return 0;

  const handle = allocZero(manager, bytes);

  assert(handle != 0); // charged too little
  store<u32>(handle, <u32>manager, MANAGER);
  store<u8>(handle, <u8>unique, UNIQUE);
  store<u8>(handle, <u8>count, COUNT);
  store<u8>(handle, <u8>(picking == PICK_BIND ? GROUP_BIND : GROUP_CONNECT), KIND);
  store<u32>(handle, load<u32>(REQUEST + REQUEST_GROUP), GROUP);
  store<u32>(handle, load<u32>(REQUEST + REQUEST_RESERVED), RESERVED);
  enterGroup(groupOf(handle));
  for (let index: u32 = 0; index < count; index++) {
    const flow = openBelow(manager, index);
    store<u32>(flow, load<u32>(flow, HANDLES) + 1, HANDLES);
    store<u32>(flowAt(handle, index), <u32>flow, FLOWS);
  }
  const transport = transportOf(spaceOf(firstFlowOf(handle)));
  store<u8>(handle, isStrict(transport, picking == PICK_BIND) ? 1 : 0, STRICT);
  pushFirst(manager + OPEN, handle, LINKS);
  remember(handle);
  return handle;
}

export function closeFlowHandle(handle: Address): void {
  const manager = managerOf(handle);
  takeOut(manager + OPEN, handle, LINKS);
  leaveGroup(groupOf(handle), 1);
  closeFlows(handle);
  keepEmptied(manager);
  free(manager, handle);
}

/** From now on another group counts; 0 stands for none. Ports stay taken. */
export function moveHandle(handle: Address, group: Address): void {
  enterGroup(group);
  leaveGroup(groupOf(handle), 1);
  store<u32>(handle, <u32>group, GROUP);
  remember(handle);
}

/** Gives back the handles of a manager that goes with its flows. */
export function freeHandles(manager: Address): void {
  let handle: Address = load<u32>(manager, OPEN);
  while (handle) {
    const next = load<u32>(handle, LINKS);
    leaveGroup(groupOf(handle), 1);
    free(manager, handle);
    handle = next;
  }
}

// ── Taking and freeing ────────────────────────────────────────────────────────────────────

/** Takes the first acceptable port of the handle's range from that offset on. */
export function take(handle: Address, offset: u32): i32 {
  const manager = managerOf(handle);
  const flow = firstFlowOf(handle);
  const port = takeInLane(handle + LANE, manager, flow, offset);
  if (port != OFF_LANE) return port;
  return takeFrom(handle, handleRange(handle), offset);
}

/** Takes the first acceptable port of that part of the handle's range. */
export function takeBetween(handle: Address, first: Port, last: Port, offset: u32): i32 {
  return takeFrom(handle, intersect(handleRange(handle), rangeOf(first, last)), offset);
}

/** The manager's ephemeral range, as far as the handle's group allows. */
export function handleRange(handle: Address): u32 {
  return clamp(load<u32>(managerOf(handle), RANGE), groupOf(handle), kindOf(handle));
}

function takeFrom(handle: Address, range: u32, offset: u32): i32 {
  if (isEmpty(range)) return NO_RANGE;
  const manager = managerOf(handle);
  const memo = handle + MEMO;
  if (!isCurrent(memo, manager) || !isSettled(handle + LANE)) remember(handle);
  const first = firstIn(range);
  const last = lastIn(range);
  const start = first + (offset % countIn(range));
  if (fits(memo)) {
    const mask = maskOfReserved(reservedOf(handle));
    const port = takeByMemo(memo, manager, firstFlowOf(handle), mask, first, last, start);
    if (port != UNSURE) return port;
  }
  planFlows(handle, isStrictHandle(handle));
  planReserved(reservedOf(handle));
  const port = findInRange(first, last, start - first, 0);
  if (!isPlanned()) return NO_MEMORY;
  return port ? holdPort(handle, port) : EXHAUSTED;
}

/** Takes a port that was named. */
export function takeAt(handle: Address, port: Port): i32 {
  if (!allows(groupOf(handle), kindOf(handle), port)) return OUTSIDE;
  const taken = takeAtInLane(handle + LANE, managerOf(handle), firstFlowOf(handle), port);
  if (taken != OFF_LANE) return taken;
  planFlows(handle, false);
  const isTaken = isBlocked(port);
  if (!isPlanned()) return NO_MEMORY;
  if (isTaken) return IN_USE;
  return holdPort(handle, port);
}

/** Takes one port for each of the `count` offsets in the batch; how many it took. */
export function takeMany(handle: Address, count: u32): u32 {
  const manager = managerOf(handle);
  const flow = firstFlowOf(handle);
  if (isOpen(handle + LANE, manager) && isForBatch(handle + LANE, flow)) {
    return takeBatch(handle + LANE, manager, flow, count);
  }
  for (let index: u32 = 0; index < count; index++) {
    const port = takeFrom(handle, handleRange(handle), load<u32>(BATCH + ((<usize>index) << 2)));
    if (port < 0) return index;
    store<u16>(BATCH + ((<usize>index) << 1), <u16>port);
  }
  return count;
}

/** Frees a port: in how many networks it was held, or `NO_MEMORY`. */
export function freePort(handle: Address, port: Port): i32 {
  const freed = freeInLane(handle + LANE, managerOf(handle), firstFlowOf(handle), port);
  return freed == OFF_LANE ? freeInCompany(handle, port) : freed;
}

function freeInCompany(handle: Address, port: Port): i32 {
  const manager = managerOf(handle);
  const memo = handle + MEMO;
  if (!isCurrent(memo, manager)) remember(handle);
  if (fits(memo) && freeByMemo(memo, manager, firstFlowOf(handle), port)) return 1;

  const flags = flagsOf(firstFlowOf(handle));
  return letGoAll(manager, handle + FLOWS, load<u8>(handle, COUNT), flags, port);
}

/** Frees the `count` ports in the batch; how many of them were held. */
export function freeMany(handle: Address, count: u32): u32 {
  const manager = managerOf(handle);
  const flow = firstFlowOf(handle);
  if (isOpen(handle + LANE, manager) && isForBatch(handle + LANE, flow)) {
    return freeBatch(manager, flow, count);
  }
  let released: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    if (freePort(handle, load<u16>(BATCH + ((<usize>index) << 1))) > 0) released++;
  }
  return released;
}

/** Does the flow hold the port, with its own flags, in every network? */
export function hasTaken(handle: Address, port: Port): bool {
  const count = <u32>load<u8>(handle, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    if (!hasPort(load<u32>(flowAt(handle, index), FLOWS), port)) return false;
  }
  return true;
}

/** How many ports the flow holds, with its own flags, in its first network. */
export function heldCount(handle: Address): u32 {
  return countOf(firstFlowOf(handle));
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function managerOf(handle: Address): Address {
  return load<u32>(handle, MANAGER);
}

function kindOf(handle: Address): u32 {
  return load<u8>(handle, KIND);
}

function groupOf(handle: Address): Address {
  return load<u32>(handle, GROUP);
}

function reservedOf(handle: Address): Address {
  return load<u32>(handle, RESERVED);
}

function flowAt(handle: Address, index: u32): Address {
  return handle + ((<usize>index) << 2);
}

function firstFlowOf(handle: Address): Address {
  return load<u32>(handle, FLOWS);
}

function hostOf(flow: Address): Address {
  return parentOf(parentOf(flow));
}

function spaceOf(flow: Address): Address {
  return parentOf(hostOf(flow));
}

function planFlows(handle: Address, strict: bool): void {
  const first = firstFlowOf(handle);
  const wanted = wantedOf(flagsOf(first), strict);
  beginPlan(managerOf(handle), wanted, strict, deviceOf(parentOf(first)), first);
  const count = <u32>load<u8>(handle, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const flow: Address = load<u32>(flowAt(handle, index), FLOWS);
    const host = hostOf(flow);
    const space = parentOf(host);
    if (anyHostOf(space) == host) planAnyAddress(space);
    else planAddress(space, host);
    if (load<u8>(handle, UNIQUE)) planUnique(flow);
  }
}

function isStrictHandle(handle: Address): bool {
  return load<u8>(handle, STRICT) != 0;
}

/** Notes what the ladder and the limits look like now. */
function remember(handle: Address): void {
  const manager = managerOf(handle);
  const memo = handle + MEMO;
  if (!isCurrent(memo, manager)) rememberPlan(handle);
  const range = handleRange(handle);
  const mask = maskOfReserved(reservedOf(handle));
  if (!isSimple(memo) || isEmpty(range)) {
    closeLane(handle + LANE, manager);
    return;
  }
  // The lane looks at the mask's address alone, so the summaries must be those of its version now.
  const flow = firstFlowOf(handle);
  if (isBitmap(flow)) searchUnder(portsOf(flow), mask);
  openLane(handle + LANE, manager, range, mask, followerOf(memo));
}

function rememberPlan(handle: Address): void {
  const manager = managerOf(handle);
  if (load<u8>(handle, COUNT) != 1) {
    clearMemo(handle + MEMO, manager);
    return;
  }
  planFlows(handle, isStrictHandle(handle));
  const reserved = reservedOf(handle);
  planReserved(reserved);
  writeMemo(handle + MEMO, manager, firstFlowOf(handle), reserved);
}

function holdPort(handle: Address, port: Port): i32 {
  const manager = managerOf(handle);
  const end = flowAt(handle, load<u8>(handle, COUNT));
  beginBill();
  for (let at = handle; at < end; at += 4) chargeHold(manager, load<u32>(at, FLOWS), port);
  if (!canPay(manager)) return NO_MEMORY;
  for (let at = handle; at < end; at += 4) hold(manager, load<u32>(at, FLOWS), port);
  return <i32>port;
}

function closeFlows(handle: Address): void {
  const manager = managerOf(handle);
  const count = <u32>load<u8>(handle, COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const flow: Address = load<u32>(flowAt(handle, index), FLOWS);
    const handles = load<u32>(flow, HANDLES) - 1;
    store<u32>(flow, handles, HANDLES);
    if (!handles) trim(manager, flow);
    settleFlow(manager, flow);
  }
}
