// Random calls on LinuxPorts by the rules of Linux 6.18 and on their reference model: 200,000 in
// all.

import { expect, test } from "vitest";
import type { Setup } from "../../replay/linux-6.18/machine.ts";
import { ModelMachine, openModel } from "../../replay/linux-6.18/model-machine.ts";
import { openPorts } from "../../replay/linux-6.18/ports-machine.ts";
import { type Build, modulesFor } from "../../support/builds.ts";
import { compare } from "./session.ts";

const CALLS = 40_000;
const RUNS: readonly (readonly [build: Build, seed: number])[] = [
  ["release", 1],
  ["release", 2],
  ["release", 3],
  ["release", 4],
  ["debug", 5],
];

test.each(RUNS)("the %s build answers as the model of Linux 6.18, seed %i", (build, seed) => {
  const open = (setup: Setup) => openPorts(setup, modulesFor(build));
  expect(compare(open, openModel, CALLS, seed)).toBe(undefined);
});

test("a model that forgets one rule of TIME_WAIT is found out", () => {
  /** Expires everything at once. */
  class Hasty extends ModelMachine {
    override advance(ms: number): void {
      super.advance(ms + 60_000);
    }
  }
  const open = (setup: Setup) => openPorts(setup, modulesFor("release"));
  const difference = compare(open, (setup) => new Hasty(setup), CALLS, 1);
  expect(difference?.calls.length).toBeGreaterThan(0);
});
