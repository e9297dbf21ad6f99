// Reserving with an asynchronous tester, such as one that listens on the port: the port stays held
// until the tester answers, and no other call has to wait.

import { IN_USE } from "../assembly/abi.ts";
import type { Outcome } from "./refusals.ts";
import type { Asked } from "./requests/parsing.ts";
import { checkVerdict, type Reserving } from "./reserving.ts";

/**
 * Says whether a port suits the caller, perhaps later. In `reservePortAsync` the port is held while
 * the answer is awaited, and given back when it is `false` or the promise is rejected.
 */
export type AsyncPortTester = (port: number) => boolean | PromiseLike<boolean>;

/**
 * Reserves the explicit port, or any that passes the test. A refusal is an answer.
 * @throws PortError `EBADF`; what the tester throws.
 */
export async function reserveAsync(
  reserving: Reserving,
  asked: Asked,
  test: AsyncPortTester,
): Promise<Outcome> {
  const { key, port: explicit } = asked;
  const refusedByTest = new Set<number>();
  const isNew = (port: number): boolean => !refusedByTest.has(port);
  let { offset } = asked;
  for (;;) {
    const outcome = reserving.reserve({ ...asked, offset }, isNew);
    const port = outcome.answer;
    if (port < 0) return outcome;
    const since = reserving.purges.epoch;
    if (await passes(reserving, outcome, since, test)) {
      return { ...outcome, key: reserving.keyLeft(key, port, since), since };
    }
    if (explicit !== 0) return { answer: IN_USE, key, port, refusedByTester: 1 };
    refusedByTest.add(port);
    offset = port - (outcome.searched?.first ?? 0) + 1;
  }
}

/** Asks the tester about a held port, and gives the port back unless it passes. */
async function passes(
  reserving: Reserving,
  { key, answer: port }: Outcome,
  since: number,
  test: AsyncPortTester,
): Promise<boolean> {
  let passed = false;
  try {
    passed = checkVerdict(await test(port));
  } finally {
    if (!passed && reserving.address !== 0) reserving.undo(key, port, since);
  }
  reserving.open(); // the manager may have been closed meanwhile
  return passed;
}
