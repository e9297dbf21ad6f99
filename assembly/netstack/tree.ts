// Tree: makes the records on the path to a flow, and frees records that have nothing left below.
//
//   chargeFlow   charges for the records on the path to a flow that do not exist
//   openFlow     downwards: finds or makes each record
//   settleFlow   upwards: frees a record without children, then perhaps its parent
//
// Must stay true: the manager's tree version changes whenever a node is made or freed. Code that
// keeps the address of a node between calls compares the version before it uses the address.

import { Address, alloc, allocZero, clear, free, isLimited, paidFor } from "../memory/arena";
import { chargeBlock, chargeNode } from "../memory/bill";
import {
  capacityOf,
  find,
  hasKey,
  insert,
  nodeAt,
  nodeCount,
  remove,
  replace,
} from "../memory/table";
import { clearCounted, isPlain } from "../ports/counted";
import { countOf } from "../ports/set";
import { freeGroupUses } from "./group-uses";
import {
  aggregateBindingOf,
  aggregateHostOf,
  anyHostOf,
  BINDING,
  BINDING_BYTES,
  bindingList,
  changeTreeVersion,
  childrenOf,
  classIn,
  countChildren,
  deviceOf,
  emptiedFlowOf,
  FLOW,
  FLOW_BYTES,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  firstSpaceOf,
  flagsOf,
  GROUP_USES,
  HOST,
  HOST_BYTES,
  HOST_OWN,
  highOf,
  hostList,
  idleFlowOf,
  inlineAt,
  inlineHostOf,
  inlineSpaceAt,
  isAny,
  isFlow,
  isInlineHost,
  isOnlyClass,
  isTowards,
  kindOf,
  listFor,
  listOf,
  lowOf,
  nextOf,
  numberOf,
  openPoolsOf,
  parentOf,
  pushSibling,
  removeSibling,
  SPACE,
  SPACE_BYTES,
  SPACE_OWN,
  setAggregateBinding,
  setAggregateHost,
  setAnyHost,
  setEmptiedFlow,
  setFirstAggregate,
  setFlags,
  setIdleFlow,
  setKey,
  setNext,
  setNumber,
  setUnaggregated,
  setUncountedFlow,
  spaceList,
  TUPLE,
  uncountedFlowOf,
  unlinkNext,
  vacate,
  WILDCARD,
} from "./records";

// ── Finding records ───────────────────────────────────────────────────────────────────────
// The inline child is compared first, then the table is searched, unless there are no children.

export function findSpace(manager: Address, network: u32, transport: u32): Address {
  const name = spaceName(network, transport);
  const inline = inlineAt(inlineSpaceAt(manager));
  if (inline && highOf(inline) == name) return inline;
  return firstSpaceOf(manager) ? find(manager, manager, 0, 0, name) : 0;
}

export function spaceName(network: u32, transport: u32): u64 {
  return ((<u64>transport) << 32) | network;
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
  const uncounted = uncountedFlowOf(binding, listFor(destination));
  if (uncounted && isTowards(uncounted, binding, destination)) return uncounted;
  return childrenOf(binding) ? findFlowInTable(manager, binding, destination) : 0;
}

function findFlowInTable(manager: Address, binding: Address, destination: Address): Address {
  const number = numberOf(destination);
  return find(manager, binding, number, lowOf(destination), highOf(destination));
}

/** The aggregate of a list for these flags, or 0. */
export function findAggregate(binding: Address, list: u32, flags: u32): Address {
  let aggregate = firstAggregateOf(binding, list);
  while (aggregate && flagsOf(aggregate) != flags) aggregate = nextOf(aggregate);
  return aggregate;
}

// ── Making records ────────────────────────────────────────────────────────────────────────

/**
 * Charges for the flow and for the records above it that are 0, which means that they do not exist.
 */
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

/**
 * The flow, made if need be with the records above it. Its space and host, and a flow of the same
 * destination, are given if they exist, else 0.
 */
export function openFlow(
  manager: Address,
  knownSpace: Address,
  knownHost: Address,
  ring: Address,
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
  const binding = openBinding(manager, space, host, device);
  return openInRing(manager, binding, ring, destination, flags);
}

function newSpace(manager: Address, network: u32, transport: u32): Address {
  const name = spaceName(network, transport);
  const place = inlineSpaceAt(manager);
  const space = newNode(manager, place, SPACE_OWN, SPACE_BYTES, SPACE, manager, 0, name);
  pushSibling(space, spaceList(manager));
  return space;
}

function newHost(manager: Address, space: Address, low: u64, high: u64): Address {
  const place = space + SPACE_OWN;
  const host = newNode(manager, place, HOST_OWN, HOST_BYTES, HOST, space, low, high);
  pushSibling(host, hostList(space));
  if (isAny(low, high)) setAnyHost(space, host);
  return host;
}

function openBinding(manager: Address, space: Address, host: Address, device: u32): Address {
  const found = findBinding(manager, host, device);
  if (found) return found;
  const binding = newBinding(manager, host, device);
  if (isInlineHost(space, host)) return binding;
  const aggregate = openAggregateBinding(manager, space, device);
  setAggregateBinding(binding, aggregate);
  countChildren(aggregate, 1);
  return binding;
}

function openAggregateBinding(manager: Address, space: Address, device: u32): Address {
  let host = aggregateHostOf(space);
  if (!host) {
    host = allocZero(manager, HOST_BYTES);
    assert(host != 0); // charged too little
    setKey(host, HOST, space, 0, 0);
    setAggregateHost(space, host);
  }
  const found = findBinding(manager, host, device);
  return found ? found : newBinding(manager, host, device);
}

function newBinding(manager: Address, host: Address, device: u32): Address {
  const place = host + HOST_OWN;
  const binding = newNode(manager, place, BINDING_BYTES, BINDING_BYTES, BINDING, host, 0, device);
  setNext(binding, firstBindingOf(host));
  store<u32>(bindingList(host), <u32>binding);
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
  return openInRing(manager, binding, ring, destination, flags);
}

/** The same, where a flow of the destination is given, or 0 if there is none. */
export function openInRing(
  manager: Address,
  binding: Address,
  ring: Address,
  destination: Address,
  flags: u32,
): Address {
  const found = ring ? classIn(ring, flags) : 0;
  if (found) return found;
  const flow = ring ? newInRing(manager, ring) : newFlow(manager, binding, destination);
  setFlags(flow, flags);
  countChildren(binding, 1);
  if (uncountedFlowOf(binding, listOf(flow))) return flow;
  setUncountedFlow(binding, listOf(flow), flow);
  if (!aggregateBindingOf(binding)) setUnaggregated(flow);
  return flow;
}

function newInRing(manager: Address, ring: Address): Address {
  const flow = allocZero(manager, FLOW_BYTES);
  assert(flow != 0); // charged too little
  setKey(flow, kindOf(ring), parentOf(ring), lowOf(ring), highOf(ring));
  setNumber(flow, numberOf(ring));
  setNext(flow, nextOf(ring));
  setNext(ring, flow);
  changeTreeVersion(manager);
  return flow;
}

function newFlow(manager: Address, binding: Address, destination: Address): Address {
  const flow = allocZero(manager, FLOW_BYTES);
  assert(flow != 0); // charged too little
  const kind = FLOW + listFor(destination);
  setKey(flow, kind, binding, lowOf(destination), highOf(destination));
  setNumber(flow, numberOf(destination));
  setNext(flow, flow);
  insert(manager, flow);
  changeTreeVersion(manager);
  return flow;
}

/** The aggregate of a list for these flags, made if need be. */
export function openAggregate(manager: Address, binding: Address, list: u32, flags: u32): Address {
  const found = findAggregate(binding, list, flags);
  if (found) return found;
  const counter = allocZero(manager, FLOW_BYTES);
  assert(counter != 0); // charged too little
  setKey(counter, 0, binding, 0, 0);
  setNext(counter, firstAggregateOf(binding, list));
  setFlags(counter, flags);
  setFirstAggregate(binding, list, counter);
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
  const idle = idleFlowOf(manager);
  const emptied = emptiedFlowOf(manager);
  if (flow == idle || flow == emptied) return;
  if (emptied || isLimited(manager)) dropFlow(manager, flow);
  else if (idle) setEmptiedFlow(manager, flow);
  else setIdleFlow(manager, flow);
}

/** At the end of an operation: the flow that it has emptied becomes the idle flow. */
export function keepEmptied(manager: Address): void {
  const emptied = emptiedFlowOf(manager);
  if (!emptied) return;
  const idle = idleFlowOf(manager);
  setIdleFlow(manager, emptied);
  setEmptiedFlow(manager, 0);
  if (isUnused(idle)) dropFlow(manager, idle);
}

/** Does the flow hold no ports, and is no pool open on it? */
export function isUnused(flow: Address): bool {
  return countOf(flow) == 0 && isPlain(flow) && openPoolsOf(flow) == 0;
}

/**
 * Frees a flow of the any-address aggregate that holds no ports, with the pages that it has kept.
 */
export function settleAggregateFlow(manager: Address, flow: Address): void {
  if (countOf(flow)) return;
  clearCounted(manager, flow, true);
  dropFlow(manager, flow);
}

function dropFlow(manager: Address, flow: Address): void {
  const binding = parentOf(flow);
  const list = listOf(flow);
  if (uncountedFlowOf(binding, list) == flow) setUncountedFlow(binding, list, 0);
  if (isOnlyClass(flow)) {
    remove(manager, flow);
  } else {
    leaveRing(manager, flow);
  }
  free(manager, flow);
  changeTreeVersion(manager);
  countChildren(binding, -1);
  settleBinding(manager, binding);
}

function settleBinding(manager: Address, binding: Address): void {
  if (childrenOf(binding)) return;
  freeAggregates(manager, binding, true);
  const host = parentOf(binding);
  const aggregate = aggregateBindingOf(binding);
  unlinkNext(binding, bindingList(host));
  freeNode(manager, binding, host + HOST_OWN);
  if (aggregate) {
    countChildren(aggregate, -1);
    settleBinding(manager, aggregate);
  }
  settleHost(manager, host);
}

function settleHost(manager: Address, host: Address): void {
  if (firstBindingOf(host)) return;
  const space = parentOf(host);
  if (aggregateHostOf(space) == host) {
    setAggregateHost(space, 0);
    free(manager, host);
  } else {
    if (anyHostOf(space) == host) setAnyHost(space, 0);
    removeSibling(host, hostList(space));
    freeNode(manager, host, space + SPACE_OWN);
  }
  settleSpace(manager, space);
}

function settleSpace(manager: Address, space: Address): void {
  // When a manager closes, the aggregate host may be freed after the hosts that it counts.
  if (firstHostOf(space) || aggregateHostOf(space)) return;
  removeSibling(space, spaceList(manager));
  freeNode(manager, space, inlineSpaceAt(manager));
}

/**
 * Frees all records below the manager: empties and frees each flow, and with it the records above;
 * and takes back its uses of groups.
 */
export function freeTree(manager: Address): void {
  let index: u32 = 0;
  // Removing a node moves others between slots, so more than one round may be necessary.
  while (nodeCount(manager)) {
    if (index >= capacityOf(manager)) index = 0;
    const node = nodeAt(manager, index);
    if (node && isFlow(node)) {
      clearCounted(manager, node, true);
      dropFlow(manager, node);
    } else if (node && kindOf(node) == GROUP_USES) {
      freeGroupUses(manager, node);
    } else {
      index++;
    }
  }
}

/**
 * Frees the aggregates of a binding. `all` is false: frees only those without ports, and memory
 * that the others keep for reuse. Manager 0: frees nothing. Returns the bytes that they took
 * before.
 */
export function freeAggregates(manager: Address, binding: Address, all: bool): u32 {
  let bytes: u32 = 0;
  for (let list = WILDCARD; list <= TUPLE; list++) {
    let counter = firstAggregateOf(binding, list);
    if (manager) setFirstAggregate(binding, list, 0);
    while (counter) {
      const next = nextOf(counter);
      bytes += clearCounted(manager, counter, all) + paidFor(counter);
      if (manager) {
        if (countOf(counter)) {
          setNext(counter, firstAggregateOf(binding, list));
          setFirstAggregate(binding, list, counter);
        } else {
          free(manager, counter);
        }
      }
      counter = next;
    }
  }
  return bytes;
}

/**
 * Frees the memory that the aggregates of a binding only keep for reuse. Returns the binding of the
 * any-address aggregate that counts this one, or 0.
 */
export function settleAggregates(manager: Address, binding: Address): Address {
  freeAggregates(manager, binding, false);
  changeTreeVersion(manager);
  return aggregateBindingOf(binding);
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
    vacate(node);
  } else {
    remove(manager, node);
    free(manager, node);
  }
  changeTreeVersion(manager);
}

function leaveRing(manager: Address, flow: Address): void {
  let before = nextOf(flow);
  while (nextOf(before) != flow) before = nextOf(before);
  const after = nextOf(flow);
  // The table may have the flow that is removed; then it gets the next one instead.
  if (findFlowInTable(manager, parentOf(flow), flow) == flow) replace(manager, flow, after);
  setNext(before, after);
}
