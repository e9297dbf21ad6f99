// Managers in groups as a subject of the fuzzer: each policy of port selection, with few ports in
// many descriptions and with many ports in few.

import fc from "fast-check";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import type { Build } from "../../support/builds.ts";
import { SECRET } from "../../support/rfc6056.ts";
import type { Subject } from "../fuzz.ts";
import { type PlannedSession, plannedByWeight } from "../planned.ts";
import { anySalt } from "../random.ts";
import { GroupsSession, type Rules } from "./session.ts";

export const POLICIES: readonly SelectionOptions[] = [
  { algorithm: "random" },
  { algorithm: "random-retry" },
  { algorithm: "hash", secret: SECRET, from: 2 ** 32 - 40 },
  { algorithm: "double-hash", secret: SECRET, slots: 3 },
  { algorithm: "random-increments", increment: 9 },
  { algorithm: "sequential", from: 2 ** 32 - 2 },
];

type Setup = Omit<Rules, "build">;

export function groups(
  selection: SelectionOptions,
  build: Build = "debug",
): Subject<Setup, PlannedSession<"any", number>> {
  return {
    name: `groups, ${selection.algorithm}`,
    setups: fc
      .tuple(fc.boolean(), anySalt)
      .map(([isDense, seed]): Setup => ({ selection, isDense, seed })),
    operations: plannedByWeight({ any: 1 }),
    operationsMax: 2000,
    open: (setup) => new GroupsSession({ ...setup, build }),
    renew: () => {},
  };
}
