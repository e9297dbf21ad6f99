// UDP sockets of Linux2632Ports as a subject of the fuzzer, in one system with TCP sockets, which
// are compared with a reference model that has no UDP.

import type { LinuxOperation } from "../../replay/linux-trace.ts";
import { type Build, freshModules } from "../../support/builds.ts";
import type { Subject } from "../fuzz.ts";
import type { Kind } from "../linux/setup.ts";
import { type PlannedSession, plannedByWeight } from "../planned.ts";
import { WEIGHTS } from "./operations.ts";
import type { NewModel } from "./reference.ts";
import { UdpSession } from "./session.ts";
import { type Setup, setups } from "./setup.ts";

export type Theme = "mixed" | "tight";

/** @param newModel the reference model of UDP; for tests of the fuzzer, one with a fault. */
export function udp(
  theme: Theme,
  build: Build = "debug",
  newModel?: NewModel,
): Subject<Setup, PlannedSession<Kind, LinuxOperation>> {
  let modules = freshModules(build);
  return {
    name: `udp, ${theme}`,
    setups: setups(theme === "tight"),
    operations: plannedByWeight(WEIGHTS),
    operationsMax: 700,
    open: (setup) => new UdpSession(setup, modules, newModel),
    renew: () => {
      modules = freshModules(build);
    },
  };
}
