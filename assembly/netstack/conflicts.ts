// Plan: which port sets decide about a request, and what they say about 64 ports at a time.
//
// A request is blocked at a port when some local address blocks it; each address is judged on
// its own. At one address it is blocked when every flag that it wants is lacked by some flow that
// counts there (NETSTACK 2: the flags that all of them share leave nothing in common with what
// is asked). So with `lacking(b)` the ports held by flows that lack flag b:
//
//   blocked at an address  =  AND over wanted flags b of  OR of lacking(b)
//   blocked                =  OR over the addresses that matter
//
// A set whose flow lacks all wanted flags blocks by itself, whatever else is there. Nearly all
// are of this sort, so a plan has two lists:
//
//   alone   sets that block by themselves: one OR, and their summaries let the search skip
//   parts   sets that lack some of the wanted flags: ANDed within their address ("panel")
//
//   parts  0 ┌──────────────┐
//            │ set     u32  │
//          4 ├──────────────┤
//            │ role    u32  │  bits 0-3: what it lacks · bit 8: first of a panel · bit 9: aggregate
//          8 ├──────────────┤
//            │ space   u32  │  aggregate: whose
//         12 └──────────────┘
//
// The aggregate stands for many addresses at once. What blocks alone in it blocks at one of
// them, but its parts may belong to different addresses. So a panel of the aggregate only raises
// doubt, and where doubt remains the hosts themselves are asked. That happens to requests for
// any address which want several flags, or name a destination, at ports where the aggregate
// leaves the answer open; for all others the plan has a handful of sets, however many flows,
// destinations and addresses there are.

import { Address, alloc, free } from "../memory/arena";
import { INSTANCE_ACCOUNT, PLAN_AT } from "../memory/layout";
import { bitOf, bitsFrom, Port, WORD_FULL, WORD_SHIFT } from "../ports/bitmap";
import { maskOfReserved, setOfReserved } from "../ports/reserved";
import { bitsUpTo, findOpen, heldByAny, searchAllUnder } from "../ports/search";
import { wordOf } from "../ports/set";
import { ANY_HOLD, lackedByOther, lackedBySame } from "./flags";
import {
  aggregateHostOf,
  anyHostOf,
  findBinding,
  findFlow,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  flagsOf,
  hasFlows,
  inlineHostOf,
  isWildcard,
  nextOf,
  TUPLE,
  uncountedFlowOf,
  WILDCARD,
} from "./records";

// Header of the plan, in scratch memory.
const MANAGER: usize = PLAN_AT;
const WANTED: usize = PLAN_AT + 4;
const DEVICE: usize = PLAN_AT + 8;
const DESTINATION: usize = PLAN_AT + 12;
const IS_STRICT: usize = PLAN_AT + 16;
const PANEL_ROLE: usize = PLAN_AT + 20; // of the first part of the panel being written
const PANEL_SPACE: usize = PLAN_AT + 24;
const OVERFLOW: usize = PLAN_AT + 28; // 1: there was no memory for a longer list
const ALONE: usize = PLAN_AT + 32;
const PARTS: usize = PLAN_AT + 44;
const SEARCH_MASK: usize = PLAN_AT + 56;

// A list: where its items are, how many there are, how many fit.
const LIST_ITEMS: usize = 0;
const LIST_COUNT: usize = 4;
const LIST_CAPACITY: usize = 8;

const PART_ROLE: usize = 4;
const PART_SPACE: usize = 8;
const PART_BYTES: u32 = 12;
const FIRST_OF_PANEL: u32 = 1 << 8;
const OF_AGGREGATE: u32 = 1 << 9;

/** Gives the lists their first room; on an instance that has it already, does nothing. */
export function bootPlan(): bool {
  if (load<u32>(ALONE, LIST_ITEMS)) return true;
  return growList(ALONE, 4) && growList(PARTS, PART_BYTES);
}

// ── Writing a plan ────────────────────────────────────────────────────────────────────────

/** Starts a plan for one request. `destination` is a flow or the request block. */
export function beginPlan(
  manager: Address,
  wanted: u32,
  strict: bool,
  device: u32,
  destination: Address,
): void {
  store<u32>(MANAGER, <u32>manager);
  store<u32>(WANTED, wanted);
  store<u32>(DEVICE, device);
  store<u32>(DESTINATION, <u32>destination);
  store<u32>(IS_STRICT, strict ? 1 : 0);
  store<u32>(OVERFLOW, 0);
  store<u32>(SEARCH_MASK, 0);
  store<u32>(ALONE, 0, LIST_COUNT);
  store<u32>(PARTS, 0, LIST_COUNT);
}

/** What matters at the any address: every host of the space. */
export function planAnyAddress(space: Address): void {
  const uncounted = inlineHostOf(space);
  const aggregate = aggregateHostOf(space);
  if (uncounted) planHost(uncounted);
  if (aggregate) planPanel(aggregate, FIRST_OF_PANEL | OF_AGGREGATE, space);
}

/** What matters at one address: its own host, if there is one, and that of the any address. */
export function planAddress(space: Address, host: Address): void {
  const any = anyHostOf(space);
  if (any) planHost(any);
  if (host) planHost(host);
}

/** All flag classes of one destination block by themselves: its tuples are unique. */
export function planUnique(flow: Address): void {
  let item = flow;
  do {
    pushAlone(item);
    item = nextOf(item);
  } while (item != flow);
}

/** A set that blocks whatever else there is. */
export function planSet(set: Address): void {
  pushAlone(set);
}

/** Reserved ports block whatever else there is, and are the mask of the search; 0: there are none. */
export function planReserved(reserved: Address): void {
  if (!reserved) return;
  pushAlone(setOfReserved(reserved));
  store<u32>(SEARCH_MASK, <u32>maskOfReserved(reserved));
}

/** Makes the sets ready to be searched. */
export function readyPlan(): void {
  searchAllUnder(aloneAt(0), aloneCount(), load<u32>(SEARCH_MASK));
}

/** False: there was no memory to write it all down. */
export function isPlanned(): bool {
  return load<u32>(OVERFLOW) == 0;
}

function planHost(host: Address): void {
  planPanel(host, FIRST_OF_PANEL, 0);
}

/** Device 0 meets every device of the address, device d meets device 0 and itself. */
function planPanel(host: Address, role: u32, space: Address): void {
  store<u32>(PANEL_ROLE, role);
  store<u32>(PANEL_SPACE, <u32>space);
  const device = load<u32>(DEVICE);
  if (device == 0) {
    for (let item = firstBindingOf(host); item; item = nextOf(item)) planBinding(item, space != 0);
    return;
  }
  const none = findBinding(load<u32>(MANAGER), host, 0);
  const own = findBinding(load<u32>(MANAGER), host, device);
  if (none) planBinding(none, space != 0);
  if (own) planBinding(own, space != 0);
}

function planBinding(binding: Address, ofAggregate: bool): void {
  const destination: Address = load<u32>(DESTINATION);
  const wildcard = isWildcard(destination);
  const everything = load<u32>(IS_STRICT) != 0 && load<u32>(DEVICE) == 0;
  const counted = everything || wildcard;

  if (hasFlows(binding, WILDCARD)) planOthers(binding, WILDCARD);
  if (hasFlows(binding, TUPLE)) {
    if (counted) planOthers(binding, TUPLE);
    else if (ofAggregate) planDoubt(binding);
  }
  // Where anything that is held blocks, the flows of the same destination are in there already.
  if (counted && load<u32>(WANTED) == ANY_HOLD) return;
  if (ofAggregate && !wildcard) return;
  if (hasFlows(binding, wildcard ? WILDCARD : TUPLE)) planSame(binding, destination);
}

/** Flows of a list whose destination may differ: the uncounted and, counted, the rest. */
function planOthers(binding: Address, list: u32): void {
  const uncounted = uncountedFlowOf(binding, list);
  if (uncounted) push(uncounted, lackedByOther(flagsOf(uncounted)));
  for (let counter = firstAggregateOf(binding, list); counter; counter = nextOf(counter)) {
    push(counter, lackedByOther(flagsOf(counter)));
  }
}

/** Flows of the very destination that is asked for. */
function planSame(binding: Address, destination: Address): void {
  const ring = findFlow(load<u32>(MANAGER), binding, destination);
  if (!ring) return;
  let item = ring;
  do {
    push(item, lackedBySame(flagsOf(item)));
    item = nextOf(item);
  } while (item != ring);
}

/** The aggregate counts tuples without their destinations: any of them may be the one asked for. */
function planDoubt(aggregate: Address): void {
  for (let counter = firstAggregateOf(aggregate, TUPLE); counter; counter = nextOf(counter)) {
    const lacked = lackedBySame(flagsOf(counter)) & load<u32>(WANTED);
    if (lacked) pushPart(counter, lacked);
  }
}

function push(set: Address, lacked: u32): void {
  const wanted = load<u32>(WANTED);
  const decisive = lacked & wanted;
  if (decisive == wanted) pushAlone(set);
  else if (decisive) pushPart(set, decisive);
}

function pushAlone(set: Address): void {
  const count = load<u32>(ALONE, LIST_COUNT);
  if (count == load<u32>(ALONE, LIST_CAPACITY) && !growList(ALONE, 4)) return;
  store<u32>(aloneAt(count), <u32>set);
  store<u32>(ALONE, count + 1, LIST_COUNT);
}

function pushPart(set: Address, lacked: u32): void {
  const count = load<u32>(PARTS, LIST_COUNT);
  if (count == load<u32>(PARTS, LIST_CAPACITY) && !growList(PARTS, PART_BYTES)) return;
  const part = partAt(count);
  store<u32>(part, <u32>set);
  store<u32>(part, lacked | load<u32>(PANEL_ROLE), PART_ROLE);
  store<u32>(part, load<u32>(PANEL_SPACE), PART_SPACE);
  store<u32>(PARTS, count + 1, LIST_COUNT);
  store<u32>(PANEL_ROLE, load<u32>(PANEL_ROLE) & ~FIRST_OF_PANEL);
}

function partAt(index: u32): Address {
  return <Address>load<u32>(PARTS, LIST_ITEMS) + <usize>(index * PART_BYTES);
}

function growList(list: Address, itemBytes: u32): bool {
  const before: Address = load<u32>(list, LIST_ITEMS);
  const capacity = load<u32>(list, LIST_CAPACITY);
  const larger = max<u32>(32, capacity << 1);
  const items = alloc(INSTANCE_ACCOUNT, larger * itemBytes);
  if (!items) {
    store<u32>(OVERFLOW, 1);
    return false;
  }
  if (before) {
    memory.copy(items, before, capacity * itemBytes);
    free(INSTANCE_ACCOUNT, before);
  }
  store<u32>(list, <u32>items, LIST_ITEMS);
  store<u32>(list, larger, LIST_CAPACITY);
  return true;
}

// ── Reading a plan ────────────────────────────────────────────────────────────────────────

export function isBlocked(port: Port): bool {
  return (blockedAt(port >> WORD_SHIFT, bitOf(port)) & bitOf(port)) != 0;
}

/** Which ports of a word are blocked; only those in `asked` are sure to be judged. */
export function blockedAt(word: u32, asked: u64): u64 {
  const blocked = heldByAny(aloneAt(0), aloneCount(), word);
  const parts = partCount();
  return parts ? blocked | blockedByParts(word, asked & ~blocked, 0, parts) : blocked;
}

export function aloneCount(): u32 {
  return load<u32>(ALONE, LIST_COUNT);
}

export function partCount(): u32 {
  return load<u32>(PARTS, LIST_COUNT);
}

/** Where the sets that block alone are listed. */
export function aloneAt(index: u32): Address {
  return <Address>load<u32>(ALONE, LIST_ITEMS) + ((<usize>index) << 2);
}

/** What the panels written at `from..to` block, each for itself. */
function blockedByParts(word: u32, asked: u64, from: u32, to: u32): u64 {
  let blocked: u64 = 0;
  let first = from;
  while (first < to) {
    let end = first + 1;
    while (end < to && !(load<u32>(partAt(end), PART_ROLE) & FIRST_OF_PANEL)) end++;
    const all = blockedByPanel(word, first, end);
    const open = asked & ~blocked;
    if (!(load<u32>(partAt(first), PART_ROLE) & OF_AGGREGATE)) blocked |= all;
    else if (all & open)
      blocked |= blockedByHosts(load<u32>(partAt(first), PART_SPACE), word, open);
    first = end;
  }
  return blocked;
}

/** Within one panel, each wanted flag must be lacked by someone. */
function blockedByPanel(word: u32, first: u32, end: u32): u64 {
  const wanted = load<u32>(WANTED);
  let all = WORD_FULL;
  for (let flag: u32 = 1; flag <= ANY_HOLD; flag <<= 1) {
    if (!(wanted & flag)) continue;
    let lacking: u64 = 0;
    for (let index = first; index < end; index++) {
      const part = partAt(index);
      if (load<u32>(part, PART_ROLE) & flag) lacking |= wordOf(load<u32>(part), word);
    }
    all &= lacking;
  }
  return all;
}

/** Asks each host that the aggregate counts. */
function blockedByHosts(space: Address, word: u32, asked: u64): u64 {
  const uncounted = inlineHostOf(space);
  const alone = aloneCount();
  const parts = partCount();
  let blocked: u64 = 0;
  for (let host = firstHostOf(space); host && asked & ~blocked; host = nextOf(host)) {
    if (host == uncounted) continue;
    planHost(host);
    blocked |= heldByAny(aloneAt(alone), aloneCount() - alone, word);
    blocked |= blockedByParts(word, asked, parts, partCount());
    store<u32>(ALONE, alone, LIST_COUNT);
    store<u32>(PARTS, parts, LIST_COUNT);
  }
  return blocked;
}

// ── Searching ─────────────────────────────────────────────────────────────────────────────

/**
 * First port that is not blocked in the sequence that starts at index `offset` (modulo the range's
 * count), wraps once, and meets each port once; its first `skip` ports are left out. 0: none.
 */
export function findInRange(first: Port, last: Port, offset: u32, skip: u32): Port {
  const count = last - first + 1;
  if (skip >= count) return 0;
  readyPlan();
  const start = offset % count;
  let begin = start + skip;
  if (begin < count) {
    const port = findForward(first + begin, last);
    if (port) return port;
    begin = count;
  }
  return findForward(first + begin - count, first + start - 1);
}

/** Lowest port of `from..to` that is not blocked, or 0. */
function findForward(from: Port, to: Port): Port {
  const count = aloneCount();
  const parts = partCount();
  let at = from;
  while (true) {
    const sets = aloneAt(0);
    const port = findOpen(sets, count, at, to);
    if (!port || !parts) return port;
    // No set blocks it alone; judge the rest of its word by the parts, too.
    const word = port >> WORD_SHIFT;
    const asked = bitsFrom(port) & bitsUpTo(word, to) & ~heldByAny(sets, count, word);
    const open = asked & ~blockedByParts(word, asked, 0, parts);
    if (open) return (word << WORD_SHIFT) + <u32>ctz(open);
    at = (word + 1) << WORD_SHIFT;
    if (at > to) return 0;
  }
}
