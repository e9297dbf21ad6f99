// Headroom: what connectors leave to programs that let the kernel pick their ports.

import { expect, test } from "vitest";
import type { BesideOthers } from "./inside/headroom.ts";
import { describeInside, inside } from "./inside.ts";

describeInside("two processes fill 64 ports, from two sources each", () => {
  test("by default they leave the same six ports alone, say so, and plain programs connect", async () => {
    const { filled, plain } = await ran({});
    for (const one of filled) {
      expect(one).toMatchObject({ opened: 2 * 58, ports: 58, refusal: "headroom", headroom: 6 });
      expect(one.message).toContain("6 kept free for other programs (headroom)");
    }
    expect(plain).toEqual({ connected: 6, EADDRNOTAVAIL: 10 });
  });

  test("with headroom: 0 they take all, and no plain program connects to anywhere", async () => {
    const { filled, plain } = await ran({ headroom: 0 });
    for (const one of filled) expect(one).toMatchObject({ opened: 128, refusal: "destination" });
    expect(plain).toEqual({ EADDRNOTAVAIL: 16 });
  });

  test('with portRange: "outside" plain programs have the whole range', async () => {
    const { filled, plain } = await ran({ portRange: "outside", reserved: "1024-39900" });
    for (const one of filled) expect(one).toMatchObject({ opened: 2 * 99, headroom: 0 });
    expect(plain).toEqual({ connected: 16 });
  });
});

function ran(options: object): Promise<BesideOthers> {
  return inside<BesideOthers>("headroom", JSON.stringify(options));
}
