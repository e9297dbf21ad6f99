// The real side of a campaign: LinuxPorts on one build, in an instance of its own.

import { verifyLinux } from "../../../bindings/linux/linux.ts";
import { openLinuxPorts } from "../../replay/linux-ports.ts";
import { type Build, freshModules } from "../../support/builds.ts";
import type { Opponent } from "./duel.ts";
import type { World } from "./world.ts";

export interface Arena {
  readonly open: (world: World) => Opponent;
  /** A fresh instance: one that has trapped is fit for nothing. */
  readonly renew: () => void;
}

/** The debug build checks its invariants after each operation. */
export function arenaOn(build: Build): Arena {
  let modules = freshModules(build);
  return {
    open: ({ hint, limit }) => {
      const memory = limit === undefined ? {} : { memoryLimit: limit };
      const system = openLinuxPorts(hint, { ...modules, ...memory });
      return {
        system,
        verify: () => verifyLinux(system.ports),
        used: () => system.ports.stats().memory.used,
      };
    },
    renew: () => {
      modules = freshModules(build);
    },
  };
}
