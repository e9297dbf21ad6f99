// Cooling reservations: reservations that were given back and stay held until a time, as a
// connection in TIME_WAIT does. They are in a binary heap, the earliest first; each has its own
// time, to the millisecond.

/** A reservation in cooldown, or one whose release has ended it. */
interface CoolingEntry {
  readonly due: number;
  readonly reservation: { readonly isCooling: boolean };
}

/** Reservations by the time when their cooldown ends. */
class CoolingHeap<Entry extends CoolingEntry> {
  readonly #heap: Entry[] = [];

  add(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((heap[above] as Entry).due <= entry.due) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  /** All reservations that are still cooling, in no order. */
  *entries(): Generator<Entry> {
    for (const entry of this.#heap) if (entry.reservation.isCooling) yield entry;
  }

  /** The first to end of those that are still cooling. */
  first(): Entry | undefined {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || first.reservation.isCooling) return first;
      this.shift();
    }
  }

  /** Removes the first to end. */
  shift(): void {
    const heap = this.#heap;
    const last = heap.pop();
    const { length } = heap;
    if (last === undefined || length === 0) return;
    let at = 0;
    for (let below = 1; below < length; below = 2 * at + 1) {
      const right = heap[below + 1];
      if (right !== undefined && right.due < (heap[below] as Entry).due) below++;
      if ((heap[below] as Entry).due >= last.due) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
  }
}

/** The reservations of one manager that cool down, each to the millisecond. */
export class CoolingReservations<
  Entry extends CoolingEntry & { readonly reservation: Releasable },
> {
  readonly #heap = new CoolingHeap<Entry>();
  /** The latest time that was given. */
  clock = 0;

  /** Moves the clock; it does not go back. */
  setClock(now: number): void {
    this.clock = Math.max(this.clock, now);
  }

  add(entry: Entry): void {
    this.#heap.add(entry);
  }

  entries(): Iterable<Entry> {
    return this.#heap.entries();
  }

  /** When the next reservation is due. */
  get nextExpiry(): number | undefined {
    return this.#heap.first()?.due;
  }

  /** Releases the reservations that are due, the first to end first, and passes each to `freed`. */
  expire(freed: Entry["reservation"][] | undefined): number {
    let count = 0;
    for (;;) {
      const first = this.#heap.first();
      if (first === undefined || first.due > this.clock) return count;
      first.reservation.release();
      freed?.push(first.reservation);
      count++;
    }
  }
}

interface Releasable {
  release(): boolean;
}
