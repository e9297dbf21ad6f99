// LinuxPorts against the reference model with hundreds of sockets: bitmaps, their summaries under
// reserved ports that change, and the shortcut of those who bind again and again.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";

test("the release build answers as the reference model does, 15,000 times, on wide ranges", () => {
  const { exhausted } = expectPeace("release", "wide", 15_000);
  expect(exhausted).toBeGreaterThan(100);
});

test("so does the debug build, whose invariants hold, 3,000 times", () => {
  expectPeace("debug", "wide", 3000);
});
