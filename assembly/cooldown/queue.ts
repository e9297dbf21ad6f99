// Queue: ports in the order of their arrival, each at most once.
//
//   queue  0 ┌──────────────────────┐
//            │ ring            u32  │  address of the ring; 0: there is none yet
//          4 ├──────────────┬───────┤
//            │ head    u16  │ shift │  u8: the ring has 2^shift places
//         10 ├──────────────┴───────┤
//            │ set                  │  the ports of the queue (ports/set.ts)
//         20 └──────────────────────┘
//
//   ring     ┌──────┬──────┬──────┬──────┬──────┬──────┬──────┬──────┐
//            │      │      │ 1 st │ 2 nd │ 3 rd │      │      │      │   u16 each
//            └──────┴──────┴──────┴──────┴──────┴──────┴──────┴──────┘
//                            head
//
// The set says in one step whether a port is in the queue, and the ring has the order: one bit and
// two bytes for each port. Zeroed memory is a valid, empty queue. A full ring doubles, which is
// charged before, and does not shrink unless memory is limited. Removing a port from the middle
// moves those in front of it, which is slow and rare.
//
// Must stay true: the ports of the ring from head on are those of the set.

import { Address, alloc, allocZero, free, isLimited } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { INSTANCE_ACCOUNT } from "../memory/layout";
import { BITMAP_BYTES, Port, raiseBit } from "../ports/bitmap";
import {
  addPort,
  chargePort,
  clearSet,
  countOf,
  hasPort,
  removeAndKeep,
  SET_END,
  verifySet,
} from "../ports/set";

const RING: usize = 0;
const HEAD: usize = 4;
const SHIFT: usize = 6;
export const QUEUE_BYTES: usize = SET_END;

const SHIFT_MIN: u32 = 4;

export function lengthOf(queue: Address): u32 {
  return countOf(queue);
}

export function isQueued(queue: Address, port: Port): bool {
  return hasPort(queue, port);
}

/** Charges for adding a port. */
export function chargeQueued(queue: Address): void {
  chargePort(queue);
  if (isFull(queue)) chargeBlock(bytesOfRing(nextShift(queue)));
}

/** Adds a port at the end. It must not be in the queue, and must have been charged. */
export function pushLast(account: Address, queue: Address, port: Port): void {
  if (isFull(queue)) grow(account, queue);
  setPortAt(queue, lengthOf(queue), port);
  addPort(account, queue, port);
}

/** Puts a port back that has just been removed from the front. */
export function pushFirst(account: Address, queue: Address, port: Port): void {
  if (isFull(queue)) grow(account, queue);
  setHead(queue, headOf(queue) - 1);
  setPortAt(queue, 0, port);
  addPort(account, queue, port);
}

/** The port at a place, counted from 0 at the front. */
export function portAt(queue: Address, place: u32): Port {
  return load<u16>(placeAt(queue, place));
}

/** Removes the first port of a queue that is not empty. */
export function shiftFirst(account: Address, queue: Address): Port {
  const port = portAt(queue, 0);
  setHead(queue, headOf(queue) + 1);
  removeAndKeep(account, queue, port);
  if (!lengthOf(queue) && isLimited(account)) freeRing(account, queue);
  return port;
}

/** The place of a port that is in the queue. */
export function placeOf(queue: Address, port: Port): u32 {
  let place: u32 = 0;
  while (portAt(queue, place) != port) place++;
  return place;
}

/** Removes the port at a place. The ports in front of it move. */
export function removeAt(account: Address, queue: Address, place: u32): void {
  const port = portAt(queue, place);
  for (let at = place; at > 0; at--) setPortAt(queue, at, portAt(queue, at - 1));
  setPortAt(queue, 0, port);
  shiftFirst(account, queue);
}

/** Frees the queue's memory and leaves it empty. */
export function clearQueue(account: Address, queue: Address): void {
  clearSet(account, queue);
  if (ringOf(queue)) freeRing(account, queue);
}

// ── The ring ──────────────────────────────────────────────────────────────────────────────

function ringOf(queue: Address): Address {
  return load<u32>(queue, RING);
}

function headOf(queue: Address): u32 {
  return load<u16>(queue, HEAD);
}

function setHead(queue: Address, head: u32): void {
  store<u16>(queue, <u16>(head & (placesOf(queue) - 1)), HEAD);
}

function placesOf(queue: Address): u32 {
  return (<u32>1) << (<u32>load<u8>(queue, SHIFT));
}

function placeAt(queue: Address, place: u32): Address {
  return ringOf(queue) + ((<usize>((headOf(queue) + place) & (placesOf(queue) - 1))) << 1);
}

function setPortAt(queue: Address, place: u32, port: Port): void {
  store<u16>(placeAt(queue, place), <u16>port);
}

function isFull(queue: Address): bool {
  return !ringOf(queue) || lengthOf(queue) == placesOf(queue);
}

function nextShift(queue: Address): u32 {
  return ringOf(queue) ? <u32>load<u8>(queue, SHIFT) + 1 : SHIFT_MIN;
}

function bytesOfRing(shift: u32): u32 {
  return (<u32>2) << shift;
}

/** Moves the ports to a ring of twice the size, whose head is 0. */
function grow(account: Address, queue: Address): void {
  const shift = nextShift(queue);
  const ring = alloc(account, bytesOfRing(shift));
  assert(ring != 0); // charged too little
  const old = ringOf(queue);
  if (old) {
    const bytes = (<usize>placesOf(queue)) << 1;
    const front = (<usize>headOf(queue)) << 1;
    memory.copy(ring, old + front, bytes - front);
    memory.copy(ring + bytes - front, old, front);
    free(account, old);
  }
  store<u32>(queue, <u32>ring, RING);
  store<u16>(queue, 0, HEAD);
  store<u8>(queue, <u8>shift, SHIFT);
}

function freeRing(account: Address, queue: Address): void {
  free(account, ringOf(queue));
  store<u32>(queue, 0, RING);
  store<u16>(queue, 0, HEAD);
  store<u8>(queue, 0, SHIFT);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless ring and set hold the same ports, each once. */
export function verifyQueue(queue: Address): void {
  verifySet(queue);
  const length = lengthOf(queue);
  assert(!length || (ringOf(queue) != 0 && length <= placesOf(queue)));
  const met = allocZero(INSTANCE_ACCOUNT, BITMAP_BYTES);
  for (let place: u32 = 0; place < length; place++) {
    assert(isQueued(queue, portAt(queue, place)));
    assert(raiseBit(met, portAt(queue, place))); // else it is there twice
  }
  free(INSTANCE_ACCOUNT, met);
}
