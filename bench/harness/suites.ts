// Suites: all that can be run, by name, in the order of a full run.

import { acceptsSuite } from "../suites/accepts.ts";
import { classesSuite } from "../suites/classes.ts";
import { companySuite } from "../suites/company.ts";
import { connectSuite } from "../suites/connect.ts";
import { connectorSuite } from "../suites/connector.ts";
import { cooldownSuite } from "../suites/cooldown.ts";
import { ephemeralSuite } from "../suites/ephemeral.ts";
import { fillSuite } from "../suites/fill.ts";
import { linux618Suite, linuxSuite } from "../suites/linux.ts";
import { listeningSuite } from "../suites/listening.ts";
import { memorySuite } from "../suites/memory.ts";
import { packagesSuite } from "../suites/packages.ts";
import { sizesSuite } from "../suites/sizes.ts";
import { startSuite } from "../suites/start.ts";
import { stateSuite } from "../suites/state.ts";
import { toolsSuite } from "../suites/tools.ts";
import type { Session } from "./session.ts";

export interface Suite {
  /** What one operation is, and of what. */
  readonly title: string;
  run(session: Session): void | Promise<void>;
}

export const SUITES: Readonly<Record<string, Suite>> = {
  ephemeral: ephemeralSuite,
  fill: fillSuite,
  connect: connectSuite,
  accepts: acceptsSuite,
  company: companySuite,
  classes: classesSuite,
  memory: memorySuite,
  start: startSuite,
  sizes: sizesSuite,
  state: stateSuite,
  packages: packagesSuite,
  listening: listeningSuite,
  linux: linuxSuite,
  "linux-6.18": linux618Suite,
  cooldown: cooldownSuite,
  connector: connectorSuite,
  tools: toolsSuite,
};
