// Sources that are no plain addresses, live: 64 ports, 4 destinations.

import { expect, test } from "vitest";
import type { FromBlock } from "./inside/block.ts";
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

describeInside("an IPv6 block as sources, which the system routes as a whole", () => {
  test("each of 300 connections has an address of its own, and those of a key one", async () => {
    const seen = await inside<FromBlock>("block");
    expect(seen).toEqual({
      addresses: 300,
      outside: [],
      ofKey: 1,
      held: [301, 0],
      unrouted: ["sources", "EADDRNOTAVAIL"],
    });
  });
});
