// The public API as a subject of the fuzzer: valid calls on managers, and about as many hostile
// ones.

import type { Subject } from "../fuzz.ts";
import { OPERATIONS } from "../netstack/operations.ts";
import { mixed, type Setup } from "../netstack/setup.ts";
import { plannedByWeight } from "../planned.ts";
import { ApiSession } from "./session.ts";

const HOSTILE = 650;

export function api(): Subject<Setup, ApiSession> {
  return {
    name: "api",
    setups: mixed,
    operations: [...OPERATIONS, ...plannedByWeight<"hostile", number>({ hostile: HOSTILE })],
    operationsMax: 1000,
    open: (setup) => new ApiSession(setup),
    renew: () => {},
  };
}
