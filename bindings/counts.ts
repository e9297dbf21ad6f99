// Counts: what a manager has granted and refused since it was opened. The core counts references as
// it takes them. What it cannot know is counted here, outside of the fast calls.

import { COOLING } from "../assembly/abi.ts";
import { Refusal } from "./errors.ts";

/** How many calls got each {@link Refusal}, by its name. */
export type RefusedCalls = Readonly<Record<keyof typeof Refusal, number>>;

/** The counts of one manager. */
export class Counts {
  /**
   * References taken that the core has not counted: cooling ports that were taken over, less ports
   * that a search gave back.
   */
  taken = 0;
  /** How many calls were refused, by the refusal without its sign. */
  readonly #refused = new Float64Array(1 - COOLING);
  /** The refusal that was counted last. */
  #last = 0;

  /** Counts a refused call, and returns the refusal. */
  refuse<Answer extends number>(refusal: Answer): Answer {
    this.#last = refusal;
    this.#refused[-refusal] = (this.#refused[-refusal] as number) + 1;
    return refusal;
  }

  /** Takes back the refusal that was counted last: its call goes on in another way. */
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
