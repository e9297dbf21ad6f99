// Campaign: battle after battle, until enough has been done. A battle that is lost is shortened by
// leaving out whatever the failure does not need, and the report ends with a trace that a replay
// can read.

import { ReferenceLinux } from "../../replay/linux-reference.ts";
import type { LinuxOperation } from "../../replay/linux-trace.ts";
import { Dice } from "./dice.ts";
import { Defeat, Duel, type Opponent, type PairMetrics } from "./duel.ts";
import { Moves } from "./moves.ts";
import { THEMES, type Theme, type World, worldOf } from "./world.ts";

export interface CampaignOptions {
  readonly seed: number;
  /** One after the other, if there is none. */
  readonly theme?: Theme;
  /** Opens the real side, with the hint and the limit of the world. */
  readonly open: (world: World) => Opponent;
  /** The second opinion; for tests of the fuzzer, one with a fault. */
  readonly model?: (hint: number) => ReferenceLinux;
  /** Asked after a failure: what broke may not be fit for another battle. */
  readonly renew?: () => void;
  /** Asked between battles. */
  readonly isOver: (campaign: Campaign) => boolean;
}

export interface Campaign extends PairMetrics {
  readonly seed: number;
  /** Of the battle that is on; a campaign from this seed begins with it. */
  battleSeed: number;
  battles: number;
  failure: Failure | undefined;
}

export interface Failure {
  /** How many operations are left of the battle that failed, after shortening. */
  readonly operations: number;
  readonly report: string;
}

/** The battle as it was fought, up to the operation that failed. */
interface Battle {
  readonly world: World;
  readonly operations: LinuxOperation[];
  readonly isAbrupt: boolean;
}

interface Lost {
  readonly defeat: Defeat;
  readonly duel: Duel;
}

/** No negative seeds: a command line would take the sign for an option. */
const SEED_MAX = 0x7fffffff;
const SHORTENINGS_MAX = 3000;
const NO_FIGURES: PairMetrics = {
  operations: 0,
  picks: 0,
  exhausted: 0,
  retried: 0,
  wrapped: 0,
  expired: 0,
  refusals: 0,
};
const THEME_NAMES = Object.keys(THEMES) as Theme[];

export function wage(options: CampaignOptions): Campaign {
  const { seed } = options;
  const start = { seed, battleSeed: seed, battles: 0, failure: undefined };
  const campaign: Campaign = { ...NO_FIGURES, ...start };
  while (!options.isOver(campaign)) {
    campaign.battleSeed = (seed + campaign.battles) & SEED_MAX;
    campaign.battles += 1;
    campaign.failure = fight(campaign, options);
    if (campaign.failure !== undefined) break;
  }
  return campaign;
}

function fight(campaign: Campaign, options: CampaignOptions): Failure | undefined {
  const dice = new Dice(campaign.battleSeed);
  // By the seed and not by turns: the same seed must fight the same battle, wherever it stands.
  const theme = options.theme ?? (THEME_NAMES[campaign.battleSeed % THEME_NAMES.length] as Theme);
  const world = worldOf(dice, theme);
  const battle: Battle = { world, operations: [], isAbrupt: dice.chance(25) };
  const duel = newDuel(world, options, campaign);
  const moves = new Moves(dice, world, duel.model);
  const lost = lostIn(duel, battle, () => {
    const play = (operation: LinuxOperation): void => {
      battle.operations.push(operation);
      duel.play(operation);
    };
    for (const operation of moves.opening()) play(operation);
    while (battle.operations.length < world.operations) play(moves.next());
  });
  if (lost === undefined) return undefined;
  options.renew?.();
  return failureOf(campaign, options, battle, lost);
}

function newDuel(world: World, { model, open }: CampaignOptions, figures: PairMetrics): Duel {
  const { hint, limit } = world;
  const reference = model?.(hint) ?? new ReferenceLinux(hint);
  return new Duel(reference, open(world), figures, limit !== undefined);
}

/** How a duel ends, if not well. */
function lostIn(duel: Duel, { isAbrupt }: Battle, act: () => void): Lost | undefined {
  try {
    act();
    duel.finish(isAbrupt);
    return undefined;
  } catch (defeat) {
    duel.abandon();
    if (defeat instanceof Defeat) return { defeat, duel };
    throw defeat;
  }
}

// ── Reports ───────────────────────────────────────────────────────────────────────────────

function failureOf(
  { battleSeed }: Campaign,
  options: CampaignOptions,
  battle: Battle,
  lost: Lost,
): Failure {
  const { operations, lost: last } = shortened(battle, lost, options);
  const ops = last.duel.script.map((operation) => JSON.stringify(operation));
  const name = `fuzz-${battleSeed}`;
  const { hint, limit } = battle.world;
  const trace = `as a trace: {"name":"${name}","hint":${hint},"ops":[${ops}]}`;
  const report = [
    `seed ${battleSeed}, ${battle.operations.length} operations shortened to ${operations}`,
    ...ops.map((text) => `  ${text}`),
    last.defeat.message,
    limit === undefined ? trace : `with a memory limit of ${limit} bytes`,
  ].join("\n");
  return { operations, report };
}

/** Leaves out ever smaller parts, as long as what is left still fails. */
function shortened(
  battle: Battle,
  lost: Lost,
  options: CampaignOptions,
): { operations: number; lost: Lost } {
  let { operations } = battle;
  let last = lost;
  let tries = 0;
  for (let part = operations.length >> 1; part > 0 && tries < SHORTENINGS_MAX; ) {
    let isShorter = false;
    for (let at = 0; at < operations.length && tries < SHORTENINGS_MAX; tries++) {
      const fewer = operations.filter((_, index) => index < at || index >= at + part);
      const again = fought({ ...battle, operations: fewer }, options);
      if (again === undefined) {
        at += part;
      } else {
        operations = fewer;
        last = again;
        isShorter = true;
      }
    }
    if (!isShorter || part > 1) part >>= 1;
  }
  return { operations: operations.length, lost: last };
}

function fought(battle: Battle, options: CampaignOptions): Lost | undefined {
  const duel = newDuel(battle.world, options, { ...NO_FIGURES });
  const lost = lostIn(duel, battle, () => {
    for (const operation of battle.operations) duel.play(operation);
  });
  if (lost !== undefined) options.renew?.();
  return lost;
}
