// Campaign: battle after battle, until enough has been done. What fast-check finds it shrinks, and
// the shrunk script is the report.

import fc from "fast-check";
import { freshModule } from "../support/builds.ts";
import { abandon, type Battle, type BattleOptions, Defeat, finish, prepare } from "./battle.ts";
import { type Command, commands } from "./moves.ts";
import type { World } from "./world.ts";

export interface CampaignOptions {
  readonly seed: number;
  readonly worlds: fc.Arbitrary<World>;
  /** Asked for each round, and again after a failure: a fresh instance for what follows. */
  readonly options?: () => BattleOptions;
  /** Asked between rounds of battles. */
  readonly isOver: (campaign: Campaign) => boolean;
  /** The longest battle; the average is half of it. */
  readonly commandsMax?: number;
}

export interface Campaign {
  readonly seed: number;
  /** Of the round that is on; a campaign from this seed begins with it. */
  roundSeed: number;
  battles: number;
  operations: number;
  /** How often a pool became a bitmap, and how often one became a list again. */
  grown: number;
  shrunk: number;
  /** How often there was no memory. */
  refusals: number;
  failure: Failure | undefined;
}

export interface Failure {
  /** How many operations are left of the battle that failed, after shrinking. */
  readonly operations: number;
  readonly report: string;
}

/** No negative seeds: a command line would take the sign for an option. */
const SEED_MAX = 0x7fffffff;

/** What a campaign by default fights with: the debug build, checked after each change. */
export function debugOptions(): BattleOptions {
  return { open: { module: freshModule("debug") }, verifies: true };
}

/** A seed that nobody chose, unless the environment does: `FUZZ_SEED`. */
export function anySeed(): number {
  const wanted = process.env.FUZZ_SEED;
  if (wanted !== undefined && wanted !== "") return Number(wanted) & SEED_MAX;
  return (crypto.getRandomValues(new Uint32Array(1))[0] as number) & SEED_MAX;
}

const COMMANDS_MAX = 1500;
const BATTLES_PER_ROUND = 10;

export function wage(asked: CampaignOptions): Campaign {
  const { commandsMax = COMMANDS_MAX, options: newOptions = debugOptions } = asked;
  const campaign: Campaign = {
    seed: asked.seed,
    roundSeed: asked.seed,
    battles: 0,
    operations: 0,
    grown: 0,
    shrunk: 0,
    refusals: 0,
    failure: undefined,
  };
  let options = newOptions();
  const property = fc.property(asked.worlds, commands(commandsMax), (world, commands) => {
    try {
      fight(campaign, world, commands, options);
    } catch (error) {
      options = newOptions();
      throw error;
    }
  });

  for (let round = 0; !asked.isOver(campaign); round++) {
    campaign.roundSeed = (asked.seed + round) & SEED_MAX;
    // Whatever a round finds depends on its seed, and on no round before it.
    options = newOptions();
    const details = fc.check(property, {
      seed: campaign.roundSeed,
      numRuns: BATTLES_PER_ROUND,
    });
    if (!details.failed) continue;
    campaign.failure = failureOf(details);
    break;
  }
  return campaign;
}

function fight(
  campaign: Campaign,
  world: World,
  commands: Iterable<Command>,
  options: BattleOptions,
): void {
  const battle = prepare(world, options);
  try {
    fc.modelRun<Battle, Battle, Battle>(() => ({ model: battle, real: battle }), commands);
    finish(battle);
  } finally {
    campaign.battles += 1;
    campaign.operations += battle.operations;
    campaign.refusals += battle.refusals;
    for (const { grown, shrunk } of battle.models) {
      campaign.grown += grown;
      campaign.shrunk += shrunk;
    }
    abandon(battle);
  }
}

function failureOf(details: fc.RunDetails<[World, Iterable<Command>]>): Failure {
  const error = details.errorInstance;
  const report = [
    `seed ${details.seed}, shrunk ${details.numShrinks} times`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `commands ${fc.stringify(details.counterexample?.[1])}`,
  ].join("\n");
  return { operations: error instanceof Defeat ? error.operations : 0, report };
}
