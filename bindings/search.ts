// Search: one pick of a port, as a selection policy says.

import { EMPTY_RANGE, EXHAUSTED, IN_USE } from "../assembly/abi.ts";
import type { PortRange } from "./requests/range.ts";
import type { Place, Selection } from "./selection.ts";

/**
 * Searches first..last from `first + offset % count` on, round once: a port, which is taken, or a
 * refusal.
 */
export type Search = (first: number, last: number, offset: number) => number;

/**
 * A port of the range, or a refusal. For a keyed policy the request block has been written.
 * @param place where `sequential` goes on.
 */
export function searchBy(
  selection: Selection,
  place: Place,
  range: PortRange,
  search: Search,
): number {
  return selection.isDrawn ? draw(selection, range, search) : walk(selection, place, range, search);
}

/** One search of the whole range. */
function walk(selection: Selection, place: Place, range: PortRange, search: Search): number {
  const offset = selection.start(place);
  const { slot } = selection; // a tester may search for something else meanwhile
  const port = search(range.first, range.last, offset);
  if (port > 0) selection.settle(place, slot, offset, port, range);
  return port;
}

/** For drawn policies: one port after the other, as many as the range has (RFC 6056 § 3.3.2). */
export function draw(selection: Selection, { first, last }: PortRange, search: Search): number {
  const count = last - first + 1;
  for (let tries = 0; tries < count; tries++) {
    const port = first + (selection.draw() % count);
    const answer = search(port, port, 0);
    if (answer !== EXHAUSTED && answer !== IN_USE && answer !== EMPTY_RANGE) return answer;
  }
  return EXHAUSTED;
}
