// Flows: what a group, or reserved ports, add to `take` of an open flow, and what each selection
// policy costs there.

import { IPV4, PortManager, type SelectionName, TCP } from "../bindings/index.ts";
import { measureInTurn, type Work } from "./interleaved.ts";
import { showLimits } from "./limits.ts";
import { rangeFor, scattered, shareOf } from "./local-range.ts";
import { type Report, time } from "./report.ts";
import { offsetsOf } from "./workloads.ts";

/** One operation is short. */
const BATCH = 5000;
const OFFSETS: Uint32Array = offsetsOf(2, BATCH);
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;
const DESTINATION = { address: "10.9.0.1", port: 443 };

const POLICIES: readonly SelectionName[] = [
  "random",
  "random-retry",
  "hash",
  "double-hash",
  "random-increments",
  "sequential",
];

/** Rows for flows, as `socketLimits` has them for sockets. */
export function flowLimits(report: Report, smoke: boolean): void {
  report.heading("flow take + free, TCP, with a limit over without");
  const portRange = rangeFor(smoke);
  const turns = { operations: BATCH, rounds: smoke ? 1 : 200 };
  showLimits(report, smoke, turns, ({ group, reserved }, held) => {
    const manager = PortManager.open({ portRange });
    const flow = manager.flow({ ...KEY, group, reserved });
    for (const port of held) flow.takeAt(port);
    const run = (): void => {
      for (let index = 0; index < BATCH; index++) flow.free(flow.take(OFFSETS[index] as number));
    };
    return [{ run, close: () => manager.close() }];
  });
}

/** A row for each selection policy. */
export function policies(report: Report, smoke: boolean): void {
  report.heading("flow take + free, TCP to one destination, by selection policy");
  const turns = { operations: BATCH, rounds: smoke ? 1 : 30 };
  const order = scattered(rangeFor(smoke));
  for (const policy of POLICIES) {
    const works = [50, 99].map((percent) => selecting(policy, smoke, shareOf(order, percent)));
    const timed = measureInTurn(turns, works);
    const [half, full] = works.map((work) => time(timed.figure(work)));
    report.row(policy, `50 % held ${half}, 99 % held ${full}`);
  }
}

function selecting(selection: SelectionName, smoke: boolean, held: readonly number[]): Work {
  const manager = PortManager.open({ portRange: rangeFor(smoke), selection, seed: 6 });
  const flow = manager.flow({ ...KEY, destination: DESTINATION });
  for (const port of held) flow.takeAt(port);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) flow.free(flow.take());
  };
  return { run, close: () => manager.close() };
}
