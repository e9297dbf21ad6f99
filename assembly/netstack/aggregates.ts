// Hold: one port of one flow gains or loses a reference, and everything that counts it follows.
//
//   flow ──rises──▶ tally of its binding            unless the flow is the founder
//     └────────────▶ crowd's flow or tally           unless the host is the founder
//                      └──rises──▶ crowd's tally     unless the crowd's flow is the founder
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
  classIn,
  crowdHostOf,
  crowdOf,
  deviceOf,
  FLOW_BYTES,
  findBinding,
  findFlow,
  findTally,
  flagsOf,
  founderOf,
  isAlone,
  isFounderHost,
  isUnfollowed,
  listFor,
  listOf,
  nextOf,
  parentOf,
  TUPLE,
} from "./records";
import { chargeFlow, openClass, openTally, settleFlow, settleMember } from "./tree";

// Manager: what `stats` tells, kept up from here.
export const COUNTERS: usize = 40;
export const REFERENCES: usize = 44;

// ── Gaining ───────────────────────────────────────────────────────────────────────────────

/** Charges for a reference to the port that an existing flow gains. */
export function chargeHold(manager: Address, flow: Address, port: Port): void {
  chargeAdd(flow, port);
  if (isUnfollowed(flow) || hasPort(flow, port)) return; // Nobody will see it rise.
  const binding = parentOf(flow);
  const list = listOf(flow);
  if (founderOf(binding, list) != flow) chargeRaise(binding, list, flagsOf(flow), port);
  const crowd = crowdOf(binding);
  if (crowd) chargeCrowd(manager, crowd, flow, list, flagsOf(flow), port);
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
  if (binding && founderOf(binding, list)) chargeRaise(binding, list, flags, port);
  if (!space || isFounderHost(space, host)) return;
  const crowdHost = crowdHostOf(space);
  const crowd = crowdHost ? findBinding(manager, crowdHost, device) : 0;
  chargeCrowd(manager, crowd, destination, list, flags, port);
}

/** What counts it in the crowd's binding, which will be made if it is 0. */
function chargeCrowd(
  manager: Address,
  crowd: Address,
  destination: Address,
  list: u32,
  flags: u32,
  port: Port,
): void {
  if (list == TUPLE) {
    chargeRaise(crowd, list, flags, port);
    return;
  }
  const ring = crowd ? findFlow(manager, crowd, destination) : 0;
  const member = ring ? classIn(ring, flags) : 0;
  if (member) chargeAdd(member, port);
  else chargeNode(FLOW_BYTES);
  if (member && hasPort(member, port)) return;
  const founder = crowd ? founderOf(crowd, list) : 0;
  // A founder that has gone leaves its place to the next that is made, not to a member.
  if (founder != member) chargeRaise(crowd, list, flags, port);
}

/** The tally of a flag class counts one more; it will be made if it is not there. */
function chargeRaise(binding: Address, list: u32, flags: u32, port: Port): void {
  const tally = binding ? findTally(binding, list, flags) : 0;
  if (tally) chargeAdd(tally, port);
  else chargeBlock(FLOW_BYTES);
}

/** The flow gains a reference. It must have been charged. */
export function hold(manager: Address, flow: Address, port: Port): void {
  if (isHeldInRing(flow, port)) {
    countReference(manager, 1);
    if (addOne(manager, flow, port)) rise(manager, flow, port);
    else settleFlow(manager, flow); // Its count may have come up to zero.
    return;
  }
  // A key that nobody holds has no counts, negative ones included.
  addPort(manager, flow, port);
  rise(manager, flow, port);
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
  if (isAlone(ring) && isPlain(ring)) return;
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
  if (isAlone(ring) && isPlain(ring)) {
    // Held once, in one way: whatever the flags, the total reaches zero.
    removePort(manager, ring, port);
    fall(manager, ring, port);
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
  if (dropOne(manager, flow, port)) fall(manager, flow, port);
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
    if (wipe(manager, item, port)) fall(manager, item, port);
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

function rise(manager: Address, flow: Address, port: Port): void {
  if (!isUnfollowed(flow)) follow(manager, flow, port, true);
}

function fall(manager: Address, flow: Address, port: Port): void {
  if (!isUnfollowed(flow)) follow(manager, flow, port, false);
}

function follow(manager: Address, flow: Address, port: Port, rises: bool): void {
  const binding = parentOf(flow);
  followInTally(manager, binding, flow, port, rises);
  const crowd = crowdOf(binding);
  if (!crowd) return;
  if (listOf(flow) == TUPLE) {
    followInTally(manager, crowd, flow, port, rises);
    return;
  }
  const member = openClass(manager, crowd, flow, flagsOf(flow));
  const moved = rises ? addOne(manager, member, port) : dropOne(manager, member, port);
  if (moved) followInTally(manager, crowd, member, port, rises);
  settleMember(manager, member);
}

/** The binding's tally counts the flow, unless it is the founder. */
function followInTally(
  manager: Address,
  binding: Address,
  flow: Address,
  port: Port,
  rises: bool,
): void {
  const list = listOf(flow);
  if (founderOf(binding, list) == flow) return;
  const tally = openTally(manager, binding, list, flagsOf(flow));
  if (rises) addOne(manager, tally, port);
  else dropOne(manager, tally, port);
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
