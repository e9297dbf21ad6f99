// Ladder: the rungs from a manager down to the ports that a flow holds.
//
//   Manager
//     Space      network x transport                       e.g. IPv4 / TCP
//       Host     local address, or any
//         Binding   device, or none
//           Flow    destination x flags  ->  which ports are held      (ports/counted.ts)
//
// Every rung is a node, found by its parent and its name. The flag classes of one destination form
// a ring; the table knows one of them. The first space, host and binding below a parent, its
// inline, lies in the parent's own block and needs no table; the others are blocks of their own.
//
//   ┌───────────────────────────────────────────────┐
//   │ manager │ inline space                       │      kind 0: the place is vacant
//   └─────────┬───────┬─────────────────────────────┤
//             │ space │ inline host                │
//             └───────┬──────┬──────────────────────┤
//                     │ host │ inline binding      │
//                     └──────┴──────────────────────┘
//
//   node  0 ┌─────────────────────┐
//           │ parent         u32  │
//         4 ├─────────────────────┤
//           │ next           u32  │  flow: ring of classes; other rungs: list of siblings
//         8 ├──────────┬──────────┤
//           │ number   │ count    │  flow: destination port; how many ports
//        12 ├──────┬───┴──┬───────┤
//           │ flags│ form │ kind, │  u8 each, and of a flow, whether nothing counts it
//        16 ├──────┴──────┴───────┤
//           │ ports, extra  u32  │  the counted set
//        24 ├─────────────────────┤
//           │ name      16 bytes  │  network and transport · address · device · destination
//        40 ├─────────────────────┤
//           │ flow: open handles  │  space, host: previous sibling
//        44 ├─────────────────────┘
//           │ space:   any, aggregate, hosts
//           │ host:    bindings
//           │ binding: children, inline and tallies of each kind, aggregate
//
// Tallies. A question with a wildcard on one side concerns every flow of a binding. So that it
// need not visit them, a binding keeps one counter per flag class and kind (wildcard destinations,
// tuples): a counted set that says how many of its flows hold each port. The first flow of a
// kind, the inline, is not counted but looked at itself: a binding with one flow has no counter.
//
// Crowd. A question about any address concerns every host. So each space keeps one host more,
// the aggregate, whose bindings count what the hosts hold; its flows with a wildcard destination
// count, per port, the hosts that hold it there. Again the first host is not counted but looked
// at itself.
//
// Must stay true: a node exists only while something below it holds a port, isKept (tree.ts), or a
// handle is open (an empty counter waits for its binding to go); a counter holds a port exactly when a flow that it
// counts does.

import { Address } from "../memory/arena";
import { find, hasKey, NODE_NAME, NODE_NUMBER, NODE_PARENT } from "../memory/table";

export const NEXT: usize = 4;
export const FLAGS: usize = 12;
export const KIND: usize = 14;
export const UNAGGREGATED: usize = 15;
export const HANDLES: usize = 40;
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

// What a node is. 0 is one that does not belong to the ladder, such as a member (group-uses.ts).
export const MEMBER: u32 = 0;
export const SPACE: u32 = 1;
export const HOST: u32 = 2;
export const BINDING: u32 = 3;
export const FLOW: u32 = 4; // and which list it belongs to

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

/** Which of its binding's lists a flow belongs to. */
export function listOf(flow: Address): u32 {
  return kindOf(flow) - FLOW;
}

/** Is the destination of this flow, or of this request, a wildcard? Its port does not matter. */
export function isWildcard(destination: Address): bool {
  return isAny(load<u64>(destination, NODE_NAME), load<u64>(destination, NODE_NAME + 8));
}

/** The list of a flow or, as yet without one, a request. */
export function listFor(destination: Address): u32 {
  return isWildcard(destination) ? WILDCARD : TUPLE;
}

export function deviceOf(binding: Address): u32 {
  return load<u32>(binding, NODE_NAME + 8);
}

export function transportOf(space: Address): u32 {
  return load<u32>(space, NODE_NAME + 12);
}

/** The node in a inline's place, or 0. */
export function inlineAt(place: Address): Address {
  return kindOf(place) ? place : 0;
}

/** The host of the any address, or 0. */
export function anyHostOf(space: Address): Address {
  return load<u32>(space, ANY_HOST);
}

/** The host that the aggregate does not count, or 0. */
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

/** The flow of that kind which the tallies do not count, or 0. */
export function uncountedFlowOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), UNCOUNTED);
}

/** First of the tallies of that kind, or 0. */
export function firstAggregateOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), AGGREGATES);
}

export function hasFlows(binding: Address, kind: u32): bool {
  return (uncountedFlowOf(binding, kind) | firstAggregateOf(binding, kind)) != 0;
}

/** Does nothing count the flow's ports: no counter, no aggregate? That never changes while it lives. */
export function isUnaggregated(flow: Address): bool {
  return load<u8>(flow, UNAGGREGATED) != 0;
}

/** The aggregate's binding that counts this one, or 0. */
export function aggregateBindingOf(binding: Address): Address {
  return load<u32>(binding, AGGREGATE_BINDING);
}

// ── Finding ───────────────────────────────────────────────────────────────────────────────
// The inline first, then the table, unless there is nothing to be found.

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

/** Any flow of the destination (a flow or a request) in that binding, or 0. */
export function findFlow(manager: Address, binding: Address, destination: Address): Address {
  const low = load<u64>(destination, NODE_NAME);
  const high = load<u64>(destination, NODE_NAME + 8);
  const number = <u32>load<u16>(destination, NODE_NUMBER);
  const inline = uncountedFlowOf(binding, isAny(low, high) ? WILDCARD : TUPLE);
  if (inline && hasKey(inline, binding, number, low, high)) return inline;
  return load<u32>(binding, CHILDREN) ? find(manager, binding, number, low, high) : 0;
}

/** The class with these flags in the ring of `flow`, or 0. */
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

/** Is the host, or will it be if it is 0, the one that the aggregate does not count? */
export function isInlineHost(space: Address, host: Address): bool {
  return inlineHostOf(space) == host;
}
