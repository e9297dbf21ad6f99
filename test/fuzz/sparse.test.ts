// The core against the reference model where ports are scarce: ranges of 1 to 64 ports.

import { test } from "vitest";
import { expectPeace } from "./expect.ts";
import { sparse } from "./world.ts";

test("the debug build answers as the reference model does, 110,000 times, where ports run out", () => {
  expectPeace(sparse, 110_000);
});
