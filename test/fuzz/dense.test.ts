// The core against the naive twin where flows hold many ports: ranges of 65 to 140.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";
import { dense } from "./world.ts";

test("the debug build answers as the naive twin does, 90,000 times, where flows are busy", () => {
  const { grown, shrunk } = expectPeace(dense, 90_000);
  expect(grown).toBeGreaterThan(100);
  expect(shrunk).toBeGreaterThan(30);
});
