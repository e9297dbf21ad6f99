// Replaying recorded traces of gVisor's port manager.
//
// A trace is a list of operations on one fresh manager, each with the answer that gVisor gave.
// Answers are compared whole, no key more and no key less. The first one that differs ends its
// trace, for what follows would only repeat the news.
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
  else replay(trace.name, recorded(trace, place), open(), counts, place);
}

/** Replays the text of a table; adds to the counts. */
export function replayTable(text: string, place: string, open: () => System, counts: Counts): void {
  for (const { name, steps } of readTable(text, place)) replay(name, steps, open(), counts, place);
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

function replay(
  trace: string,
  steps: Iterable<Step>,
  system: System,
  counts: Counts,
  place: string,
): void {
  const player = new Player(system);
  const mismatch = firstMismatch(trace, steps, player, place) ?? drainMismatch(trace, player);
  counts.traces += 1;
  counts.operations += player.operations;
  if (mismatch === undefined) return;

  player.abandon();
  counts.mismatching += 1;
  if (counts.mismatches.length < SHOWN_MAX) counts.mismatches.push(mismatch);
}

function firstMismatch(
  trace: string,
  steps: Iterable<Step>,
  player: Player,
  place: string,
): Mismatch | undefined {
  let at = 0;
  for (const { operation, expected, agrees } of steps) {
    const got = outcome(() => player.perform(operation), `${place}, operation ${at}`);
    if (!agrees(got)) return { trace, at, operation, expected, got };
    at += 1;
  }
  return undefined;
}

function drainMismatch(trace: string, player: Player): Mismatch | undefined {
  const got = outcome(() => player.drain(), trace);
  if (same(got, DRAINED)) return undefined;
  return { trace, at: "end", operation: "release everything", expected: DRAINED, got };
}

/** An error that is no answer is shown as what was got; one about the file goes on its way. */
function outcome(act: () => Answer, place: string): Answer {
  try {
    return act();
  } catch (error) {
    if (error instanceof BadInput) throw new BadInput(`${place}: ${error.message}`);
    return { threw: String(error) };
  }
}
