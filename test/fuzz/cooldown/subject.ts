// Pools whose ports cool down, as a subject of the fuzzer.

import fc from "fast-check";
import type { ReferenceCooling } from "../../models/reference-cooldown.ts";
import type { Build } from "../../support/builds.ts";
import type { Subject } from "../fuzz.ts";
import { type PlannedSession, plannedByWeight } from "../planned.ts";
import { anySalt } from "../random.ts";
import { CooldownSession, type Kind, type Setup, WEIGHTS } from "./session.ts";

const POOLS: readonly Omit<Setup, "seed">[] = [
  { name: "cooldown, refuse", period: 800, isOrdered: false, takesOldest: false },
  { name: "cooldown, oldest", period: 800, isOrdered: false, takesOldest: true },
  { name: "cooldown of 1 ms, oldest", period: 1, isOrdered: false, takesOldest: true },
  { name: "fifo", period: 0, isOrdered: true, takesOldest: false },
  { name: "fifo with cooldown, refuse", period: 777, isOrdered: true, takesOldest: false },
  { name: "fifo with cooldown, oldest", period: 800, isOrdered: true, takesOldest: true },
];

type Data = Parameters<CooldownSession["perform"]>[0];

/** @param Model the reference model; for tests of the fuzzer, one with a fault. */
export function cooldown(
  build: Build = "debug",
  Model?: typeof ReferenceCooling,
): Subject<Setup, PlannedSession<Kind, Data>> {
  return {
    name: `cooldown, ${build}`,
    setups: fc
      .tuple(fc.constantFrom(...POOLS), anySalt)
      .map(([pool, seed]): Setup => ({ ...pool, seed })),
    operations: plannedByWeight(WEIGHTS),
    operationsMax: 900,
    open: (setup) => new CooldownSession(setup, build, Model),
    renew: () => {},
  };
}
