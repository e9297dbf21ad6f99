// Records: the tree of records below a manager, and how it is read. gVisor nests maps, port -> local
// address -> device -> destination -> counter. Here the ports are at the leaves:
//
//   Manager
//     Space        network and transport                     e.g. IPv4 / TCP
//       Host       local address, or the any address
//         Binding  device, or none
//           Flow   destination and flags -> the set of ports held with them  (ports/counted.ts)
//
// All of these are nodes of the manager's table (memory/table.ts), found by parent and key. The
// flows of one destination, one for each combination of flags, form a ring: one of them is in the
// table. The first space of a manager, the first host of a space and the first binding of a host are
// inline children: they lie in their parent's block and are not in the table.
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
// To avoid visiting them, a binding keeps one aggregate per list and combination of flags: a counted
// set that says for each port how many flows hold it. The first flow of a list, the uncounted flow,
// is examined directly instead, so a binding with one flow has no aggregate.
//
// Any-address aggregate. A request for the any address concerns every host of a space. For it a
// space keeps the aggregate host, whose bindings count what the other hosts hold: tuples in
// aggregates, and wildcard destinations in flows that count, for each port, the hosts that hold it.
// The space's inline host is examined directly instead, so a space with one host has no such host.
//
// Must stay true: a flow exists only while it holds ports, a pool is open on it, or the manager keeps
// it for reuse (tree.ts), and every other node while it has children; an aggregate, which may be
// empty as long as its binding exists, holds a port exactly when a flow that it counts does.

import { Address } from "../memory/arena";
import { find, hasKey, NODE_NAME, NODE_NUMBER, NODE_PARENT } from "../memory/table";

export const NEXT: usize = 4;
export const FLAGS: usize = 12;
export const KIND: usize = 14;
export const UNAGGREGATED: usize = 15;
export const POOLS: usize = 40;
export const PREVIOUS: usize = 40;
export const FLOW_BYTES: u32 = 44;

export const CHILDREN: usize = 44;
export const UNCOUNTED: usize = 48;
export const AGGREGATES: usize = 56;
export const AGGREGATE_BINDING: usize = 64;
export const BINDING_BYTES: u32 = 72;

export const BINDINGS: usize = 44;
export const HOST_OWN: u32 = 56;
export const HOST_BYTES: u32 = HOST_OWN + BINDING_BYTES;

export const ANY_HOST: usize = 44;
export const AGGREGATE_HOST: usize = 48;
export const HOSTS: usize = 52;
export const SPACE_OWN: u32 = 56;
export const SPACE_BYTES: u32 = SPACE_OWN + HOST_BYTES;

// Kinds of nodes. 0 is a node of the table that is not part of the tree (group-uses.ts).
export const GROUP_USES: u32 = 0;
export const SPACE: u32 = 1;
export const HOST: u32 = 2;
export const BINDING: u32 = 3;
export const FLOW: u32 = 4; // plus the list that it belongs to

// Which of a binding's two lists a flow belongs to.
export const WILDCARD: u32 = 0;
export const TUPLE: u32 = 1;

// Manager: account and table (memory/), then these.
export const SPACES: usize = 28;
export const TREE_VERSION: usize = 32;
export const IDLE: usize = 56;
export const EMPTIED: usize = 60;
export const INLINE_SPACE: usize = 64;

// ── Reading ───────────────────────────────────────────────────────────────────────────────

export function parentOf(node: Address): Address {
  return load<u32>(node, NODE_PARENT);
}

export function nextOf(node: Address): Address {
  return load<u32>(node, NEXT);
}

export function flagsOf(flow: Address): u32 {
  return load<u8>(flow, FLAGS);
}

export function kindOf(node: Address): u32 {
  return load<u8>(node, KIND);
}

export function isAny(low: u64, high: u64): bool {
  return (low | high) == 0;
}

export function isFlow(node: Address): bool {
  return kindOf(node) >= FLOW;
}

/** The list of its binding that a flow belongs to. */
export function listOf(flow: Address): u32 {
  return kindOf(flow) - FLOW;
}

/** Has a flow or request a wildcard address as its destination? The destination port does not matter. */
export function isWildcard(destination: Address): bool {
  return isAny(load<u64>(destination, NODE_NAME), load<u64>(destination, NODE_NAME + 8));
}

/** The list for the destination of a flow or request. */
export function listFor(destination: Address): u32 {
  return isWildcard(destination) ? WILDCARD : TUPLE;
}

export function deviceOf(binding: Address): u32 {
  return load<u32>(binding, NODE_NAME + 8);
}

export function transportOf(space: Address): u32 {
  return load<u32>(space, NODE_NAME + 12);
}

/** The inline child at this place, or 0. */
export function inlineAt(place: Address): Address {
  return kindOf(place) ? place : 0;
}

/** The host whose address is the any address, or 0. */
export function anyHostOf(space: Address): Address {
  return load<u32>(space, ANY_HOST);
}

/** The space's inline host, which the any-address aggregate does not count, or 0. */
export function inlineHostOf(space: Address): Address {
  return inlineAt(space + SPACE_OWN);
}

export function aggregateHostOf(space: Address): Address {
  return load<u32>(space, AGGREGATE_HOST);
}

export function firstHostOf(space: Address): Address {
  return load<u32>(space, HOSTS);
}

export function firstBindingOf(host: Address): Address {
  return load<u32>(host, BINDINGS);
}

/** The flow of a list that its aggregates do not count, or 0. */
export function uncountedFlowOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), UNCOUNTED);
}

/** First of the aggregates of a list, or 0. */
export function firstAggregateOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), AGGREGATES);
}

export function hasFlows(binding: Address, kind: u32): bool {
  return (uncountedFlowOf(binding, kind) | firstAggregateOf(binding, kind)) != 0;
}

/** Do no aggregates count the flow? That does not change as long as the flow exists. */
export function isUnaggregated(flow: Address): bool {
  return load<u8>(flow, UNAGGREGATED) != 0;
}

/** The binding of the any-address aggregate that counts this one, or 0. */
export function aggregateBindingOf(binding: Address): Address {
  return load<u32>(binding, AGGREGATE_BINDING);
}

// ── Finding ───────────────────────────────────────────────────────────────────────────────
// The inline child is compared first, then the table is searched, unless there are no children.

export function findSpace(manager: Address, network: u32, transport: u32): Address {
  const name = ((<u64>transport) << 32) | network;
  const inline = inlineAt(manager + INLINE_SPACE);
  if (inline && load<u64>(inline, NODE_NAME + 8) == name) return inline;
  return load<u32>(manager, SPACES) ? find(manager, manager, 0, 0, name) : 0;
}

export function findHost(manager: Address, space: Address, low: u64, high: u64): Address {
  if (isAny(low, high)) return anyHostOf(space);
  const inline = inlineHostOf(space);
  if (inline && hasKey(inline, space, 0, low, high)) return inline;
  return find(manager, space, 0, low, high);
}

export function findBinding(manager: Address, host: Address, device: u32): Address {
  const inline = inlineAt(host + HOST_OWN);
  if (inline && deviceOf(inline) == device) return inline;
  return firstBindingOf(host) ? find(manager, host, 0, 0, device) : 0;
}

/** A flow of that binding with the same destination as this flow or request, or 0. */
export function findFlow(manager: Address, binding: Address, destination: Address): Address {
  const low = load<u64>(destination, NODE_NAME);
  const high = load<u64>(destination, NODE_NAME + 8);
  const number = <u32>load<u16>(destination, NODE_NUMBER);
  const uncounted = uncountedFlowOf(binding, isAny(low, high) ? WILDCARD : TUPLE);
  if (uncounted && hasKey(uncounted, binding, number, low, high)) return uncounted;
  return load<u32>(binding, CHILDREN) ? find(manager, binding, number, low, high) : 0;
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

export function findAggregate(binding: Address, kind: u32, flags: u32): Address {
  let counter = firstAggregateOf(binding, kind);
  while (counter && flagsOf(counter) != flags) counter = nextOf(counter);
  return counter;
}

/** Is this the inline host of the space, or will it be the inline host if it is 0? */
export function isInlineHost(space: Address, host: Address): bool {
  return inlineHostOf(space) == host;
}
