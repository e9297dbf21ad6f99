// Aggregates: a flow gains or loses a reference to a port, and the aggregates that count the flow
// are kept up to date (records.ts says what they are).
//
//   flow ── became held or free ──▶ aggregate of its binding
//     │                               unless it is the binding's uncounted flow
//     └──────────────────────────▶ flow or aggregate of the any-address aggregate
//                                     unless its host is the inline host
//                                     └─▶ aggregate there, unless that flow is the uncounted one
//
// gVisor counts references per combination of flags and lets a count go below zero: a release with
// other flags than those of the reservation takes one from the wrong count. The total over all
// combinations decides. When it reaches zero the port is free again.
//
// The memory for an operation is charged before it (memory/bill.ts), so no step of it can fail.

import { NO_MEMORY } from "../abi";
import { Address } from "../memory/arena";
import { beginBill, canPay, chargeBlock, chargeNode } from "../memory/bill";
import { Port } from "../ports/bitmap";
import { addOne, chargeAdd, chargeDrop, countAt, dropOne, isPlain, wipe } from "../ports/counted";
import { chargeFirstExtra } from "../ports/extra-counts";
import { addPort, hasPort, removePort } from "../ports/set";
import {
  aggregateBindingOf,
  aggregateHostOf,
  classIn,
  countFreed,
  countHeld,
  countReference,
  deviceOf,
  FLOW_BYTES,
  flagsOf,
  isInlineHost,
  isOnlyClass,
  isUnaggregated,
  listFor,
  listOf,
  nextOf,
  parentOf,
  TUPLE,
  uncountedFlowOf,
} from "./records";
import {
  chargeFlow,
  findAggregate,
  findBinding,
  findFlow,
  keepEmptied,
  openAggregate,
  openClass,
  settleAggregateFlow,
  settleFlow,
} from "./tree";

// ── Acquiring ─────────────────────────────────────────────────────────────────────────────

/** Charges for a reference to the port for an existing flow. */
export function chargeAcquire(manager: Address, flow: Address, port: Port): void {
  chargeAdd(flow, port);
  if (isUnaggregated(flow) || hasPort(flow, port)) return; // No aggregate will change.
  const binding = parentOf(flow);
  const list = listOf(flow);
  if (uncountedFlowOf(binding, list) != flow) chargeAggregate(binding, list, flagsOf(flow), port);
  const aggregate = aggregateBindingOf(binding);
  if (aggregate) chargeAggregateBinding(manager, aggregate, flow, list, flagsOf(flow), port);
}

/**
 * The same for a flow that does not exist yet, below records that do not exist where they are 0.
 */
export function chargeNewAcquire(
  manager: Address,
  space: Address,
  host: Address,
  binding: Address,
  device: u32,
  destination: Address,
  flags: u32,
  port: Port,
): void {
  chargeFlow(manager, space, host, binding, device);
  const list = listFor(destination);
  if (binding && uncountedFlowOf(binding, list)) chargeAggregate(binding, list, flags, port);
  if (!space || isInlineHost(space, host)) return;
  const aggregateHost = aggregateHostOf(space);
  const aggregate = aggregateHost ? findBinding(manager, aggregateHost, device) : 0;
  chargeAggregateBinding(manager, aggregate, destination, list, flags, port);
}

/** Charges for the any-address aggregate; its binding does not exist if it is 0. */
function chargeAggregateBinding(
  manager: Address,
  aggregate: Address,
  destination: Address,
  list: u32,
  flags: u32,
  port: Port,
): void {
  if (list == TUPLE) {
    chargeAggregate(aggregate, list, flags, port);
    return;
  }
  const ring = aggregate ? findFlow(manager, aggregate, destination) : 0;
  const aggregateFlow = ring ? classIn(ring, flags) : 0;
  if (aggregateFlow) chargeAdd(aggregateFlow, port);
  else chargeNode(FLOW_BYTES);
  if (aggregateFlow && hasPort(aggregateFlow, port)) return;
  const uncounted = aggregate ? uncountedFlowOf(aggregate, list) : 0;
  // If there is no uncounted flow, the next flow to be made takes its place, not an existing one.
  if (uncounted != aggregateFlow) chargeAggregate(aggregate, list, flags, port);
}

/** Charges for adding one to the aggregate of these flags, which may not exist yet. */
function chargeAggregate(binding: Address, list: u32, flags: u32, port: Port): void {
  const counter = binding ? findAggregate(binding, list, flags) : 0;
  if (counter) chargeAdd(counter, port);
  else chargeBlock(FLOW_BYTES);
}

/** Adds a reference to the port. It must have been charged. */
export function acquire(manager: Address, flow: Address, port: Port): void {
  if (isHeldInRing(flow, port)) {
    countReference(manager, 1);
    if (addOne(manager, flow, port)) becameHeld(manager, flow, port);
    else settleFlow(manager, flow); // Its count may have risen from -1 to zero.
    return;
  }
  // A port that no flow of the destination holds has no extra counts either.
  addPort(manager, flow, port);
  becameHeld(manager, flow, port);
  countHeld(manager, 1);
}

// ── Releasing ─────────────────────────────────────────────────────────────────────────────

/** Does any flow of the destination hold the port? */
export function isHeldInRing(flow: Address, port: Port): bool {
  let item = flow;
  do {
    if (hasPort(item, port)) return true;
    item = nextOf(item);
  } while (item != flow);
  return false;
}

/**
 * Takes a reference with these flags from each of `count` destinations. `rings` has a flow of each,
 * or 0. Returns how many destinations held the port, or `NO_MEMORY`.
 */
export function releaseAll(
  manager: Address,
  rings: Address,
  count: u32,
  flags: u32,
  port: Port,
): i32 {
  const end = rings + ((<usize>count) << 2);
  beginBill();
  for (let at = rings; at < end; at += 4) {
    const ring: Address = load<u32>(at);
    if (ring) chargeRelease(ring, flags, port);
  }
  if (!canPay(manager)) return NO_MEMORY;
  let released = 0;
  for (let at = rings; at < end; at += 4) {
    const ring: Address = load<u32>(at);
    if (!ring || !isHeldInRing(ring, port)) continue;
    release(manager, ring, flags, port);
    released++;
  }
  return released;
}

/** Only a release with flags that no holder has needs memory: for a count below zero. */
function chargeRelease(ring: Address, flags: u32, port: Port): void {
  if (isOnlyClass(ring) && isPlain(ring)) return;
  if (!isHeldInRing(ring, port) || totalInRing(ring, port) == 1) return;
  const flow = classIn(ring, flags);
  if (flow) {
    chargeDrop(flow, port);
  } else {
    chargeBlock(FLOW_BYTES);
    chargeFirstExtra();
  }
}

/** Charges for `moveToClass`. */
export function chargeMove(manager: Address, flow: Address, flags: u32, port: Port): void {
  const target = classIn(flow, flags);
  if (target) {
    chargeAcquire(manager, target, port);
    return;
  }
  const binding = parentOf(flow);
  const host = parentOf(binding);
  chargeNewAcquire(manager, parentOf(host), host, binding, deviceOf(binding), flow, flags, port);
}

/**
 * Moves a reference to the flow with these flags and the same destination, and returns that flow.
 * It must have been charged.
 */
export function moveToClass(manager: Address, flow: Address, flags: u32, port: Port): Address {
  const target = openClass(manager, parentOf(flow), flow, flags);
  acquire(manager, target, port);
  release(manager, flow, flagsOf(flow), port);
  keepEmptied(manager);
  return target;
}

/**
 * Takes a reference with these flags from a destination that holds the port. If no flow with these
 * flags has one, a negative count needs memory, which must have been charged.
 */
export function release(manager: Address, ring: Address, flags: u32, port: Port): void {
  if (isOnlyClass(ring) && isPlain(ring)) {
    // There is one reference, so the total reaches zero, whatever the flags are.
    removePort(manager, ring, port);
    becameFree(manager, ring, port);
    countFreed(manager, 1);
    settleFlow(manager, ring);
    return;
  }
  if (totalInRing(ring, port) == 1) {
    releaseLast(manager, ring, port);
    return;
  }
  const flow = openClass(manager, parentOf(ring), ring, flags);
  countReference(manager, -1);
  if (dropOne(manager, flow, port)) becameFree(manager, flow, port);
  settleFlow(manager, flow);
}

/** Removes the last reference, and with it all counts of the destination for the port. */
function releaseLast(manager: Address, ring: Address, port: Port): void {
  countFreed(manager, 1);
  let item = ring;
  let isLast: bool;
  do {
    const next = nextOf(item);
    isLast = next == ring;
    if (wipe(manager, item, port)) becameFree(manager, item, port);
    // The loop ends at the first flow, so that one is freed last.
    if (item != ring) settleFlow(manager, item);
    item = next;
  } while (!isLast);
  settleFlow(manager, ring);
}

/** How often the flows of a destination hold the port. */
export function totalInRing(flow: Address, port: Port): i32 {
  let total = 0;
  let item = flow;
  do {
    total += countAt(item, port);
    item = nextOf(item);
  } while (item != flow);
  return total;
}

// ── Updating the aggregates ───────────────────────────────────────────────────────────────

function becameHeld(manager: Address, flow: Address, port: Port): void {
  if (!isUnaggregated(flow)) updateAggregates(manager, flow, port, true);
}

function becameFree(manager: Address, flow: Address, port: Port): void {
  if (!isUnaggregated(flow)) updateAggregates(manager, flow, port, false);
}

function updateAggregates(manager: Address, flow: Address, port: Port, isHeld: bool): void {
  const binding = parentOf(flow);
  updateAggregate(manager, binding, flow, port, isHeld);
  const aggregate = aggregateBindingOf(binding);
  if (!aggregate) return;
  if (listOf(flow) == TUPLE) {
    updateAggregate(manager, aggregate, flow, port, isHeld);
    return;
  }
  const aggregateFlow = openClass(manager, aggregate, flow, flagsOf(flow));
  const moved = isHeld
    ? addOne(manager, aggregateFlow, port)
    : dropOne(manager, aggregateFlow, port);
  if (moved) updateAggregate(manager, aggregate, aggregateFlow, port, isHeld);
  settleAggregateFlow(manager, aggregateFlow);
}

/** Updates the aggregate of a binding, unless the flow is its uncounted flow. */
function updateAggregate(
  manager: Address,
  binding: Address,
  flow: Address,
  port: Port,
  isHeld: bool,
): void {
  const list = listOf(flow);
  if (uncountedFlowOf(binding, list) == flow) return;
  const counter = openAggregate(manager, binding, list, flagsOf(flow));
  if (isHeld) addOne(manager, counter, port);
  else dropOne(manager, counter, port);
}
