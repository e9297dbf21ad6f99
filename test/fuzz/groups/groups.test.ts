// Contests: each policy, on both builds, with few ports in many ways and with many ports in few
// ways. Every answer is the model's, so no port is ever given outside a group or from a list, and
// one is found wherever one is to be had.

import { afterAll, describe, expect, test } from "vitest";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import { BUILDS } from "../../support/builds.ts";
import { SECRET } from "../../support/rfc6056.ts";
import { Contest } from "./session.ts";

const POLICIES: readonly SelectionOptions[] = [
  { algorithm: "random" },
  { algorithm: "random-retry" },
  { algorithm: "hash", secret: SECRET, from: 2 ** 32 - 40 },
  { algorithm: "double-hash", secret: SECRET, slots: 3 },
  { algorithm: "random-increments", increment: 9 },
  { algorithm: "sequential", from: 2 ** 32 - 2 },
];
const DEEDS = { release: 1000, debug: 400 };
const SEEDS = [1, 2];

const answers = new Map<string, number>();

describe.each(BUILDS)("%s build", (build) => {
  describe.each(POLICIES)("$algorithm", (selection) => {
    test.each([false, true])("dense: %s", (isDense) => {
      for (const seed of SEEDS) {
        const contest = new Contest({ build, seed, selection, isDense });
        contest.run(DEEDS[build]);
        for (const [answer, count] of contest.answers) {
          answers.set(answer, (answers.get(answer) ?? 0) + count);
        }
      }
    });
  });
});

afterAll(() => {
  console.log(`contests: ${[...answers].map((entry) => entry.join(" x ")).join(", ")}`);
  // Every sort of answer has been met.
  for (const answer of ["port", "-1", "-2", "-6", "-7", "thrown", "EBUSY", "true", "false"]) {
    expect(answers.get(answer), answer).toBeGreaterThan(50);
  }
});
