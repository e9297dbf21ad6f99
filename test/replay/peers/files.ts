// Cases from the test suites of others (test/vectors/peers), each on a manager of its own: calls on
// the manager, calls on allocators, or socket calls on a network stack above it.

import { PortManager } from "../../../bindings/index.ts";
import { BadInput, same } from "../input.ts";
import { type Case, replayCase } from "../linux-6.18/cases.ts";
import { eachCase, readJson } from "../linux-6.18/files.ts";
import type { Call, Difference } from "../linux-6.18/sequences.ts";
import { ReservationSystem } from "../manager.ts";
import type { Counts } from "../netstack.ts";
import { AllocatorPlayer } from "./allocators.ts";
import { CallPlayer } from "./calls.ts";
import { openStack } from "./stack.ts";

export type ManagerOptions = NonNullable<Parameters<typeof PortManager.open>[0]>;

export interface PeerCase extends Case {
  /** What portwarden has no word for: the case is counted, and not played. */
  readonly missing?: readonly string[];
}

interface Player {
  play(call: Call): unknown;
  end(): void;
}

const ON_A_MANAGER = /^(?:reserve|release|tuple|setPortRange|pick)\b/;
const ON_A_STACK = new Set(["socket", "fill", "sysctl"]);

/** Replays a file of cases; adds to the counts. */
export async function replayPeersFile(
  path: string,
  options: ManagerOptions,
  counts: Counts,
): Promise<void> {
  const cases = await readCases(path);
  const skipped = cases.filter(({ missing }) => missing !== undefined);
  if (skipped.length > 0) {
    counts.skipped.set("missing", (counts.skipped.get("missing") ?? 0) + skipped.length);
  }
  const played = cases.filter(({ missing }) => missing === undefined);
  eachCase(played, path, counts, (one) => [one.id, one.ops.length, replayPeer(one, options)]);
}

export async function readCases(path: string): Promise<readonly PeerCase[]> {
  const cases = await readJson(path);
  if (!Array.isArray(cases)) throw new BadInput(`${path}: expected a list of cases`);
  return cases;
}

/** The first answer that differs, if one does. */
export function replayPeer(one: PeerCase, options: ManagerOptions): Difference | undefined {
  const [op = ""] = one.ops[0] ?? [];
  if (ON_A_STACK.has(op)) return replayCase(one, (setup) => openStack(setup, options));
  const player: Player =
    ON_A_MANAGER.test(op) && op !== "reserveAll"
      ? new CallPlayer(() => new ReservationSystem(PortManager.open(options)))
      : new AllocatorPlayer(options);
  try {
    return played(one, player);
  } finally {
    player.end();
  }
}

function played({ ops, expected }: Case, player: Player): Difference | undefined {
  for (const [at, call] of ops.entries()) {
    const got = player.play(call);
    const wanted = expected[at];
    if (!agrees(got, wanted)) return { at, call, expected: wanted, got };
  }
  return undefined;
}

/**
 * Null is not checked, a number may be given by its bounds, and of an object the named keys count.
 */
function agrees(got: unknown, wanted: unknown): boolean {
  if (wanted === null || wanted === undefined) return true;
  if (Array.isArray(wanted) && typeof got === "number") {
    return got >= wanted[0] && got <= wanted[1];
  }
  if (typeof wanted !== "object" || Array.isArray(wanted)) return same(got, wanted);
  return Object.entries(wanted).every(([key, value]) =>
    same((got as Record<string, unknown>)[key], value),
  );
}
