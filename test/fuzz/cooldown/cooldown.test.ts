// Pools whose ports cool down against their reference model. The debug build checks its invariants
// after each operation.

import { test } from "vitest";
import { expectNoMismatch } from "../expect.ts";
import { cooldown } from "./subject.ts";

test.each([
  ["release", 16_000],
  ["debug", 6_000],
] as const)(
  "a cooling pool on the %s build answers as its reference model does, %i times",
  async (build, operations) => {
    const each = operations / 200;
    await expectNoMismatch(cooldown(build), operations, {
      cooled: each,
      expired: each,
      taken: each,
    });
  },
);
