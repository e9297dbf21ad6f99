// Collecting: collects garbage, and records the calls that a module gets for it.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Collects until that is so, two hundred times at most. */
export async function collectUntil(isDone: () => boolean): Promise<void> {
  for (let round = 0; round < 200 && !isDone(); round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Collects that many times. */
export function collectTimes(count: number): Promise<void> {
  let rounds = 0;
  return collectUntil(() => rounds++ === count);
}

/** A call: what it was given first, and what it answered. */
export interface Call {
  readonly given: number;
  readonly answer: number;
}

/** Has the calls of some of a module's functions noted, from now on. */
export function watch<Name extends string>(
  core: { readonly exports: object },
  ...names: readonly Name[]
): Record<Name, Call[]> {
  const whole = core.exports as Record<string, (...all: number[]) => number>;
  const calls = Object.fromEntries(names.map((name) => [name, [] as Call[]]));
  const watched = names.map((name) => {
    const call = (...all: number[]): number => {
      const answer = (whole[name] as (typeof whole)[string])(...all);
      calls[name]?.push({ given: all[0] as number, answer });
      return answer;
    };
    return [name, call] as const;
  });
  Object.assign(core, { exports: { ...whole, ...Object.fromEntries(watched) } });
  return calls as Record<Name, Call[]>;
}
