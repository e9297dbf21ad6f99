// Reservation objects that were made in groups: the core counts them for each group, and does not
// know which they are.

import { keyOf, type Reservation } from "../reservation.ts";
import type { Known } from "./held.ts";

const LEAST = 64;

/** The reservations of a manager that are, or were, in a group. */
export class GroupedReservations {
  #all = new Set<Reservation>();
  #sweepAt = LEAST;

  /**
   * Those that have been released are dropped when there are twice as many as at the last sweep.
   */
  add(reservation: Reservation): void {
    this.#all.add(reservation);
    if (this.#all.size < this.#sweepAt) return;
    this.#all = new Set(this.held());
    this.#sweepAt = Math.max(LEAST, 2 * this.#all.size);
  }

  /** Those whose ports are held. */
  *held(): Generator<Reservation> {
    for (const reservation of this.#all) if (!reservation.released) yield reservation;
  }
}

/** What lists want to know of reservations. */
export function* knownOf(reservations: Iterable<Reservation>): Generator<Known> {
  for (const reservation of reservations) {
    const key = keyOf(reservation);
    if (key === undefined) continue;
    const { port } = reservation;
    const release = (): boolean => reservation.release();
    const narrow = (networks: readonly number[]): boolean => reservation.narrow(networks);
    yield { key, port, id: reservation, release, narrow };
  }
}
