// Port managers against their reference model, on the debug build, whose invariants are checked
// after each change. These are a minute's share of `npm run fuzz`, from a new seed each time.

import { test } from "vitest";
import { expectNoMismatch } from "../expect.ts";
import { netstack } from "./subject.ts";

test("a port manager answers as its reference model does, 8,000 times, where ports run out", async () => {
  await expectNoMismatch(netstack("sparse"), 8_000);
});

test("a port manager answers as its reference model does, 6,000 times, where pools are busy", async () => {
  await expectNoMismatch(netstack("dense"), 6_000, { grown: 5, shrunk: 2 });
});

test.each([
  ["release", 60_000],
  ["debug", 15_000],
] as const)(
  "port managers in groups, by each policy, on the %s build answer as their reference model does, %i times",
  async (build, operations) => {
    const wanted = { outside: 60, empty: 60, busy: 20, grown: 5 };
    await expectNoMismatch(netstack("grouped", build), operations, wanted);
  },
);

test("a port manager with little memory changes as a whole or not at all, 6,000 times", async () => {
  await expectNoMismatch(netstack("tight"), 6_000, { refusals: 150 });
});
