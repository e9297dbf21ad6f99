// Replaying recorded traces of gVisor's port manager.
//
// A trace is a list of operations on one fresh manager, each with the answer that gVisor gave.
// Answers are compared whole, no key more and no key less. The first one that differs ends its
// trace, since those after it would only repeat the difference.
//
// Then the trace is drained: everything that it took is released until nothing of it is held.
// The manager must now count nothing, and use as much memory as when it was opened. If not, that
// is a mismatch like any other.

import { BadInput, parse, same } from "./input.ts";
import type { System } from "./system.ts";
import { readTable, type Step } from "./table.ts";
import { type Answer, type Operation, Player } from "./trace.ts";

/** Where a trace first went another way; `at` counts its operations from 0. */
export interface Mismatch {
  readonly trace: string;
  readonly at: number | "end";
  readonly operation: unknown;
  readonly expected: unknown;
  readonly got: unknown;
}

/** What has been replayed so far. A skipped trace is counted by its kind, and nowhere else. */
export interface Counts {
  traces: number;
  operations: number;
  mismatching: number;
  /** The first few, to be shown. */
  readonly mismatches: Mismatch[];
  readonly skipped: Map<string, number>;
}

interface Trace {
  readonly name: string;
  readonly kind?: string;
  readonly ops: readonly unknown[];
}

type Recorded = Operation & { readonly expect: Answer };

/** The four differences on purpose: what gVisor answered there is no measure for us. */
const SKIPPED_KINDS = new Set(["full-range", "port-zero", "u32-wrap", "duplicate-networks"]);

const SHOWN_MAX = 5;

const DRAINED: Answer = { descriptors: 0, counters: 0, refs: 0, bytes: 0 };

export function newCounts(): Counts {
  return { traces: 0, operations: 0, mismatching: 0, mismatches: [], skipped: new Map() };
}

/** Replays one line of a file of traces; adds to the counts. */
export function replayLine(line: string, place: string, open: () => System, counts: Counts): void {
  const trace = parse(line, place);
  if (!isTrace(trace)) throw new BadInput(`${place}: not a trace: expected a name and ops`);
  if (isSkipped(trace.kind)) countSkipped(trace.kind, counts);
  else replay(trace.name, recorded(trace, place), new Player(open()), DRAINED, counts, place);
}

/** Replays the text of a table; adds to the counts. */
export function replayTable(text: string, place: string, open: () => System, counts: Counts): void {
  for (const { name, steps } of readTable(text, place)) {
    replay(name, steps, new Player(open()), DRAINED, counts, place);
  }
}

function isTrace(value: unknown): value is Trace {
  const { name, ops } = (value ?? {}) as Partial<Trace>;
  return typeof name === "string" && Array.isArray(ops);
}

function isRecorded(value: unknown): value is Recorded {
  const { op, expect } = (value ?? {}) as Partial<Recorded>;
  return typeof op === "string" && typeof expect === "object";
}

function isSkipped(kind: string | undefined): kind is string {
  return kind !== undefined && SKIPPED_KINDS.has(kind);
}

function countSkipped(kind: string, counts: Counts): void {
  counts.skipped.set(kind, (counts.skipped.get(kind) ?? 0) + 1);
}

function* recorded({ ops }: Trace, place: string): Generator<Step> {
  for (const [at, operation] of ops.entries()) {
    if (!isRecorded(operation)) {
      throw new BadInput(`${place}, operation ${at}: expected an op and what to expect of it`);
    }
    const expected = operation.expect;
    yield { operation, expected, agrees: (got) => same(got, expected) };
  }
}

/** What plays one trace on a system that starts empty. */
interface TracePlayer<Operation, Answer> {
  readonly operations: number;
  perform(operation: Operation): Answer;
  /** Gives everything back and closes. */
  drain(): Answer;
  /** Closes a system that is no longer in order. */
  abandon(): void;
}

/**
 * Plays a trace up to the first answer that differs, and drains it; adds to the counts.
 * @param drained what draining answers where nothing is left.
 */
export function replay<Operation, Answer>(
  trace: string,
  steps: Iterable<Step<Operation, Answer>>,
  player: TracePlayer<Operation, Answer>,
  drained: Answer,
  counts: Counts,
  place: string,
): void {
  const mismatch =
    firstMismatch(trace, steps, player, place) ?? drainMismatch(trace, player, drained);
  counts.traces += 1;
  counts.operations += player.operations;
  if (mismatch === undefined) return;

  player.abandon();
  counts.mismatching += 1;
  if (counts.mismatches.length < SHOWN_MAX) counts.mismatches.push(mismatch);
}

function firstMismatch<Operation, Answer>(
  trace: string,
  steps: Iterable<Step<Operation, Answer>>,
  player: TracePlayer<Operation, Answer>,
  place: string,
): Mismatch | undefined {
  let at = 0;
  for (const { operation, expected, agrees } of steps) {
    const got = outcome(() => player.perform(operation), `${place}, operation ${at}`);
    if (!agrees(got as Answer)) return { trace, at, operation, expected, got };
    at += 1;
  }
  return undefined;
}

function drainMismatch<Answer>(
  trace: string,
  player: Pick<TracePlayer<never, Answer>, "drain">,
  drained: Answer,
): Mismatch | undefined {
  const got = outcome(() => player.drain(), trace);
  if (same(got, drained)) return undefined;
  return { trace, at: "end", operation: "give everything back", expected: drained, got };
}

/** An error that is no answer is shown as what was got; one about the file goes on its way. */
function outcome<Answer>(act: () => Answer, place: string): Answer | { threw: string } {
  try {
    return within(place, act);
  } catch (error) {
    if (error instanceof BadInput) throw error;
    return { threw: String(error) };
  }
}

/** Says where the input is bad. */
export function within<T>(place: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof BadInput) throw new BadInput(`${place}: ${error.message}`);
    throw error;
  }
}
