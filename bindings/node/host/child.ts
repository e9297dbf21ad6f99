// Child: a process whose end is awaited, and which gets the signals that this one gets.

import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";

/** The signals that a terminal or a supervisor sends. */
const PASSED_ON = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Its exit code; 128 and the number of the signal for a process that a signal ended.
 * @throws (rejects) the system's error if it could not be started.
 */
export function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + numberOf(signal)));
  });
}

function numberOf(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}

/**
 * Passes signals on to a child, in place of ending by them.
 * @returns a function that stops it.
 */
export function passSignals(child: ChildProcess): () => void {
  const handlers = PASSED_ON.map((signal) => [signal, () => void child.kill(signal)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
