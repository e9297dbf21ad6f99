// Port managers against their reference model, on the debug build, whose invariants are checked after each change.

import { expect, test } from "vitest";
import { expectNoMismatch } from "../expect.ts";
import { netstack } from "./subject.ts";

test("a port manager answers as its reference model does, 110,000 times, where ports run out", async () => {
  await expectNoMismatch(netstack("sparse"), 110_000);
});

test("a port manager answers as its reference model does, 90,000 times, where pools are busy", async () => {
  const { grown, shrunk } = await expectNoMismatch(netstack("dense"), 90_000);
  expect(grown).toBeGreaterThan(100);
  expect(shrunk).toBeGreaterThan(30);
});

test("a port manager with little memory changes as a whole or not at all, 40,000 times", async () => {
  const { refusals } = await expectNoMismatch(netstack("tight"), 40_000);
  expect(refusals).toBeGreaterThan(1000);
});
