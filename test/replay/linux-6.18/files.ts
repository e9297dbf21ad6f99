// Reading recordings of Linux 6.18, plain or gzipped: sequences and fillings (test/vectors/linux),
// and cases of other suites (test/vectors/peers).

import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { BadInput, parse } from "../input.ts";
import type { Counts, Mismatch } from "../netstack.ts";
import { type Case, replayCase } from "./cases.ts";
import { replayScenario, type Scenario } from "./range-fill.ts";
import { type Difference, replaySequence, type Sequence } from "./sequences.ts";
import type { OpenSystem } from "./system.ts";

const SHOWN_MAX = 5;

/** Replays a file of either notation; adds to the counts. */
export async function replayKernelFile(
  path: string,
  open: OpenSystem,
  counts: Counts,
): Promise<void> {
  replayRecordings(await readJson(path), path, open, counts);
}

/** The same for what a file holds. */
export function replayRecordings(
  content: unknown,
  place: string,
  open: OpenSystem,
  counts: Counts,
): void {
  if (Array.isArray(content)) {
    eachCase(content, place, counts, (one: Case) => [
      one.id,
      one.ops.length,
      replayCase(one, open),
    ]);
    return;
  }
  const { suite, sequences, scenarios } = (content ?? {}) as Record<string, unknown>;
  if (Array.isArray(sequences)) {
    eachCase(sequences, place, counts, (one: Sequence) => [
      `${suite} ${one.id}`,
      one.ops.length,
      replaySequence(one, open),
    ]);
  } else if (Array.isArray(scenarios)) {
    eachCase(scenarios, place, counts, (one: Scenario) => [
      `${suite} ${one.id}`,
      one.pre.length + one.phases.length,
      replayScenario(one, open),
    ]);
  } else {
    throw new BadInput(`${place}: expected cases, or an object with sequences or scenarios`);
  }
}

/** Replays one recording after the other; adds to the counts. */
export function eachCase<T>(
  recordings: readonly T[],
  place: string,
  counts: Counts,
  replay: (recording: T) => [name: string, operations: number, difference: Difference | undefined],
): void {
  for (const [index, recording] of recordings.entries()) {
    const [trace, operations, difference] = within(`${place}, ${index}`, () => replay(recording));
    counts.traces += 1;
    counts.operations += operations;
    if (difference === undefined) continue;
    counts.mismatching += 1;
    if (counts.mismatches.length < SHOWN_MAX) counts.mismatches.push(shown(trace, difference));
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
