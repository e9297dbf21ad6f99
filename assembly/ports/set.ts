// PortSet: a set of ports, in the container that suits their number.
// Source of the idea and of the names: Roaring bitmaps (Chambi, Lemire, Kaser, Godin, "Better
// bitmap performance with Roaring bitmaps", 2016).
//
//   none     no port
//   single   the port itself, in the record         (an accepted connection)
//   array    up to 64 sorted ports                  (a description with few ports)
//   bitmap   65,536 bits with summaries, 8,340 B    (a busy description)
//
// The set is part of a larger record. These fields belong to it:
//
//   record 10 ┌─────────────┐
//             │ count  u16  │  number of ports; port 0 is never held, so at most 65,535
//          13 ├──────┬──────┘
//             │ cont.│         u8: the container
//          16 ├──────┴──────────────┐
//             │ ports  u32          │  single: the port; array and bitmap: their address
//          20 └─────────────────────┘
//
//   array  0 ┌──────────────┐
//            │ capacity u16 │  8, 16, 32 or 64; queues have arrays of 128 and 256, too
//          2 ├──────────────┤
//            │ ports u16[]  │  ascending, `count` of them
//            └──────────────┘
//
// The 65th port turns an array into a bitmap, and a removal that leaves 24 ports turns the bitmap
// into an array again, so a set whose size goes up and down around one number does not convert each
// time. The memory for growth is charged before the operation. A conversion that would save memory,
// but finds none for the smaller container, is skipped. Callers that will add ports again use
// `removeAndKeep`, which leaves a bitmap in place even when it is empty, and call `trim` later.
// `settleSet` undoes all of this: it gives the set the container that adding its ports one by one
// would give.
//
// Must stay true: the ports of an array ascend; a set without ports has no container or a bitmap.

import { PORT_MAX } from "../abi";
import { Address, alloc, allocZero, free, isLimited, paidFor } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import {
  BITMAP_BYTES,
  bitmapWord,
  bitOf,
  bitsFrom,
  clearBit,
  hasBit,
  Port,
  setBit,
  verifyBitmap,
  WORD_COUNT,
  WORD_SHIFT,
} from "./bitmap";

const SET_COUNT: usize = 10;
const SET_CONTAINER: usize = 13;
const SET_PORTS: usize = 16;
export const SET_END: usize = 20;

const NONE: u32 = 0;
const SINGLE: u32 = 1;
const ARRAY: u32 = 2;
const BITMAP: u32 = 3;

const ARRAY_CAPACITY: usize = 0;
const ARRAY_PORTS: usize = 2;
const ARRAY_MIN: u32 = 8;
const ARRAY_MAX: u32 = 64;
/** Of sets that a pool's fast path does not search. */
export const LONG_ARRAY_MAX: u32 = 256;
const SHRINK_AT: u32 = 24;

export function countOf(set: Address): u32 {
  return load<u16>(set, SET_COUNT);
}

function containerOf(set: Address): u32 {
  return load<u8>(set, SET_CONTAINER);
}

/** The port, or the address of the array or of the bitmap, depending on the container. */
export function portsOf(set: Address): Address {
  return load<u32>(set, SET_PORTS);
}

// The bitmap is tested first and the other containers have functions of their own, so that the
// operations below are small enough to be inlined into their callers.

export function hasPort(set: Address, port: Port): bool {
  return containerOf(set) == BITMAP ? hasBit(portsOf(set), port) : hasPortInSmall(set, port);
}

/** The 64 ports of one word. */
export function wordOf(set: Address, word: u32): u64 {
  return containerOf(set) == BITMAP ? bitmapWord(portsOf(set), word) : wordOfSmall(set, word);
}

/** Lowest port of the set that is not below `port`, or 0. */
export function nextPort(set: Address, port: Port): Port {
  const container = containerOf(set);
  const ports = portsOf(set);
  if (container == SINGLE) return <u32>ports >= port ? <u32>ports : 0;
  if (container == ARRAY) {
    const at = lowerBound(ports, countOf(set), port);
    return at < countOf(set) ? portAt(ports, at) : 0;
  }
  if (container == NONE || port > <u32>PORT_MAX) return 0;
  let word = port >> WORD_SHIFT;
  let bits = bitmapWord(ports, word) & bitsFrom(port);
  while (!bits && ++word < WORD_COUNT) bits = bitmapWord(ports, word);
  return bits ? (word << WORD_SHIFT) + <u32>ctz(bits) : 0;
}

/** Charges for adding a port that the set does not hold. */
export function chargePort(set: Address): void {
  chargePortUpTo(set, ARRAY_MAX);
}

/** The same for a set that is an array up to so many ports. */
export function chargePortUpTo(set: Address, arrayMax: u32): void {
  if (!hasRoom(set)) chargeBlock(bytesOfNext(set, arrayMax));
}

/** Can a port be added without more memory? */
export function hasRoom(set: Address): bool {
  return containerOf(set) == BITMAP || !isFull(set);
}

/** Adds a port that the set does not hold. It must have been charged. */
export function addPort(account: Address, set: Address, port: Port): void {
  addPortUpTo(account, set, port, ARRAY_MAX);
}

/** The same for a set that is an array up to so many ports. */
export function addPortUpTo(account: Address, set: Address, port: Port, arrayMax: u32): void {
  assert(ASC_NO_ASSERT || !hasPort(set, port));
  if (!hasRoom(set)) grow(account, set, arrayMax);
  if (containerOf(set) == BITMAP) setBit(portsOf(set), port);
  else addToSmall(set, port);
  store<u16>(set, <u16>(countOf(set) + 1), SET_COUNT);
}

/** Removes a port that the set holds. */
export function removePort(account: Address, set: Address, port: Port): void {
  assert(ASC_NO_ASSERT || hasPort(set, port));
  const count = countOf(set) - 1;
  store<u16>(set, <u16>count, SET_COUNT);
  if (containerOf(set) == BITMAP) clearBit(portsOf(set), port);
  else if (containerOf(set) == ARRAY) removeFromArray(portsOf(set), count, port);
  trim(account, set);
}

/** The same, but a bitmap stays a bitmap, unless the account is limited. */
export function removeAndKeep(account: Address, set: Address, port: Port): void {
  if (isBitmap(set) && !isLimited(account)) removeFromBitmap(set, port);
  else removePort(account, set, port);
}

// ── Bitmaps only ──────────────────────────────────────────────────────────────────────────

export function isBitmap(set: Address): bool {
  return containerOf(set) == BITMAP;
}

/** Converts a sparse bitmap to an array, and frees the container of an empty set. */
export function trim(account: Address, set: Address): void {
  if (countOf(set) <= SHRINK_AT) shrink(account, set);
}

/** May removing one more port change the container? */
export function isSparse(set: Address): bool {
  return countOf(set) <= SHRINK_AT + 1;
}

export function addToBitmap(set: Address, port: Port): void {
  assert(ASC_NO_ASSERT || (isBitmap(set) && !hasPort(set, port)));
  setBit(portsOf(set), port);
  store<u16>(set, <u16>(countOf(set) + 1), SET_COUNT);
}

export function removeFromBitmap(set: Address, port: Port): void {
  assert(ASC_NO_ASSERT || (isBitmap(set) && hasPort(set, port)));
  clearBit(portsOf(set), port);
  store<u16>(set, <u16>(countOf(set) - 1), SET_COUNT);
}

/** Adds to the count after the caller has set or cleared that many bits of the bitmap. */
export function countPorts(set: Address, by: i32): void {
  store<u16>(set, <u16>(countOf(set) + by), SET_COUNT);
}

// ── A set with one port ───────────────────────────────────────────────────────────────────

/** Adds a port to a set without ports and without a bitmap. */
export function addFirst(set: Address, port: Port): void {
  assert(containerOf(set) == NONE);
  store<u16>(set, 1, SET_COUNT);
  become(set, SINGLE, port);
}

/** Does the set hold this port and no other, without a bitmap? */
export function hasOnly(set: Address, port: Port): bool {
  return containerOf(set) == SINGLE && portsOf(set) == port;
}

/** Removes the only port of such a set. */
export function dropOnly(set: Address): void {
  store<u16>(set, 0, SET_COUNT);
  become(set, NONE, 0);
}

/** Frees the container and leaves the set empty. */
export function clearSet(account: Address, set: Address): void {
  if (containerOf(set) >= ARRAY) free(account, portsOf(set));
  store<u16>(set, 0, SET_COUNT);
  store<u8>(set, <u8>NONE, SET_CONTAINER);
  store<u32>(set, 0, SET_PORTS);
}

/** The cost of the container to its account. */
export function paidBySet(set: Address): u32 {
  return containerOf(set) >= ARRAY ? paidFor(portsOf(set)) : 0;
}

/** Makes an empty set use the given bitmap, whose bits the caller changes itself. */
export function makeBitmap(set: Address, map: Address): void {
  become(set, BITMAP, map);
}

// ── Other containers than the bitmap ──────────────────────────────────────────────────────

function hasPortInSmall(set: Address, port: Port): bool {
  return (wordOfSmall(set, port >> WORD_SHIFT) & bitOf(port)) != 0;
}

function wordOfSmall(set: Address, word: u32): u64 {
  const container = containerOf(set);
  const ports = portsOf(set);
  if (container == SINGLE) return <u32>ports >> WORD_SHIFT == word ? bitOf(<u32>ports) : 0;
  return container == ARRAY ? wordOfArray(ports, countOf(set), word) : 0;
}

/** Is there no room in the container, which is not a bitmap? */
function isFull(set: Address): bool {
  return containerOf(set) == ARRAY ? countOf(set) == capacityOf(set) : containerOf(set) == SINGLE;
}

/** The capacity that the next array needs. */
function nextCapacity(set: Address): u32 {
  return containerOf(set) == SINGLE ? ARRAY_MIN : capacityOf(set) << 1;
}

function bytesOfNext(set: Address, arrayMax: u32): u32 {
  const capacity = nextCapacity(set);
  return capacity > arrayMax ? BITMAP_BYTES : bytesOfArray(capacity);
}

function grow(account: Address, set: Address, arrayMax: u32): void {
  const capacity = nextCapacity(set);
  if (capacity > arrayMax) toBitmap(account, set);
  else toArray(account, set, capacity);
}

function addToSmall(set: Address, port: Port): void {
  if (containerOf(set) == ARRAY) {
    insertInArray(portsOf(set), countOf(set), port);
    return;
  }
  store<u8>(set, <u8>SINGLE, SET_CONTAINER);
  store<u32>(set, port, SET_PORTS);
}

/** After a removal: an empty set has no container, a sparse one no bitmap. */
function shrink(account: Address, set: Address): void {
  if (containerOf(set) == BITMAP) toArray(account, set, ARRAY_MAX >> 1);
  if (countOf(set) == 0) clearSet(account, set);
}

// ── Changing the container ────────────────────────────────────────────────────────────────

/** Gives a set the container that adding its ports one by one would give. */
export function settleSet(account: Address, set: Address): void {
  settleSetUpTo(account, set, ARRAY_MAX);
}

/** The same for a set that is an array up to so many ports. */
export function settleSetUpTo(account: Address, set: Address, arrayMax: u32): void {
  const count = countOf(set);
  if (containerOf(set) < ARRAY || count > arrayMax) return;
  const first = nextPort(set, 1);
  if (count < 2) {
    clearSet(account, set);
    if (first) addPort(account, set, first);
    return;
  }
  let capacity = ARRAY_MIN;
  while (capacity < count) capacity <<= 1;
  if (isBitmap(set) || capacity < capacityOf(set)) toArray(account, set, capacity);
}

function become(set: Address, container: u32, ports: Address): void {
  store<u8>(set, <u8>container, SET_CONTAINER);
  store<u32>(set, <u32>ports, SET_PORTS);
}

function newArray(account: Address, capacity: u32): Address {
  const array = alloc(account, bytesOfArray(capacity));
  if (array) store<u16>(array, <u16>capacity, ARRAY_CAPACITY);
  return array;
}

/**
 * Replaces the container by an array that has room for its ports, if there is memory for one. What
 * makes a set larger has been charged.
 */
function toArray(account: Address, set: Address, capacity: u32): void {
  const array = newArray(account, capacity);
  if (!array) return;
  const ports = portsOf(set);
  if (containerOf(set) == ARRAY) {
    memory.copy(array + ARRAY_PORTS, ports + ARRAY_PORTS, (<usize>countOf(set)) << 1);
  } else {
    let at: Address = array;
    for (let port = nextPort(set, 1); port; port = nextPort(set, port + 1)) {
      store<u16>(at, <u16>port, ARRAY_PORTS);
      at += 2;
    }
  }
  if (containerOf(set) != SINGLE) free(account, ports);
  become(set, ARRAY, array);
}

function toBitmap(account: Address, set: Address): void {
  const array = portsOf(set);
  const count = countOf(set);
  become(set, BITMAP, allocZero(account, BITMAP_BYTES));
  store<u16>(set, 0, SET_COUNT);
  for (let at: u32 = 0; at < count; at++) addPort(account, set, portAt(array, at));
  free(account, array);
}

// ── Arrays ────────────────────────────────────────────────────────────────────────────────

function bytesOfArray(capacity: u32): u32 {
  return <u32>ARRAY_PORTS + (capacity << 1);
}

function capacityOf(set: Address): u32 {
  return load<u16>(portsOf(set), ARRAY_CAPACITY);
}

function portAt(array: Address, at: u32): Port {
  return load<u16>(array + ((<usize>at) << 1), ARRAY_PORTS);
}

/** Position of the first port that is not below `port`, or `count`. */
function lowerBound(array: Address, count: u32, port: Port): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (portAt(array, middle) < port) low = middle + 1;
    else high = middle;
  }
  return low;
}

function wordOfArray(array: Address, count: u32, word: u32): u64 {
  let bits: u64 = 0;
  for (let at = lowerBound(array, count, word << WORD_SHIFT); at < count; at++) {
    const port = portAt(array, at);
    if (port >> WORD_SHIFT != word) break;
    bits |= bitOf(port);
  }
  return bits;
}

function insertInArray(array: Address, count: u32, port: Port): void {
  const at = array + ARRAY_PORTS + ((<usize>lowerBound(array, count, port)) << 1);
  const end = array + ARRAY_PORTS + ((<usize>count) << 1);
  memory.copy(at + 2, at, end - at);
  store<u16>(at, <u16>port);
}

/** `count` is what stays. */
function removeFromArray(array: Address, count: u32, port: Port): void {
  const at = array + ARRAY_PORTS + ((<usize>lowerBound(array, count + 1, port)) << 1);
  const end = array + ARRAY_PORTS + ((<usize>count) << 1);
  memory.copy(at, at + 2, end - at);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Returns the bytes that a bitmap takes although an array has room for its ports. */
export function verifySet(set: Address): u32 {
  const container = containerOf(set);
  const ports = portsOf(set);
  const count = countOf(set);
  assert(container != NONE || count == 0);
  assert(container == NONE || container == BITMAP || count > 0);
  if (container == SINGLE) assert(count == 1 && ports > 0 && ports < 65536);
  if (container == BITMAP) assert(verifyBitmap(ports) == count);
  if (container != ARRAY) return container == BITMAP && count <= ARRAY_MAX ? paidBySet(set) : 0;
  assert(count <= capacityOf(set));
  for (let at: u32 = 1; at < count; at++) assert(portAt(ports, at - 1) < portAt(ports, at));
  return 0;
}
