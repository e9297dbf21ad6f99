// Cooldown, live: at a rate that the kernel can carry nothing is refused.

import { expect, test } from "vitest";
import type { Cooled } from "./inside/cooldown.ts";
import { describeInside, inside } from "./inside.ts";

describeInside("64 ports that cool down, 25 connections a second", () => {
  test("no connection of 120 is refused, though each port is used again", async () => {
    const { connected, refused, cooledDown } = await inside<Cooled>("cooldown");
    expect(refused).toEqual([]);
    expect(connected).toBe(120);
    expect(cooledDown).toBe(120);
  });
});
