// Releasing by filter. A reservation object whose port goes so must know it, or its own release()
// would later take another holder's reference. There is no list of the objects; each asks, when it
// is used, what has been released since it was made.

import type { Key } from "../requests/parsing.ts";

/**
 * What a release leaves of a description that holds a port: all, some of its networks, or nothing.
 */
export type Rest = (key: Key, port: number) => Key | undefined;

interface Purge {
  readonly at: number;
  readonly rest: Rest;
}

/** The releases by filter of one manager. */
export class Purges {
  /** Their number. */
  epoch = 0;
  /** The last of each filter: it concerns all that an earlier one of the same filter does. */
  readonly #latest = new Map<string, Purge>();

  /** @param name the same for the same filter. */
  add(name: string, rest: Rest): void {
    this.epoch++;
    this.#latest.set(name, { at: this.epoch, rest });
  }

  /** The rest of a reservation that was last checked in an epoch. */
  restOf(key: Key, port: number, since: number): Key | undefined {
    let left: Key | undefined = key;
    for (const { at, rest } of this.#latest.values()) {
      if (at > since && left !== undefined) left = rest(left, port);
    }
    return left;
  }
}
