// Operations that are planned from a salt: which kind it is has been drawn by weight, and all else
// comes out of the salt when its turn comes, by looking at the model.

import type { Operation, Session, Weighted } from "./fuzz.ts";
import { anySalt, Random } from "./random.ts";

export interface PlannedSession<Kind, Data> extends Session {
  /** Undefined where there is nothing to do that with. */
  plan(kind: Kind, random: Random): Data | undefined;
  perform(data: Data): void;
}

/** One operation for each kind, as often as its weight says. */
export function plannedByWeight<Kind extends string, Data>(
  weights: Readonly<Record<Kind, number>>,
): Weighted<PlannedSession<Kind, Data>>[] {
  const kinds = Object.entries<number>(weights) as [Kind, number][];
  return kinds
    .filter(([, weight]) => weight > 0)
    .map(([kind, weight]) => ({
      weight,
      arbitrary: anySalt.map((salt) => new Planned<Kind, Data>(kind, salt)),
    }));
}

class Planned<Kind extends string, Data> implements Operation<PlannedSession<Kind, Data>> {
  readonly #kind: Kind;
  readonly #salt: number;
  #data: Data | undefined;

  constructor(kind: Kind, salt: number) {
    this.#kind = kind;
    this.#salt = salt;
  }

  check(session: Readonly<PlannedSession<Kind, Data>>): boolean {
    this.#data = session.plan(this.#kind, new Random(this.#salt));
    return this.#data !== undefined;
  }

  run(session: PlannedSession<Kind, Data>): void {
    if (this.#data !== undefined) session.perform(this.#data);
  }

  toString(): string {
    return `${this.#kind}(${this.#salt})`;
  }
}
