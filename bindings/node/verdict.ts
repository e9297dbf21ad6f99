// Verdict: whether a run has shown what it was to show. What this machine stood in the way of is
// a reason, and is said; what should not have happened is a fault.

import type { PortRange, Stats } from "../index.ts";
import { TRIES_MAX } from "./connections.ts";
import type { Plan } from "./plan.ts";
import type { Tally } from "./tally.ts";
import { counted, some } from "./words.ts";

/** Everything that one run has found out. */
export interface Outcome {
  readonly plan: Plan;
  readonly tally: Tally;
  /** The ports that portwarden could pick in the end. */
  readonly range: PortRange;
  /** Why the run was cut short, if it was. */
  readonly stop: string | undefined;
  /** Ports that flows still held when everything was closed. */
  readonly held: number;
  readonly usedAtOpen: number;
  /** The manager's figures when everything was closed. */
  readonly stats: Stats;
}

/** Why there are fewer connections than planned, as sentences. */
export function shortfall({ plan, tally, stop }: Outcome): string[] {
  const { refused, foreign, limit, failed } = tally.missed;
  const untried = plan.connections - tally.opened.length - refused - foreign - limit - failed;
  const reasons: [count: number, reason: string][] = [
    [refused, "no port was left, as other programs have some of them"],
    [foreign, `given up after ${TRIES_MAX} picked ports that other programs have`],
    [limit, "the system has no room for more"],
    [failed, "failed, see the refusals by reason"],
    [untried, stop ?? "not tried any more"],
  ];
  return reasons.filter(([count]) => count > 0).map(([count, why]) => `${counted(count)}: ${why}`);
}

/** What should not have happened, as sentences. */
export function faults(outcome: Outcome): string[] {
  const { tally, stop, held, stats, usedAtOpen } = outcome;
  const { missed } = tally;
  const records = stats.descriptors + stats.counters + stats.references;
  const checks: [isFault: boolean, fault: string][] = [
    // Where open files run out, a server drops what it cannot accept.
    [
      missed.failed > 0 && missed.limit === 0,
      "connections failed for reasons that have nothing to do with ports",
    ],
    [
      missed.refused > 0 && tally.foreignCount === 0,
      "portwarden had no port although none was lost",
    ],
    [stop === undefined && tally.opened.length === 0, "not one connection was opened"],
    [tally.lost > 0, `${some(tally.lost, "connection")} broke while in use`],
    [tally.strayFrees > 0, `${some(tally.strayFrees, "port")} came back that nobody held`],
    [held > 0 || records > 0, "not every port has come back"],
    [stats.memory.used !== usedAtOpen, "not all memory has come back"],
  ];
  return checks.filter(([isFault]) => isFault).map(([, fault]) => fault);
}
