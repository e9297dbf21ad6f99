// What the fuzz tests have in common: so many operations that find nothing, and do what they are for.

import { writeSync } from "node:fs";
import { expect } from "vitest";
import { type AnySubject, anySeed, type Figures, fuzz, type Session } from "./fuzz.ts";

/** So many times the operations may be drawn until what is wanted has been met. */
const PATIENCE = 5;

/**
 * Fails with the shrunk session, or where the operations have not met what they are for: each
 * figure of `wanted` so often. That is random, so it may take some more operations.
 * The seed is printed either way: `FUZZ_SEED=… npx vitest run`.
 */
export async function expectNoMismatch(
  subject: AnySubject,
  operations: number,
  wanted: Figures = {},
): Promise<Figures> {
  const seed = anySeed();
  // At once, and not by way of the test runner: a loop without end would leave no other trace.
  writeSync(1, `fuzz: ${subject.name}, seed ${seed} …\n`);
  const missing = (figures: Figures): string[] => {
    return Object.keys(wanted).filter(
      (name) => !((figures[name] ?? 0) >= (wanted[name] as number)),
    );
  };
  const isOver = ({ figures }: { figures: Session["figures"] }): boolean => {
    const most = missing(figures).length > 0 ? PATIENCE * operations : operations;
    return figures.operations >= most;
  };
  const run = await fuzz(subject, { seed, isOver });
  const told = Object.entries(run.figures).map(([name, figure]) => `${name} ${figure}`);
  console.log(`fuzz: ${subject.name}, seed ${seed}, sessions ${run.sessions}, ${told.join(", ")}`);
  expect(run.failure?.report).toBeUndefined();
  expect(run.figures.operations).toBeGreaterThanOrEqual(operations);
  expect(missing(run.figures), told.join(", ")).toEqual([]);
  return run.figures;
}
