// Restoring: holds again what a manager held. Nothing is judged, because it was granted before.
//
// The request block names the network, transport, device and local address. Destinations come as
// singles in the batch (singles.ts), many at a time: one for each port.

import { BATCH_MAX, NO_MEMORY, REQUEST_FLAGS, REQUEST_NETWORK_COUNT, SINGLES_MAX } from "../abi";
import { Address, costOf, secure } from "../memory/arena";
import { beginBill, canPay, chargeBlock, chargeNodes } from "../memory/bill";
import { BATCH, BILL_AT, REQUEST } from "../memory/layout";
import { expectNodes, homeOf, touchHomes } from "../memory/table";
import { Port } from "../ports/bitmap";
import { chargeSetExtra, countAt, setExtra } from "../ports/counted";
import { chargeFirstExtra, chargeWide } from "../ports/extra-counts";
import { hasPort } from "../ports/set";
import { totalInRing } from "./aggregates";
import { acceptNew } from "./connections";
import { classIn, countReference, FLOW_BYTES, highOf, lowOf, numberOf } from "./records";
import { acquireRequest, bindingAt, findRing, openBelow } from "./reservations";
import { readSingle } from "./singles";

/** The homes of singles in the table, 4 bytes each, behind the singles in the batch. */
const HOMES: usize = BATCH + <usize>SINGLES_MAX;
const HOMES_END: usize = BATCH + <usize>BATCH_MAX * 4;
const IPV4_SINGLE: u32 = 7;

/** Makes room for exactly so many singles more, if there is memory for them. */
export function expectSingles(manager: Address, count: u32): void {
  expectNodes(manager, count);
  secure(manager, count * costOf(FLOW_BYTES));
}

/**
 * Holds the single ports that the first `length` bytes of the batch describe. Returns the number of
 * bytes that have been read, up to a single that is cut or wrong; or `NO_MEMORY`.
 */
export function restoreSingles(manager: Address, length: u32): i32 {
  const end = BATCH + <usize>length;
  findRing(manager, 0);
  let binding = bindingAt(manager, 0);
  touchAll(manager, binding, end);
  let isPaid = canPayFor(manager, length);
  let at = BATCH;
  let next = readSingle(at, end);
  for (; next; next = readSingle(at, end)) {
    const port = load<u16>(next - 2);
    if (!isPaid || !acceptNew(manager, binding, port)) {
      findRing(manager, 0);
      if (acquireRequest(manager, port, true) < 0) return NO_MEMORY;
      binding = bindingAt(manager, 0);
      isPaid = canPayFor(manager, length);
    }
    at = next;
  }
  return <i32>(at - BATCH);
}

/**
 * Is there memory for all tuples that so many bytes may describe? A single of IPv4 is the shortest.
 */
function canPayFor(manager: Address, length: u32): bool {
  beginBill();
  chargeNodes(FLOW_BYTES, length / IPV4_SINGLE);
  return canPay(manager);
}

/** Brings the slots of the table that the singles need into the processor's cache. */
function touchAll(manager: Address, binding: Address, end: Address): void {
  let home = HOMES;
  let next = readSingle(BATCH, end);
  for (; next && home < HOMES_END; next = readSingle(next, end)) {
    const number = numberOf(REQUEST);
    store<u32>(home, <u32>homeOf(manager, binding, number, lowOf(REQUEST), highOf(REQUEST)));
    home += 4;
  }
  store<u32>(BILL_AT, touchHomes(HOMES, home));
}

/**
 * Gives a port an extra count in the request's one network. A positive count needs a port that is
 * held with the request's flags, a negative one a port that other flows of the destination hold.
 * Returns 1, 0 if the port cannot have that count, or `NO_MEMORY`.
 */
export function restoreExtra(manager: Address, port: Port, extra: i32): i32 {
  const ring = findRing(manager, 0);
  if (!ring || totalInRing(ring, port) + extra < 1) return 0;
  const known = classIn(ring, load<u32>(REQUEST + REQUEST_FLAGS));
  const count = known ? countAt(known, port) : 0;
  if (count != (extra > 0 ? 1 : 0)) return 0;
  beginBill();
  if (!known) {
    chargeBlock(FLOW_BYTES);
    chargeFirstExtra();
  } else {
    chargeSetExtra(known, port);
  }
  chargeWide(extra);
  if (!canPay(manager)) return NO_MEMORY;
  setExtra(manager, known ? known : openBelow(manager, 0), port, extra);
  countReference(manager, extra);
  return 1;
}

/** Does the flow that the request describes hold the port, in each network? */
export function isHeld(manager: Address, port: Port): bool {
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  const count = load<u32>(REQUEST + REQUEST_NETWORK_COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const ring = findRing(manager, index);
    const flow = ring ? classIn(ring, flags) : 0;
    if (!flow || !hasPort(flow, port)) return false;
  }
  return true;
}
