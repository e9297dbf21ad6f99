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
// Making room is a step of its own and may be refused; `tidy` undoes it. Holding and letting go
// never are refused.

import { NO_MEMORY } from "../abi";
import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";
import {
  addOne,
  countAt,
  dropOne,
  isPlain,
  roomForExcess,
  roomToAdd,
  roomToDrop,
  trim,
  wipe,
} from "../ports/counted";
import { addPort, hasPort, removePort } from "../ports/set";
import {
  classIn,
  crowdOf,
  findFlow,
  findTally,
  flagsOf,
  founderOf,
  isAlone,
  isUnfollowed,
  listOf,
  nextOf,
  openClass,
  openTally,
  parentOf,
  settleFlow,
  TUPLE,
  WILDCARD,
} from "./ladder";

// Manager: what `stats` tells, kept up from here.
export const COUNTERS: usize = 40;
export const REFERENCES: usize = 44;

// ── All networks, or none ─────────────────────────────────────────────────────────────────

/** Each of the listed flows gains a reference to the port. False: no memory, and none has. */
export function holdAll(manager: Address, flows: Address, count: u32, port: Port): bool {
  const end = flows + ((<usize>count) << 2);
  for (let at = flows; at < end; at += 4) {
    if (roomToHold(manager, load<u32>(at), port)) continue;
    for (let made = flows; made < end; made += 4) tidy(manager, load<u32>(made), port);
    return false;
  }
  for (let at = flows; at < end; at += 4) hold(manager, load<u32>(at), port);
  return true;
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
  for (let at = rings; at < end; at += 4) {
    const ring: Address = load<u32>(at);
    if (!ring || roomToLetGo(manager, ring, flags, port)) continue;
    for (let made = rings; made < at; made += 4) tidyRing(manager, load<u32>(made), flags, port);
    return NO_MEMORY;
  }
  let released = 0;
  for (let at = rings; at < end; at += 4) {
    const ring: Address = load<u32>(at);
    if (!ring || !isHeldInRing(ring, port)) continue;
    letGo(manager, ring, flags, port);
    released++;
  }
  return released;
}

// ── Gaining ───────────────────────────────────────────────────────────────────────────────

/** Makes sure that the flow can gain a reference to the port. On refusal, `tidy`. */
function roomToHold(manager: Address, flow: Address, port: Port): bool {
  if (hasPort(flow, port)) return roomForExcess(manager, flow, port); // It will not rise.
  if (!roomToAdd(manager, flow, port)) return false;
  if (isUnfollowed(flow)) return true;
  const binding = parentOf(flow);
  const list = listOf(flow);
  if (!roomInTally(manager, binding, list, flow, port)) return false;
  const crowd = crowdOf(binding);
  if (!crowd) return true;
  if (list == TUPLE) return roomInTally(manager, crowd, list, flow, port);
  const member = openClass(manager, crowd, flow, flagsOf(flow));
  if (!member || !roomToAdd(manager, member, port)) return false;
  return roomInTally(manager, crowd, list, member, port);
}

/** The flow gains a reference. There must be room. */
function hold(manager: Address, flow: Address, port: Port): void {
  if (isHeldInRing(flow, port)) {
    changeStat(manager, REFERENCES, 1);
    if (addOne(manager, flow, port)) rise(manager, flow, port);
    return;
  }
  // A key that nobody holds has no counts, negative ones included.
  addPort(flow, port);
  rise(manager, flow, port);
  countHeld(manager, 1);
}

/** Gives back what making room left unused. */
function tidy(manager: Address, flow: Address, port: Port): void {
  const binding = parentOf(flow);
  const list = listOf(flow);
  trim(manager, flow, port);
  tidyTally(manager, binding, list, flow, port);
  const crowd = crowdOf(binding);
  if (crowd && list == TUPLE) tidyTally(manager, crowd, list, flow, port);
  if (crowd && list == WILDCARD) {
    const ring = findFlow(manager, crowd, flow);
    const member = ring ? classIn(ring, flagsOf(flow)) : 0;
    if (member) {
      tidyTally(manager, crowd, list, member, port);
      trim(manager, member, port);
      settleFlow(manager, member);
    }
  }
  settleFlow(manager, flow);
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
 * Makes sure that a reference with these flags can be taken from the destination that `ring`
 * belongs to. Only a release with other flags than the reservation's ever needs memory.
 */
function roomToLetGo(manager: Address, ring: Address, flags: u32, port: Port): bool {
  if (isAlone(ring) && isPlain(ring)) return true;
  if (!isHeldInRing(ring, port) || totalInRing(ring, port) <= 1) return true;
  const flow = openClass(manager, parentOf(ring), ring, flags);
  if (!flow) return false;
  if (roomToDrop(manager, flow, port)) return true;
  settleFlow(manager, flow);
  return false;
}

/** Gives back what making room for a release left unused. */
function tidyRing(manager: Address, ring: Address, flags: u32, port: Port): void {
  const flow = ring ? classIn(ring, flags) : 0;
  if (!flow) return;
  trim(manager, flow, port);
  settleFlow(manager, flow);
}

/** Takes a reference with these flags from a destination that holds the port. */
function letGo(manager: Address, ring: Address, flags: u32, port: Port): void {
  if (isAlone(ring) && isPlain(ring)) {
    // Held once, in one way: whatever the flags, the total reaches zero.
    removePort(manager, ring, port);
    fall(manager, ring, port);
    countHeld(manager, -1);
    settleFlow(manager, ring);
    return;
  }
  const total = totalInRing(ring, port);
  if (total <= 1) {
    wipeRing(manager, ring, port, total);
    return;
  }
  const flow = classIn(ring, flags);
  changeStat(manager, REFERENCES, -1);
  if (dropOne(manager, flow, port)) fall(manager, flow, port);
  settleFlow(manager, flow);
}

/** The key goes, with all that is counted below zero. */
function wipeRing(manager: Address, ring: Address, port: Port, total: i32): void {
  changeStat(manager, REFERENCES, -total);
  changeStat(manager, COUNTERS, -1);
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
  if (isUnfollowed(flow)) return;
  const binding = parentOf(flow);
  const list = listOf(flow);
  raiseTally(manager, binding, list, flow, port);
  const crowd = crowdOf(binding);
  if (!crowd) return;
  if (list == TUPLE) {
    raiseTally(manager, crowd, list, flow, port);
    return;
  }
  const member = classIn(findFlow(manager, crowd, flow), flagsOf(flow));
  if (addOne(manager, member, port)) raiseTally(manager, crowd, list, member, port);
}

function fall(manager: Address, flow: Address, port: Port): void {
  if (isUnfollowed(flow)) return;
  const binding = parentOf(flow);
  const list = listOf(flow);
  lowerTally(manager, binding, list, flow, port);
  const crowd = crowdOf(binding);
  if (!crowd) return;
  if (list == TUPLE) {
    lowerTally(manager, crowd, list, flow, port);
    return;
  }
  const member = classIn(findFlow(manager, crowd, flow), flagsOf(flow));
  if (dropOne(manager, member, port)) lowerTally(manager, crowd, list, member, port);
  settleFlow(manager, member);
}

/** Is this flow looked at itself in that binding, not counted by a tally? */
function isUncounted(binding: Address, list: u32, flow: Address): bool {
  return founderOf(binding, list) == flow;
}

function roomInTally(
  manager: Address,
  binding: Address,
  list: u32,
  flow: Address,
  port: Port,
): bool {
  if (isUncounted(binding, list, flow)) return true;
  const tally = openTally(manager, binding, list, flagsOf(flow));
  return tally != 0 && roomToAdd(manager, tally, port);
}

function raiseTally(
  manager: Address,
  binding: Address,
  list: u32,
  flow: Address,
  port: Port,
): void {
  if (isUncounted(binding, list, flow)) return;
  addOne(manager, findTally(binding, list, flagsOf(flow)), port);
}

function lowerTally(
  manager: Address,
  binding: Address,
  list: u32,
  flow: Address,
  port: Port,
): void {
  if (isUncounted(binding, list, flow)) return;
  dropOne(manager, findTally(binding, list, flagsOf(flow)), port);
}

function tidyTally(manager: Address, binding: Address, list: u32, flow: Address, port: Port): void {
  if (isUncounted(binding, list, flow)) return;
  const tally = findTally(binding, list, flagsOf(flow));
  if (tally) trim(manager, tally, port);
}

/** A key that no one else holds comes or goes. */
export function countHeld(manager: Address, by: i32): void {
  // Both at once: they lie side by side, and neither goes below zero.
  const both = load<u64>(manager, COUNTERS);
  store<u64>(manager, both + (((<u64>1) << 32) | 1) * <u64>(<i64>by), COUNTERS);
}

function changeStat(manager: Address, stat: usize, by: i32): void {
  store<u32>(manager + stat, load<u32>(manager + stat) + by);
}
