// The same comparison on the debug build, which checks its invariants after each operation.

import { expect, test } from "vitest";
import { expectPeace } from "./campaign.ts";

test("the debug build answers so, too, 20,000 times, and its invariants hold", () => {
  const { again, exhausted, named, picks, taken } = expectPeace("debug", 20_000);
  expect(Math.min(again, exhausted, named, picks, taken)).toBeGreaterThan(10);
});
