// WaitQueue: the connections that wait for the same thing, in order. A doubly linked list, so that
// any of them leaves in one step, and one that comes back is put where it was without a long
// search.
//
//   first ⇄ … ⇄ last      positions grow from front to back, except where one was sent to the back

import type { PairRequest } from "../sources/pair-table.ts";

/** A connection's place in a queue. */
export interface Waiter {
  readonly request: PairRequest;
  /** Waits for a file, not for a port. */
  readonly isForFile: boolean;
  /** From `WaitQueues.nextPosition`: lower ones stand in front. */
  readonly position: number;
  /** Tries again: true if it has got a port, or needs none any more. */
  serve(): boolean;
}

interface Place {
  readonly waiter: Waiter;
  before: Place | undefined;
  after: Place | undefined;
}

export class WaitQueue {
  readonly #places: Map<Waiter, Place> = new Map();
  #first: Place | undefined;
  #last: Place | undefined;
  /**
   * The last one that came back. The one that was served after it mostly comes back right behind
   * it.
   */
  #returned: Place | undefined;

  get size(): number {
    return this.#places.size;
  }

  get first(): Waiter | undefined {
    return this.#first?.waiter;
  }

  /** Puts a place in front of all that have a higher position. */
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

  /** Puts a place behind all others. */
  joinLast(waiter: Waiter): void {
    this.#insert(waiter, undefined);
  }

  /** @returns whether it was in the queue. */
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
