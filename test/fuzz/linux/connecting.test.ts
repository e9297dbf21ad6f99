// LinuxPorts against the reference model where connections come and go: the hint, tuples, TIME_WAITs
// that are taken over or expire, and sums that pass 2^32.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";

test("the release build answers as the reference model does, 70,000 times, to those who connect", () => {
  const { exhausted, expired, wrapped } = expectPeace("release", "connecting", 70_000);
  expect(exhausted).toBeGreaterThan(1000);
  expect(expired).toBeGreaterThan(1000);
  expect(wrapped).toBeGreaterThan(500);
});
