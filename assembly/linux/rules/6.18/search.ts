// Search: the order in which modern Linux looks at ports, over sets, 64 ports at a time.
//
// TCP looks at every other port of a part of the range, from a start on and round once, which is at
// most two runs of slots (system.ts). Where the part has an odd number of ports, the kernel wraps
// as if there were one port less, so that it misses the first or the last one; the exact order
// misses none. UDP goes through the slots of a hash table, and in each by a stride.

import { PORT_COUNT } from "../../../abi";
import { Address } from "../../../memory/arena";
import { bitOf, bitsFrom, Port, WORD_FULL, WORD_SHIFT } from "../../../ports/bitmap";
import { bitsUpTo, findAmong, findOpen, heldByAny, nextWord } from "../../../ports/search";
import { EXACT, hasSwitch, portOf, SETS, slotOf, UDP_SLOTS } from "./system";

/**
 * By how many ports a walk wraps: an even number, unless there is one port, or the order is exact.
 */
export function roundOf(system: Address, size: u32): u32 {
  return size > 1 && !hasSwitch(system, EXACT) ? size & ~1 : size;
}

/**
 * The first open port of `first + start`, two further, and so on, round once through `size` ports;
 * or 0.
 */
export function findEveryOther(
  system: Address,
  sets: u32,
  first: Port,
  size: u32,
  start: u32,
): Port {
  if (hasSwitch(system, EXACT) || size == 1) {
    const parity = start & 1;
    if (parity >= size) return 0;
    const last = parity + (((size - 1 - parity) >> 1) << 1);
    const port = findInRun(system, sets, first + start, first + last);
    return port || start == parity
      ? port
      : findInRun(system, sets, first + parity, first + start - 2);
  }
  const round = size & ~1;
  const before = (size + 1 - start) >> 1; // looked at in front of the end
  const head = min<u32>(round >> 1, before);
  const port = findInRun(system, sets, first + start, first + start + (head << 1) - 2);
  const rest = (round >> 1) - head;
  if (port || !rest) return port;
  const from = first + start + (head << 1) - round;
  return findInRun(system, sets, from, from + (rest << 1) - 2);
}

/** How many ports further than the first one the walk was when it met the port. */
export function stepsTo(system: Address, first: Port, size: u32, start: u32, port: Port): u32 {
  if (port >= first + start) return port - (first + start);
  return port + roundOf(system, size) - (first + start);
}

/** The first open port of a part, from `first + start` on, each in turn and round once; or 0. */
export function findInTurn(system: Address, sets: u32, first: Port, last: Port, start: u32): Port {
  const port = findNext(system, sets, first + start, last);
  return port || !start ? port : findNext(system, sets, first, first + start - 1);
}

/** The lowest open port of `from..to`: the lower one of the next even and the next odd one. */
function findNext(system: Address, sets: u32, from: Port, to: Port): Port {
  const one = findInRun(system, sets, from, to - ((to - from) & 1));
  if (from == to) return one;
  const other = findInRun(system, sets, from + 1, to - (((to - from) & 1) ^ 1));
  return one && other ? min<u32>(one, other) : one | other;
}

/** The first open one of `from`, `from + 2` … `to`, which are one run of slots. */
function findInRun(system: Address, sets: u32, from: Port, to: Port): Port {
  if (from > to) return 0;
  const slot = findOpen(load<u32>(system, SETS), sets, slotOf(from), slotOf(to));
  return slot ? portOf(slot) : 0;
}

// ── UDP ───────────────────────────────────────────────────────────────────────────────────

/**
 * The first open port of a range, slot by slot of the hash table from that of `start` on, in each
 * slot by a multiple of the table's size; or 0.
 */
export function findByStride(
  system: Address,
  sets: u32,
  first: Port,
  last: Port,
  start: Port,
  random: u32,
): Port {
  const slots = load<u32>(system, UDP_SLOTS);
  const list: Address = load<u32>(system, SETS);
  if (slots == PORT_COUNT) return findAmong(list, sets, first, last, start);
  const slot = findSlot(list, sets, first, last, start, slots);
  if (slot == NO_SLOT) return 0;
  const stride = (random | 1) * slots;
  // The walk of a slot begins at the first port of that slot from `start` on.
  let port = (start + ((slot - start) & (slots - 1))) & 0xffff;
  while (
    port < first ||
    port > last ||
    (heldByAny(list, sets, port >> WORD_SHIFT) & bitOf(port)) != 0
  ) {
    port = (port + stride) & 0xffff;
  }
  return port;
}

const NO_SLOT: u32 = 0xffffffff;

/** The first slot, from that of `start` on and round once, that has an open port of the range. */
function findSlot(list: Address, sets: u32, first: Port, last: Port, start: Port, slots: u32): u32 {
  const words = slots >> WORD_SHIFT;
  const begin = start & (slots - 1);
  const own = begin >> WORD_SHIFT;
  const fold = openInFold(list, sets, first, last, own, words);
  if (fold & bitsFrom(begin)) return slotIn(own, fold & bitsFrom(begin));
  // The nearest word comes next; the own one, for the slots in front of the beginning, is last.
  let nearest: u32 = fold ? words : NO_SLOT;
  let word = nextWord(list, sets, first >> WORD_SHIFT);
  for (; word <= last >> WORD_SHIFT; word = nextWord(list, sets, word + 1)) {
    const far = (word - own) & (words - 1);
    if (far && far < nearest && openIn(list, sets, first, last, word)) nearest = far;
    if (nearest == 1) break;
  }
  if (nearest == NO_SLOT) return NO_SLOT;
  if (nearest == words) return slotIn(own, fold);
  const next = (own + nearest) & (words - 1);
  return slotIn(next, openInFold(list, sets, first, last, next, words));
}

function slotIn(word: u32, open: u64): u32 {
  return (word << WORD_SHIFT) + <u32>ctz(open);
}

/** Which ports of a word are open, and of the range. */
function openIn(list: Address, sets: u32, first: Port, last: Port, word: u32): u64 {
  const open = ~heldByAny(list, sets, word) & bitsUpTo(word, last);
  return word == first >> WORD_SHIFT ? open & bitsFrom(first) : open;
}

/** Which slots of a word have an open port of the range. */
function openInFold(list: Address, sets: u32, first: Port, last: Port, word: u32, words: u32): u64 {
  let open: u64 = 0;
  for (let at = word; at <= last >> WORD_SHIFT; at += words) {
    if (at < first >> WORD_SHIFT) continue;
    open |= openIn(list, sets, first, last, at);
    if (open == WORD_FULL) break;
  }
  return open;
}
