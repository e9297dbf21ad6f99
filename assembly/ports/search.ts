// Search: the first port that none of several sets holds.
//
// The sets are given as a list of addresses, 4 bytes each. A search ORs their words, 64 ports at a
// time, and skips by its summary a word that is full in one of the bitmaps. The caller has called
// `searchAllUnder` with the mask before (bitmap.ts).

import { Address } from "../memory/arena";
import {
  bitmapGroup,
  bitmapWord,
  bitsFrom,
  GROUP_COUNT,
  Port,
  searchUnder,
  WORD_FULL,
  WORD_SHIFT,
} from "./bitmap";
import { isBitmap, portsOf, wordOf } from "./set";

/** Makes sure that the summaries of the sets are right for a search with this mask; 0: no mask. */
export function searchAllUnder(sets: Address, count: u32, mask: Address): void {
  for (const end = sets + ((<usize>count) << 2); sets < end; sets += 4) {
    const set: Address = load<u32>(sets);
    if (isBitmap(set)) searchUnder(portsOf(set), mask);
  }
}

/** First port of a range that none of the sets holds, from `start` on and round once, or 0. */
export function findAmong(sets: Address, count: u32, first: Port, last: Port, start: Port): Port {
  const port = findOpen(sets, count, start, last);
  return port ? port : findOpen(sets, count, first, start - 1);
}

/** Lowest port of `from..to` that none of the sets holds, or 0. */
export function findOpen(sets: Address, count: u32, from: Port, to: Port): Port {
  if (from > to) return 0;
  let word = from >> WORD_SHIFT;
  const lastWord = to >> WORD_SHIFT;
  let open = bitsFrom(from) & ~heldByAny(sets, count, word);
  while (!open) {
    word = nextWord(sets, count, word + 1);
    if (word > lastWord) return 0;
    open = ~heldByAny(sets, count, word);
  }
  const port = (word << WORD_SHIFT) + <u32>ctz(open);
  return port <= to ? port : 0;
}

/** The 64 ports of one word that any of the sets holds. */
export function heldByAny(sets: Address, count: u32, word: u32): u64 {
  let held: u64 = 0;
  for (const end = sets + ((<usize>count) << 2); sets < end; sets += 4) {
    const set: Address = load<u32>(sets);
    held |= isBitmap(set) ? bitmapWord(portsOf(set), word) : wordOf(set, word);
  }
  return held;
}

/** First word from `word` on that is full in none of the bitmaps, or one after the last word. */
export function nextWord(sets: Address, count: u32, word: u32): u32 {
  let asked = bitsFrom(word);
  for (let group = word >> WORD_SHIFT; group < GROUP_COUNT; group++) {
    const open = asked & ~fullWords(sets, count, group);
    if (open) return (group << WORD_SHIFT) + <u32>ctz(open);
    asked = WORD_FULL;
  }
  return GROUP_COUNT << WORD_SHIFT;
}

/** Words of a group that are full in one of the sets. */
function fullWords(sets: Address, count: u32, group: u32): u64 {
  let full: u64 = 0;
  for (const end = sets + ((<usize>count) << 2); sets < end; sets += 4) {
    const set: Address = load<u32>(sets);
    if (isBitmap(set)) full |= bitmapGroup(portsOf(set), group);
  }
  return full;
}

/** Ports of a word that are not above `to`. */
export function bitsUpTo(word: u32, to: Port): u64 {
  return to >> WORD_SHIFT == word ? WORD_FULL >> (63 - (to & 63)) : WORD_FULL;
}
