// CountedSet: a port set that also knows how often each port is held.
//
// Nearly every port is held once or not at all, and one bit says that. What goes beyond is kept
// aside as an excess: the count of a port is its bit plus its excess.
//
//   bit  excess   count
//    0     0        0      not held
//    1     0        1      held, the plain case
//    1    n > 0   1 + n    held more than once
//    0    n < 0     n      released more often than held (gVisor counts below zero)
//
//   record 20 ┌──────────────────┐
//             │ excess  u32      │  0: every port is plain; else a page or a directory
//          24 └──────────────────┘
//
//   page      0 ┌──────────────────┐     directory  0 ┌──────────────────┐
//               │ word  u32        │                  │ word  u32 = ~0   │
//             4 ├──────────────────┤                4 ├──────────────────┤
//               │ used  u32        │                  │ used  u32        │  pages
//             8 ├──────────────────┤                8 ├──────────────────┤
//               │ excess  i32[64]  │                  │ page  u32[1024]  │  0: none
//           264 └──────────────────┘             4104 └──────────────────┘
//
// A page serves the 64 ports of one word; a directory comes with the second page. Both go back
// as soon as nothing in them differs from zero.
//
// A port "rises" when its bit is set and "falls" when it is cleared. What adding or dropping is
// going to need is charged beforehand.
//
// Must stay true: no bit has a negative excess, no clear bit a positive one; `used` counts what
// is not zero.

import { Address, allocZero, free } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { hasBit, Port, WORD_COUNT, WORD_SHIFT } from "./bitmap";
import {
  addPort,
  addToBitmap,
  chargePort,
  clearSet,
  hasPort,
  isBitmap,
  isSparse,
  portsOf,
  removeFromBitmap,
  removePort,
  SET_END,
  verifySet,
} from "./set";

const EXCESS: usize = SET_END;

const WORD: usize = 0;
const USED: usize = 4;
const ITEMS: usize = 8;
const DIRECTORY: u32 = ~0;
const PAGE_BYTES: u32 = 8 + 64 * 4;
const DIRECTORY_BYTES: u32 = 8 + WORD_COUNT * 4;
if (DIRECTORY_BYTES != 4104) ERROR("Directory no longer matches its diagram");

/** Is every port of the set held once or not at all? */
export function isPlain(set: Address): bool {
  return load<u32>(set, EXCESS) == 0;
}

export function countAt(set: Address, port: Port): i32 {
  return (hasPort(set, port) ? 1 : 0) + excessAt(set, port);
}

/** Charges for adding one to the port's count. */
export function chargeAdd(set: Address, port: Port): void {
  if (hasPort(set, port)) chargeExcess(set, port);
  else if (excessAt(set, port) == 0) chargePort(set);
}

/** Adds one to the port's count and tells whether it rose. */
export function addOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) || excessAt(set, port) < 0) {
    changeExcess(account, set, port, 1);
    return false;
  }
  addPort(account, set, port);
  return true;
}

/** Adds one to a count that is never negative, if that costs no memory; else nothing changes. */
export function addOneFree(set: Address, port: Port): bool {
  if (!isBitmap(set)) return false;
  if (!hasBit(portsOf(set), port)) {
    addToBitmap(set, port);
    return true;
  }
  const page = pageOf(set, port >> WORD_SHIFT);
  if (!page) return false;
  const at = itemAt(page, port & 63);
  const excess = load<i32>(at, ITEMS);
  store<i32>(at, excess + 1, ITEMS);
  if (!excess) store<u32>(page, load<u32>(page, USED) + 1, USED);
  return true;
}

/** Takes one from such a count, if neither a page goes nor the form changes; else nothing changes. */
export function dropOneFree(set: Address, port: Port): bool {
  if (!isBitmap(set)) return false;
  const page = pageOf(set, port >> WORD_SHIFT);
  const at = itemAt(page, port & 63);
  const excess = page ? load<i32>(at, ITEMS) : 0;
  if (!excess) {
    if (isSparse(set)) return false;
    removeFromBitmap(set, port);
    return true;
  }
  const used = load<u32>(page, USED) - (excess == 1 ? 1 : 0);
  if (!used) return false;
  store<i32>(at, excess - 1, ITEMS);
  store<u32>(page, used, USED);
  return true;
}

/** Charges for taking one from the port's count. */
export function chargeDrop(set: Address, port: Port): void {
  if (!hasPort(set, port)) chargeExcess(set, port);
}

/** Takes one from the port's count and tells whether it fell. */
export function dropOne(account: Address, set: Address, port: Port): bool {
  if (hasPort(set, port) && excessAt(set, port) == 0) {
    removePort(account, set, port);
    return true;
  }
  changeExcess(account, set, port, -1);
  return false;
}

/** Sets the port's count to zero and tells whether it fell. */
export function wipe(account: Address, set: Address, port: Port): bool {
  const excess = excessAt(set, port);
  if (excess) changeExcess(account, set, port, -excess);
  if (!hasPort(set, port)) return false;
  removePort(account, set, port);
  return true;
}

/** Gives back all that the set occupies. */
export function clearCounted(account: Address, set: Address): void {
  const top: Address = load<u32>(set, EXCESS);
  if (top && load<u32>(top, WORD) == DIRECTORY) {
    for (let word: u32 = 0; word < WORD_COUNT; word++) {
      const page = load<u32>(top + ((<usize>word) << 2), ITEMS);
      if (page) free(account, page);
    }
  }
  if (top) free(account, top);
  store<u32>(set, 0, EXCESS);
  clearSet(account, set);
}

// ── Excess ────────────────────────────────────────────────────────────────────────────────

function excessAt(set: Address, port: Port): i32 {
  const page = pageOf(set, port >> WORD_SHIFT);
  return page ? load<i32>(itemAt(page, port & 63), ITEMS) : 0;
}

/** The page of that word, or 0. */
function pageOf(set: Address, word: u32): Address {
  const top: Address = load<u32>(set, EXCESS);
  if (!top) return 0;
  const first = load<u32>(top, WORD);
  if (first == word) return top;
  return first == DIRECTORY ? <Address>load<u32>(itemAt(top, word), ITEMS) : 0;
}

function itemAt(block: Address, index: u32): Address {
  return block + ((<usize>index) << 2);
}

/** Charges for the first excess of a set. */
export function chargePage(): void {
  chargeBlock(PAGE_BYTES);
}

function chargeExcess(set: Address, port: Port): void {
  if (pageOf(set, port >> WORD_SHIFT)) return;
  chargePage();
  const top: Address = load<u32>(set, EXCESS);
  if (top && load<u32>(top, WORD) != DIRECTORY) chargeBlock(DIRECTORY_BYTES);
}

function newPage(account: Address, set: Address, word: u32): Address {
  const page = allocZero(account, PAGE_BYTES);
  assert(page != 0); // charged too little
  store<u32>(page, word, WORD);
  const top: Address = load<u32>(set, EXCESS);
  if (!top) {
    store<u32>(set, <u32>page, EXCESS);
    return page;
  }
  addPage(load<u32>(top, WORD) == DIRECTORY ? top : toDirectory(account, set, top), word, page);
  return page;
}

/** Puts a directory above the only page. */
function toDirectory(account: Address, set: Address, page: Address): Address {
  const directory = allocZero(account, DIRECTORY_BYTES);
  assert(directory != 0); // charged too little
  store<u32>(directory, DIRECTORY, WORD);
  addPage(directory, load<u32>(page, WORD), page);
  store<u32>(set, <u32>directory, EXCESS);
  return directory;
}

function addPage(directory: Address, word: u32, page: Address): void {
  store<u32>(itemAt(directory, word), <u32>page, ITEMS);
  store<u32>(directory, load<u32>(directory, USED) + 1, USED);
}

function freePage(account: Address, set: Address, word: u32, page: Address): void {
  const top: Address = load<u32>(set, EXCESS);
  free(account, page);
  if (top == page) {
    store<u32>(set, 0, EXCESS);
    return;
  }
  store<u32>(itemAt(top, word), 0, ITEMS);
  const used = load<u32>(top, USED) - 1;
  store<u32>(top, used, USED);
  if (used) return;
  free(account, top);
  store<u32>(set, 0, EXCESS);
}

function changeExcess(account: Address, set: Address, port: Port, by: i32): void {
  const word = port >> WORD_SHIFT;
  const known = pageOf(set, word);
  const page = known ? known : newPage(account, set, word);
  const at = itemAt(page, port & 63);
  const before = load<i32>(at, ITEMS);
  const after = before + by;
  store<i32>(at, after, ITEMS);
  if (before && after) return;
  const used = load<u32>(page, USED) + (after ? 1 : -1);
  store<u32>(page, used, USED);
  if (!used) freePage(account, set, port >> WORD_SHIFT, page);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

export function verifyCounted(set: Address): void {
  verifySet(set);
  let pages: u32 = 0;
  for (let word: u32 = 0; word < WORD_COUNT; word++) {
    const page = pageOf(set, word);
    if (!page) continue;
    pages++;
    let used: u32 = 0;
    for (let index: u32 = 0; index < 64; index++) {
      const excess = load<i32>(itemAt(page, index), ITEMS);
      if (!excess) continue;
      used++;
      assert(hasPort(set, (word << WORD_SHIFT) + index) == excess > 0);
    }
    assert(used > 0 && used == load<u32>(page, USED));
  }
  const top: Address = load<u32>(set, EXCESS);
  if (top && load<u32>(top, WORD) == DIRECTORY) assert(load<u32>(top, USED) == pages);
  else assert(pages == (top ? 1 : 0));
}
