// Recorded fillings of small port ranges on Linux 6.18 (test/vectors/linux/range-fill.json):
// sockets are opened until the kernel refuses. What every run must give (counts, sets, orders) is
// compared in several runs with different draws; what chance decides must lie within what it can
// give.

import { seedOf } from "./seed.ts";
import { type Call, type Difference, type Environment, Player, setupOf } from "./sequences.ts";
import type { OpenSystem, System } from "./system.ts";

export interface Phase {
  readonly kind: string;
  readonly addr?: string;
  readonly dest?: readonly [string, number];
  readonly reuseaddr?: number;
  readonly reuseport?: number;
  readonly port_range?: readonly [number, number];
  readonly max?: number;
}

export interface Claim {
  readonly n: number | null;
  readonly n_seen?: readonly number[];
  readonly n_possible?: readonly number[];
  readonly errno: string | null | readonly string[];
  readonly set: readonly number[] | null;
  readonly sample_order: readonly number[];
  readonly same_order_every_run: boolean;
}

export interface Scenario {
  readonly id: number;
  readonly env: Environment;
  readonly pre: readonly Call[];
  readonly phases: readonly Phase[];
  readonly r: { readonly pre: readonly string[]; readonly phases: readonly Claim[] };
}

interface Filled {
  readonly ports: readonly number[];
  readonly errno: string | null;
}

const RUNS = 12;
const MAX = 64;

/** The first claim that a run does not keep. */
export function replayScenario(scenario: Scenario, open: OpenSystem): Difference | undefined {
  for (let run = 0; run < RUNS; run++) {
    const difference = runOnce(scenario, open, seedOf(scenario.id, run));
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function runOnce(
  { env, pre, phases, r }: Scenario,
  open: OpenSystem,
  seed: number,
): Difference | undefined {
  const system = open(setupOf(env, seed));
  const player = new Player(system, env);
  for (const [at, call] of pre.entries()) {
    const got = player.play(call);
    if (got !== r.pre[at]) return { at, call, expected: r.pre[at], got };
  }
  const opened: unknown[] = [];
  for (const [at, phase] of phases.entries()) {
    const got = fill(system, phase, opened);
    const claim = r.phases[at] as Claim;
    if (!keeps(got, claim)) return { at: pre.length + at, call: phase, expected: claim, got };
  }
  for (const socket of opened) system.close(socket, true);
  const { bytes } = player.end();
  if (bytes === 0) return undefined;
  return { at: pre.length + phases.length, call: "close everything", expected: 0, got: bytes };
}

/** Does a run keep what is claimed of every run? */
function keeps({ ports, errno }: Filled, claim: Claim): boolean {
  const { n, n_seen = [], n_possible = n_seen, set, same_order_every_run: isForced } = claim;
  const distinct = [...new Set(ports)].sort((a, b) => a - b);
  const counts = n === null ? n_possible : [n];
  const errnos = Array.isArray(claim.errno) ? claim.errno : [`${claim.errno ?? "None"}`];
  return (
    counts.includes(ports.length) &&
    errnos.includes(errno ?? "None") &&
    (set === null || isSame(distinct, set)) &&
    (!isForced || isSame(ports, claim.sample_order))
  );
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((port, index) => port === b[index]);
}

/** Sockets of one kind until one is refused, or there are enough. */
function fill(system: System, phase: Phase, opened: unknown[]): Filled {
  const ports: number[] = [];
  while (ports.length < (phase.max ?? MAX)) {
    const socket = system.socket(phase.kind.startsWith("udp") ? "udp4" : "tcp4", 0);
    opened.push(socket);
    const errno = prepare(system, socket, phase) ?? begin(system, socket, phase);
    if (errno !== "ok") return { ports, errno };
    ports.push(system.name(socket).port);
  }
  return { ports, errno: null };
}

function prepare(system: System, socket: unknown, phase: Phase): string | undefined {
  system.setFlag(socket, "reuseaddr", phase.reuseaddr === 1);
  system.setFlag(socket, "reuseport", phase.reuseport === 1);
  if (phase.port_range === undefined) return undefined;
  const answer = system.setRange(socket, ...phase.port_range);
  return answer === "ok" ? undefined : answer;
}

function begin(system: System, socket: unknown, { kind, addr = "", dest }: Phase): string {
  if (kind.endsWith("bind0")) return system.bind(socket, addr, 0, 0);
  if (kind === "tcp-listen0") return system.listen(socket);
  const [address, port] = dest as readonly [string, number];
  if (kind.includes("no_port")) {
    system.setFlag(socket, "bind_no_port", true);
    const answer = system.bind(socket, addr, 0, 0);
    if (answer !== "ok") return answer;
  }
  return system.connect(socket, address, port);
}
