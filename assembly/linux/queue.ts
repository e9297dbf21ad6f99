// Queue: TIME_WAITs in the order of their times. A queue knows its first and its last member, and a
// member its next and its previous one. A TIME_WAIT may be in several queues, each with links of
// its own.

import { Address } from "../memory/arena";

// Of a queue.
export const FIRST: usize = 0;
export const LAST: usize = 4;
// Of a member's links.
export const NEXT: usize = 0;
export const PREVIOUS: usize = 4;

/** Inserts a TIME_WAIT behind a member; 0: before all. */
export function insertBehind(queue: Address, before: Address, wait: Address, links: usize): void {
  const next: Address = before ? load<u32>(before + links, NEXT) : load<u32>(queue, FIRST);
  store<u32>(wait + links, <u32>next, NEXT);
  store<u32>(wait + links, <u32>before, PREVIOUS);
  if (next) store<u32>(next + links, <u32>wait, PREVIOUS);
  else store<u32>(queue, <u32>wait, LAST);
  if (before) store<u32>(before + links, <u32>wait, NEXT);
  else store<u32>(queue, <u32>wait, FIRST);
}

/** Inserts a TIME_WAIT behind all others. */
export function append(queue: Address, wait: Address, links: usize): void {
  insertBehind(queue, load<u32>(queue, LAST), wait, links);
}

export function dequeue(queue: Address, wait: Address, links: usize): void {
  const next: Address = load<u32>(wait + links, NEXT);
  const previous: Address = load<u32>(wait + links, PREVIOUS);
  if (next) store<u32>(next + links, <u32>previous, PREVIOUS);
  else store<u32>(queue, <u32>previous, LAST);
  if (previous) store<u32>(previous + links, <u32>next, NEXT);
  else store<u32>(queue, <u32>next, FIRST);
}
