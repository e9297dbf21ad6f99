// LinuxPorts beside the machine's own kernel, where that is one whose rules it has and a namespace
// can be made.

import { describe, expect, test } from "vitest";
import { PortsSystem } from "../../replay/linux-6.18/ports-system.ts";
import { canRunKernel, type Kernel, openKernel } from "./kernel.ts";
import { type KernelRun, type KernelRunOptions, runKernel } from "./run.ts";

const SEQUENCES = 60;
const { kernel, why } = canRunKernel();
const isOver = ({ sequences }: KernelRun): boolean => sequences >= SEQUENCES;

describe.runIf(why === "")(`LinuxPorts beside Linux ${kernel}`, () => {
  test("answers random sequences of calls as real sockets do", async () => {
    const run = await withKernel({ seed: 1, isOver });
    expect(run.mismatch).toBe(undefined);
    expect(run.sequences).toBeGreaterThanOrEqual(SEQUENCES);
    expect(run.undecided).toBeLessThan(SEQUENCES / 2);
  });

  test("is found out where it refuses a bind() that the kernel allows", async () => {
    /** Knows no SO_REUSEADDR. */
    class Deaf extends PortsSystem {
      override setFlag(...[socket, flag, value]: Parameters<PortsSystem["setFlag"]>): string {
        return flag === "reuseaddr" ? "ok" : super.setFlag(socket, flag, value);
      }
    }
    const run = await withKernel({
      seed: 1,
      isOver: ({ sequences }) => sequences >= 10 * SEQUENCES,
      roundMsMax: 5000,
      open: (setup) => new Deaf(setup, {}),
    });
    expect(run.mismatch?.what).toContain("kernel:");
  });
});

test.runIf(why !== "")("LinuxPorts is not compared with this system's kernel", () => {
  console.warn(`not compared with real sockets: ${why}`);
  expect(why).not.toBe("");
});

async function withKernel(options: KernelRunOptions): Promise<KernelRun> {
  const kernel: Kernel = openKernel();
  try {
    return await runKernel(kernel, options);
  } finally {
    await kernel.close();
  }
}
