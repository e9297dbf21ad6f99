// Sweep: it meets each outcome that a run under every limit meets.

import fc from "fast-check";
import { expect, test } from "vitest";
import { GRANTED, type Outcome, sweep } from "./sweep.ts";

const RUNS = fc.array(fc.tuple(fc.nat({ max: 9 }), fc.integer({ min: 16, max: 90 })), {
  minLength: 1,
  maxLength: 12,
});

/** The outcome under each limit: stretches of at least a stride, then nothing is refused. */
function outcomesOf(runs: readonly (readonly [number, number])[]): Outcome[] {
  return runs.flatMap(([name, length]) => Array<Outcome>(length).fill(`${name}`));
}

test("a sweep finds the very step at which each outcome ends", () => {
  fc.assert(
    fc.property(RUNS, (runs) => {
      const all = outcomesOf(runs);
      const grid = { least: 1000, step: 8, below: 1e6 };
      const played = sweep(grid, (limit) => all[(limit - 1000) / 8] ?? GRANTED);
      for (const [index, outcome] of all.entries()) {
        const next = all[index + 1] ?? GRANTED;
        if (next === outcome) continue;
        expect(played.get(1000 + index * 8)).toBe(outcome);
        expect(played.get(1000 + index * 8 + 8)).toBe(next);
      }
    }),
  );
});

test("a sweep that never ends without a refusal is a failure", () => {
  expect(() => sweep({ least: 0, step: 1, below: 1000 }, () => "0")).toThrow(/less than 1000/);
});
