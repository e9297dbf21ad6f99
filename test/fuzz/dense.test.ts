// The core against the reference model where pools hold many ports: ranges of 65 to 140.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";
import { dense } from "./world.ts";

test("the debug build answers as the reference model does, 90,000 times, where pools are busy", () => {
  const { grown, shrunk } = expectPeace(dense, 90_000);
  expect(grown).toBeGreaterThan(100);
  expect(shrunk).toBeGreaterThan(30);
});
