// LinuxPorts against the reference model where memory is short: whatever is refused for that has changed
// nothing, and all else is answered as ever.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";

test("where memory is short, a change is made as a whole or not at all, 12,000 times", () => {
  const { refusals } = expectPeace("debug", "tight", 12_000);
  expect(refusals).toBeGreaterThan(10);
});
