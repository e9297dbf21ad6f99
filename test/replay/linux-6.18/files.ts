// Reading recordings of Linux 6.18, plain or gzipped: sequences and fillings (test/vectors/linux), and
// cases of other suites (test/vectors/peers).

import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { BadInput, parse } from "../input.ts";
import type { Mismatch, Tally } from "../netstack.ts";
import { type Case, replayCase } from "./cases.ts";
import type { OpenMachine } from "./machine.ts";
import { replayScenario, type Scenario } from "./range-fill.ts";
import { type Difference, replaySequence, type Sequence } from "./sequences.ts";

const SHOWN_MAX = 5;

/** Replays a file of either notation; adds to the tally. */
export async function replayKernelFile(
  path: string,
  open: OpenMachine,
  tally: Tally,
): Promise<void> {
  replayRecordings(await readJson(path), path, open, tally);
}

/** The same for what a file holds. */
export function replayRecordings(
  content: unknown,
  place: string,
  open: OpenMachine,
  tally: Tally,
): void {
  if (Array.isArray(content)) {
    eachCase(content, place, tally, (one: Case) => [one.id, one.ops.length, replayCase(one, open)]);
    return;
  }
  const { suite, sequences, scenarios } = (content ?? {}) as Record<string, unknown>;
  if (Array.isArray(sequences)) {
    eachCase(sequences, place, tally, (one: Sequence) => [
      `${suite} ${one.id}`,
      one.ops.length,
      replaySequence(one, open),
    ]);
  } else if (Array.isArray(scenarios)) {
    eachCase(scenarios, place, tally, (one: Scenario) => [
      `${suite} ${one.id}`,
      one.pre.length + one.phases.length,
      replayScenario(one, open),
    ]);
  } else {
    throw new BadInput(`${place}: expected cases, or an object with sequences or scenarios`);
  }
}

/** Replays one recording after the other; adds to the tally. */
export function eachCase<T>(
  recordings: readonly T[],
  place: string,
  tally: Tally,
  replay: (recording: T) => [name: string, operations: number, difference: Difference | undefined],
): void {
  for (const [index, recording] of recordings.entries()) {
    const [trace, operations, difference] = within(`${place}, ${index}`, () => replay(recording));
    tally.traces += 1;
    tally.operations += operations;
    if (difference === undefined) continue;
    tally.mismatching += 1;
    if (tally.mismatches.length < SHOWN_MAX) tally.mismatches.push(shown(trace, difference));
  }
}

function shown(trace: string, { at, call, expected, got }: Difference): Mismatch {
  return { trace, at, operation: call, expected, got };
}

/** What is not a recording at all says where it stands. */
function within<T>(place: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof BadInput || error instanceof TypeError) {
      throw new BadInput(`${place}: ${error.message}`);
    }
    throw error;
  }
}

/** What a file of JSON holds, plain or gzipped. */
export async function readJson(path: string): Promise<unknown> {
  return parse(await read(path), path);
}

async function read(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  } catch (error) {
    throw new BadInput(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}
