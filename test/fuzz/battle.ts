// Battle: the managers of one run, each of them twice, as the model and as the real thing.

import { isDeepStrictEqual } from "node:util";
import { NO_MEMORY } from "../../assembly/abi.ts";
import { type OpenOptions, PortError } from "../../bindings/index.ts";
import type { ReferencePortManager } from "../models/reference-manager.ts";
import { show } from "../support/ask.ts";
import { Facade } from "./facade.ts";
import { Model } from "./model.ts";
import type { Deed } from "./moves.ts";
import { rangeOf, type World } from "./world.ts";

export interface BattleOptions {
  /** How the real managers are opened. */
  readonly open: OpenOptions;
  /** Whether to check the invariants of the debug build after each change. */
  readonly verifies: boolean;
  /** Makes the oracle; for tests of the fuzzer, one with a fault. */
  readonly oracle?: () => ReferencePortManager;
}

export interface Battle {
  readonly world: World;
  readonly options: BattleOptions;
  readonly models: Model[];
  readonly facades: Facade[];
  /** What has been done, in words. */
  readonly script: string[];
  operations: number;
  /** How often there was no memory. */
  refusals: number;
}

/** The last lines of the script that a failure shows. */
const SHOWN_MAX = 60;

/** The two sides differ, or the real one broke. The message tells the battle. */
export class Defeat extends Error {
  override readonly name = "Defeat";
  /** How much had been done when it happened. */
  readonly operations: number;

  constructor({ script, world, operations }: Battle, what: string) {
    const shown = script.slice(-SHOWN_MAX);
    const before =
      script.length > shown.length ? [`(${script.length - shown.length} more before)`] : [];
    super([JSON.stringify(world), ...before, ...shown, what].join("\n  "));
    this.operations = operations;
  }
}

export function prepare(world: World, options: BattleOptions): Battle {
  const nothing = { models: [], facades: [], script: [], operations: 0, refusals: 0 };
  const battle: Battle = { world, options, ...nothing };
  for (let at = 0; at < world.managers; at++) openAt(battle, at);
  return battle;
}

/** Does a deed on both sides of a manager, and compares. */
export function duel(battle: Battle, at: number, deed: Deed): void {
  const model = battle.models[at] as Model;
  const facade = battle.facades[at] as Facade;
  battle.operations += 1;
  battle.script.push(`${at}: ${deed.says}`);
  const isTight = battle.world.limit !== undefined;
  const before = isTight ? facade.figures() : undefined;
  const got = settled(battle, () => answerOf(facade, deed));
  if (isTight && got === NO_MEMORY) {
    // Refused for want of memory: that the model cannot know, but nothing may have changed.
    battle.refusals += 1;
    battle.script.push("   no memory");
    compare(battle, facade.figures(), before);
  } else {
    compare(battle, got, deed.does(model));
  }
  if (battle.options.verifies && !deed.isQuestion) settled(battle, () => facade.verify());
}

function answerOf(facade: Facade, deed: Deed): unknown {
  try {
    return deed.does(facade);
  } catch (error) {
    if (error instanceof PortError && error.reason === "no-memory") return NO_MEMORY;
    throw error;
  }
}

function compare(battle: Battle, got: unknown, expected: unknown): void {
  if (isDeepStrictEqual(got, expected)) return;
  throw new Defeat(battle, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

/** Closes a manager that still holds something; its memory must serve the next one. */
export function renew(battle: Battle, at: number): void {
  battle.operations += 1;
  battle.script.push(`${at}: close, and open another`);
  battle.facades[at]?.manager.close();
  openAt(battle, at);
  for (const facade of battle.facades) settled(battle, () => facade.verify());
}

/** Releases everything. Nothing must be counted then, and no byte be in use. */
export function finish(battle: Battle): void {
  battle.models.forEach((model, at) => {
    const facade = battle.facades[at] as Facade;
    battle.script.push(`${at}: release everything`);
    while (model.pools.length > 0) {
      model.close(0);
      facade.close(0);
    }
    for (let held = model.ledger.pick(0); held !== undefined; held = model.ledger.pick(0)) {
      const { ask, port } = held;
      const wasHeld = [model.release(ask, port), settled(battle, () => facade.release(ask, port))];
      if (wasHeld.includes(false)) throw new Defeat(battle, `${show(ask, port)} held: ${wasHeld}`);
    }
    const none = { descriptors: 0, counters: 0, references: 0, bytes: 0 };
    compare(
      battle,
      settled(battle, () => facade.figures()),
      none,
    );
    settled(battle, () => facade.verify());
  });
}

export function abandon(battle: Battle): void {
  for (const facade of battle.facades) {
    try {
      facade.manager.close();
    } catch {
      // It has trapped before; whoever abandons it takes a fresh instance.
    }
  }
}

function openAt(battle: Battle, at: number): void {
  const { world, options } = battle;
  const seed = (world.seed + at + battle.operations) >>> 0;
  const { first, last } = rangeOf(world.first, world.count);
  const model = new Model(seed, options.oracle?.());
  model.setRange(first, last);
  battle.models[at] = model;
  const limit = world.limit === undefined ? {} : { memoryLimit: world.limit };
  battle.facades[at] = new Facade({ ...options.open, ...limit, seed, portRange: { first, last } });
}

function settled<T>(battle: Battle, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new Defeat(
      battle,
      error instanceof Error ? (error.stack ?? error.message) : String(error),
    );
  }
}
