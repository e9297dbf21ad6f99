// A run of the kernel's fuzzer: sequence after sequence on LinuxPorts and on the machine's own
// kernel, or its model, until the time is over or an answer differs. What differs is shrunk by
// fast-check.

import fc from "fast-check";
import { openPorts } from "../../replay/linux-6.18/ports-system.ts";
import type { Answers, Kernel } from "./kernel.ts";
import { DRAWS_BELOW, type Draws, type PlanOptions, planned, type Sequence } from "./sequence.ts";

export interface KernelRun {
  sequences: number;
  operations: number;
  /**
   * Sequences that took so long that time may have decided, in which a SYN got no answer for
   * seconds, or in which the kernel chose another listener.
   */
  undecided: number;
  /** The shrunk sequence, with the seed that finds it again. */
  mismatch: { readonly seed: number; readonly what: string } | undefined;
}

export interface KernelRunOptions extends Partial<PlanOptions> {
  readonly seed: number;
  readonly isOver: (run: KernelRun) => boolean;
  /** Shrinking ends, too: calls that the kernel answers late make it slow. */
  readonly roundMsMax?: number;
}

const CALLS_MAX = 30;
const CALLS_MAX_FOR_MODEL = 120;
const SEQUENCES_PER_ROUND = 20;
const ROUND_MS_MAX = 60_000;
const SEED_MAX = 0x7fffffff;
/** From here on a TIME_WAIT is due that is not due at once. */
const MS_MAX = 900;

export async function runKernel(
  kernel: Kernel,
  {
    seed,
    isOver,
    open = openPorts,
    isForModel = false,
    roundMsMax = ROUND_MS_MAX,
  }: KernelRunOptions,
): Promise<KernelRun> {
  const run: KernelRun = { sequences: 0, operations: 0, undecided: 0, mismatch: undefined };
  const maxLength = isForModel ? CALLS_MAX_FOR_MODEL : CALLS_MAX;
  const property = fc.asyncProperty(
    drawn,
    fc.array(drawn, { maxLength, size: "max" }),
    async (chosen, draws) => {
      const sequence = planned(chosen, draws, { open, isForModel });
      const answers = await kernel.run(sequence.env, sequence.calls);
      run.sequences += 1;
      run.operations += sequence.calls.filter(([op]) => op !== "look").length;
      compare(sequence, answers, run);
    },
  );
  for (let round = 0; !isOver(run); round++) {
    const from = (seed + round) & SEED_MAX;
    const details = await fc.check(property, {
      seed: from,
      numRuns: SEQUENCES_PER_ROUND,
      interruptAfterTimeLimit: roundMsMax,
    });
    if (!details.failed) continue;
    run.mismatch = { seed: from, what: `${(details.errorInstance as Error | null)?.message}` };
    break;
  }
  return run;
}

const number = fc.noBias(fc.nat({ max: DRAWS_BELOW - 1 }));
const drawn: fc.Arbitrary<Draws> = fc.tuple(number, number, number, number, number);

/** @throws Error where an answer differs. */
function compare({ env, calls, answers }: Sequence, kernel: Answers, run: KernelRun): void {
  if (kernel.answers === undefined) throw new Error(`the helper failed: ${kernel.error}`);
  if ((kernel.ms as number) > MS_MAX && env.sysctl.tcp_tw_reuse_delay === undefined) {
    run.undecided += 1;
    return;
  }
  for (const [at, call] of calls.entries()) {
    const told = kernel.answers[at] as string;
    // The kernel is asked no longer, and would have said so in the end.
    if (told.startsWith("EINPROGRESS") && answers[at]?.startsWith("ETIMEDOUT")) return;
    if (told.startsWith("by another")) {
      run.undecided += 1;
      return;
    }
    if (told === answers[at]) continue;
    const before = calls
      .slice(0, at)
      .map((each, index) => `${JSON.stringify(each)} ${answers[index]}`);
    throw new Error(
      [
        JSON.stringify(env),
        ...before,
        JSON.stringify(call),
        `  LinuxPorts: ${answers[at]}`,
        `  kernel:     ${told}`,
      ].join("\n"),
    );
  }
}
