// Replaying recorded traces of Linux' seed-era port picker.
//
// A trace is a list of operations on one fresh system, each with its result, and how many random
// values it drew where it may draw any. Both are compared whole. The first operation that differs
// ends its trace. No trace is skipped, whatever its kind.
//
// A trace that agrees is drained, see `LinuxPlayer`. Nothing may be counted then, no group be in
// use, and the memory in use must be what it was when the system was opened.

import { BadInput, parse, same } from "./input.ts";
import type { OpenLinux } from "./linux-system.ts";
import {
  type LinuxAnswer,
  type LinuxOperation,
  LinuxPlayer,
  type LinuxRecorded,
  recordedOf,
} from "./linux-trace.ts";
import type { Counts, Mismatch } from "./netstack.ts";

interface Trace {
  readonly name: string;
  /** Where the search of connect() starts. */
  readonly hint?: number;
  readonly ops: readonly unknown[];
}

const SHOWN_MAX = 5;

const DRAINED: LinuxAnswer = { buckets: 0, bsockets: 0, bytes: 0, uses: 0 };

/** Replays one line of a file of traces; adds to the counts. */
export function replayLinuxLine(
  line: string,
  place: string,
  open: OpenLinux,
  counts: Counts,
): void {
  const trace = parse(line, place);
  if (!isTrace(trace)) {
    throw new BadInput(`${place}: not a trace: expected a name, ops, and perhaps a hint`);
  }
  // All of it is read before anything is played: a broken trace is not half judged.
  const operations = trace.ops.map((value, at) => placed(`${place}, operation ${at}`, value));
  replay(trace, operations, open, counts, place);
}

function isTrace(value: unknown): value is Trace {
  const { name, hint = 0, ops } = (value ?? {}) as Partial<Trace>;
  return typeof name === "string" && Array.isArray(ops) && hint >>> 0 === hint;
}

function placed(place: string, value: unknown): LinuxRecorded {
  return within(place, () => recordedOf(value));
}

function replay(
  { name, hint = 0 }: Trace,
  operations: readonly LinuxRecorded[],
  open: OpenLinux,
  counts: Counts,
  place: string,
): void {
  const player = new LinuxPlayer(open(hint));
  const mismatch = firstMismatch(name, operations, player, place) ?? drainMismatch(name, player);
  counts.traces += 1;
  counts.operations += player.operations;
  if (mismatch === undefined) return;

  player.abandon();
  counts.mismatching += 1;
  if (counts.mismatches.length < SHOWN_MAX) counts.mismatches.push(mismatch);
}

function firstMismatch(
  trace: string,
  operations: readonly LinuxRecorded[],
  player: LinuxPlayer,
  place: string,
): Mismatch | undefined {
  for (const [at, recorded] of operations.entries()) {
    const { expect, drawn, ...operation } = recorded;
    within(`${place}, operation ${at}`, () => checkWaits(player, operation));
    const expected = mayDraw(operation) ? { ...expect, drawn: drawn ?? 0 } : expect;
    const got = within(`${place}, operation ${at}`, () => outcome(player, operation));
    if (!same(got, expected)) return { trace, at, operation, expected, got };
  }
  return undefined;
}

function drainMismatch(trace: string, player: LinuxPlayer): Mismatch | undefined {
  const got = settled(() => player.drain());
  if (same(got, DRAINED)) return undefined;
  return { trace, at: "end", operation: "close everything", expected: DRAINED, got };
}

function outcome(player: LinuxPlayer, operation: LinuxOperation): LinuxAnswer {
  return settled(() => {
    const answer = player.perform(operation);
    return mayDraw(operation) ? { ...answer, drawn: player.drawn } : answer;
  });
}

/** No vector closes to TIME_WAIT what is not connected. */
function checkWaits(player: LinuxPlayer, operation: LinuxOperation): void {
  if (operation.op !== "closeToTimeWait") return;
  const { state } = player.look(operation.sock);
  if (state === "connected") return;
  throw new BadInput(`socket ${operation.sock} is ${state}, not connected`);
}

function mayDraw({ op }: LinuxOperation): boolean {
  return op === "bind" || op === "listen";
}

/** An error that is no answer is shown as what was got; one about the file goes on its way. */
function settled(act: () => LinuxAnswer): LinuxAnswer {
  try {
    return act();
  } catch (error) {
    if (error instanceof BadInput) throw error;
    return { threw: String(error) };
  }
}

/** Says where the input is bad. */
function within<T>(place: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof BadInput) throw new BadInput(`${place}: ${error.message}`);
    throw error;
  }
}
