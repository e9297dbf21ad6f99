// What the fuzz tests have in common: a campaign of so many operations that finds nothing.

import { writeSync } from "node:fs";
import { expect } from "vitest";
import { anySeed, type Campaign, wage } from "./campaign.ts";

type Worlds = Parameters<typeof wage>[0]["worlds"];

/** Fails with the shrunk script. The seed is printed either way: `FUZZ_SEED=… npx vitest run`. */
export function expectPeace(worlds: Worlds, operations: number): Campaign {
  const seed = anySeed();
  // At once, and not by way of the test runner: a loop without end would leave no other trace.
  writeSync(1, `fuzz: seed ${seed} …\n`);
  const campaign = wage({ seed, worlds, isOver: (soFar) => soFar.operations >= operations });
  const { battles, grown, shrunk } = campaign;
  console.log(
    `fuzz: seed ${seed}, ${campaign.operations} operations in ${battles} battles; ` +
      `${grown} pools grew into bitmaps, ${shrunk} shrank back`,
  );
  expect(campaign.failure?.report).toBeUndefined();
  expect(campaign.operations).toBeGreaterThanOrEqual(operations);
  return campaign;
}
