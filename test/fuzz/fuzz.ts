// The fuzzer: random operations on a model and on the implementation, whose answers must agree.
// What fast-check finds it shrinks, and the shrunk session is the report.
//
// A subject says what can be asked and opens both sides. An operation is drawn as a few numbers and
// planned by looking at the model alone when its turn comes, so that any of them can be left out.

import fc from "fast-check";
import { Mismatch } from "./mismatch.ts";

/** A model and an implementation side by side, from their opening to their end. */
export interface Session {
  /** What has been done, in words or as data, with the answers where they are known. */
  readonly script: readonly string[];
  /** What has been counted: `operations`, and whatever a test wants to be sure of. */
  readonly figures: Figures & { operations: number };
  /** Gives everything back: nothing may be left. */
  finish(): void;
  /** Closes what is not in order any more. */
  abandon(): void;
  /** The session in a form that can be replayed, if it has one. */
  trace?(): string;
}

export type Figures = Record<string, number>;

/** What happens next in a session; `check` is false where it makes no sense at that moment. */
export type Operation<S extends object> = fc.Command<S, S>;

export interface Weighted<S extends object> {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<Operation<S>>;
}

export interface Subject<Setup, S extends Session> {
  readonly name: string;
  readonly setups: fc.Arbitrary<Setup>;
  readonly operations: readonly Weighted<S>[];
  /** The longest session; the average is half of it. */
  readonly operationsMax: number;
  open(setup: Setup): S;
  /** Before a round and after a failure: an instance that has trapped is fit for nothing. */
  renew(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: of any subject, whatever its setups and sessions are.
export type AnySubject = Subject<any, any>;

export interface Limits {
  readonly seed: number;
  /** Asked between rounds of sessions. */
  readonly isOver: (run: Run) => boolean;
}

export interface Run {
  readonly seed: number;
  /** Of the round that is on; a run from this seed begins with it. */
  roundSeed: number;
  sessions: number;
  readonly figures: Session["figures"];
  failure: Failure | undefined;
}

export interface Failure {
  /** How many operations are left of the session that failed, after shrinking. */
  readonly operations: number;
  readonly report: string;
}

const SESSIONS_PER_ROUND = 5;
/** The last lines of a script that a report shows. */
const LINES_MAX = 60;
/** No negative seeds: a command line would take the sign for an option. */
const SEED_MAX = 0x7fffffff;

/** A random seed, unless the environment does: `FUZZ_SEED`. */
export function anySeed(): number {
  const wanted = process.env.FUZZ_SEED;
  if (wanted !== undefined && wanted !== "") return Number(wanted) & SEED_MAX;
  return (crypto.getRandomValues(new Uint32Array(1))[0] as number) & SEED_MAX;
}

/** Session after session, until enough has been done or one has failed. */
export async function fuzz<Setup, S extends Session>(
  subject: Subject<Setup, S>,
  { seed, isOver }: Limits,
): Promise<Run> {
  const figures = { operations: 0 };
  const run: Run = { seed, roundSeed: seed, sessions: 0, figures, failure: undefined };
  const property = propertyOf(subject, run);
  for (let round = 0; !isOver(run); round++) {
    run.roundSeed = (seed + round) & SEED_MAX;
    // Whatever a round finds depends on its seed, and on no round before it.
    subject.renew();
    const details = fc.check(property, { seed: run.roundSeed, numRuns: SESSIONS_PER_ROUND });
    run.failure = details.failed ? failureOf(details) : undefined;
    if (run.failure !== undefined) break;
    // A parent process hears of it now and then.
    await new Promise(setImmediate);
  }
  return run;
}

function propertyOf<Setup, S extends Session>(subject: Subject<Setup, S>, run: Run) {
  const { operations, operationsMax, setups } = subject;
  const any = fc.oneof(...operations);
  const sequences = fc.commands<S, S>([any], { maxCommands: operationsMax, size: "max" });
  return fc.property(setups, sequences, (setup, sequence) => {
    const session = subject.open(setup);
    try {
      fc.modelRun<S, S, S>(() => ({ model: session, real: session }), sequence);
      session.finish();
    } catch (error) {
      subject.renew();
      throw new ShownMismatch(setup, session, error);
    } finally {
      session.abandon();
      run.sessions += 1;
      count(session.figures, run.figures);
    }
  });
}

function count(from: Figures, into: Figures): void {
  for (const [name, figure] of Object.entries(from)) into[name] = (into[name] ?? 0) + figure;
}

type Found = Pick<fc.RunDetails<unknown>, "seed" | "numShrinks" | "errorInstance">;

// ── Reports ───────────────────────────────────────────────────────────────────────────────

/** A mismatch with the session that led to it. */
class ShownMismatch extends Error {
  override readonly name = "Mismatch";
  readonly operations: number;

  constructor(setup: unknown, session: Session, error: unknown) {
    const { script } = session;
    const shown = script.slice(-LINES_MAX);
    const hidden = script.length - shown.length;
    const lines = [
      JSON.stringify(setup),
      ...(hidden > 0 ? [`(${hidden} more before)`] : []),
      ...shown,
      textOf(error),
      ...(session.trace === undefined ? [] : [session.trace()]),
    ];
    super(lines.join("\n  "));
    this.operations = script.length;
  }
}

function textOf(error: unknown): string {
  if (error instanceof Mismatch) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function failureOf(details: Found): Failure {
  const error = details.errorInstance;
  const report = [
    `seed ${details.seed}, shrunk ${details.numShrinks} times`,
    error instanceof Error ? `${error.name}: ${error.message}` : String(error),
  ].join("\n");
  return { operations: error instanceof ShownMismatch ? error.operations : 0, report };
}
