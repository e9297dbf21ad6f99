// ExtraCounts: by how much the count of a port differs from its bit, for the ports where it does.
//
//   slot      0 ┌──────────────────┐
//               │ extra   u32      │  0: no port; else the address of a page or of a page table
//             4 └──────────────────┘
//
//   page      0 ┌──────────────────┐     page table 0 ┌──────────────────┐
//               │ word    u16      │                  │ word    u16 = ~0 │
//             2 ├──────────────────┤                2 ├──────────────────┤
//               │ wide    u16      │                  │ (unused)         │
//             4 ├──────────────────┤                4 ├──────────────────┤
//               │ used    u32      │                  │ used    u32      │  number of pages
//             8 ├──────────────────┤                8 ├──────────────────┤
//               │ extra   i16[64]  │                  │ page  u32[1024]  │  0: none
//           136 └──────────────────┘             4104 └──────────────────┘
//
// A page has the extra counts of the 64 ports of one word. A set with two pages has a page table. A
// page whose counts no longer fit into 16 bits is replaced by a wide page, with i32[64]. An
// aggregate over many destinations touches pages at random, so pages are small.
//
// A page is freed when all its counts are zero. A page of an aggregate with a bitmap that
// `dropExtraFree` leaves without counts stays until the manager is settled, because the next
// operation is likely to need it again; a manager with a memory limit frees it.
//
// Must stay true: `used` is the number of counts in the page that are not zero.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free, paidFor } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { Port, WORD_COUNT, WORD_SHIFT } from "./bitmap";

const WORD: usize = 0;
const WIDE: usize = 2;
const USED: usize = 4;
const ITEMS: usize = 8;
const PAGE_TABLE: u32 = 0xffff;
const NARROW_BYTES: u32 = 8 + 64 * 2;
const WIDE_BYTES: u32 = 8 + 64 * 4;
const PAGE_TABLE_BYTES: u32 = 8 + WORD_COUNT * 4;
if (PAGE_TABLE_BYTES != 4104) ERROR("Page table no longer matches its diagram");

export function extraAt(slot: Address, port: Port): i32 {
  const page = pageOf(slot, port >> WORD_SHIFT);
  return page ? itemIn(page, port & 63) : 0;
}

/** Charges for adding one to a port's extra count, or taking one from it. */
export function chargeExtra(slot: Address, port: Port): void {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (page) {
    if (isAtLimit(page, port & 63)) chargeBlock(WIDE_BYTES);
    return;
  }
  chargeFirstExtra();
  const top: Address = load<u32>(slot);
  if (top && !isPageTable(top)) chargeBlock(PAGE_TABLE_BYTES);
}

/** Charges for the first extra count of a set. */
export function chargeFirstExtra(): void {
  chargeBlock(NARROW_BYTES);
}

/** Charges for a page that has room for so large a count. */
export function chargeWide(count: i32): void {
  if (<i32>(<i16>count) != count) chargeBlock(WIDE_BYTES);
}

/** Changes a port's extra count. It must have been charged, unless the count becomes zero. */
export function changeExtra(account: Address, slot: Address, port: Port, by: i32): void {
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

/**
 * Frees the page table and all pages. `all` is false: frees only pages without counts, and the
 * table of a single page. Account 0: frees nothing. Returns the bytes that they took before.
 */
export function clearExtra(account: Address, slot: Address, all: bool): u32 {
  const top: Address = load<u32>(slot);
  if (!top) return 0;
  let bytes = paidFor(top);
  let left: Address = 0;
  if (isPageTable(top)) {
    for (let word: u32 = 0; word < WORD_COUNT; word++) {
      const page: Address = load<u32>(entryOf(top, word));
      if (!page) continue;
      bytes += paidFor(page);
      if (!account || (!all && load<u32>(page, USED))) {
        left = page;
        continue;
      }
      free(account, page);
      store<u32>(entryOf(top, word), 0);
      store<u32>(top, load<u32>(top, USED) - 1, USED);
    }
  }
  const used = load<u32>(top, USED);
  if (account && (all || !used || (left && used == 1))) {
    free(account, top);
    store<u32>(slot, <u32>left);
  }
  return bytes;
}

// ── Changes without memory, for counts that are never negative ────────────────────────────

/** Adds one. False if that needs memory or the page is wide; then nothing has changed. */
export function addExtraFree(slot: Address, port: Port): bool {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (!page || isWide(page)) return false;
  const at = page + ((<usize>(port & 63)) << 1);
  const extra = <i32>load<i16>(at, ITEMS);
  if (extra == i16.MAX_VALUE) return false;
  store<i16>(at, <i16>(extra + 1), ITEMS);
  if (!extra) store<u32>(page, load<u32>(page, USED) + 1, USED);
  return true;
}

/** Changes by one a count that is and stays above zero. False if it does not, or needs memory. */
export function stepExtra(slot: Address, port: Port, by: i32): bool {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (!page) return false;
  const before = itemIn(page, port & 63);
  const after = before + by;
  if (before <= 0 || after <= 0 || (after > i16.MAX_VALUE && !isWide(page))) return false;
  setItem(page, port & 63, after);
  return true;
}

// Answers of `dropExtraFree`: the port has no extra count; it is one less now; nothing has changed.
export const NO_EXTRA: u32 = 0;
const DROPPED: u32 = 1;
export const NOT_FREE: u32 = 2;

/** Takes one. `NOT_FREE` if a page must be freed or is wide. `keeps`: empty pages may stay. */
export function dropExtraFree(slot: Address, port: Port, keeps: bool): u32 {
  const page = pageOf(slot, port >> WORD_SHIFT);
  if (!page) return NO_EXTRA;
  if (isWide(page)) return NOT_FREE;
  const at = page + ((<usize>(port & 63)) << 1);
  const extra = <i32>load<i16>(at, ITEMS);
  if (!extra) return NO_EXTRA;
  if (extra == 1 && !leavePage(page, keeps)) return NOT_FREE;
  store<i16>(at, <i16>(extra - 1), ITEMS);
  return DROPPED;
}

/** One count of the page becomes zero. False if the page would have to be freed. */
function leavePage(page: Address, keeps: bool): bool {
  const used = load<u32>(page, USED) - 1;
  if (!used && !keeps) return false;
  store<u32>(page, used, USED);
  return true;
}

// ── Pages ─────────────────────────────────────────────────────────────────────────────────

function isPageTable(top: Address): bool {
  return load<u16>(top, WORD) == PAGE_TABLE;
}

/** The page of a word, or 0. */
function pageOf(slot: Address, word: u32): Address {
  const top: Address = load<u32>(slot);
  if (!top) return 0;
  const first = <u32>load<u16>(top, WORD);
  if (first == PAGE_TABLE) return load<u32>(entryOf(top, word));
  return first == word ? top : 0;
}

function entryOf(table: Address, word: u32): Address {
  return table + ITEMS + ((<usize>word) << 2);
}

function isWide(page: Address): bool {
  return load<u16>(page, WIDE) != 0;
}

function itemIn(page: Address, index: u32): i32 {
  if (isWide(page)) return load<i32>(page + ((<usize>index) << 2), ITEMS);
  return load<i16>(page + ((<usize>index) << 1), ITEMS);
}

function setItem(page: Address, index: u32, extra: i32): void {
  if (isWide(page)) store<i32>(page + ((<usize>index) << 2), extra, ITEMS);
  else store<i16>(page + ((<usize>index) << 1), <i16>extra, ITEMS);
}

/** May the next change by one exceed 16 bits? */
function isAtLimit(page: Address, index: u32): bool {
  const extra = itemIn(page, index);
  return !isWide(page) && (extra == i16.MAX_VALUE || extra == i16.MIN_VALUE);
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
  addPage(isPageTable(top) ? top : toPageTable(account, slot, top), word, page);
  return page;
}

/** Replaces a page by a wide page with the same counts. */
function widen(account: Address, slot: Address, page: Address): Address {
  const wide = allocZero(account, WIDE_BYTES);
  assert(wide != 0); // charged too little
  const word = <u32>load<u16>(page, WORD);
  store<u16>(wide, <u16>word, WORD);
  store<u16>(wide, 1, WIDE);
  store<u32>(wide, load<u32>(page, USED), USED);
  for (let at: usize = 0; at < 64; at++) {
    store<i32>(wide + (at << 2), load<i16>(page + (at << 1), ITEMS), ITEMS);
  }
  const top: Address = load<u32>(slot);
  store<u32>(top == page ? slot : entryOf(top, word), <u32>wide);
  free(account, page);
  return wide;
}

/** Makes a page table and puts the only page into it. */
function toPageTable(account: Address, slot: Address, page: Address): Address {
  const table = allocZero(account, PAGE_TABLE_BYTES);
  assert(table != 0); // charged too little
  store<u16>(table, <u16>PAGE_TABLE, WORD);
  addPage(table, load<u16>(page, WORD), page);
  store<u32>(slot, <u32>table);
  return table;
}

function addPage(table: Address, word: u32, page: Address): void {
  store<u32>(entryOf(table, word), <u32>page);
  store<u32>(table, load<u32>(table, USED) + 1, USED);
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

/** First port from `port` on whose extra count is not zero, or `PORT_COUNT`. */
export function nextExtra(slot: Address, port: Port): Port {
  let at = load<u32>(slot) ? port : <u32>PORT_COUNT;
  while (at < <u32>PORT_COUNT) {
    const page = pageOf(slot, at >> WORD_SHIFT);
    if (page && itemIn(page, at & 63)) return at;
    at = page ? at + 1 : (at | 63) + 1;
  }
  return PORT_COUNT;
}

/** First word from `word` on that has a page, or `WORD_COUNT`. */
function nextWord(slot: Address, word: u32): u32 {
  const top: Address = load<u32>(slot);
  if (!top) return WORD_COUNT;
  if (!isPageTable(top)) {
    const only = <u32>load<u16>(top, WORD);
    return only >= word ? only : WORD_COUNT;
  }
  let next = word;
  while (next < WORD_COUNT && !load<u32>(entryOf(top, next))) next++;
  return next;
}

export function verifyExtra(slot: Address): void {
  let pages: u32 = 0;
  for (let word = nextWord(slot, 0); word < WORD_COUNT; word = nextWord(slot, word + 1)) {
    const page = pageOf(slot, word);
    pages++;
    let used: u32 = 0;
    for (let index: u32 = 0; index < 64; index++) {
      if (itemIn(page, index)) used++;
    }
    assert(load<u16>(page, WORD) == word && used == load<u32>(page, USED));
  }
  const top: Address = load<u32>(slot);
  if (top && isPageTable(top)) assert(load<u32>(top, USED) == pages);
  else assert(pages == (top ? 1 : 0));
}
