// Records: the tree of records below a manager, and how it is read. gVisor nests maps, port ->
// local address -> device -> destination -> counter. Here the ports are at the leaves:
//
//   Manager
//     Space        network and transport                     e.g. IPv4 / TCP
//       Host       local address, or the any address
//         Binding  device, or none
//           Flow   destination and flags -> the set of ports held with them  (ports/counted.ts)
//
// All of these are nodes of the manager's table (memory/table.ts), found by parent and key. The
// flows of one destination, one for each combination of flags, form a ring: one of them is in the
// table. The first space of a manager, the first host of a space and the first binding of a host
// are inline children: they lie in their parent's block and are not in the table.
//
//   ┌───────────────────────────────────────────────┐
//   │ manager │ inline space                        │      kind 0: the place is vacant
//   └─────────┬───────┬─────────────────────────────┤
//             │ space │ inline host                 │
//             └───────┬──────┬──────────────────────┤
//                     │ host │ inline binding       │
//                     └──────┴──────────────────────┘
//
//   node  0 ┌─────────────────────┐
//           │ parent         u32  │
//         4 ├─────────────────────┤
//           │ next           u32  │  flow: next in the ring; other kinds: next sibling
//         8 ├──────────┬──────────┤
//           │ number   │ count    │  flow: destination port; number of ports held
//        12 ├──────┬───┴──┬───────┤
//           │ flags│ cont.│ kind, │  u8 each, and u8 of a flow: 1 if no aggregate counts it
//        16 ├──────┴──────┴───────┤
//           │ ports, extra   u32  │  the counted set
//        24 ├─────────────────────┤
//           │ name      16 bytes  │  network and transport · address · device · destination
//        40 ├─────────────────────┤
//           │ flow: open pools    │  space, host: previous sibling
//        44 ├─────────────────────┘
//           │ space:   any host, aggregate host, hosts
//           │ host:    bindings
//           │ binding: children; uncounted flow and aggregates of each list; aggregate binding
//
// A binding has two lists of flows: those with a wildcard destination, and those of tuples.
//
// Aggregates. A request or a holder with a wildcard destination concerns every flow of a binding.
// To avoid visiting them, a binding keeps one aggregate per list and combination of flags: a
// counted set that says for each port how many flows hold it. The first flow of a list, the
// uncounted flow, is examined directly instead, so a binding with one flow has no aggregate.
//
// Any-address aggregate. A request for the any address concerns every host of a space. For it a
// space keeps the aggregate host, whose bindings count what the other hosts hold: tuples in
// aggregates, and wildcard destinations in flows that count, for each port, the hosts that hold it.
// The space's inline host is examined directly instead, so a space with one host has no such host.
//
// Must stay true: a flow exists only while it holds ports, a pool is open on it, or the manager
// keeps it for reuse (tree.ts), and every other node while it has children; an aggregate, which may
// be empty as long as its binding exists, holds a port exactly when a flow that it counts does.

import { Address } from "../memory/arena";
import { hasKey, NODE_NAME, NODE_NUMBER, NODE_PARENT, TABLE_END } from "../memory/table";

// Kinds of nodes. 0 is a node of the table that is not part of the tree: the uses of a group.
export const GROUP_USES: u32 = 0;
export const SPACE: u32 = 1;
export const HOST: u32 = 2;
export const BINDING: u32 = 3;
export const FLOW: u32 = 4; // plus the list that it belongs to

// Which of a binding's two lists a flow belongs to.
export const WILDCARD: u32 = 0;
export const TUPLE: u32 = 1;

// ── Nodes ─────────────────────────────────────────────────────────────────────────────────

const NEXT: usize = 4;
const KIND: usize = 14;
const PREVIOUS: usize = 40;

export function parentOf(node: Address): Address {
  return load<u32>(node, NODE_PARENT);
}

export function nextOf(node: Address): Address {
  return load<u32>(node, NEXT);
}

export function setNext(node: Address, next: Address): void {
  store<u32>(node, <u32>next, NEXT);
}

export function kindOf(node: Address): u32 {
  return load<u8>(node, KIND);
}

export function setKey(node: Address, kind: u32, parent: Address, low: u64, high: u64): void {
  store<u32>(node, <u32>parent, NODE_PARENT);
  store<u8>(node, <u8>kind, KIND);
  store<u64>(node, low, NODE_NAME);
  store<u64>(node, high, NODE_NAME + 8);
}

/** The first half of a node's name, or of the destination of a request. */
export function lowOf(node: Address): u64 {
  return load<u64>(node, NODE_NAME);
}

/** The second half. */
export function highOf(node: Address): u64 {
  return load<u64>(node, NODE_NAME + 8);
}

export function isAny(low: u64, high: u64): bool {
  return (low | high) == 0;
}

/** The inline child at this place, or 0. */
export function inlineAt(place: Address): Address {
  return kindOf(place) ? place : 0;
}

/** Makes the place of an inline child vacant. */
export function vacate(place: Address): void {
  store<u8>(place, 0, KIND);
}

/** Adds a space or host in front of a list. */
export function pushSibling(node: Address, list: Address): void {
  const first = load<u32>(list);
  store<u32>(node, first, NEXT);
  store<u32>(node, 0, PREVIOUS);
  if (first) store<u32>(first, <u32>node, PREVIOUS);
  store<u32>(list, <u32>node);
}

/** Removes a space or host from its list. */
export function removeSibling(node: Address, list: Address): void {
  const next = load<u32>(node, NEXT);
  const previous = load<u32>(node, PREVIOUS);
  if (next) store<u32>(next, previous, PREVIOUS);
  if (previous) store<u32>(previous, next, NEXT);
  else store<u32>(list, next);
}

/** Removes a binding from its list, which is linked forwards only. */
export function unlinkNext(node: Address, list: Address): void {
  let at = list;
  while (load<u32>(at) != <u32>node) at = <Address>load<u32>(at) + NEXT;
  store<u32>(at, <u32>nextOf(node));
}

// ── Flows ─────────────────────────────────────────────────────────────────────────────────

const FLAGS: usize = 12;
const UNAGGREGATED: usize = 15;
const OPEN_POOLS: usize = 40;
export const FLOW_BYTES: u32 = 44;

export function flagsOf(flow: Address): u32 {
  return load<u8>(flow, FLAGS);
}

export function setFlags(flow: Address, flags: u32): void {
  store<u8>(flow, <u8>flags, FLAGS);
}

/** The destination port of a flow or request. */
export function numberOf(destination: Address): u32 {
  return load<u16>(destination, NODE_NUMBER);
}

export function setNumber(flow: Address, number: u32): void {
  store<u16>(flow, <u16>number, NODE_NUMBER);
}

export function isFlow(node: Address): bool {
  return kindOf(node) >= FLOW;
}

/** The list of its binding that a flow belongs to. */
export function listOf(flow: Address): u32 {
  return kindOf(flow) - FLOW;
}

/** Is the destination address of a flow or request the wildcard? Then its port does not matter. */
export function isWildcard(destination: Address): bool {
  return isAny(lowOf(destination), highOf(destination));
}

/** The list for the destination of a flow or request. */
export function listFor(destination: Address): u32 {
  return isWildcard(destination) ? WILDCARD : TUPLE;
}

/** Has a flow the same destination as this flow or request, below that binding? */
export function isTowards(flow: Address, binding: Address, destination: Address): bool {
  return hasKey(flow, binding, numberOf(destination), lowOf(destination), highOf(destination));
}

/** The flow with these flags in the ring of `flow`, or 0. */
export function classIn(flow: Address, flags: u32): Address {
  let item = flow;
  do {
    if (flagsOf(item) == flags) return item;
    item = nextOf(item);
  } while (item != flow);
  return 0;
}

export function isOnlyClass(flow: Address): bool {
  return nextOf(flow) == flow;
}

/** Do no aggregates count the flow? That does not change as long as the flow exists. */
export function isUnaggregated(flow: Address): bool {
  return load<u8>(flow, UNAGGREGATED) != 0;
}

export function setUnaggregated(flow: Address): void {
  store<u8>(flow, 1, UNAGGREGATED);
}

/** How many pools are open on the flow. */
export function openPoolsOf(flow: Address): u32 {
  return load<u32>(flow, OPEN_POOLS);
}

export function countOpenPools(flow: Address, by: i32): void {
  store<u32>(flow, openPoolsOf(flow) + by, OPEN_POOLS);
}

// ── Bindings ──────────────────────────────────────────────────────────────────────────────

const CHILDREN: usize = 44;
const UNCOUNTED: usize = 48;
const AGGREGATES: usize = 56;
const AGGREGATE_BINDING: usize = 64;
export const BINDING_BYTES: u32 = 72;

export function deviceOf(binding: Address): u32 {
  return load<u32>(binding, NODE_NAME + 8);
}

/** How many flows a binding has; one of the any-address aggregate counts its bindings, too. */
export function childrenOf(binding: Address): u32 {
  return load<u32>(binding, CHILDREN);
}

export function countChildren(binding: Address, by: i32): void {
  store<u32>(binding, childrenOf(binding) + by, CHILDREN);
}

/** The flow of a list that its aggregates do not count, or 0. */
export function uncountedFlowOf(binding: Address, list: u32): Address {
  return load<u32>(ofList(binding, list), UNCOUNTED);
}

export function setUncountedFlow(binding: Address, list: u32, flow: Address): void {
  store<u32>(ofList(binding, list), <u32>flow, UNCOUNTED);
}

/** First of the aggregates of a list, or 0. */
export function firstAggregateOf(binding: Address, list: u32): Address {
  return load<u32>(ofList(binding, list), AGGREGATES);
}

export function setFirstAggregate(binding: Address, list: u32, aggregate: Address): void {
  store<u32>(ofList(binding, list), <u32>aggregate, AGGREGATES);
}

export function hasFlows(binding: Address, list: u32): bool {
  return (uncountedFlowOf(binding, list) | firstAggregateOf(binding, list)) != 0;
}

/** The binding of the any-address aggregate that counts this one, or 0. */
export function aggregateBindingOf(binding: Address): Address {
  return load<u32>(binding, AGGREGATE_BINDING);
}

export function setAggregateBinding(binding: Address, aggregate: Address): void {
  store<u32>(binding, <u32>aggregate, AGGREGATE_BINDING);
}

function ofList(binding: Address, list: u32): Address {
  return binding + ((<usize>list) << 2);
}

// ── Hosts ─────────────────────────────────────────────────────────────────────────────────

const BINDINGS: usize = 44;
export const HOST_OWN: u32 = 56;
export const HOST_BYTES: u32 = HOST_OWN + BINDING_BYTES;

/** The head of the list of bindings. */
export function bindingList(host: Address): Address {
  return host + BINDINGS;
}

export function firstBindingOf(host: Address): Address {
  return load<u32>(host, BINDINGS);
}

// ── Spaces ────────────────────────────────────────────────────────────────────────────────

const ANY_HOST: usize = 44;
const AGGREGATE_HOST: usize = 48;
const HOSTS: usize = 52;
export const SPACE_OWN: u32 = 56;
export const SPACE_BYTES: u32 = SPACE_OWN + HOST_BYTES;

export function transportOf(space: Address): u32 {
  return load<u32>(space, NODE_NAME + 12);
}

/** The host whose address is the any address, or 0. */
export function anyHostOf(space: Address): Address {
  return load<u32>(space, ANY_HOST);
}

export function setAnyHost(space: Address, host: Address): void {
  store<u32>(space, <u32>host, ANY_HOST);
}

/** The space's inline host, which the any-address aggregate does not count, or 0. */
export function inlineHostOf(space: Address): Address {
  return inlineAt(space + SPACE_OWN);
}

/** Is this the inline host of the space, or will it be the inline host if it is 0? */
export function isInlineHost(space: Address, host: Address): bool {
  return inlineHostOf(space) == host;
}

/** The host of the any-address aggregate, or 0. */
export function aggregateHostOf(space: Address): Address {
  return load<u32>(space, AGGREGATE_HOST);
}

export function setAggregateHost(space: Address, host: Address): void {
  store<u32>(space, <u32>host, AGGREGATE_HOST);
}

/** The head of the list of hosts. */
export function hostList(space: Address): Address {
  return space + HOSTS;
}

export function firstHostOf(space: Address): Address {
  return load<u32>(space, HOSTS);
}

// ── Managers ──────────────────────────────────────────────────────────────────────────────

const SPACES: usize = TABLE_END;
const TREE_VERSION: usize = SPACES + 4;
const COUNTERS: usize = TREE_VERSION + 8;
const REFERENCES: usize = COUNTERS + 4;
const HINT: usize = REFERENCES + 4;
const POOLS: usize = HINT + 4;
const RANGE: usize = POOLS + 4;
const IDLE: usize = RANGE + 4;
const EMPTIED: usize = IDLE + 4;
const PEAK: usize = EMPTIED + 4;
const TAKEN: usize = PEAK + 4;
const INLINE_SPACE: usize = TAKEN + 8;
export const MANAGER_BYTES: u32 = <u32>INLINE_SPACE + SPACE_BYTES;
if (SPACES != 76 || MANAGER_BYTES != 312) ERROR("Manager no longer matches its diagram");

/** The head of the list of spaces. */
export function spaceList(manager: Address): Address {
  return manager + SPACES;
}

export function firstSpaceOf(manager: Address): Address {
  return load<u32>(manager, SPACES);
}

/** The place of the inline space. */
export function inlineSpaceAt(manager: Address): Address {
  return manager + INLINE_SPACE;
}

/** Changes whenever a node of the tree is made or freed. It has 64 bits, so it never comes back. */
export function treeVersionOf(manager: Address): u64 {
  return load<u64>(manager, TREE_VERSION);
}

export function changeTreeVersion(manager: Address): void {
  store<u64>(manager, treeVersionOf(manager) + 1, TREE_VERSION);
}

/** Number of (network, transport, port, address, device, destination) with a holder. */
export function countersOf(manager: Address): u32 {
  return load<u32>(manager, COUNTERS);
}

/** Sum of all reference counts. */
export function referencesOf(manager: Address): u32 {
  return load<u32>(manager, REFERENCES);
}

/** The most references that there have been at a time. */
export function peakOf(manager: Address): u32 {
  return load<u32>(manager, PEAK);
}

/** References that have been taken in all. */
export function takenOf(manager: Address): u64 {
  return load<u64>(manager, TAKEN);
}

/** So many counters came to be held, each with one reference. */
export function countHeld(manager: Address, count: u32): void {
  addToBoth(manager, count);
  countTaken(manager, count);
}

/** So many counters are no longer held. */
export function countFreed(manager: Address, count: u32): void {
  addToBoth(manager, -(<i64>count));
}

/** Counters that are held, and stay so, got so many references more, or fewer. */
export function countReference(manager: Address, by: i32): void {
  store<u32>(manager, referencesOf(manager) + by, REFERENCES);
  countTaken(manager, max(by, 0));
}

/** Adds to the number of counters and to the number of references. */
function addToBoth(manager: Address, by: u64): void {
  // One addition for both: they lie side by side, and neither goes below zero.
  const both = load<u64>(manager, COUNTERS);
  store<u64>(manager, both + (((<u64>1) << 32) | 1) * by, COUNTERS);
}

function countTaken(manager: Address, count: u32): void {
  store<u64>(manager, takenOf(manager) + count, TAKEN);
  store<u32>(manager, max(peakOf(manager), referencesOf(manager)), PEAK);
}

/** Number of stable picks that have succeeded. */
export function hintOf(manager: Address): u32 {
  return load<u32>(manager, HINT);
}

export function setHint(manager: Address, hint: u32): void {
  store<u32>(manager, hint, HINT);
}

/** The ephemeral range. */
export function ephemeralRangeOf(manager: Address): u32 {
  return load<u32>(manager, RANGE);
}

export function setEphemeralRange(manager: Address, range: u32): void {
  store<u32>(manager, range, RANGE);
}

/** The head of the list of open pools. */
export function poolList(manager: Address): Address {
  return manager + POOLS;
}

/** The unused flow that is kept for reuse, or 0. */
export function idleFlowOf(manager: Address): Address {
  return load<u32>(manager, IDLE);
}

export function setIdleFlow(manager: Address, flow: Address): void {
  store<u32>(manager, <u32>flow, IDLE);
}

/** The flow that has become unused during the current operation, or 0. */
export function emptiedFlowOf(manager: Address): Address {
  return load<u32>(manager, EMPTIED);
}

export function setEmptiedFlow(manager: Address, flow: Address): void {
  store<u32>(manager, <u32>flow, EMPTIED);
}
