// Bitmap: one bit for each of the 65,536 ports, and two summary levels above them.
//
//   byte    0 ┌──────────────────────────┐
//             │ root    u64              │  bit g: groups[g] is full      (16 used)
//   byte    8 ├──────────────────────────┤
//             │ groups  u64[16]          │  bit w: words[64g + w] is full
//   byte  136 ├──────────────────────────┤
//             │ words   u64[1024]        │  bit p: port 64w + p is held
//   byte 8328 └──────────────────────────┘
//
// A set bit means "nothing free here", on every level: a port is held, a word has no free port,
// a group has no word with a free port. So a search skips full stretches by the summaries, and
// zeroed memory is a valid, empty bitmap.
//
// Must stay true: a summary bit is set exactly when the 64 bits below it all are.

import { PORT_COUNT } from "../abi";
import { Address } from "../memory/arena";

export type Port = u32;

export const WORD_SHIFT: u32 = 6;
export const WORD_FULL: u64 = ~0;
export const WORD_COUNT: u32 = PORT_COUNT >> WORD_SHIFT;
export const GROUP_COUNT: u32 = WORD_COUNT >> WORD_SHIFT;

const ROOT: usize = 0;
const GROUPS: usize = ROOT + 8;
const WORDS: usize = GROUPS + <usize>GROUP_COUNT * 8;
export const BITMAP_BYTES: u32 = <u32>(WORDS + <usize>WORD_COUNT * 8);
if (BITMAP_BYTES != 8328) ERROR("Bitmap no longer matches its diagram");

/** Sets a clear bit. */
export function setBit(map: Address, port: Port): void {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const bits = load<u64>(at, WORDS) | bitOf(port);
  store<u64>(at, bits, WORDS);
  if (bits == WORD_FULL) markFull(map, word);
}

/** Clears a set bit. */
export function clearBit(map: Address, port: Port): void {
  const word = port >> WORD_SHIFT;
  const at = wordAt(map, word);
  const bits = load<u64>(at, WORDS);
  store<u64>(at, bits & ~bitOf(port), WORDS);
  if (bits == WORD_FULL) markOpen(map, word);
}

export function hasBit(map: Address, port: Port): bool {
  return (load<u64>(wordAt(map, port >> WORD_SHIFT), WORDS) & bitOf(port)) != 0;
}

/** First clear bit of `first..last`, from `start` on and round the range once, or 0. */
export function findClear(map: Address, first: Port, last: Port, start: Port): Port {
  let from = start;
  let to = last;
  while (true) {
    let word = from >> WORD_SHIFT;
    let open = ~bitmapWord(map, word) & bitsFrom(from);
    if (!open) {
      word = findWordWithClear(map, word + 1);
      open = word < WORD_COUNT ? ~bitmapWord(map, word) : 0;
    }
    const port = (word << WORD_SHIFT) + <u32>ctz(open);
    if (port <= to) return port;
    if (from == first) return 0; // Both stretches have been searched.
    from = first;
    to = start - 1;
  }
}

/** First bit of `first..last` that is clear in both, from `start` on and round the range once, or 0. */
export function findClearOfTwo(a: Address, b: Address, first: Port, last: Port, start: Port): Port {
  const port = findForward(a, b, start, last);
  return port || start == first ? port : findForward(a, b, first, start - 1);
}

function findForward(a: Address, b: Address, from: Port, to: Port): Port {
  let asked = bitsFrom(from);
  for (let word = from >> WORD_SHIFT; word <= to >> WORD_SHIFT; word++) {
    const open = asked & ~(bitmapWord(a, word) | bitmapWord(b, word));
    if (open) {
      const port = (word << WORD_SHIFT) + <u32>ctz(open);
      return port <= to ? port : 0;
    }
    asked = WORD_FULL;
  }
  return 0;
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

function markFull(map: Address, word: u32): void {
  const group = word >> WORD_SHIFT;
  const at = map + ((<usize>group) << 3);
  const words = load<u64>(at, GROUPS) | bitOf(word);
  store<u64>(at, words, GROUPS);
  if (words == WORD_FULL) store<u64>(map, load<u64>(map, ROOT) | bitOf(group), ROOT);
}

function markOpen(map: Address, word: u32): void {
  const group = word >> WORD_SHIFT;
  const at = map + ((<usize>group) << 3);
  const words = load<u64>(at, GROUPS);
  store<u64>(at, words & ~bitOf(word), GROUPS);
  if (words == WORD_FULL) store<u64>(map, load<u64>(map, ROOT) & ~bitOf(group), ROOT);
}

/** Traps unless the summaries agree with the words; answers how many bits are set. */
export function verifyBitmap(map: Address): u32 {
  let count: u32 = 0;
  for (let group: u32 = 0; group < GROUP_COUNT; group++) {
    for (let index: u32 = 0; index < 64; index++) {
      const bits = bitmapWord(map, (group << WORD_SHIFT) + index);
      count += <u32>popcnt(bits);
      assert((bits == WORD_FULL) == ((bitmapGroup(map, group) & bitOf(index)) != 0));
    }
    const isFull = bitmapGroup(map, group) == WORD_FULL;
    assert(isFull == ((bitmapRoot(map) & bitOf(group)) != 0));
  }
  return count;
}
