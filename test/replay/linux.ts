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
import { type Counts, replay, within } from "./netstack.ts";
import type { Step } from "./table.ts";

interface Trace {
  readonly name: string;
  /** Where the search of connect() starts. */
  readonly hint?: number;
  readonly ops: readonly unknown[];
}

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
  const steps = trace.ops.map((value, at) =>
    stepOf(within(`${place}, operation ${at}`, () => recordedOf(value))),
  );
  replay(trace.name, steps, new DrawingPlayer(open(trace.hint ?? 0)), DRAINED, counts, place);
}

function isTrace(value: unknown): value is Trace {
  const { name, hint = 0, ops } = (value ?? {}) as Partial<Trace>;
  return typeof name === "string" && Array.isArray(ops) && hint >>> 0 === hint;
}

function stepOf({ expect, drawn, ...operation }: LinuxRecorded): Step<LinuxOperation, LinuxAnswer> {
  const expected = mayDraw(operation) ? { ...expect, drawn: drawn ?? 0 } : expect;
  return { operation, expected, agrees: (got) => same(got, expected) };
}

/** Answers as well how many values were drawn, where any may be. */
class DrawingPlayer extends LinuxPlayer {
  override perform(operation: LinuxOperation): LinuxAnswer {
    if (operation.op === "closeToTimeWait") this.#checkConnected(operation.sock);
    const answer = super.perform(operation);
    return mayDraw(operation) ? { ...answer, drawn: this.drawn } : answer;
  }

  /** No vector closes to TIME_WAIT what is not connected. */
  #checkConnected(sock: number): void {
    const { state } = this.look(sock);
    if (state !== "connected") throw new BadInput(`socket ${sock} is ${state}, not connected`);
  }
}

function mayDraw({ op }: LinuxOperation): boolean {
  return op === "bind" || op === "listen";
}
