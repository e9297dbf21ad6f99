// Conflicts: the plan of a request, which is the list of port sets that decide it, and what they
// say about 64 ports at a time.
//
// A request is blocked at a port when some local address blocks it, and each address is judged on
// its own. At one address it is blocked when every flag that the request wants is lacked by some
// flow that matters there, for then the flags that all of those flows share and the flags of the
// request have nothing in common (gVisor `intersectionFlags`). With `lacking(b)` for the ports held
// by flows that lack flag b:
//
//   blocked at an address  =  AND over wanted flags b of  OR of lacking(b)
//   blocked                =  OR over the addresses that matter
//
// A flow that lacks all wanted flags blocks by itself. Nearly all flows do, so a plan has two
// lists:
//
//   blockers   sets that block by themselves: they are ORed, and a search skips by their summaries
//   partials   sets that lack only some of the wanted flags: they are ANDed within their host
//
//   partial  0 ┌──────────────┐
//              │ set     u32  │
//            4 ├──────────────┤
//              │ role    u32  │  bits 0-3: flags lacked · bit 8: first of its host · bit 9: of the
//            8 ├──────────────┤  any-address aggregate
//              │ space   u32  │  of the any-address aggregate: its space
//           12 └──────────────┘
//
// The any-address aggregate stands for many hosts. A blocker there blocks at one of the hosts, but
// its partials may belong to different hosts. So the partials of the aggregate only say that a port
// may be blocked, and at such ports each host is examined. That happens for requests for the any
// address that want several flags or have a destination, at ports where the aggregate leaves the
// answer open. For all other requests a plan has a few sets, however many flows, destinations and
// addresses there are.

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
import { findBinding, findFlow } from "./tree";

// Header of the plan, in scratch memory.
const MANAGER: usize = PLAN_AT;
const WANTED: usize = PLAN_AT + 4;
const DEVICE: usize = PLAN_AT + 8;
const DESTINATION: usize = PLAN_AT + 12;
const IS_EXCLUSIVE: usize = PLAN_AT + 16;
const HOST_ROLE: usize = PLAN_AT + 20; // of the first partial of the host being written
const HOST_SPACE: usize = PLAN_AT + 24;
const OVERFLOW: usize = PLAN_AT + 28; // 1: there was no memory to extend a list
const BLOCKERS: usize = PLAN_AT + 32;
const PARTIALS: usize = PLAN_AT + 44;
const SEARCH_MASK: usize = PLAN_AT + 56;

// A list: the address of its items, their number, and its capacity.
const LIST_ITEMS: usize = 0;
const LIST_COUNT: usize = 4;
const LIST_CAPACITY: usize = 8;

const PARTIAL_ROLE: usize = 4;
const PARTIAL_SPACE: usize = 8;
const PARTIAL_BYTES: u32 = 12;
const FIRST_OF_HOST: u32 = 1 << 8;
const OF_AGGREGATE: u32 = 1 << 9;

/** Allocates the lists, unless the instance has them already. */
export function bootPlan(): bool {
  if (load<u32>(BLOCKERS, LIST_ITEMS)) return true;
  return growList(BLOCKERS, 4) && growList(PARTIALS, PARTIAL_BYTES);
}

// ── Writing a plan ────────────────────────────────────────────────────────────────────────

/** Starts a plan for one request. `destination` is a flow or the request block. */
export function beginPlan(
  manager: Address,
  wanted: u32,
  exclusive: bool,
  device: u32,
  destination: Address,
): void {
  store<u32>(MANAGER, <u32>manager);
  store<u32>(WANTED, wanted);
  store<u32>(DEVICE, device);
  store<u32>(DESTINATION, <u32>destination);
  store<u32>(IS_EXCLUSIVE, exclusive ? 1 : 0);
  store<u32>(OVERFLOW, 0);
  store<u32>(SEARCH_MASK, 0);
  store<u32>(BLOCKERS, 0, LIST_COUNT);
  store<u32>(PARTIALS, 0, LIST_COUNT);
}

/** Adds what matters for the any address: every host of the space. */
export function planAnyAddress(space: Address): void {
  const inline = inlineHostOf(space);
  const aggregate = aggregateHostOf(space);
  if (inline) planHost(inline);
  if (aggregate) planBindings(aggregate, FIRST_OF_HOST | OF_AGGREGATE, space);
}

/** Adds what matters for one address: its own host, which may be 0, and that of the any address. */
export function planAddress(space: Address, host: Address): void {
  const any = anyHostOf(space);
  if (any) planHost(any);
  if (host) planHost(host);
}

/** Adds all flows of the destination as blockers: its tuples are unique. */
export function planUnique(flow: Address): void {
  let item = flow;
  do {
    pushBlocker(item);
    item = nextOf(item);
  } while (item != flow);
}

/** Adds a set as a blocker. */
export function planSet(set: Address): void {
  pushBlocker(set);
}

/** Adds reserved ports as a blocker, and as the mask of the search. 0: there is no list. */
export function planReserved(reserved: Address): void {
  if (!reserved) return;
  pushBlocker(setOfReserved(reserved));
  store<u32>(SEARCH_MASK, <u32>maskOfReserved(reserved));
}

/** Brings the summaries of the blockers up to date for the search. */
export function readyPlan(): void {
  searchAllUnder(blockerAt(0), blockerCount(), load<u32>(SEARCH_MASK));
}

/** Do all holders of the request's own destination block? */
export function blocksEveryHolder(): bool {
  return load<u32>(WANTED) == ANY_HOLD;
}

/** False if there was no memory for the whole plan. */
export function isPlanned(): bool {
  return load<u32>(OVERFLOW) == 0;
}

function planHost(host: Address): void {
  planBindings(host, FIRST_OF_HOST, 0);
}

/** Device 0 conflicts with every device of the address, device d with device 0 and itself. */
function planBindings(host: Address, role: u32, space: Address): void {
  store<u32>(HOST_ROLE, role);
  store<u32>(HOST_SPACE, <u32>space);
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
  const everything = load<u32>(IS_EXCLUSIVE) != 0 && load<u32>(DEVICE) == 0;
  const counted = everything || wildcard;

  if (hasFlows(binding, WILDCARD)) planOthers(binding, WILDCARD);
  if (hasFlows(binding, TUPLE)) {
    if (counted) planOthers(binding, TUPLE);
    else if (ofAggregate) planDoubtful(binding);
  }
  // If every holder blocks, the flows of the same destination have been added already.
  if (counted && load<u32>(WANTED) == ANY_HOLD) return;
  if (ofAggregate && !wildcard) return;
  if (hasFlows(binding, wildcard ? WILDCARD : TUPLE)) planSame(binding, destination);
}

/**
 * Adds the flows of a list with any destination: the uncounted flow, and aggregates of the others.
 */
function planOthers(binding: Address, list: u32): void {
  const uncounted = uncountedFlowOf(binding, list);
  if (uncounted) push(uncounted, lackedByOther(flagsOf(uncounted)));
  for (let counter = firstAggregateOf(binding, list); counter; counter = nextOf(counter)) {
    push(counter, lackedByOther(flagsOf(counter)));
  }
}

/** Adds the flows of the same destination. */
function planSame(binding: Address, destination: Address): void {
  const ring = findFlow(load<u32>(MANAGER), binding, destination);
  if (!ring) return;
  let item = ring;
  do {
    push(item, lackedBySame(flagsOf(item)));
    item = nextOf(item);
  } while (item != ring);
}

/** The any-address aggregate does not know destinations: each tuple may have the requested one. */
function planDoubtful(aggregate: Address): void {
  for (let counter = firstAggregateOf(aggregate, TUPLE); counter; counter = nextOf(counter)) {
    const lacked = lackedBySame(flagsOf(counter)) & load<u32>(WANTED);
    if (lacked) pushPartial(counter, lacked);
  }
}

function push(set: Address, lacked: u32): void {
  const wanted = load<u32>(WANTED);
  const decisive = lacked & wanted;
  if (decisive == wanted) pushBlocker(set);
  else if (decisive) pushPartial(set, decisive);
}

function pushBlocker(set: Address): void {
  const count = load<u32>(BLOCKERS, LIST_COUNT);
  if (count && load<u32>(blockerAt(count - 1)) == <u32>set) return;
  if (count == load<u32>(BLOCKERS, LIST_CAPACITY) && !growList(BLOCKERS, 4)) return;
  store<u32>(blockerAt(count), <u32>set);
  store<u32>(BLOCKERS, count + 1, LIST_COUNT);
}

function pushPartial(set: Address, lacked: u32): void {
  const count = load<u32>(PARTIALS, LIST_COUNT);
  if (count == load<u32>(PARTIALS, LIST_CAPACITY) && !growList(PARTIALS, PARTIAL_BYTES)) return;
  const partial = partialAt(count);
  store<u32>(partial, <u32>set);
  store<u32>(partial, lacked | load<u32>(HOST_ROLE), PARTIAL_ROLE);
  store<u32>(partial, load<u32>(HOST_SPACE), PARTIAL_SPACE);
  store<u32>(PARTIALS, count + 1, LIST_COUNT);
  store<u32>(HOST_ROLE, load<u32>(HOST_ROLE) & ~FIRST_OF_HOST);
}

function partialAt(index: u32): Address {
  return <Address>load<u32>(PARTIALS, LIST_ITEMS) + <usize>(index * PARTIAL_BYTES);
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

/** The blocked ports of a word. Ports outside `asked` may be missing. */
export function blockedAt(word: u32, asked: u64): u64 {
  const blocked = heldByAny(blockerAt(0), blockerCount(), word);
  const partials = partialCount();
  return partials ? blocked | blockedByPartials(word, asked & ~blocked, 0, partials) : blocked;
}

export function blockerCount(): u32 {
  return load<u32>(BLOCKERS, LIST_COUNT);
}

export function partialCount(): u32 {
  return load<u32>(PARTIALS, LIST_COUNT);
}

/** The address of an item in the list of blockers. */
export function blockerAt(index: u32): Address {
  return <Address>load<u32>(BLOCKERS, LIST_ITEMS) + ((<usize>index) << 2);
}

/** The ports that the partials `from..to` block, host by host. */
function blockedByPartials(word: u32, asked: u64, from: u32, to: u32): u64 {
  let blocked: u64 = 0;
  let first = from;
  while (first < to) {
    let end = first + 1;
    while (end < to && !(load<u32>(partialAt(end), PARTIAL_ROLE) & FIRST_OF_HOST)) end++;
    const all = blockedByHost(word, first, end);
    const open = asked & ~blocked;
    if (!(load<u32>(partialAt(first), PARTIAL_ROLE) & OF_AGGREGATE)) blocked |= all;
    else if (all & open)
      blocked |= blockedByHosts(load<u32>(partialAt(first), PARTIAL_SPACE), word, open);
    first = end;
  }
  return blocked;
}

/** Within a host, a port is blocked where each wanted flag is lacked by some flow. */
function blockedByHost(word: u32, first: u32, end: u32): u64 {
  const wanted = load<u32>(WANTED);
  let all = WORD_FULL;
  for (let flag: u32 = 1; flag <= ANY_HOLD; flag <<= 1) {
    if (!(wanted & flag)) continue;
    let lacking: u64 = 0;
    for (let index = first; index < end; index++) {
      const partial = partialAt(index);
      if (load<u32>(partial, PARTIAL_ROLE) & flag) lacking |= wordOf(load<u32>(partial), word);
    }
    all &= lacking;
  }
  return all;
}

/** Examines each host that the any-address aggregate counts. */
function blockedByHosts(space: Address, word: u32, asked: u64): u64 {
  const inline = inlineHostOf(space);
  const blockers = blockerCount();
  const partials = partialCount();
  let blocked: u64 = 0;
  for (let host = firstHostOf(space); host && asked & ~blocked; host = nextOf(host)) {
    if (host == inline) continue;
    planHost(host);
    blocked |= heldByAny(blockerAt(blockers), blockerCount() - blockers, word);
    blocked |= blockedByPartials(word, asked, partials, partialCount());
    store<u32>(BLOCKERS, blockers, LIST_COUNT);
    store<u32>(PARTIALS, partials, LIST_COUNT);
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
  const count = blockerCount();
  const partials = partialCount();
  let at = from;
  while (true) {
    const sets = blockerAt(0);
    const port = findOpen(sets, count, at, to);
    if (!port || !partials) return port;
    // No set blocks the port by itself. The partials decide about it and the rest of its word.
    const word = port >> WORD_SHIFT;
    const asked = bitsFrom(port) & bitsUpTo(word, to) & ~heldByAny(sets, count, word);
    const open = asked & ~blockedByPartials(word, asked, 0, partials);
    if (open) return (word << WORD_SHIFT) + <u32>ctz(open);
    at = (word + 1) << WORD_SHIFT;
    if (at > to) return 0;
  }
}
