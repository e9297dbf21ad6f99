// A long list of reserved ports, as the kernel of a namespace prints it.

import { expect, test } from "vitest";
import type { LongList } from "./inside/reserved.ts";
import { describeInside, inside, PORTS } from "./inside.ts";

describeInside("a list of 3,000 reserved ports", () => {
  test("readHostState reads the list whole, though the kernel answers a second read with nothing", async () => {
    const { set, read, bytes, perPair } = await inside<LongList>("reserved");
    // Longer than what Node reads at a time.
    expect(bytes).toBeGreaterThan(8192);
    expect(read).toBe(set);
    // Every second one of the range.
    expect(perPair).toBe((PORTS.last - PORTS.first + 1) / 2);
  });
});
