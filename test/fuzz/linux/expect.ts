// What the fuzz tests of LinuxPorts have in common: a campaign of so many operations that finds
// nothing.

import { writeSync } from "node:fs";
import { expect } from "vitest";
import type { Build } from "../../support/builds.ts";
import { anySeed } from "../campaign.ts";
import { type Campaign, wage } from "./campaign.ts";
import { arenaOn } from "./opponent.ts";
import type { Theme } from "./world.ts";

type Themes = Theme | "all";

/** Fails with the shortened script. The seed is printed either way: `FUZZ_SEED=… npx vitest run`. */
export function expectPeace(build: Build, themes: Themes, operations: number): Campaign {
  const seed = anySeed();
  // At once, and not by way of the test runner: a loop without end would leave no other trace.
  writeSync(1, `fuzz linux: seed ${seed} …\n`);
  const isOver = (soFar: Campaign): boolean => soFar.operations >= operations;
  const theme = themes === "all" ? {} : { theme: themes };
  const campaign = wage({ seed, ...theme, isOver, ...arenaOn(build) });
  const { battles, picks, exhausted, retried, wrapped, expired, refusals } = campaign;
  console.log(
    `fuzz linux: seed ${seed}, ${campaign.operations} operations in ${battles} battles; ` +
      `${picks} picks: ${exhausted} found nothing, ${retried} drew again, ${wrapped} passed 2^32; ` +
      `${expired} TIME_WAITs expired, ${refusals} times no memory`,
  );
  expect(campaign.failure?.report).toBeUndefined();
  expect(campaign.operations).toBeGreaterThanOrEqual(operations);
  return campaign;
}
