// Reservation objects that were made in groups. The core only counts them for each group.

import type { Key } from "../requests/parsing.ts";
import { keyOf, type Reservation } from "../reservation.ts";
import { textOf } from "./attach.ts";
import type { Known } from "./held.ts";

const LEAST = 64;

/** The reservations of a manager that are, or were, in a group. */
export class GroupedReservations {
  readonly #byPort = new Map<number, Set<Reservation>>();
  #added = 0;
  #sweepAt = LEAST;

  /** Released reservations are dropped when there are twice as many as at the last sweep. */
  add(reservation: Reservation): void {
    const { port } = reservation;
    this.#byPort.set(port, (this.#byPort.get(port) ?? new Set()).add(reservation));
    if (++this.#added < this.#sweepAt) return;
    const held = [...this.held()];
    this.#byPort.clear();
    this.#added = 0;
    this.#sweepAt = Math.max(LEAST, 2 * held.length);
    for (const one of held) this.add(one);
  }

  /** Removes a reservation that was released by its value from its group. */
  forget(key: Key, port: number): void {
    if (key.group === undefined) return;
    for (const one of this.#byPort.get(port) ?? []) {
      const known = keyOf(one);
      if (known === undefined || known.group !== key.group || textOf(known) !== textOf(key))
        continue;
      this.#byPort.get(port)?.delete(one);
      return;
    }
  }

  /** The reservations whose ports are held. */
  *held(): Generator<Reservation> {
    for (const some of this.#byPort.values()) {
      for (const reservation of some) if (!reservation.released) yield reservation;
    }
  }
}

/** The reservations, as lists need them. */
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
