// Restoring: what a manager held is held again, and nothing is judged: it has been granted before.
//
// The request block says for whose network, transport, device and local address. Destinations with
// one port each come many at a time, as bytes in the batch; others as a request block and ports in
// the batch.
//
//   single  ┌──────┬───────────────┬──────────────────┬──────────┐
//           │ head │ destination   │ destination port │ port     │
//           │ u8   │ 0, 4 or 16 B  │ u16, or none     │ u16      │
//           └──────┴───────────────┴──────────────────┴──────────┘
//     head    bits 0-2 flags · 3-4 kind of address: any, IPv4, IPv6 · 5 there is a destination port
//
// Addresses are words in the order of a request, each of them little endian.

import {
  BATCH_MAX,
  NO_MEMORY,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_FLAGS,
  REQUEST_NETWORK_COUNT,
  SINGLE_HAS_PORT,
  SINGLE_IPV4,
  SINGLE_IPV6,
  SINGLE_KIND_SHIFT,
  SINGLES_MAX,
} from "../abi";
import { Address } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH, BILL_AT, REQUEST } from "../memory/layout";
import { homeOf, touchHomes } from "../memory/table";
import { Port } from "../ports/bitmap";
import { chargeAdd, chargeDrop, countAt, setExtra } from "../ports/counted";
import { chargeFirstExtra, chargeWide } from "../ports/extra-counts";
import { hasPort } from "../ports/set";
import { totalInRing } from "./aggregates";
import { classIn, countReference, FLOW_BYTES, highOf, lowOf, numberOf } from "./records";
import { acquireRequest, bindingAt, findRing, mapped, noteRing, openBelow } from "./reservations";

/** The homes of singles in the table, 4 bytes each, behind the singles in the batch. */
const HOMES: usize = BATCH + <usize>SINGLES_MAX;
const HOMES_END: usize = BATCH + <usize>BATCH_MAX * 4;
const FLAGS: u32 = 7;
const KIND: u32 = 3;

/**
 * Holds the single ports that the first `length` bytes of the batch describe. Returns the number of
 * bytes that have been read, up to a single that is cut or wrong; or `NO_MEMORY`.
 */
export function restoreSingles(manager: Address, length: u32): i32 {
  const end = BATCH + <usize>length;
  touchAll(manager, end);
  let at = BATCH;
  let next = nextSingle(at, end);
  for (; next; next = nextSingle(at, end)) {
    readSingle(at, next);
    if (bindingAt(manager, 0)) noteRing(manager, 0);
    else findRing(manager, 0);
    if (acquireRequest(manager, load<u16>(next - 2), true) < 0) return NO_MEMORY;
    at = next;
  }
  return <i32>(at - BATCH);
}

/** Brings what the singles will need of the table into the cache. */
function touchAll(manager: Address, end: Address): void {
  findRing(manager, 0);
  const binding = bindingAt(manager, 0);
  let home = HOMES;
  let at = BATCH;
  let next = nextSingle(at, end);
  for (; next && home < HOMES_END; next = nextSingle(at, end)) {
    readSingle(at, next);
    const number = numberOf(REQUEST);
    store<u32>(home, <u32>homeOf(manager, binding, number, lowOf(REQUEST), highOf(REQUEST)));
    home += 4;
    at = next;
  }
  store<u32>(BILL_AT, touchHomes(HOMES, home));
}

/**
 * Holds the `count` ports in the batch for the request's one network. Returns how many: fewer if
 * there was no memory.
 */
export function restorePorts(manager: Address, count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    if (!restorePort(manager, load<u16>(BATCH + ((<usize>index) << 1)))) return index;
  }
  return count;
}

/**
 * Gives a port an extra count in the request's one network: above zero where it is held so, below
 * zero where others of the destination hold it. Returns 1; 0: it cannot have that; or `NO_MEMORY`.
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
  } else if (extra > 0) chargeAdd(known, port);
  else chargeDrop(known, port);
  chargeWide(extra);
  if (!canPay(manager)) return NO_MEMORY;
  setExtra(manager, known ? known : openBelow(manager, 0), port, extra);
  countReference(manager, extra);
  return 1;
}

/** Is the port held by what the request describes, in each of its networks? */
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

function restorePort(manager: Address, port: Port): bool {
  findRing(manager, 0);
  return acquireRequest(manager, port, true) > 0;
}

function kindOf(head: u32): u32 {
  return (head >> SINGLE_KIND_SHIFT) & KIND;
}

/** Where a single ends, or 0: it is cut, or wrong. */
function nextSingle(at: Address, end: Address): Address {
  if (at >= end) return 0;
  const head: u32 = load<u8>(at);
  const kind = kindOf(head);
  const address: usize = kind == SINGLE_IPV4 ? 4 : kind == SINGLE_IPV6 ? 16 : 0;
  const next = at + 3 + address + (head & SINGLE_HAS_PORT ? 2 : 0);
  return next > end || kind > <u32>SINGLE_IPV6 || !load<u16>(next - 2) ? 0 : next;
}

/** Writes the destination and the flags of a single into the request block. */
function readSingle(at: Address, next: Address): void {
  const head: u32 = load<u8>(at);
  const kind = kindOf(head);
  const low = kind == SINGLE_IPV6 ? load<u64>(at, 1) : 0;
  const high =
    kind == SINGLE_IPV6 ? load<u64>(at, 9) : kind == SINGLE_IPV4 ? mapped(load<u32>(at, 1)) : 0;
  store<u64>(REQUEST + REQUEST_DESTINATION, low);
  store<u64>(REQUEST + REQUEST_DESTINATION + 8, high);
  const port: u32 = head & SINGLE_HAS_PORT ? load<u16>(next - 4) : 0;
  store<u32>(REQUEST + REQUEST_DESTINATION_PORT, port);
  store<u32>(REQUEST + REQUEST_FLAGS, head & FLAGS);
}
