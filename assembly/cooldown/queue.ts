// Queue: ports in the order of their arrival, each at most once.
//
//   queue  0 ┌──────────────────────┐
//            │ ring            u32  │  address of the ring; 0: there is none yet
//          4 ├──────────────┬───────┤
//            │ head    u16  │ shift │  u8: the ring has 2^shift places
//         10 ├──────────────┼───────┘
//            │ length  u16  │
//         16 ├──────────────┴───────┐
//            │ marks           u32  │  a bit for each port that is queued; 0: the ring is short
//         20 └──────────────────────┘
//
//   ring     ┌──────┬──────┬──────┬──────┬──────┬──────┬──────┬──────┐
//            │  0   │  0   │ 1 st │ 2 nd │ 3 rd │  0   │  0   │  0   │   u16 each
//            └──────┴──────┴──────┴──────┴──────┴──────┴──────┴──────┘
//                            head
//
// The ring has the order. Whether a port is in a ring of up to 128 places is found by looking at
// all of them, four at a time; a longer one has marks, 65,536 bits without summaries, because no
// search goes over them. Zeroed memory is a valid, empty queue. A full ring doubles, which is
// charged before, and does not shrink: an empty queue has none where memory is limited, and
// `settleQueue` gives it the ring that adding its ports one by one would give. Removing a port from
// the middle moves those in front of it, which is slow and rare.
//
// Must stay true: places of the ring that hold no port are 0; the ports of the ring are marked.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free, isLimited } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { INSTANCE_ACCOUNT } from "../memory/layout";
import { BITMAP_BYTES, Port, raiseBit } from "../ports/bitmap";

const RING: usize = 0;
const HEAD: usize = 4;
const SHIFT: usize = 6;
const LENGTH: usize = 10;
const MARKS: usize = 16;
export const QUEUE_BYTES: usize = MARKS + 4;

const MARKS_BYTES: u32 = PORT_COUNT >> 3;
const SHIFT_MIN: u32 = 4;
/** Longer rings have marks. */
const SHORT_SHIFT: u32 = 7;
const EACH: u64 = 0x0001000100010001;
const TOP_BITS: u64 = EACH << 15;

export function lengthOf(queue: Address): u32 {
  return load<u16>(queue, LENGTH);
}

export function isQueued(queue: Address, port: Port): bool {
  const marks = marksOf(queue);
  return marks ? isMarked(marks, port) : isInRing(queue, port);
}

/** Is there memory to add a port? */
export function canQueue(account: Address, queue: Address): bool {
  if (!isFull(queue)) return true;
  const shift = nextShift(queue);
  beginBill();
  chargeBlock(bytesOfRing(shift));
  if (shift > SHORT_SHIFT && !marksOf(queue)) chargeBlock(MARKS_BYTES);
  return canPay(account);
}

/** Adds a port at the end. It must not be in the queue, and `canQueue` must have said so. */
export function pushLast(account: Address, queue: Address, port: Port): void {
  if (isFull(queue)) grow(account, queue);
  setPortAt(queue, lengthOf(queue), port);
  noteAdded(queue, port);
}

/** Puts a port back that has just been removed from the front, under the same conditions. */
export function pushFirst(account: Address, queue: Address, port: Port): void {
  if (isFull(queue)) grow(account, queue);
  setHead(queue, headOf(queue) - 1);
  setPortAt(queue, 0, port);
  noteAdded(queue, port);
}

/** The port at a place, counted from 0 at the front. */
export function portAt(queue: Address, place: u32): Port {
  return load<u16>(placeAt(queue, place));
}

/** Removes the first port of a queue that is not empty. */
export function shiftFirst(account: Address, queue: Address): Port {
  const port = portAt(queue, 0);
  const marks = marksOf(queue);
  setPortAt(queue, 0, 0);
  setHead(queue, headOf(queue) + 1);
  store<u16>(queue, <u16>(lengthOf(queue) - 1), LENGTH);
  if (marks) flipMark(marks, port);
  if (!lengthOf(queue) && isLimited(account)) clearQueue(account, queue);
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

/**
 * Gives a queue the ring that adding its ports one by one would give, if there is memory for it.
 */
export function settleQueue(account: Address, queue: Address): void {
  const length = lengthOf(queue);
  if (!length) {
    clearQueue(account, queue);
    return;
  }
  let shift = SHIFT_MIN;
  while ((<u32>1) << shift < length) shift++;
  if (shift < <u32>load<u8>(queue, SHIFT)) resize(account, queue, shift);
  if (<u32>load<u8>(queue, SHIFT) > SHORT_SHIFT || !marksOf(queue)) return;
  free(account, marksOf(queue));
  store<u32>(queue, 0, MARKS);
}

/** Frees the queue's memory and leaves it empty. */
export function clearQueue(account: Address, queue: Address): void {
  if (marksOf(queue)) free(account, marksOf(queue));
  if (ringOf(queue)) free(account, ringOf(queue));
  memory.fill(queue, 0, QUEUE_BYTES);
}

// ── The ring ──────────────────────────────────────────────────────────────────────────────

function ringOf(queue: Address): Address {
  return load<u32>(queue, RING);
}

function marksOf(queue: Address): Address {
  return load<u32>(queue, MARKS);
}

/** Is the port in the ring, whose other places are 0? */
function isInRing(queue: Address, port: Port): bool {
  const ring = ringOf(queue);
  if (!ring) return false;
  const wanted = EACH * <u64>port;
  const end = ring + <usize>bytesOfRing(load<u8>(queue, SHIFT));
  for (let at = ring; at < end; at += 8) {
    // The 16 bits of the port sought are all zero then, and borrow, which sets their top bit.
    const difference = load<u64>(at) ^ wanted;
    if ((difference - EACH) & ~difference & TOP_BITS) return true;
  }
  return false;
}

function noteAdded(queue: Address, port: Port): void {
  const marks = marksOf(queue);
  store<u16>(queue, <u16>(lengthOf(queue) + 1), LENGTH);
  if (marks) flipMark(marks, port);
}

function isMarked(marks: Address, port: Port): bool {
  return ((load<u8>(marks + <usize>(port >> 3)) >> (port & 7)) & 1) != 0;
}

function flipMark(marks: Address, port: Port): void {
  const at = marks + <usize>(port >> 3);
  store<u8>(at, load<u8>(at) ^ <u8>((<u32>1) << (port & 7)));
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

/** Moves the ports to a ring of twice the size, and marks them where it is long. */
function grow(account: Address, queue: Address): void {
  const shift = nextShift(queue);
  resize(account, queue, shift);
  assert(load<u8>(queue, SHIFT) == shift); // charged too little
  if (shift > SHORT_SHIFT && !marksOf(queue)) mark(account, queue);
}

/** Moves the ports to a ring that has room for them, whose head is 0, if there is memory for it. */
function resize(account: Address, queue: Address, shift: u32): void {
  const ring = allocZero(account, bytesOfRing(shift));
  if (!ring) return;
  const old = ringOf(queue);
  if (old) {
    const bytes = (<usize>lengthOf(queue)) << 1;
    const head = (<usize>headOf(queue)) << 1;
    const front = min<usize>(bytes, ((<usize>placesOf(queue)) << 1) - head);
    memory.copy(ring, old + head, front);
    memory.copy(ring + front, old, bytes - front);
    free(account, old);
  }
  store<u32>(queue, <u32>ring, RING);
  store<u16>(queue, 0, HEAD);
  store<u8>(queue, <u8>shift, SHIFT);
}

function mark(account: Address, queue: Address): void {
  const marks = allocZero(account, MARKS_BYTES);
  assert(marks != 0); // charged too little
  store<u32>(queue, <u32>marks, MARKS);
  const length = lengthOf(queue);
  for (let place: u32 = 0; place < length; place++) flipMark(marks, portAt(queue, place));
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless each port is in the ring once, the other places are 0, and the marks agree. */
export function verifyQueue(queue: Address): void {
  const length = lengthOf(queue);
  const marks = marksOf(queue);
  assert(ringOf(queue) ? length <= placesOf(queue) : !length && !marks);
  assert(!marks || markCount(marks) == length);
  const met = allocZero(INSTANCE_ACCOUNT, BITMAP_BYTES);
  for (let place: u32 = 0; place < length; place++) {
    assert(isQueued(queue, portAt(queue, place)));
    assert(raiseBit(met, portAt(queue, place))); // else it is there twice
  }
  free(INSTANCE_ACCOUNT, met);
  if (!ringOf(queue)) return;
  for (let place = length; place < placesOf(queue); place++) assert(!portAt(queue, place));
}

function markCount(marks: Address): u32 {
  let count: u32 = 0;
  for (let at = marks; at < marks + MARKS_BYTES; at += 8) count += <u32>popcnt(load<u64>(at));
  return count;
}
