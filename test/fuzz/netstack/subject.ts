// Port managers as a subject of the fuzzer.

import type fc from "fast-check";
import type { ReferencePortManager } from "../../models/reference-manager.ts";
import { type Build, freshModule } from "../../support/builds.ts";
import type { Subject } from "../fuzz.ts";
import { IN_GROUPS, OPERATIONS } from "./operations.ts";
import { NetstackSession, type SessionOptions } from "./session.ts";
import { all, dense, grouped, mixed, type Setup, sparse, tight } from "./setup.ts";

/** Few ports, many ports, either of them, little memory, a mixture of all; or groups and policies. */
export type Theme = "sparse" | "dense" | "mixed" | "tight" | "all" | "grouped";

const SETUPS: Readonly<Record<Theme, fc.Arbitrary<Setup>>> = {
  ...{ sparse, dense, mixed, tight, all, grouped },
};

/** The debug build checks its invariants after each change. */
export function netstack(
  theme: Theme = "all",
  build: Build = "debug",
  model?: () => ReferencePortManager,
): Subject<Setup, NetstackSession> {
  let options = sessionOptions(build, model);
  return {
    name: `netstack, ${theme}`,
    setups: SETUPS[theme],
    operations: theme === "grouped" ? IN_GROUPS : OPERATIONS,
    operationsMax: 1500,
    open: (setup) => new NetstackSession(setup, options),
    renew: () => {
      options = sessionOptions(build, model);
    },
  };
}

export function sessionOptions(build: Build, model?: () => ReferencePortManager): SessionOptions {
  const verifies = build === "debug";
  return { open: { module: freshModule(build) }, verifies, ...(model && { model }) };
}
