// Tree: makes the records on the path to a flow, and frees records that have nothing left below.
//
//   chargeFlow   charges for the records on the path to a flow that do not exist
//   openFlow     downwards: finds or makes each record
//   settleFlow   upwards: frees a record without children, then perhaps its parent
//
// Must stay true: the manager's tree version changes whenever a node is made or freed. Code that
// keeps the address of a node between calls compares the version before it uses the address.

import { Address, alloc, allocZero, clear, free, isLimited } from "../memory/arena";
import { chargeBlock, chargeNode } from "../memory/bill";
import {
  capacityOf,
  find,
  insert,
  NODE_NAME,
  NODE_NUMBER,
  NODE_PARENT,
  nodeAt,
  nodeCount,
  remove,
  replace,
} from "../memory/table";
import { clearCounted, isPlain } from "../ports/counted";
import { countOf } from "../ports/set";
import {
  AGGREGATE_BINDING,
  AGGREGATE_HOST,
  AGGREGATES,
  ANY_HOST,
  aggregateBindingOf,
  aggregateHostOf,
  anyHostOf,
  BINDING,
  BINDING_BYTES,
  BINDINGS,
  CHILDREN,
  classIn,
  EMPTIED,
  FLAGS,
  FLOW,
  FLOW_BYTES,
  findAggregate,
  findBinding,
  findFlow,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  HOST,
  HOST_BYTES,
  HOST_OWN,
  HOSTS,
  IDLE,
  INLINE_SPACE,
  inlineAt,
  isAny,
  isFlow,
  isInlineHost,
  isOnlyClass,
  KIND,
  kindOf,
  listFor,
  listOf,
  NEXT,
  nextOf,
  POOLS,
  PREVIOUS,
  parentOf,
  SPACE,
  SPACE_BYTES,
  SPACE_OWN,
  SPACES,
  TREE_VERSION,
  TUPLE,
  UNAGGREGATED,
  UNCOUNTED,
  WILDCARD,
} from "./records";

// ── Making records ────────────────────────────────────────────────────────────────────────

/** Charges for the flow and for the records above it that are 0, which means that they do not exist. */
export function chargeFlow(
  manager: Address,
  space: Address,
  host: Address,
  binding: Address,
  device: u32,
): void {
  chargeNode(FLOW_BYTES);
  if (binding) return;
  if (!space) {
    // Even if the inline place is vacant, another network of the same request may take it. The
    // block of a space contains its first host and binding.
    chargeNode(SPACE_BYTES);
    return;
  }
  if (!host) chargeRecord(space + SPACE_OWN, HOST_BYTES);
  else chargeRecord(host + HOST_OWN, BINDING_BYTES);
  if (isInlineHost(space, host)) return;
  const aggregate = aggregateHostOf(space);
  if (!aggregate) chargeBlock(HOST_BYTES);
  else if (!findBinding(manager, aggregate, device))
    chargeRecord(aggregate + HOST_OWN, BINDING_BYTES);
}

/** A record costs nothing if the inline place is vacant. */
function chargeRecord(place: Address, bytes: u32): void {
  if (inlineAt(place)) chargeNode(bytes);
}

/** The flow, made if need be with the records above it. Space and host are given if they exist, else 0. */
export function openFlow(
  manager: Address,
  knownSpace: Address,
  knownHost: Address,
  network: u32,
  transport: u32,
  low: u64,
  high: u64,
  device: u32,
  destination: Address,
  flags: u32,
): Address {
  const space = knownSpace ? knownSpace : newSpace(manager, network, transport);
  const host = knownHost ? knownHost : newHost(manager, space, low, high);
  return openClass(manager, openBinding(manager, space, host, device), destination, flags);
}

function newSpace(manager: Address, network: u32, transport: u32): Address {
  const name = ((<u64>transport) << 32) | network;
  const place = manager + INLINE_SPACE;
  const space = newNode(manager, place, SPACE_OWN, SPACE_BYTES, SPACE, manager, 0, name);
  pushSibling(space, manager + SPACES);
  return space;
}

function newHost(manager: Address, space: Address, low: u64, high: u64): Address {
  const place = space + SPACE_OWN;
  const host = newNode(manager, place, HOST_OWN, HOST_BYTES, HOST, space, low, high);
  pushSibling(host, space + HOSTS);
  if (isAny(low, high)) store<u32>(space, <u32>host, ANY_HOST);
  return host;
}

function openBinding(manager: Address, space: Address, host: Address, device: u32): Address {
  const found = findBinding(manager, host, device);
  if (found) return found;
  const binding = newBinding(manager, host, device);
  if (isInlineHost(space, host)) return binding;
  const aggregate = openAggregateBinding(manager, space, device);
  store<u32>(binding, <u32>aggregate, AGGREGATE_BINDING);
  changeChildren(aggregate, 1);
  return binding;
}

function openAggregateBinding(manager: Address, space: Address, device: u32): Address {
  let host = aggregateHostOf(space);
  if (!host) {
    host = allocZero(manager, HOST_BYTES);
    assert(host != 0); // charged too little
    store<u8>(host, <u8>HOST, KIND);
    store<u32>(host, <u32>space, NODE_PARENT);
    store<u32>(space, <u32>host, AGGREGATE_HOST);
  }
  const found = findBinding(manager, host, device);
  return found ? found : newBinding(manager, host, device);
}

function newBinding(manager: Address, host: Address, device: u32): Address {
  const place = host + HOST_OWN;
  const binding = newNode(manager, place, BINDING_BYTES, BINDING_BYTES, BINDING, host, 0, device);
  store<u32>(binding, <u32>firstBindingOf(host), NEXT);
  store<u32>(host, <u32>binding, BINDINGS);
  return binding;
}

/** The flow of a binding with this destination and these flags, made if need be. */
export function openClass(
  manager: Address,
  binding: Address,
  destination: Address,
  flags: u32,
): Address {
  const ring = findFlow(manager, binding, destination);
  if (ring) {
    const found = classIn(ring, flags);
    if (found) return found;
  }
  const flow = ring ? allocZero(manager, FLOW_BYTES) : newFlow(manager, binding, destination);
  if (ring) {
    store<u32>(flow, load<u32>(ring, NODE_PARENT), NODE_PARENT);
    store<u16>(flow, load<u16>(ring, NODE_NUMBER), NODE_NUMBER);
    store<u64>(flow, load<u64>(ring, NODE_NAME), NODE_NAME);
    store<u64>(flow, load<u64>(ring, NODE_NAME + 8), NODE_NAME + 8);
    store<u8>(flow, <u8>kindOf(ring), KIND);
    store<u32>(flow, <u32>nextOf(ring), NEXT);
    store<u32>(ring, <u32>flow, NEXT);
    changeTreeVersion(manager);
  }
  store<u8>(flow, <u8>flags, FLAGS);
  changeChildren(binding, 1);
  const uncounted = binding + ((<usize>listOf(flow)) << 2);
  const isUncounted = load<u32>(uncounted, UNCOUNTED) == 0;
  if (isUncounted) store<u32>(uncounted, <u32>flow, UNCOUNTED);
  if (isUncounted && !aggregateBindingOf(binding)) store<u8>(flow, 1, UNAGGREGATED);
  return flow;
}

function newFlow(manager: Address, binding: Address, destination: Address): Address {
  const flow = allocZero(manager, FLOW_BYTES);
  assert(flow != 0); // charged too little
  const low = load<u64>(destination, NODE_NAME);
  setKey(flow, FLOW + listFor(destination), binding, low, load<u64>(destination, NODE_NAME + 8));
  store<u16>(flow, load<u16>(destination, NODE_NUMBER), NODE_NUMBER);
  store<u32>(flow, <u32>flow, NEXT);
  insert(manager, flow);
  changeTreeVersion(manager);
  return flow;
}

/** The aggregate of a list for these flags, made if need be. */
export function openAggregate(manager: Address, binding: Address, kind: u32, flags: u32): Address {
  const found = findAggregate(binding, kind, flags);
  if (found) return found;
  const counter = allocZero(manager, FLOW_BYTES);
  assert(counter != 0); // charged too little
  store<u32>(counter, <u32>binding, NODE_PARENT);
  store<u32>(counter, <u32>firstAggregateOf(binding, kind), NEXT);
  store<u8>(counter, <u8>flags, FLAGS);
  store<u32>(binding + ((<usize>kind) << 2), <u32>counter, AGGREGATES);
  changeTreeVersion(manager);
  return counter;
}

// ── Freeing records ───────────────────────────────────────────────────────────────────────

// A manager keeps the last flow that became unused, because a reservation with the same description
// is likely to follow and then finds all its records: that flow is `IDLE`. A flow that becomes
// unused during an operation is `EMPTIED`; at the end of the operation it replaces the idle flow,
// which is freed. A manager with a memory limit keeps no idle flow.

/** Frees a flow that is unused, or keeps it for reuse. */
export function settleFlow(manager: Address, flow: Address): void {
  if (!isUnused(flow)) return;
  const idle: Address = load<u32>(manager, IDLE);
  const emptied: Address = load<u32>(manager, EMPTIED);
  if (flow == idle || flow == emptied) return;
  if (emptied || isLimited(manager)) dropFlow(manager, flow);
  else if (idle) store<u32>(manager, <u32>flow, EMPTIED);
  else store<u32>(manager, <u32>flow, IDLE);
}

/** At the end of an operation: the flow that it has emptied becomes the idle flow. */
export function keepEmptied(manager: Address): void {
  const emptied: Address = load<u32>(manager, EMPTIED);
  if (!emptied) return;
  const idle: Address = load<u32>(manager, IDLE);
  store<u32>(manager, <u32>emptied, IDLE);
  store<u32>(manager, 0, EMPTIED);
  if (isUnused(idle)) dropFlow(manager, idle);
}

/** Frees the idle flow. */
export function freeIdle(manager: Address): void {
  keepEmptied(manager);
  const idle: Address = load<u32>(manager, IDLE);
  store<u32>(manager, 0, IDLE);
  if (idle && isUnused(idle)) dropFlow(manager, idle);
}

/** Does the flow hold no ports, and is no pool open on it? */
function isUnused(flow: Address): bool {
  return countOf(flow) == 0 && isPlain(flow) && load<u32>(flow, POOLS) == 0;
}

/** Frees a flow of the any-address aggregate that holds no ports, with the pages that it has kept. */
export function settleAggregateFlow(manager: Address, member: Address): void {
  if (countOf(member)) return;
  clearCounted(manager, member);
  dropFlow(manager, member);
}

function dropFlow(manager: Address, flow: Address): void {
  const binding = parentOf(flow);
  const uncounted = binding + ((<usize>listOf(flow)) << 2);
  if (load<u32>(uncounted, UNCOUNTED) == <u32>flow) store<u32>(uncounted, 0, UNCOUNTED);
  if (isOnlyClass(flow)) {
    remove(manager, flow);
  } else {
    leaveRing(manager, flow);
  }
  free(manager, flow);
  changeTreeVersion(manager);
  changeChildren(binding, -1);
  settleBinding(manager, binding);
}

function settleBinding(manager: Address, binding: Address): void {
  if (load<u32>(binding, CHILDREN)) return;
  for (let list = WILDCARD; list <= TUPLE; list++) freeAggregates(manager, binding, list);
  const host = parentOf(binding);
  const aggregate = aggregateBindingOf(binding);
  unlinkNext(host + BINDINGS, binding);
  freeNode(manager, binding, host + HOST_OWN);
  if (aggregate) {
    changeChildren(aggregate, -1);
    settleBinding(manager, aggregate);
  }
  settleHost(manager, host);
}

function settleHost(manager: Address, host: Address): void {
  if (firstBindingOf(host)) return;
  const space = parentOf(host);
  if (aggregateHostOf(space) == host) {
    store<u32>(space, 0, AGGREGATE_HOST);
    free(manager, host);
  } else {
    if (anyHostOf(space) == host) store<u32>(space, 0, ANY_HOST);
    removeSibling(host, space + HOSTS);
    freeNode(manager, host, space + SPACE_OWN);
  }
  settleSpace(manager, space);
}

function settleSpace(manager: Address, space: Address): void {
  // When a manager closes, the aggregate host may be freed after the hosts that it counts.
  if (firstHostOf(space) || aggregateHostOf(space)) return;
  removeSibling(space, manager + SPACES);
  freeNode(manager, space, manager + INLINE_SPACE);
}

/** Frees all records below the manager: empties and frees each flow, and with it the records above. */
export function freeTree(manager: Address): void {
  let index: u32 = 0;
  // Removing a node moves others between slots, so more than one round may be necessary.
  while (nodeCount(manager)) {
    if (index >= capacityOf(manager)) index = 0;
    const flow = nodeAt(manager, index);
    if (flow && isFlow(flow)) {
      clearCounted(manager, flow);
      dropFlow(manager, flow);
    } else {
      index++;
    }
  }
}

function freeAggregates(manager: Address, binding: Address, list: u32): void {
  let counter = firstAggregateOf(binding, list);
  while (counter) {
    const next = nextOf(counter);
    clearCounted(manager, counter);
    free(manager, counter);
    counter = next;
  }
}

// ── Nodes ─────────────────────────────────────────────────────────────────────────────────

/** A space, host or binding: an inline child if the place in its parent is vacant, else a block. */
function newNode(
  manager: Address,
  place: Address,
  ownBytes: u32,
  bytes: u32,
  kind: u32,
  parent: Address,
  low: u64,
  high: u64,
): Address {
  const isInline = kindOf(place) == 0;
  const node = isInline ? place : alloc(manager, bytes);
  assert(node != 0); // charged too little
  clear(node, isInline ? ownBytes : bytes);
  setKey(node, kind, parent, low, high);
  if (!isInline) insert(manager, node);
  changeTreeVersion(manager);
  return node;
}

function freeNode(manager: Address, node: Address, place: Address): void {
  if (node == place) {
    store<u8>(node, 0, KIND);
  } else {
    remove(manager, node);
    free(manager, node);
  }
  changeTreeVersion(manager);
}

function setKey(node: Address, kind: u32, parent: Address, low: u64, high: u64): void {
  store<u32>(node, <u32>parent, NODE_PARENT);
  store<u8>(node, <u8>kind, KIND);
  store<u64>(node, low, NODE_NAME);
  store<u64>(node, high, NODE_NAME + 8);
}

/** A node has been made or freed: addresses that were kept before must not be used any more. */
function changeTreeVersion(manager: Address): void {
  store<u32>(manager, load<u32>(manager, TREE_VERSION) + 1, TREE_VERSION);
}

function changeChildren(binding: Address, by: i32): void {
  store<u32>(binding, load<u32>(binding, CHILDREN) + by, CHILDREN);
}

function leaveRing(manager: Address, flow: Address): void {
  let before = nextOf(flow);
  while (nextOf(before) != flow) before = nextOf(before);
  const after = nextOf(flow);
  // The table may have the flow that is removed; then it gets the next one instead.
  if (findInTable(manager, flow) == flow) replace(manager, flow, after);
  store<u32>(before, <u32>after, NEXT);
}

function findInTable(manager: Address, flow: Address): Address {
  return find(
    manager,
    parentOf(flow),
    load<u16>(flow, NODE_NUMBER),
    load<u64>(flow, NODE_NAME),
    load<u64>(flow, NODE_NAME + 8),
  );
}

function pushSibling(node: Address, list: Address): void {
  const first = load<u32>(list);
  store<u32>(node, first, NEXT);
  store<u32>(node, 0, PREVIOUS);
  if (first) store<u32>(first, <u32>node, PREVIOUS);
  store<u32>(list, <u32>node);
}

function removeSibling(node: Address, list: Address): void {
  const next = load<u32>(node, NEXT);
  const previous = load<u32>(node, PREVIOUS);
  if (next) store<u32>(next, previous, PREVIOUS);
  if (previous) store<u32>(previous, next, NEXT);
  else store<u32>(list, next);
}

/** Removes a node from a singly linked list. */
function unlinkNext(list: Address, node: Address): void {
  let at = list;
  while (load<u32>(at) != <u32>node) at = <Address>load<u32>(at) + NEXT;
  store<u32>(at, <u32>nextOf(node));
}
