// Sources that are no plain addresses, live: 64 ports, 4 destinations.

import { expect, test } from "vitest";
import type { FromSources } from "./inside/sources.ts";
import { describeInside, inside, PORTS } from "./inside.ts";

const ALL = 4 * (PORTS.last - PORTS.first + 1);

describeInside("wildcards, interfaces and zones as sources", () => {
  test("each of them carries 64 connections to each of 4 destinations, and the next is refused", async () => {
    const seen = await inside<FromSources>("sources");
    const full = { connected: ALL, further: "source" };
    expect(seen).toEqual({
      "0.0.0.0": { ...full, addresses: ["127.0.0.1"] },
      "::": { ...full, addresses: ["::1"] },
      lo: { ...full, addresses: ["127.0.0.1"] },
      "fe80::1%lo": { ...full, addresses: [expect.stringMatching(/^fe80::1/)] },
    });
  });
});
