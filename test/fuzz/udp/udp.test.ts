// UDP sockets of LinuxPorts against their reference model. The debug build checks its invariants
// after each operation.

import { test } from "vitest";
import { expectNoMismatch } from "../expect.ts";
import { udp } from "./subject.ts";

test.each([
  ["release", 16_000],
  ["debug", 8_000],
] as const)(
  "UDP sockets on the %s build answer as their reference model does, %i times",
  async (build, operations) => {
    const each = operations / 400;
    const granted = { again: each, named: each, found: each };
    const wanted = { ...granted, "no-port-available": each, "port-in-use": each };
    await expectNoMismatch(udp("mixed", build), operations, wanted);
  },
);

test("UDP sockets with little memory change as a whole or not at all, 6,000 times", async () => {
  await expectNoMismatch(udp("tight"), 6000, { refusals: 100, noMemoryToConnect: 10 });
});
