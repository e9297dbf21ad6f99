// What the fuzz tests have in common: so many operations that find nothing.

import { writeSync } from "node:fs";
import { expect } from "vitest";
import { type AnySubject, anySeed, type Figures, fuzz } from "./fuzz.ts";

/** Fails with the shrunk session. The seed is printed either way: `FUZZ_SEED=… npx vitest run`. */
export async function expectNoMismatch(subject: AnySubject, operations: number): Promise<Figures> {
  const seed = anySeed();
  // At once, and not by way of the test runner: a loop without end would leave no other trace.
  writeSync(1, `fuzz: ${subject.name}, seed ${seed} …\n`);
  const isOver = ({ figures }: { figures: Figures }): boolean =>
    (figures.operations as number) >= operations;
  const run = await fuzz(subject, { seed, isOver });
  const told = Object.entries(run.figures).map(([name, figure]) => `${name} ${figure}`);
  console.log(`fuzz: ${subject.name}, seed ${seed}, sessions ${run.sessions}, ${told.join(", ")}`);
  expect(run.failure?.report).toBeUndefined();
  expect(run.figures.operations).toBeGreaterThanOrEqual(operations);
  return run.figures;
}
