// Random calls on LinuxPorts by the rules of Linux 6.18 and on their reference model: 400,000 in
// all.

import { expect, test } from "vitest";
import { ModelSystem } from "../../replay/linux-6.18/model-system.ts";
import { openPorts } from "../../replay/linux-6.18/ports-system.ts";
import { type Build, modulesFor } from "../../support/builds.ts";
import { anySeed } from "../fuzz.ts";
import { type KernelRun, runKernel } from "../kernel/run.ts";
import { ModelKernel } from "./model-kernel.ts";

const CALLS: readonly (readonly [build: Build, calls: number])[] = [
  ["release", 300_000],
  ["debug", 100_000],
];

test.each(CALLS)("the %s build answers as the model of Linux 6.18, %i times", async (...how) => {
  const { mismatch, operations } = await compared(new ModelKernel(), ...how);
  expect(mismatch).toBe(undefined);
  expect(operations).toBeGreaterThanOrEqual(how[1]);
});

test("a model that forgets one rule of TIME_WAIT is found out", async () => {
  /** Expires everything at once. */
  class Hasty extends ModelSystem {
    override advance(ms: number): void {
      super.advance(ms + 60_000);
    }
  }
  const hasty = new ModelKernel((setup) => new Hasty(setup));
  const { mismatch } = await compared(hasty, "release", 40_000);
  expect(mismatch?.what).toContain("kernel:");
});

function compared(model: ModelKernel, build: Build, calls: number): Promise<KernelRun> {
  return runKernel(model, {
    seed: anySeed(),
    isOver: ({ operations }) => operations >= calls,
    open: (setup) => openPorts(setup, modulesFor(build)),
    isForModel: true,
  });
}
