// Campaign: battle after battle, until enough has been done. One that is lost is shortened by
// leaving out whatever the failure does not need, and the report says what was done, and the seed.

import { writeSync } from "node:fs";
import { expect } from "vitest";
import { type Build, freshModules, type Modules } from "../../support/builds.ts";
import { anySeed } from "../campaign.ts";
import { Dice } from "../linux/dice.ts";
import { Battle, Defeat, type Tally } from "./battle.ts";
import { Moves } from "./moves.ts";
import type { Operation } from "./operation.ts";
import type { NewModel } from "./reference.ts";
import { type World, worldOf } from "./world.ts";

export interface CampaignOptions {
  readonly seed: number;
  readonly build: Build;
  readonly operations: number;
  /** Where memory is short. */
  readonly isTight?: boolean;
  /** The second opinion; to test the campaign itself, one with a fault. */
  readonly newModel?: NewModel;
}

export interface Campaign extends Tally {
  battles: number;
  /** What was done, and what came of it; undefined: nothing was lost. */
  report: string | undefined;
}

const SEED_MAX = 0x7fffffff;
const SHORTENINGS_MAX = 1500;
const NONE: Tally = {
  operations: 0,
  picks: 0,
  named: 0,
  exhausted: 0,
  taken: 0,
  again: 0,
  noMemory: 0,
  noMemoryToConnect: 0,
};

/** Fails with the shortened script. The seed is printed anyway: `FUZZ_SEED=… npx vitest run`. */
export function expectPeace(build: Build, operations: number, isTight = false): Campaign {
  const seed = anySeed();
  // At once, and not by way of the test runner: a loop without end would leave no other trace.
  writeSync(1, `linux udp: seed ${seed} …\n`);
  const campaign = wage({ seed, build, operations, isTight });
  const figures = Object.entries(campaign).filter(([, figure]) => typeof figure === "number");
  const told = figures.map(([name, figure]) => `${name} ${figure}`).join(", ");
  console.log(`linux udp: seed ${seed}, ${told}`);
  expect(campaign.report).toBeUndefined();
  expect(campaign.operations, `seed ${seed}`).toBeGreaterThanOrEqual(operations);
  return campaign;
}

export function wage(options: CampaignOptions): Campaign {
  const { seed, build, operations, isTight = false } = options;
  const campaign: Campaign = { ...NONE, battles: 0, report: undefined };
  let modules = freshModules(build);
  while (campaign.operations < operations && campaign.report === undefined) {
    const battleSeed = (seed + campaign.battles) & SEED_MAX;
    campaign.battles += 1;
    const dice = new Dice(battleSeed);
    const world = worldOf(dice, isTight);
    const isAbrupt = dice.chance(25);
    const fought: Operation[] = [];
    const lost = lostIn(() => {
      const battle = new Battle(world, modules, campaign, options.newModel);
      const moves = new Moves(dice, world, battle.reference);
      while (fought.length < world.operations) {
        const operation = moves.next();
        fought.push(operation);
        battle.play(operation);
      }
      battle.finish(isAbrupt);
    });
    if (lost === undefined) continue;
    let last: Defeat | undefined = lost;
    campaign.report = reportOf(battleSeed, fought, (some, script) => {
      if (last?.isBroken) modules = freshModules(build);
      last = replay(world, modules, some, isAbrupt, script, options.newModel);
      return last;
    });
  }
  return campaign;
}

type Replay = (operations: readonly Operation[], script?: string[]) => Defeat | undefined;

function replay(
  world: World,
  modules: Modules,
  operations: readonly Operation[],
  isAbrupt: boolean,
  script: string[] = [],
  newModel?: NewModel,
): Defeat | undefined {
  const battle = new Battle(world, modules, { ...NONE }, newModel);
  const lost = lostIn(() => {
    for (const operation of operations) battle.play(operation);
    battle.finish(isAbrupt);
  });
  const lines = battle.script.map((step) => step.map((part) => JSON.stringify(part)).join(" -> "));
  script.push(JSON.stringify(world), ...lines);
  return lost;
}

function lostIn(act: () => void): Defeat | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof Defeat) return error;
    throw error;
  }
}

function reportOf(seed: number, fought: readonly Operation[], again: Replay): string {
  const operations = shortened(fought, again);
  const script: string[] = [];
  const defeat = again(operations, script);
  return [
    `seed ${seed}, ${fought.length} operations shortened to ${operations.length}`,
    ...script.map((line) => `  ${line}`),
    defeat?.message ?? "it does not fail a second time",
  ].join("\n");
}

/** Leaves out ever smaller parts, as long as what is left still fails. */
function shortened(fought: readonly Operation[], again: Replay): readonly Operation[] {
  let operations = fought;
  let tries = 0;
  for (let part = operations.length >> 1; part > 0 && tries < SHORTENINGS_MAX; ) {
    let isShorter = false;
    for (let at = 0; at < operations.length && tries < SHORTENINGS_MAX; tries++) {
      const fewer = operations.filter((_, index) => index < at || index >= at + part);
      if (again(fewer) === undefined) {
        at += part;
      } else {
        operations = fewer;
        isShorter = true;
      }
    }
    if (!isShorter || part > 1) part >>= 1;
  }
  return operations;
}
