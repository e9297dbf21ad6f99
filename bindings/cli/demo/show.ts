// Show: the whole demo in the network that this process is in.

import { writeJson, writeText } from "../output.ts";
import { faultsOf } from "./faults.ts";
import { documentOf } from "./json.ts";
import type { DemoOptions } from "./options.ts";
import { makePlan, type Place, type Plan } from "./plan.ts";
import { Progress } from "./progress.ts";
import { introduction, summary, titleOf } from "./report.ts";
import { run } from "./run.ts";

/** The time limits of a run, and of closing. */
export const RUN_MS_MAX = 70_000;
export const CLOSE_MS_MAX = 10_000;
/** Signals that end a run, with the message and the exit code. */
const SIGNALS = [
  ["SIGINT", "Ctrl-C was pressed", 130],
  ["SIGTERM", "the process was told to end", 143],
] as const;

/**
 * Measures and prints; the exit code.
 * @throws CannotRun if not one connection can be opened.
 */
export async function show(options: DemoOptions, place: Place): Promise<number> {
  const plan = makePlan(options, place);
  const stop = new AbortController();
  const stopWatching = watchForStop(stop);
  try {
    return await measureAndPrint(plan, options.json, stop.signal);
  } finally {
    stopWatching();
  }
}

async function measureAndPrint(plan: Plan, isJson: boolean, stop: AbortSignal): Promise<number> {
  const progress = new Progress(process.stdout);
  if (!isJson) writeText(introduction(plan));
  const findings = await run(plan, stop, (what, way, opened, of) => {
    if (!isJson) progress.update(`${what}, ${titleOf(way)}`, opened, of);
  });
  progress.end();
  const faults = faultsOf(findings);
  if (isJson) writeJson(documentOf(findings, faults));
  else writeText(summary(findings, faults));
  const signalled = SIGNALS.find(([, reason]) => reason === findings.stop);
  if (signalled !== undefined) return signalled[2];
  return faults.length === 0 ? 0 : 1;
}

/** Ctrl-C, the time limit, and an output whose reader has ended (`npm start | head`). */
function watchForStop(stop: AbortController): () => void {
  const handlers = SIGNALS.map(([signal, reason]) => [signal, () => stop.abort(reason)] as const);
  // Once: a second Ctrl-C ends the process as usual.
  for (const [signal, handler] of handlers) process.once(signal, handler);
  // This listener stays, because the last write fails last.
  process.stdout.on("error", () => stop.abort("the output has no reader any more"));
  const limit = `the time limit of ${RUN_MS_MAX / 1000} s is over`;
  const timer = setTimeout(() => stop.abort(limit), RUN_MS_MAX);
  let closing: NodeJS.Timeout | undefined;
  stop.signal.addEventListener("abort", () => {
    // It does not keep the process alive, but ends it if something else does.
    closing = setTimeout(giveUp, CLOSE_MS_MAX).unref();
  });
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
    clearTimeout(timer);
    clearTimeout(closing);
  };
}

function giveUp(): void {
  console.error(`\nClosing has taken more than ${CLOSE_MS_MAX / 1000} s: ended without it.`);
  process.exit(1);
}
