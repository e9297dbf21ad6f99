// Excess: how much oftener than its bit says a port is held, for those few ports where it is.
//
//   slot      0 ┌──────────────────┐
//               │ excess  u32      │  0: nowhere; else a page or a directory
//             4 └──────────────────┘
//
//   page      0 ┌──────────────────┐     directory  0 ┌──────────────────┐
//               │ word    u16      │                  │ word    u16 = ~0 │
//             2 ├──────────────────┤                2 ├──────────────────┤
//               │ wide    u16      │                  │ (nothing)        │
//             4 ├──────────────────┤                4 ├──────────────────┤
//               │ used    u32      │                  │ used    u32      │  pages
//             8 ├──────────────────┤                8 ├──────────────────┤
//               │ excess  i16[64]  │                  │ page  u32[1024]  │  0: none
//           136 └──────────────────┘             4104 └──────────────────┘
//
// A page serves the 64 ports of one word; a directory comes with the second page. A page whose
// numbers outgrow 16 bits becomes wide, with i32[64]. Whoever counts the ports of many flows touches
// another page each time, so it matters that pages are small.
//
// A page goes back when nothing in it differs from zero. One that counts for others (`lowerFree`)
// stays, because the next operation is going to need it; only where memory is limited it goes.
//
// Must stay true: `used` counts what is not zero.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free, isLimited } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { Port, WORD_COUNT, WORD_SHIFT } from "./bitmap";

const WORD: usize = 0;
const WIDE: usize = 2;
const USED: usize = 4;
const ITEMS: usize = 8;
const DIRECTORY: u32 = 0xffff;
const NARROW_BYTES: u32 = 8 + 64 * 2;
const WIDE_BYTES: u32 = 8 + 64 * 4;
const DIRECTORY_BYTES: u32 = 8 + WORD_COUNT * 4;
if (DIRECTORY_BYTES != 4104) ERROR("Directory no longer matches its diagram");

export function excessAt(slot: Address, port: Port): i32 {
  const page = pageOf(slot, port >> WORD_SHIFT);
  return page ? itemIn(page, port & 63) : 0;
}

/** Charges for a change by one. */
export function chargeExcess(slot: Address, port: Port): void {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (page) {
    if (isAtLimit(page, port & 63)) chargeBlock(WIDE_BYTES);
    return;
  }
  chargeFirst();
  const top: Address = load<u32>(slot);
  if (top && !isDirectory(top)) chargeBlock(DIRECTORY_BYTES);
}

/** Charges for the first excess of all. */
export function chargeFirst(): void {
  chargeBlock(NARROW_BYTES);
}

/** Changes a port's excess, which must have been charged, unless it becomes zero. */
export function changeExcess(account: Address, slot: Address, port: Port, by: i32): void {
  const word = port >> WORD_SHIFT;
  const known = pageOf(slot, word);
  let page = known ? known : newPage(account, slot, word);
  const before = itemIn(page, port & 63);
  const after = before + by;
  if (!isWide(page) && <i32>(<i16>after) != after) page = widen(account, slot, page);
  setItem(page, port & 63, after);
  if (before && after) return;
  const used = load<u32>(page, USED) + (after ? 1 : -1);
  store<u32>(page, used, USED);
  if (!used) freePage(account, slot, word, page);
}

/** Gives back all pages. */
export function clearExcess(account: Address, slot: Address): void {
  const top: Address = load<u32>(slot);
  if (!top) return;
  if (isDirectory(top)) {
    for (let word: u32 = 0; word < WORD_COUNT; word++) {
      const page = load<u32>(entryOf(top, word));
      if (page) free(account, page);
    }
  }
  free(account, top);
  store<u32>(slot, 0);
}

// ── Where it costs no memory ──────────────────────────────────────────────────────────────

/** Would adding one to an excess that is not negative need no memory? */
export function canRaise(slot: Address, port: Port): bool {
  const page = pageOf(slot, port >> WORD_SHIFT);
  return page != 0 && !isAtLimit(page, port & 63);
}

/** Adds one to such an excess; false, and nothing has changed, if that needs memory or the page is wide. */
export function raiseFree(slot: Address, port: Port): bool {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (!page || isWide(page)) return false;
  const at = page + ((<usize>(port & 63)) << 1);
  const excess = <i32>load<i16>(at, ITEMS);
  if (excess == i16.MAX_VALUE) return false;
  store<i16>(at, <i16>(excess + 1), ITEMS);
  if (!excess) store<u32>(page, load<u32>(page, USED) + 1, USED);
  return true;
}

/** What `lowerFree` found: no excess, one that is smaller now, or one that is not for it. */
export const NO_EXCESS: u32 = 0;
const LOWERED: u32 = 1;
export const NOT_FREE: u32 = 2;

/** Takes one from such an excess; where a page has to go, or is wide, nothing has changed. */
export function lowerFree(account: Address, slot: Address, port: Port): u32 {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (!page) return NO_EXCESS;
  if (isWide(page)) return NOT_FREE;
  const at = page + ((<usize>(port & 63)) << 1);
  const excess = <i32>load<i16>(at, ITEMS);
  if (!excess) return NO_EXCESS;
  if (excess == 1 && !leavePage(account, page)) return NOT_FREE;
  store<i16>(at, <i16>(excess - 1), ITEMS);
  return LOWERED;
}

/** One number of a page becomes zero; false if the page must go with it. */
function leavePage(account: Address, page: Address): bool {
  const used = load<u32>(page, USED) - 1;
  if (!used && isLimited(account)) return false;
  store<u32>(page, used, USED);
  return true;
}

// ── Pages ─────────────────────────────────────────────────────────────────────────────────

function isDirectory(top: Address): bool {
  return load<u16>(top, WORD) == DIRECTORY;
}

/** The page of that word, or 0. */
function pageOf(slot: Address, word: u32): Address {
  const top: Address = load<u32>(slot);
  if (!top) return 0;
  const first = <u32>load<u16>(top, WORD);
  if (first == DIRECTORY) return load<u32>(entryOf(top, word));
  return first == word ? top : 0;
}

function entryOf(directory: Address, word: u32): Address {
  return directory + ITEMS + ((<usize>word) << 2);
}

function isWide(page: Address): bool {
  return load<u16>(page, WIDE) != 0;
}

function itemIn(page: Address, index: u32): i32 {
  if (isWide(page)) return load<i32>(page + ((<usize>index) << 2), ITEMS);
  return load<i16>(page + ((<usize>index) << 1), ITEMS);
}

function setItem(page: Address, index: u32, excess: i32): void {
  if (isWide(page)) store<i32>(page + ((<usize>index) << 2), excess, ITEMS);
  else store<i16>(page + ((<usize>index) << 1), <i16>excess, ITEMS);
}

/** May the next change by one be too much for 16 bits? */
function isAtLimit(page: Address, index: u32): bool {
  const excess = itemIn(page, index);
  return !isWide(page) && (excess == i16.MAX_VALUE || excess == i16.MIN_VALUE);
}

function newPage(account: Address, slot: Address, word: u32): Address {
  const page = allocZero(account, NARROW_BYTES);
  assert(page != 0); // charged too little
  store<u16>(page, <u16>word, WORD);
  const top: Address = load<u32>(slot);
  if (!top) {
    store<u32>(slot, <u32>page);
    return page;
  }
  addPage(isDirectory(top) ? top : toDirectory(account, slot, top), word, page);
  return page;
}

/** The same page with room for larger numbers. */
function widen(account: Address, slot: Address, page: Address): Address {
  const wide = allocZero(account, WIDE_BYTES);
  assert(wide != 0); // charged too little
  const word = <u32>load<u16>(page, WORD);
  store<u16>(wide, <u16>word, WORD);
  store<u16>(wide, 1, WIDE);
  store<u32>(wide, load<u32>(page, USED), USED);
  for (let index: u32 = 0; index < 64; index++) setItem(wide, index, itemIn(page, index));
  const top: Address = load<u32>(slot);
  store<u32>(top == page ? slot : entryOf(top, word), <u32>wide);
  free(account, page);
  return wide;
}

/** Puts a directory above the only page. */
function toDirectory(account: Address, slot: Address, page: Address): Address {
  const directory = allocZero(account, DIRECTORY_BYTES);
  assert(directory != 0); // charged too little
  store<u16>(directory, <u16>DIRECTORY, WORD);
  addPage(directory, load<u16>(page, WORD), page);
  store<u32>(slot, <u32>directory);
  return directory;
}

function addPage(directory: Address, word: u32, page: Address): void {
  store<u32>(entryOf(directory, word), <u32>page);
  store<u32>(directory, load<u32>(directory, USED) + 1, USED);
}

function freePage(account: Address, slot: Address, word: u32, page: Address): void {
  const top: Address = load<u32>(slot);
  free(account, page);
  if (top == page) {
    store<u32>(slot, 0);
    return;
  }
  store<u32>(entryOf(top, word), 0);
  const used = load<u32>(top, USED) - 1;
  store<u32>(top, used, USED);
  if (used) return;
  free(account, top);
  store<u32>(slot, 0);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** First port from `port` on whose excess is not zero, or `PORT_COUNT`. */
export function nextExcess(slot: Address, port: Port): Port {
  let at = port;
  while (at < <u32>PORT_COUNT) {
    const page = pageOf(slot, at >> WORD_SHIFT);
    if (page && itemIn(page, at & 63)) return at;
    at = page ? at + 1 : ((at >> WORD_SHIFT) + 1) << WORD_SHIFT;
  }
  return PORT_COUNT;
}

export function verifyExcess(slot: Address): void {
  let pages: u32 = 0;
  for (let word: u32 = 0; word < WORD_COUNT; word++) {
    const page = pageOf(slot, word);
    if (!page) continue;
    pages++;
    let used: u32 = 0;
    for (let index: u32 = 0; index < 64; index++) {
      if (itemIn(page, index)) used++;
    }
    assert(load<u16>(page, WORD) == word && used == load<u32>(page, USED));
  }
  const top: Address = load<u32>(slot);
  if (top && isDirectory(top)) assert(load<u32>(top, USED) == pages);
  else assert(pages == (top ? 1 : 0));
}
