// Connect: ports for connections to one or many destinations, by turns, as the ports of each run
// out. Ports are shared between destinations, never within one. A phase changes what is held, so a
// sample is one whole phase, from where the phase before it ended.

import {
  type Fixture,
  type Opened,
  openBitmaps,
  openPools,
  openReferenceModel,
  openSets,
  plainMember,
} from "../harness/allocators.ts";
import { Runner, runOnce, taking } from "../harness/phases.ts";
import type { Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { FIRST, offsetsOf } from "../harness/workloads.ts";
import { CONNECT } from "../recorded/gvisor.ts";

const SAMPLING = { rounds: 30, milliseconds: 150 };
/** The shares of the range, in percent, between which connections are timed. */
const PHASES = [
  [0, 50],
  [50, 90],
  [90, 99],
] as const;
/** How many times faster than the reference model the last phase is, with one destination. */
const REFERENCE_AT_LEAST = 10000;

interface Setting {
  readonly destinations: number;
  /** How many ports: fewer for more destinations, which the model looks at one by one. */
  readonly ports: number;
  /** In how many of the phases the reference model takes part: those of some seconds. */
  readonly modelPhases: number;
}

const SETTINGS: readonly Setting[] = [
  { destinations: 1, ports: 49536, modelPhases: 3 },
  { destinations: 10, ports: 10000, modelPhases: 2 },
  { destinations: 100, ports: 2000, modelPhases: 1 },
  { destinations: 1000, ports: 200, modelPhases: 0 },
];
const TINY: readonly Setting[] = [
  { destinations: 1, ports: 100, modelPhases: 3 },
  { destinations: 12, ports: 100, modelPhases: 3 },
];

export const connectSuite: Suite = {
  title: "take of a port per connection, 1..1,000 destinations by turns, by percent held",
  run(session) {
    for (const setting of session.smoke ? TINY : SETTINGS) connect(session, setting);
    const key = { suite: "connect", workload: workloadOf(1, PHASES[2]) };
    const value = session.median(key, "reference model") / session.median(key, "pool");
    const name = `connect/${key.workload}: reference model over pool`;
    session.check({ name, value, atLeast: REFERENCE_AT_LEAST });
  },
};

function connect(session: Session, setting: Setting): void {
  const { destinations, ports, modelPhases } = setting;
  const fixture = fixtureOf(setting);
  const placeAt = (percent: number): number => Math.floor((ports * percent) / 100) * destinations;
  const offsets = offsetsOf(3, placeAt(99));
  const runner = (system: System, opened: Opened): Runner => new Runner(system, opened, offsets);
  const pool = runner("pool", openPools(fixture));
  const others = [runner("Set", openSets(fixture)), runner("bitmap", openBitmaps(fixture))];
  const model = runner("reference model", openReferenceModel(fixture));
  for (const [index, phase] of PHASES.entries()) {
    const key = { suite: "connect", workload: workloadOf(destinations, phase) };
    const [from, to] = [placeAt(phase[0]), placeAt(phase[1])];
    const works = [pool, ...others].map((one) => taking(one, from, to));
    session.compare(key, works, SAMPLING);
    if (index < modelPhases) {
      model.follow(from, pool);
      runOnce(session, key, taking(model, from, to));
    }
    const recorded = CONNECT[destinations]?.[index];
    if (recorded !== undefined) session.keepOne(key, "gVisor (recorded)", recorded);
  }
  pool.close();
}

function fixtureOf({ destinations, ports }: Setting): Fixture {
  const members = Array.from({ length: destinations }, (_, index) => ({
    ...plainMember([]),
    destination: { address: `93.0.${index >> 8}.${index & 255}`, port: 443 },
  }));
  return { range: { first: FIRST, last: FIRST + ports - 1 }, members };
}

function workloadOf(destinations: number, [from, to]: readonly [number, number]): string {
  const unit = destinations === 1 ? "destination" : "destinations";
  return `${destinations.toLocaleString("en-US")} ${unit}, ${from} to ${to} %`;
}
