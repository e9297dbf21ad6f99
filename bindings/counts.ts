// Counts: what a manager has granted and refused since it was opened. References are counted by the
// core as it takes them; what it cannot know of is told here, by calls that have time for it.

import { COOLING } from "../assembly/abi.ts";
import { Refusal } from "./errors.ts";

/** How many calls got each {@link Refusal}, by its name. */
export type RefusedCalls = Readonly<Record<keyof typeof Refusal, number>>;

/** The counts of one manager. */
export class Counts {
  /** Taken beside what the core has counted: cooling ports over, less what a search gave back. */
  taken = 0;
  /** How many calls were refused, by the refusal, less its sign. */
  readonly #refused = new Float64Array(1 - COOLING);
  /** The refusal that was counted last. */
  #last = 0;

  /** Counts a call that is refused, and answers the refusal. */
  refuse<Answer extends number>(refusal: Answer): Answer {
    this.#last = refusal;
    this.#refused[-refusal] = (this.#refused[-refusal] as number) + 1;
    return refusal;
  }

  /** The call whose refusal was counted last goes on in another way. */
  goOn(): void {
    this.#refused[-this.#last] = (this.#refused[-this.#last] as number) - 1;
  }

  /** How many calls were refused, by the name of the refusal. */
  refused(): RefusedCalls {
    const names = Object.entries(Refusal);
    const counted = names.map(([name, refusal]) => [name, this.#refused[-refusal]] as const);
    return Object.fromEntries(counted) as RefusedCalls;
  }
}
