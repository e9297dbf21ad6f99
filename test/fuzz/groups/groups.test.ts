// Managers that share groups and reserved lists against their reference model, with each policy: no
// port is ever given outside a group or from a list, and one is found wherever one is to be had.

import { afterAll, describe, expect, test } from "vitest";
import { BUILDS } from "../../support/builds.ts";
import { expectNoMismatch } from "../expect.ts";
import type { Figures } from "../fuzz.ts";
import { groups, POLICIES } from "./subject.ts";

const OPERATIONS = { release: 2500, debug: 1000 };
const ANSWERS = ["port", "-1", "-2", "-6", "-7", "thrown", "EBUSY", "true", "false"];

const answers: Figures = {};

describe.each(BUILDS)("on the %s build", (build) => {
  test.each(POLICIES)(
    "managers in groups that select by $algorithm answer as their reference model does",
    async (selection) => {
      const figures = await expectNoMismatch(groups(selection, build), OPERATIONS[build]);
      for (const [name, count] of Object.entries(figures)) {
        answers[name] = (answers[name] ?? 0) + count;
      }
    },
  );
});

afterAll(() => {
  for (const answer of ANSWERS) expect(answers[answer], answer).toBeGreaterThan(50);
});
