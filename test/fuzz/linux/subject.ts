// Linux2632Ports as a subject of the fuzzer, on one build, in an instance of its own.

import { verifyLinux } from "../../../bindings/linux/system.ts";
import { openLinuxPorts } from "../../replay/linux-ports.ts";
import { ReferenceLinux } from "../../replay/linux-reference.ts";
import type { LinuxOperation } from "../../replay/linux-trace.ts";
import { type Build, freshModules, type Modules } from "../../support/builds.ts";
import type { Subject } from "../fuzz.ts";
import { type PlannedSession, plannedByWeight } from "../planned.ts";
import { type BuildUnderTest, LinuxSession } from "./session.ts";
import { type Kind, type Setup, setups, THEMES, type Theme } from "./setup.ts";

export type LinuxSubject = Subject<Setup, PlannedSession<Kind, LinuxOperation>>;

export interface Linux2632Settings {
  /** What is compared with the model instead of a build; for tests of the fuzzer. */
  readonly open?: (setup: Setup) => BuildUnderTest;
  /** The reference model; for tests of the fuzzer, one with a fault. */
  readonly model?: (hint: number) => ReferenceLinux;
}

/** The debug build checks its invariants after each operation. */
export function linux(
  theme: Theme,
  build: Build = "debug",
  options: Linux2632Settings = {},
): LinuxSubject {
  const { model = (hint: number) => new ReferenceLinux(hint) } = options;
  let modules = freshModules(build);
  const open = options.open ?? ((setup: Setup) => buildUnderTest(modules, setup));
  return {
    name: `linux, ${theme}`,
    setups: setups(theme),
    operations: plannedByWeight(THEMES[theme]),
    operationsMax: theme.startsWith("wide") ? 3500 : 900,
    open: (setup) => new LinuxSession(model(setup.hint), open(setup), setup),
    renew: () => {
      modules = freshModules(build);
    },
  };
}

export function buildUnderTest(
  modules: Modules,
  { hint, limit }: Pick<Setup, "hint" | "limit">,
): BuildUnderTest {
  const memory = limit === undefined ? {} : { memoryLimit: limit };
  const system = openLinuxPorts(hint, { ...modules, ...memory });
  return {
    system,
    verify: () => verifyLinux(system.ports),
    used: () => system.ports.stats().memory.used,
  };
}
