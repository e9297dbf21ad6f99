// The public API as a subject of the fuzzer: valid calls that a model of its own foresees, and
// hostile ones.

import type { Subject } from "../fuzz.ts";
import { type PlannedSession, plannedByWeight } from "../planned.ts";
import { anySalt } from "../random.ts";
import { ApiSession, type Kind, type Setup, WEIGHTS } from "./session.ts";

export function api(): Subject<Setup, PlannedSession<Kind, number>> {
  return {
    name: "api",
    setups: anySalt.map((seed): Setup => ({ seed })),
    operations: plannedByWeight(WEIGHTS),
    operationsMax: 1000,
    open: (setup) => new ApiSession(setup),
    renew: () => {},
  };
}
