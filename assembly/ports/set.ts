// PortSet: which ports something holds, in the form that its number of ports calls for.
//
//   none   nothing
//   one    the port itself, in the record          (an accepted connection)
//   few    a short sorted list                     (a sparse flow)
//   many   a bitmap with summaries, 8,336 bytes    (a busy flow)
//
// The set is part of a record; these fields are its own:
//
//   record 10 ┌─────────────┐
//             │ count  u16  │  how many ports; port 0 is never held, so 65,535 at most
//          13 ├──────┬──────┘
//             │ form │         u8
//          16 ├──────┴──────────────┐
//             │ ports  u32          │  one: the port; few, many: where the ports are
//          20 └─────────────────────┘
//
//   few  0 ┌──────────────┐
//          │ capacity u16 │  8, 16, 32 or 64
//        2 ├──────────────┤
//          │ ports u16[]  │  ascending, `count` of them
//          └──────────────┘
//
// A set grows to `many` with its 65th port and shrinks back to `few` with its 24th, so that a
// set that goes up and down does not change its form each time. What growing needs is charged
// beforehand; if shrinking finds no memory, the larger form serves on. Whoever is going to add again
// lets a bitmap stay, even an empty one, and trims it when it is done.
//
// Must stay true: the ports of a list ascend; a set without ports has the form `none` or is a bitmap.

import { PORT_MAX } from "../abi";
import { Address, alloc, allocZero, free, isLimited } from "../memory/arena";
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
const SET_FORM: usize = 13;
const SET_PORTS: usize = 16;
export const SET_END: usize = 20;

const NONE: u32 = 0;
const ONE: u32 = 1;
const FEW: u32 = 2;
export const MANY: u32 = 3;

const LIST_CAPACITY: usize = 0;
const LIST_PORTS: usize = 2;
const LIST_MIN: u32 = 8;
const LIST_MAX: u32 = 64;
const SHRINK_AT: u32 = 24;

export function countOf(set: Address): u32 {
  return load<u16>(set, SET_COUNT);
}

export function formOf(set: Address): u32 {
  return load<u8>(set, SET_FORM);
}

/** The one port, the list or the bitmap, by form. */
export function portsOf(set: Address): Address {
  return load<u32>(set, SET_PORTS);
}

// The busy form comes first and the others apart: so the operations below are small enough to be
// compiled into their callers.

export function hasPort(set: Address, port: Port): bool {
  return formOf(set) == MANY ? hasBit(portsOf(set), port) : hasPortInSmall(set, port);
}

/** The 64 ports of one word. */
export function wordOf(set: Address, word: u32): u64 {
  return formOf(set) == MANY ? bitmapWord(portsOf(set), word) : wordOfSmall(set, word);
}

/** Lowest port of the set that is not below `port`, or 0. */
export function nextPort(set: Address, port: Port): Port {
  const form = formOf(set);
  const ports = portsOf(set);
  if (form == ONE) return <u32>ports >= port ? <u32>ports : 0;
  if (form == FEW) {
    const at = lowerBound(ports, countOf(set), port);
    return at < countOf(set) ? portAt(ports, at) : 0;
  }
  if (form == NONE || port > <u32>PORT_MAX) return 0;
  let word = port >> WORD_SHIFT;
  let bits = bitmapWord(ports, word) & bitsFrom(port);
  while (!bits && ++word < WORD_COUNT) bits = bitmapWord(ports, word);
  return bits ? (word << WORD_SHIFT) + <u32>ctz(bits) : 0;
}

/** Charges for adding a port. */
export function chargePort(set: Address): void {
  if (!hasRoom(set)) chargeBlock(bytesOfNext(set));
}

/** Does one port more cost nothing? */
export function hasRoom(set: Address): bool {
  return formOf(set) == MANY || !isFull(set);
}

/** Adds a port that the set does not hold. It must have been charged. */
export function addPort(account: Address, set: Address, port: Port): void {
  assert(ASC_NO_ASSERT || !hasPort(set, port));
  if (!hasRoom(set)) grow(account, set);
  if (formOf(set) == MANY) setBit(portsOf(set), port);
  else addToSmall(set, port);
  store<u16>(set, <u16>(countOf(set) + 1), SET_COUNT);
}

/** Removes a port that the set holds. */
export function removePort(account: Address, set: Address, port: Port): void {
  assert(ASC_NO_ASSERT || hasPort(set, port));
  const count = countOf(set) - 1;
  store<u16>(set, <u16>count, SET_COUNT);
  if (formOf(set) == MANY) clearBit(portsOf(set), port);
  else if (formOf(set) == FEW) removeFromList(portsOf(set), count, port);
  trim(account, set);
}

/** The same, but a bitmap stays one, unless memory is limited. */
export function removeAndKeep(account: Address, set: Address, port: Port): void {
  if (isBitmap(set) && !isLimited(account)) removeFromBitmap(set, port);
  else removePort(account, set, port);
}

// ── A bitmap, without a look at the other forms ───────────────────────────────────────────

export function isBitmap(set: Address): bool {
  return formOf(set) == MANY;
}

/** Gives a bitmap with few ports back, or all of a form without any. */
export function trim(account: Address, set: Address): void {
  if (countOf(set) <= SHRINK_AT) shrink(account, set);
}

/** So few ports that one less may change the form. */
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

/** So many bits of the bitmap have been set, or cleared. */
export function countPorts(set: Address, by: i32): void {
  store<u16>(set, <u16>(countOf(set) + by), SET_COUNT);
}

// ── A set with one port ───────────────────────────────────────────────────────────────────

/** Adds a port to a set without ports and without a bitmap. */
export function addFirst(set: Address, port: Port): void {
  assert(formOf(set) == NONE);
  store<u16>(set, 1, SET_COUNT);
  become(set, ONE, port);
}

/** Does the set hold this port and no other, without a bitmap? */
export function hasOnly(set: Address, port: Port): bool {
  return formOf(set) == ONE && portsOf(set) == port;
}

/** Removes the only port of such a set. */
export function dropOnly(set: Address): void {
  store<u16>(set, 0, SET_COUNT);
  become(set, NONE, 0);
}

/** Gives back what the set occupies and leaves it empty. */
export function clearSet(account: Address, set: Address): void {
  if (formOf(set) >= FEW) free(account, portsOf(set));
  store<u16>(set, 0, SET_COUNT);
  store<u8>(set, <u8>NONE, SET_FORM);
  store<u32>(set, 0, SET_PORTS);
}

/** A set that is a bitmap from its beginning; whoever made it says when bits change. */
export function makeBitmap(set: Address, map: Address): void {
  become(set, MANY, map);
}

// ── Other forms than the bitmap ───────────────────────────────────────────────────────────

function hasPortInSmall(set: Address, port: Port): bool {
  const form = formOf(set);
  const ports = portsOf(set);
  if (form == ONE) return ports == port;
  if (form == NONE) return false;
  const at = lowerBound(ports, countOf(set), port);
  return at < countOf(set) && portAt(ports, at) == port;
}

function wordOfSmall(set: Address, word: u32): u64 {
  const form = formOf(set);
  const ports = portsOf(set);
  if (form == ONE) return <u32>ports >> WORD_SHIFT == word ? bitOf(<u32>ports) : 0;
  return form == FEW ? wordOfList(ports, countOf(set), word) : 0;
}

/** Does the form, none, one or few, hold no port more? */
function isFull(set: Address): bool {
  return formOf(set) == FEW ? countOf(set) == capacityOf(set) : formOf(set) == ONE;
}

/** The capacity of the list that comes next; past the longest list it is a bitmap. */
function nextCapacity(set: Address): u32 {
  return formOf(set) == ONE ? LIST_MIN : capacityOf(set) << 1;
}

function bytesOfNext(set: Address): u32 {
  const capacity = nextCapacity(set);
  return capacity > LIST_MAX ? BITMAP_BYTES : bytesOfList(capacity);
}

function grow(account: Address, set: Address): void {
  const capacity = nextCapacity(set);
  if (capacity > LIST_MAX) toBitmap(account, set);
  else toList(account, set, capacity);
}

function addToSmall(set: Address, port: Port): void {
  if (formOf(set) == FEW) {
    insertInList(portsOf(set), countOf(set), port);
    return;
  }
  store<u8>(set, <u8>ONE, SET_FORM);
  store<u32>(set, port, SET_PORTS);
}

/** After a removal: an empty set takes no room, a sparse one no bitmap. */
function shrink(account: Address, set: Address): void {
  if (formOf(set) == MANY) toListFromBitmap(account, set);
  if (countOf(set) == 0) clearSet(account, set);
}

// ── Changing form ─────────────────────────────────────────────────────────────────────────

function become(set: Address, form: u32, ports: Address): void {
  store<u8>(set, <u8>form, SET_FORM);
  store<u32>(set, <u32>ports, SET_PORTS);
}

function newList(account: Address, capacity: u32): Address {
  const list = alloc(account, bytesOfList(capacity));
  if (list) store<u16>(list, <u16>capacity, LIST_CAPACITY);
  return list;
}

/** From one port or a shorter list to a list. */
function toList(account: Address, set: Address, capacity: u32): void {
  const list = newList(account, capacity);
  assert(list != 0); // charged too little
  const ports = portsOf(set);
  if (formOf(set) == ONE) {
    store<u16>(list, <u16>ports, LIST_PORTS);
  } else {
    memory.copy(list + LIST_PORTS, ports + LIST_PORTS, (<usize>countOf(set)) << 1);
    free(account, ports);
  }
  become(set, FEW, list);
}

function toBitmap(account: Address, set: Address): void {
  const list = portsOf(set);
  const count = countOf(set);
  become(set, MANY, allocZero(account, BITMAP_BYTES));
  store<u16>(set, 0, SET_COUNT);
  for (let at: u32 = 0; at < count; at++) addPort(account, set, portAt(list, at));
  free(account, list);
}

/** Shrinks if there is memory for the list; if not, the bitmap serves on. */
function toListFromBitmap(account: Address, set: Address): void {
  const list = newList(account, LIST_MAX >> 1);
  if (!list) return;
  const map = portsOf(set);
  let at: Address = list;
  for (let word: u32 = 0; word < WORD_COUNT; word++) {
    for (let bits = bitmapWord(map, word); bits; bits &= bits - 1) {
      store<u16>(at, <u16>((word << WORD_SHIFT) + <u32>ctz(bits)), LIST_PORTS);
      at += 2;
    }
  }
  free(account, map);
  become(set, FEW, list);
}

// ── Lists ─────────────────────────────────────────────────────────────────────────────────

function bytesOfList(capacity: u32): u32 {
  return <u32>LIST_PORTS + (capacity << 1);
}

function capacityOf(set: Address): u32 {
  return load<u16>(portsOf(set), LIST_CAPACITY);
}

function portAt(list: Address, at: u32): Port {
  return load<u16>(list + ((<usize>at) << 1), LIST_PORTS);
}

/** Position of the first port that is not below `port`, or `count`. */
function lowerBound(list: Address, count: u32, port: Port): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (portAt(list, middle) < port) low = middle + 1;
    else high = middle;
  }
  return low;
}

function wordOfList(list: Address, count: u32, word: u32): u64 {
  let bits: u64 = 0;
  for (let at = lowerBound(list, count, word << WORD_SHIFT); at < count; at++) {
    const port = portAt(list, at);
    if (port >> WORD_SHIFT != word) break;
    bits |= bitOf(port);
  }
  return bits;
}

function insertInList(list: Address, count: u32, port: Port): void {
  const at = list + LIST_PORTS + ((<usize>lowerBound(list, count, port)) << 1);
  const end = list + LIST_PORTS + ((<usize>count) << 1);
  memory.copy(at + 2, at, end - at);
  store<u16>(at, <u16>port);
}

/** `count` is what stays. */
function removeFromList(list: Address, count: u32, port: Port): void {
  const at = list + LIST_PORTS + ((<usize>lowerBound(list, count + 1, port)) << 1);
  const end = list + LIST_PORTS + ((<usize>count) << 1);
  memory.copy(at, at + 2, end - at);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

export function verifySet(set: Address): void {
  const form = formOf(set);
  const ports = portsOf(set);
  const count = countOf(set);
  assert(form != NONE || count == 0);
  assert(form == NONE || form == MANY || count > 0);
  if (form == ONE) assert(count == 1 && ports > 0 && ports < 65536);
  if (form == MANY) assert(verifyBitmap(ports) == count);
  if (form != FEW) return;
  assert(count <= capacityOf(set));
  for (let at: u32 = 1; at < count; at++) assert(portAt(ports, at - 1) < portAt(ports, at));
}
