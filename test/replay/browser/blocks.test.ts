// The blocks of code of the pages that need a page, such as one with IndexedDB: as they stand.

import { blocks } from "virtual:page-blocks";
import { expect, test } from "vitest";
import { same } from "./checks.ts";

test.each(Object.entries(blocks))("the block at %s runs in a page", async (_, run) => {
  await run();
});

test("there are such blocks, and one that states another value is found", () => {
  expect(Object.keys(blocks).length).toBeGreaterThan(0);
  expect(() => same(1, 1 + 1, 3)).toThrow(/line 1/);
});
