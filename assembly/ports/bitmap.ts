// Bitmap: one bit for each of the 65,536 ports, and two summary levels above them.
//
//   byte    0 ┌──────────────────────────┐
//             │ root    u64              │  bit g: groups[g] is full      (16 used)
//   byte    8 ├──────────────────────────┤
//             │ groups  u64[16]          │  bit w: words[64g + w] is full
//   byte  136 ├──────────────────────────┤
//             │ words   u64[1024]        │  bit p: port 64w + p is held
//   byte 8328 ├──────────────────────────┤
//             │ version u64              │  of the mask, when the summaries were made
//   byte 8336 ├──────────────────────────┤
//             │ mask    u32              │  another bitmap, or 0
//   byte 8340 └──────────────────────────┘
//
// On every level a set bit means that nothing is free: a port is held, a word has no free port, a
// group has no word with a free port. A search skips full words and groups by the summaries. Zeroed
// memory is a valid, empty bitmap.
//
// A mask is a bitmap of ports that a search skips, such as reserved ports. The summaries count them
// as held. Otherwise a few of them in each word would leave no word full, and the search of a
// nearly full bitmap would read it word by word. A mask that changes gets a new version. The caller
// of a search names the mask. Summaries made for another mask or version are computed again.
//
// Must stay true: a summary bit is set exactly when all 64 bits below it are set, together with
// those of the mask of that version.

import { PORT_COUNT } from "../abi";
import { Address } from "../memory/arena";
import { changeLimits, limitsVersion } from "../memory/layout";
import { countIn, firstIn, lastIn, remainder } from "./range";

export type Port = u32;

export const WORD_SHIFT: u32 = 6;
export const WORD_FULL: u64 = ~0;
export const WORD_COUNT: u32 = PORT_COUNT >> WORD_SHIFT;
export const GROUP_COUNT: u32 = WORD_COUNT >> WORD_SHIFT;

const ROOT: usize = 0;
const GROUPS: usize = ROOT + 8;
const WORDS: usize = GROUPS + <usize>GROUP_COUNT * 8;
const VERSION: usize = WORDS + <usize>WORD_COUNT * 8;
const MASK: usize = VERSION + 8;
export const BITMAP_BYTES: u32 = <u32>MASK + 4;
if (BITMAP_BYTES != 8340) ERROR("Bitmap no longer matches its diagram");

/** Sets a clear bit. */
export function setBit(map: Address, port: Port): void {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const bits = load<u64>(at, WORDS) | bitOf(port);
  store<u64>(at, bits, WORDS);
  if ((bits | maskedIn(map, word)) == WORD_FULL) markFull(map, word);
}

/** Clears a set bit. */
export function clearBit(map: Address, port: Port): void {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const before = load<u64>(at, WORDS);
  const after = before & ~bitOf(port);
  store<u64>(at, after, WORDS);
  const masked = maskedIn(map, word);
  if ((before | masked) == WORD_FULL && (after | masked) != WORD_FULL) markOpen(map, word);
}

export function hasBit(map: Address, port: Port): bool {
  return (load<u64>(wordAt(map, port >> WORD_SHIFT), WORDS) & bitOf(port)) != 0;
}

/**
 * First bit of `first..last`, from `start` on and round once, that is clear here and in the mask,
 * or 0.
 */
export function findClear(map: Address, first: Port, last: Port, start: Port): Port {
  const port = clearFrom(map, start);
  return port <= last ? port : findBelow(map, first, start);
}

/** The same from `first` on, in front of `start`. */
function findBelow(map: Address, first: Port, start: Port): Port {
  const port = clearFrom(map, first);
  return port < start ? port : 0;
}

/** First clear bit from `port` on, or `PORT_COUNT`. */
function clearFrom(map: Address, port: Port): Port {
  const word = port >> WORD_SHIFT;
  const open = openIn(map, word) & bitsFrom(port);
  return open ? (word << WORD_SHIFT) + <u32>ctz(open) : clearBehind(map, word);
}

/** First clear bit in the words behind `word`, or `PORT_COUNT`. */
function clearBehind(map: Address, word: u32): Port {
  const next = findWordWithClear(map, word + 1);
  return next < WORD_COUNT ? (next << WORD_SHIFT) + <u32>ctz(openIn(map, next)) : PORT_COUNT;
}

// Taking and freeing, each in one function: a call would cost half as much as the operation.

/** Finds that bit and sets it. The caller knows that the summaries are those of the mask. */
export function takeClear(map: Address, mask: Address, first: Port, last: Port, start: Port): Port {
  const word = start >> WORD_SHIFT;
  const at = wordAt(map, word);
  const bits = load<u64>(at, WORDS);
  const masked = mask ? bitmapWord(mask, word) : 0;
  const open = ~(bits | masked) & bitsFrom(start);
  if (open) {
    const port = (word << WORD_SHIFT) + <u32>ctz(open);
    if (port <= last) {
      const after = bits | (open & -open);
      store<u64>(at, after, WORDS);
      if ((after | masked) == WORD_FULL) markFull(map, word);
      return port;
    }
  }
  return takeFurther(map, first, last, start);
}

/**
 * The same for each of the offsets at `batch`, which are replaced by ports, 2 bytes each; returns
 * how many there were. `takeClear` is repeated here, because a call would double the time.
 */
export function takeClears(
  map: Address,
  mask: Address,
  range: u32,
  inverse: u32,
  batch: Address,
  count: u32,
): u32 {
  const first = firstIn(range);
  const last = lastIn(range);
  const ports = countIn(range);
  for (let index: u32 = 0; index < count; index++) {
    const offset = load<u32>(batch + ((<usize>index) << 2));
    const start = first + remainder(offset, ports, inverse);
    const word = start >> WORD_SHIFT;
    const at = wordAt(map, word);
    const bits = load<u64>(at, WORDS);
    const masked = mask ? bitmapWord(mask, word) : 0;
    const open = ~(bits | masked) & bitsFrom(start);
    const place = batch + ((<usize>index) << 1);
    if (open) {
      const port = (word << WORD_SHIFT) + <u32>ctz(open);
      if (port <= last) {
        const after = bits | (open & -open);
        store<u64>(at, after, WORDS);
        if ((after | masked) == WORD_FULL) markFull(map, word);
        // A port of 2 bytes does not overwrite an offset that has not been read.
        store<u16>(place, <u16>port);
        continue;
      }
    }
    const port = takeFurther(map, first, last, start);
    if (!port) return index;
    store<u16>(place, <u16>port);
  }
  return count;
}

/** Clears the bits of the `count` ports at `batch`, and returns how many were set. */
export function dropBits(map: Address, batch: Address, count: u32): u32 {
  const mask = maskOf(map);
  let dropped: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    const port = <u32>load<u16>(batch + ((<usize>index) << 1));
    const word = port >> WORD_SHIFT;
    const at = wordAt(map, word);
    const before = load<u64>(at, WORDS);
    const after = before & ~bitOf(port);
    store<u64>(at, after, WORDS);
    dropped += after == before ? 0 : 1;
    const masked = mask ? bitmapWord(mask, word) : 0;
    if ((before | masked) == WORD_FULL) leaveFull(map, word, after | masked);
  }
  return dropped;
}

function takeFurther(map: Address, first: Port, last: Port, start: Port): Port {
  let port = clearBehind(map, start >> WORD_SHIFT);
  if (port > last) port = findBelow(map, first, start);
  if (port) setBit(map, port);
  return port;
}

/** Sets a bit and tells whether it was clear. */
export function raiseBit(map: Address, port: Port): bool {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const before = load<u64>(at, WORDS);
  const after = before | bitOf(port);
  if (after == before) return false;
  store<u64>(at, after, WORDS);
  if ((after | maskedIn(map, word)) == WORD_FULL) markFull(map, word);
  return true;
}

/** Clears a bit and tells whether it was set. */
export function dropBit(map: Address, port: Port): bool {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const before = load<u64>(at, WORDS);
  const after = before & ~bitOf(port);
  if (after == before) return false;
  store<u64>(at, after, WORDS);
  const masked = maskedIn(map, word);
  if ((before | masked) == WORD_FULL) leaveFull(map, word, after | masked);
  return true;
}

/** First word from `word` on with a clear bit, or `WORD_COUNT`. */
function findWordWithClear(map: Address, word: u32): u32 {
  if (word == WORD_COUNT) return WORD_COUNT;
  let group = word >> WORD_SHIFT;
  let open = ~bitmapGroup(map, group) & bitsFrom(word);
  if (!open) {
    const groups = ~bitmapRoot(map) & (~(<u64>1) << group);
    group = <u32>ctz(groups);
    if (group >= GROUP_COUNT) return WORD_COUNT;
    open = ~bitmapGroup(map, group);
  }
  return (group << WORD_SHIFT) + <u32>ctz(open);
}

/** The clear bits of a word, without those that the mask holds. */
function openIn(map: Address, word: u32): u64 {
  return ~(bitmapWord(map, word) | maskedIn(map, word));
}

export function bitmapWord(map: Address, word: u32): u64 {
  return load<u64>(wordAt(map, word), WORDS);
}

/** Which of the 64 words of a group are full. */
export function bitmapGroup(map: Address, group: u32): u64 {
  return load<u64>(map + ((<usize>group) << 3), GROUPS);
}

/** Which of the 16 groups are full. */
function bitmapRoot(map: Address): u64 {
  return load<u64>(map, ROOT);
}

export function bitOf(index: u32): u64 {
  return (<u64>1) << (index & 63);
}

/** Bits `index & 63` and above. */
export function bitsFrom(index: u32): u64 {
  return WORD_FULL << (index & 63);
}

function wordAt(map: Address, word: u32): Address {
  return map + ((<usize>word) << 3);
}

// ── Masks ─────────────────────────────────────────────────────────────────────────────────

function maskOf(map: Address): Address {
  return load<u32>(map, MASK);
}

/** The version of a mask, or that of the mask that the summaries were made under. */
export function versionOf(map: Address): u64 {
  return load<u64>(map, VERSION);
}

/** The ports of a word that the mask holds. */
function maskedIn(map: Address, word: u32): u64 {
  const mask = maskOf(map);
  return mask ? bitmapWord(mask, word) : 0;
}

/** Gives a bitmap that is used as a mask a new version, because it has changed. */
export function renewMask(mask: Address): void {
  changeLimits();
  store<u64>(mask, limitsVersion(), VERSION);
}

/** Were the summaries made for this mask? The caller knows that the mask has not changed since. */
export function searchedUnder(map: Address, mask: Address): bool {
  return maskOf(map) == mask;
}

/** Makes sure that the summaries are right for a search with this mask; 0: no mask. */
export function searchUnder(map: Address, mask: Address): void {
  if (maskOf(map) == mask && (!mask || versionOf(map) == versionOf(mask))) return;
  if (map != mask) sumUp(map, mask);
}

function sumUp(map: Address, mask: Address): void {
  store<u32>(map, <u32>mask, MASK);
  store<u64>(map, mask ? versionOf(mask) : 0, VERSION);
  let root: u64 = 0;
  for (let group: u32 = 0; group < GROUP_COUNT; group++) {
    let words: u64 = 0;
    for (let index: u32 = 0; index < 64; index++) {
      if (!openIn(map, (group << WORD_SHIFT) + index)) words |= bitOf(index);
    }
    store<u64>(map + ((<usize>group) << 3), words, GROUPS);
    if (words == WORD_FULL) root |= bitOf(group);
  }
  store<u64>(map, root, ROOT);
}

// ── Summaries ─────────────────────────────────────────────────────────────────────────────

function markFull(map: Address, word: u32): void {
  const group = word >> WORD_SHIFT;
  const at = map + ((<usize>group) << 3);
  const words = load<u64>(at, GROUPS) | bitOf(word);
  store<u64>(at, words, GROUPS);
  if (words == WORD_FULL) store<u64>(map, load<u64>(map, ROOT) | bitOf(group), ROOT);
}

/** The word was full, and has these bits now. */
function leaveFull(map: Address, word: u32, bits: u64): void {
  if (bits != WORD_FULL) markOpen(map, word);
}

function markOpen(map: Address, word: u32): void {
  const group = word >> WORD_SHIFT;
  const at = map + ((<usize>group) << 3);
  const words = load<u64>(at, GROUPS);
  store<u64>(at, words & ~bitOf(word), GROUPS);
  if (words == WORD_FULL) store<u64>(map, load<u64>(map, ROOT) & ~bitOf(group), ROOT);
}

/** Traps unless the summaries agree with the words, and returns how many bits are set. */
export function verifyBitmap(map: Address): u32 {
  let count: u32 = 0;
  // Summaries that were made for another version of the mask are not used any more.
  const mask = maskOf(map);
  const isCurrent = !mask || versionOf(map) == versionOf(mask);
  for (let group: u32 = 0; group < GROUP_COUNT; group++) {
    for (let index: u32 = 0; index < 64; index++) {
      const bits = bitmapWord(map, (group << WORD_SHIFT) + index);
      count += <u32>popcnt(bits);
      const isFull = openIn(map, (group << WORD_SHIFT) + index) == 0;
      assert(!isCurrent || isFull == ((bitmapGroup(map, group) & bitOf(index)) != 0));
    }
    const isFull = bitmapGroup(map, group) == WORD_FULL;
    assert(!isCurrent || isFull == ((bitmapRoot(map) & bitOf(group)) != 0));
  }
  return count;
}
