// UDP sockets of LinuxPorts against their reference model. The debug build checks its invariants
// after each operation.

import { expect, test } from "vitest";
import { expectNoMismatch } from "../expect.ts";
import { udp } from "./subject.ts";

test.each([
  ["release", 16_000],
  ["debug", 8_000],
] as const)(
  "UDP sockets on the %s build answer as their reference model does, %i times",
  async (build, operations) => {
    const figures = await expectNoMismatch(udp("mixed", build), operations);
    const { again = 0, exhausted = 0, named = 0, picks = 0, taken = 0 } = figures;
    expect(Math.min(again, exhausted, named, picks, taken)).toBeGreaterThan(operations / 400);
  },
);

test("UDP sockets with little memory change as a whole or not at all, 6,000 times", async () => {
  const { noMemory, noMemoryToConnect } = await expectNoMismatch(udp("tight"), 6000);
  expect(noMemory).toBeGreaterThan(100);
  expect(noMemoryToConnect).toBeGreaterThan(10);
});
