// Hold: one port of one flow gains or loses a reference, and everything that counts it follows.
//
//   flow ──isHeld──▶ counter of its binding            unless the flow is the uncounted
//     └────────────▶ aggregate's flow or counter           unless the host is the uncounted
//                      └──isHeld──▶ aggregate's counter     unless the aggregate's flow is the uncounted
//
// gVisor counts references per flag combination and lets a count go below zero: a release
// with other flags than the reservation takes its reference from where there is none. What
// decides is the total over all combinations; when it reaches zero the port is free again.
//
// What an operation is going to need is charged first (memory/bill.ts); then nothing can fail.

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
  deviceOf,
  FLOW_BYTES,
  findAggregate,
  findBinding,
  findFlow,
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
import { chargeFlow, openAggregate, openClass, settleAggregateFlow, settleFlow } from "./tree";

// Manager: what `stats` tells, kept up from here.
export const COUNTERS: usize = 40;
export const REFERENCES: usize = 44;

// ── Gaining ───────────────────────────────────────────────────────────────────────────────

/** Charges for a reference to the port that an existing flow gains. */
export function chargeHold(manager: Address, flow: Address, port: Port): void {
  chargeAdd(flow, port);
  if (isUnaggregated(flow) || hasPort(flow, port)) return; // Nobody will see it becameHeld.
  const binding = parentOf(flow);
  const list = listOf(flow);
  if (uncountedFlowOf(binding, list) != flow) chargeAggregate(binding, list, flagsOf(flow), port);
  const aggregate = aggregateBindingOf(binding);
  if (aggregate) chargeAggregateBinding(manager, aggregate, flow, list, flagsOf(flow), port);
}

/** The same for a flow that will be made, in rungs that will be made where they are 0. */
export function chargeNewHold(
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

/** What counts it in the aggregate's binding, which will be made if it is 0. */
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
  // A uncounted that has gone leaves its place to the next that is made, not to a aggregateFlow.
  if (uncounted != aggregateFlow) chargeAggregate(aggregate, list, flags, port);
}

/** The counter of a flag class counts one more; it will be made if it is not there. */
function chargeAggregate(binding: Address, list: u32, flags: u32, port: Port): void {
  const counter = binding ? findAggregate(binding, list, flags) : 0;
  if (counter) chargeAdd(counter, port);
  else chargeBlock(FLOW_BYTES);
}

/** The flow gains a reference. It must have been charged. */
export function hold(manager: Address, flow: Address, port: Port): void {
  if (isHeldInRing(flow, port)) {
    countReference(manager, 1);
    if (addOne(manager, flow, port)) becameHeld(manager, flow, port);
    else settleFlow(manager, flow); // Its count may have come up to zero.
    return;
  }
  // A key that nobody holds has no counts, negative ones included.
  addPort(manager, flow, port);
  becameHeld(manager, flow, port);
  countHeld(manager, 1);
}

// ── Losing ────────────────────────────────────────────────────────────────────────────────

/** Does any flag class of the destination hold the port? */
export function isHeldInRing(flow: Address, port: Port): bool {
  let item = flow;
  do {
    if (hasPort(item, port)) return true;
    item = nextOf(item);
  } while (item != flow);
  return false;
}

/**
 * A reference with these flags is taken from each of the listed destinations, of which any flow is
 * given, or 0. How many of them held the port, or `NO_MEMORY`, and then nothing has changed.
 */
export function letGoAll(
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
    if (ring) chargeLetGo(ring, flags, port);
  }
  if (!canPay(manager)) return NO_MEMORY;
  let released = 0;
  for (let at = rings; at < end; at += 4) {
    const ring: Address = load<u32>(at);
    if (!ring || !isHeldInRing(ring, port)) continue;
    letGo(manager, ring, flags, port);
    released++;
  }
  return released;
}

/** Only releasing with other flags than those of the holders needs memory: for a count below zero. */
function chargeLetGo(ring: Address, flags: u32, port: Port): void {
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

/**
 * Charges for a reference in the class with these flags of a flow's destination, which the
 * destination gains while the flow holds the port.
 */
export function chargeClassHold(manager: Address, flow: Address, flags: u32, port: Port): void {
  const target = classIn(flow, flags);
  if (target) {
    chargeHold(manager, target, port);
    return;
  }
  const binding = parentOf(flow);
  const host = parentOf(binding);
  chargeNewHold(manager, parentOf(host), host, binding, deviceOf(binding), flow, flags, port);
}

/** The reference moves to the class with these flags, which is returned. It must have been charged. */
export function moveToClass(manager: Address, flow: Address, flags: u32, port: Port): Address {
  const target = openClass(manager, parentOf(flow), flow, flags);
  hold(manager, target, port);
  letGo(manager, flow, flagsOf(flow), port);
  return target;
}

/**
 * Takes a reference with these flags from a destination that holds the port. Nothing can fail if
 * that class has one to give.
 */
export function letGo(manager: Address, ring: Address, flags: u32, port: Port): void {
  if (isOnlyClass(ring) && isPlain(ring)) {
    // Held once, in one way: whatever the flags, the total reaches zero.
    removePort(manager, ring, port);
    becameFree(manager, ring, port);
    countHeld(manager, -1);
    settleFlow(manager, ring);
    return;
  }
  if (totalInRing(ring, port) == 1) {
    wipeRing(manager, ring, port);
    return;
  }
  const flow = openClass(manager, parentOf(ring), ring, flags);
  countReference(manager, -1);
  if (dropOne(manager, flow, port)) becameFree(manager, flow, port);
  settleFlow(manager, flow);
}

/** The last reference goes, and the key with all that is counted below zero. */
function wipeRing(manager: Address, ring: Address, port: Port): void {
  countHeld(manager, -1);
  let item = ring;
  let isLast: bool;
  do {
    const next = nextOf(item);
    isLast = next == ring;
    if (wipe(manager, item, port)) becameFree(manager, item, port);
    // The first of the ring marks its end, so it goes last.
    if (item != ring) settleFlow(manager, item);
    item = next;
  } while (!isLast);
  settleFlow(manager, ring);
}

function totalInRing(flow: Address, port: Port): i32 {
  let total = 0;
  let item = flow;
  do {
    total += countAt(item, port);
    item = nextOf(item);
  } while (item != flow);
  return total;
}

// ── Followers ─────────────────────────────────────────────────────────────────────────────

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

/** The binding's counter counts the flow, unless it is the uncounted. */
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

/** A key that no one else holds comes or goes. */
export function countHeld(manager: Address, by: i32): void {
  // Both at once: they lie side by side, and neither goes below zero.
  const both = load<u64>(manager, COUNTERS);
  store<u64>(manager, both + (((<u64>1) << 32) | 1) * <u64>(<i64>by), COUNTERS);
}

/** References to a key that others hold come or go. */
function countReference(manager: Address, by: i32): void {
  store<u32>(manager, load<u32>(manager, REFERENCES) + by, REFERENCES);
}
