// UDP sockets where memory is short: whatever is refused for that has changed nothing.

import { expect, test } from "vitest";
import { expectPeace } from "./campaign.ts";

test("where memory is short, a change is made as a whole or not at all, 6,000 times", () => {
  const { noMemory, noMemoryToConnect } = expectPeace("debug", 6000, true);
  expect(noMemory).toBeGreaterThan(150);
  expect(noMemoryToConnect).toBeGreaterThan(15);
});
