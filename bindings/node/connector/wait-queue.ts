// Line: who waits for the same thing, in order: a list that is linked both ways, so that anybody leaves at once,
// and who comes back is near the front.
//
//   first ⇄ … ⇄ last      tickets grow from front to back, where nobody was sent behind the others

import type { PairRequest } from "../sources/pair-table.ts";

/** Somebody who waits. */
export interface Waiter {
  readonly request: PairRequest;
  /** Waits for a file, not for a port. */
  readonly isForFile: boolean;
  /** From `Waiting.position`: who has a lower one stands in front. */
  readonly position: number;
  /** Tries again: true if it has got a port, or wants none any more. */
  serve(): boolean;
}

interface Place {
  readonly waiter: Waiter;
  before: Place | undefined;
  after: Place | undefined;
}

export class Line {
  readonly #places: Map<Waiter, Place> = new Map();
  #first: Place | undefined;
  #last: Place | undefined;
  /** Who came back last: whoever was served after that one mostly comes back right behind it. */
  #returned: Place | undefined;

  get size(): number {
    return this.#places.size;
  }

  get first(): Waiter | undefined {
    return this.#first?.waiter;
  }

  /** In front of all that came later. */
  join(waiter: Waiter): void {
    const { position } = waiter;
    if (this.#last === undefined || this.#last.waiter.position <= position) {
      this.#insert(waiter, undefined);
      return;
    }
    const returned = this.#returned;
    let after =
      returned !== undefined && returned.waiter.position < position ? returned : this.#first;
    while (after !== undefined && after.waiter.position < position) after = after.after;
    this.#returned = this.#insert(waiter, after);
  }

  /** Behind all others. */
  joinLast(waiter: Waiter): void {
    this.#insert(waiter, undefined);
  }

  /** Says whether it was in the line. */
  leave(waiter: Waiter): boolean {
    const place = this.#places.get(waiter);
    if (place === undefined) return false;
    this.#places.delete(waiter);
    const { before, after } = place;
    if (this.#returned === place) this.#returned = before;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    return true;
  }

  #insert(waiter: Waiter, after: Place | undefined): Place {
    const before = after === undefined ? this.#last : after.before;
    const place = { waiter, before, after };
    this.#places.set(waiter, place);
    if (before === undefined) this.#first = place;
    else before.after = place;
    if (after === undefined) this.#last = place;
    else after.before = place;
    return place;
  }
}
