// Moves: what the fuzzer can do, as commands of fast-check. A move is planned by looking at the
// model alone, then the same deed is done on both sides, and what they answer must be equal.

import fc from "fast-check";
import { type Ask, show } from "../support/ask.ts";
import { type Battle, duel, renew } from "./battle.ts";
import type { Model } from "./model.ts";
import { type Side, type Tester, TesterFailure } from "./side.ts";
import { askDraw, askOf, firstOf, flagsOf, portOf, rangeOf, type World } from "./world.ts";

/** What is to be done, for whoever does it. */
export interface Deed {
  readonly says: string;
  /** A question changes nothing, so there is nothing to verify after it. */
  readonly isQuestion?: boolean;
  does(side: Side): unknown;
}

export type Command = fc.Command<Battle, Battle>;

type Plan<Numbers> = (numbers: Numbers, model: Model, world: World) => Deed | undefined;

interface Weighted {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<Command>;
}

const FLOWS_MAX = 6;
const OFFSET_MAX = 0xffffffff;

const draw = fc.nat(839);
const port = fc.nat(839);
const offset = fc.oneof(
  { arbitrary: fc.nat(150), weight: 4 },
  { arbitrary: fc.nat(OFFSET_MAX), weight: 1 },
);
const offsetOrNone = fc.oneof(
  { arbitrary: offset, weight: 4 },
  { arbitrary: fc.constant(undefined), weight: 1 },
);

class Move<Numbers extends { manager: number }> implements Command {
  readonly #name: string;
  readonly #numbers: Numbers;
  readonly #plan: Plan<Numbers>;

  constructor(name: string, numbers: Numbers, plan: Plan<Numbers>) {
    this.#name = name;
    this.#numbers = numbers;
    this.#plan = plan;
  }

  check(battle: Battle): boolean {
    return this.#planned(battle) !== undefined;
  }

  run(battle: Battle): void {
    const deed = this.#planned(battle);
    if (deed !== undefined) duel(battle, this.#at(battle), deed);
  }

  toString(): string {
    return `${this.#name}(${JSON.stringify(this.#numbers)})`;
  }

  #at(battle: Battle): number {
    return this.#numbers.manager % battle.models.length;
  }

  #planned(battle: Battle): Deed | undefined {
    return this.#plan(this.#numbers, battle.models[this.#at(battle)] as Model, battle.world);
  }
}

function move<Numbers>(
  name: string,
  weight: number,
  numbers: { [N in keyof Numbers]: fc.Arbitrary<Numbers[N]> },
  plan: Plan<Numbers>,
): Weighted {
  const drawn = fc.record({ manager: fc.nat(5), ...numbers });
  const arbitrary = drawn.map(
    (all) => new Move(name, all as Numbers & { manager: number }, plan) as Command,
  );
  return { weight, arbitrary };
}

/**
 * Where memory is short the model does not know what will be refused for that, so it follows, and
 * is only asked what is refused or granted as a whole: no testers, no batches, no drawn offsets.
 */
function isTight(world: World): boolean {
  return world.limit !== undefined;
}

function offsetIn(world: World, drawn: number | undefined): number | undefined {
  return isTight(world) ? (drawn ?? 0) : drawn;
}

// ── Testers ───────────────────────────────────────────────────────────────────────────────

const tester = fc.record({ mood: fc.nat(11), salt: draw, ask: askDraw, port });

type TesterDraw = typeof tester extends fc.Arbitrary<infer T> ? T : never;

/** Asks `side` with a tester of that mood; the answer, and all that the tester saw. */
function tested(
  side: Side,
  world: World,
  { mood, salt, ask, port }: TesterDraw,
  ask_: (test: Tester | undefined) => unknown,
): unknown {
  if (mood <= 5 || isTight(world)) return ask_(undefined);
  const seen: unknown[] = [];
  const test = (offered: number): boolean => {
    seen.push(offered);
    if (seen.length === 1 && mood >= 8)
      seen.push(meddle(side, world, mood, askOf(world, ask), port));
    if (mood === 7 && seen.length > salt % 4) throw new TesterFailure();
    return (offered * 7 + salt) % 5 > 2;
  };
  try {
    return { got: ask_(test), seen };
  } catch (error) {
    if (error instanceof TesterFailure) return { threw: true, seen };
    throw error;
  }
}

function tell(world: World, { mood, ask, port: drawn }: TesterDraw): string {
  if (mood <= 5 || isTight(world)) return "";
  if (mood === 6) return ", if a tester likes it";
  if (mood === 7) return ", until a tester throws";
  const port = portOf(world, drawn);
  const asked = askOf(world, ask);
  if (mood === 8) return `, with a tester that reserves ${show(asked, port)}`;
  if (mood === 9) return `, with a tester that releases ${show(asked, port)}`;
  if (mood === 10) return `, with a tester that reserves ${show(asked, `any from ${drawn}`)}`;
  return ", with a tester that sets the range";
}

/** What a tester does to the manager that is waiting for its verdict. */
function meddle(side: Side, world: World, mood: number, ask: Ask, drawn: number): unknown {
  const port = portOf(world, drawn);
  if (mood === 8) return side.reserve(ask, port);
  if (mood === 9) return side.release(ask, port);
  if (mood === 10) return side.search(ask, drawn);
  const { first, last } = rangeOf(firstOf(world, drawn), 1 + (drawn % 64));
  return side.setRange(first, last);
}

// ── Words ─────────────────────────────────────────────────────────────────────────────────

const words: Weighted[] = [
  move("reserve", 12, { ask: askDraw, port, tester }, (n, model, world) => {
    if (isFull(model, world)) return undefined;
    const ask = askOf(world, n.ask);
    const port = portOf(world, n.port);
    return {
      says: `reserve ${show(ask, port)}${tell(world, n.tester)}`,
      does: (side) => tested(side, world, n.tester, (test) => side.reserve(ask, port, test)),
    };
  }),

  move("search", 10, { ask: askDraw, offset: offsetOrNone, tester }, (n, model, world) => {
    if (isFull(model, world)) return undefined;
    const ask = askOf(world, n.ask);
    const from = offsetIn(world, n.offset);
    return {
      says: `reserve ${show(ask, `any from ${from}`)}${tell(world, n.tester)}`,
      does: (side) => tested(side, world, n.tester, (test) => side.search(ask, from, test)),
    };
  }),

  move("tuple", 6, { ask: askDraw, port }, (n, model, world) => {
    if (isFull(model, world)) return undefined;
    const ask = askOf(world, n.ask);
    const port = portOf(world, n.port);
    return { says: `tuple ${show(ask, port)}`, does: (side) => side.tuple(ask, port) };
  }),

  move("tuple again", 6, { which: draw, flags: draw }, (n, model, world) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const flags = n.flags < 500 ? held.ask.flags : flagsOf(world, n.flags);
    const ask = { ...held.ask, flags };
    return { says: `tuple ${show(ask, held.port)}`, does: (side) => side.tuple(ask, held.port) };
  }),

  move("release", 14, { which: draw, all: fc.nat(1) }, (n, model) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const networks = n.all ? model.ledger.networksOf(held.ask, held.port) : held.ask.networks;
    return release({ ...held.ask, networks }, held.port);
  }),

  move("release wrongly", 5, { which: draw, flags: draw, network: draw }, (n, model, world) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const networks = [[4], [6], [4, 6]][n.network % 3] as number[];
    return release({ ...held.ask, networks, flags: flagsOf(world, n.flags) }, held.port);
  }),

  move("release any", 2, { ask: askDraw, port }, (n, _twin, world) =>
    release(askOf(world, n.ask), portOf(world, n.port)),
  ),

  move("give back", 6, { ago: fc.nat(7) }, (n, model) => {
    if (model.reservations.length <= n.ago) return undefined;
    return { says: `give back, ${n.ago} ago`, does: (side) => side.giveBack(n.ago) };
  }),

  move("is available", 4, { ask: askDraw, port }, (n, _twin, world) => {
    const ask = askOf(world, n.ask);
    const port = portOf(world, n.port);
    return {
      says: `is ${show(ask, port)} available`,
      isQuestion: true,
      does: (side) => side.isAvailable(ask, port),
    };
  }),
];

function release(ask: Ask, port: number): Deed {
  return { says: `release ${show(ask, port)}`, does: (side) => side.release(ask, port) };
}

function isFull(model: Model, world: World): boolean {
  return model.ledger.rows >= world.rows;
}

// ── Picking, range and figures ────────────────────────────────────────────────────────────

const picks: Weighted[] = [
  move("pick", 3, { ask: askDraw, offset: offsetOrNone, tester, reserve: fc.nat(1) }, pick(false)),
  move("pick stable", 3, { ask: askDraw, offset, tester, reserve: fc.nat(1) }, pick(true)),

  move("set range", 1, { first: draw, count: fc.integer({ min: 1, max: 70 }) }, (n, _, world) => {
    const { first, last } = rangeOf(firstOf(world, n.first), n.count);
    return { says: `range ${first}..${last}`, does: (side) => side.setRange(first, last) };
  }),

  move("restore range", 2, {}, (_n, _twin, world) => {
    const { first, last } = rangeOf(world.first, world.count);
    return { says: `range ${first}..${last}`, does: (side) => side.setRange(first, last) };
  }),

  move("range", 1, {}, () => ({
    says: "range",
    isQuestion: true,
    does: (side) => side.range(),
  })),

  move("stats", 3, {}, () => ({
    says: "stats",
    isQuestion: true,
    does: (side) => side.stats(),
  })),
];

type PickDraw = Parameters<Plan<{ ask: AskDrawn; reserve: number; tester: TesterDraw }>>[0] & {
  offset: number | undefined;
};
type AskDrawn = Parameters<typeof askOf>[1];

/** Picking reserves nothing; a tester that likes the port may. */
function pick(stable: boolean): Plan<PickDraw> {
  return (n, model, world) => {
    if (isFull(model, world)) return undefined;
    const ask = askOf(world, n.ask);
    const name = stable ? "pick stable" : "pick";
    const from = offsetIn(world, n.offset);
    const wish = n.reserve ? `, reserve ${show(ask, "it")}` : "";
    return {
      says: `${name} from ${from}${wish}${tell(world, n.tester)}`,
      does: (side) => {
        const likes = (port: number): boolean => !n.reserve || side.reserve(ask, port) === port;
        return tested(side, world, n.tester, (test) => {
          const both = (port: number): boolean => (test?.(port) ?? true) && likes(port);
          return stable ? side.pickStable(from ?? 0, both) : side.pick(from, both);
        });
      },
    };
  };
}

// ── Handles ───────────────────────────────────────────────────────────────────────────────

const handles: Weighted[] = [
  move("open", 5, { ask: askDraw, connect: fc.nat(1), unique: fc.nat(2) }, (n, model, world) => {
    if (model.pools.length >= FLOWS_MAX) return undefined;
    const ask = askOf(world, n.ask);
    const picking = n.connect ? "connect" : "bind";
    const unique = n.unique === 2;
    return {
      says: `pool ${model.pools.length}: ${show(ask, "*")} ${picking}${unique ? " unique" : ""}`,
      does: (side) => side.open(ask, picking, unique),
    };
  }),

  handle("take", 10, { offset: offsetOrNone }, (n, pool, _twin, world) => {
    const from = offsetIn(world, n.offset);
    return { says: `pool ${pool}: take from ${from}`, does: (side) => side.take(pool, from) };
  }),

  handle("take at", 6, { port }, (n, pool, _twin, world) => {
    const port = portOf(world, n.port);
    return { says: `pool ${pool}: take ${port}`, does: (side) => side.takeAt(pool, port) };
  }),

  handle("free", 10, { which: draw }, (n, pool, model) => {
    const ports = model.ledger.held((model.pools[pool] as { ask: Ask }).ask);
    const port = ports[n.which % Math.max(1, ports.length)];
    if (port === undefined) return undefined;
    return { says: `pool ${pool}: free ${port}`, does: (side) => side.free(pool, port) };
  }),

  handle("free any", 2, { port }, (n, pool, _twin, world) => {
    const port = portOf(world, n.port);
    return { says: `pool ${pool}: free ${port}`, does: (side) => side.free(pool, port) };
  }),

  handle("look", 3, { port }, (n, pool, _twin, world) => {
    const port = portOf(world, n.port);
    return {
      says: `pool ${pool}: has ${port}, and how many`,
      isQuestion: true,
      does: (side) => [side.has(pool, port), side.held(pool)],
    };
  }),

  handle("take many", 4, { count: fc.nat(140) }, (n, pool, _twin, world) => {
    if (isTight(world)) return undefined;
    return {
      says: `pool ${pool}: take ${n.count} ports`,
      does: (side) => side.takeMany(pool, n.count),
    };
  }),

  handle("free many", 5, { keep: fc.nat(70), salt: draw }, (n, pool, model, world) => {
    if (isTight(world)) return undefined;
    const ports = model.ledger.held((model.pools[pool] as { ask: Ask }).ask);
    const leaving = ports.filter((_, index) => (index * 31 + n.salt) % 71 >= n.keep);
    // A port twice and port 0, which is never held, must do no harm.
    const all = n.salt % 5 === 0 ? [...leaving, 0, ...leaving.slice(0, 1)] : leaving;
    return {
      says: `pool ${pool}: free ports ${all}`,
      does: (side) => side.freeMany(pool, all),
    };
  }),

  handle("close", 2, {}, (_n, pool) => ({
    says: `pool ${pool}: close`,
    does: (side) => side.close(pool),
  })),
];

/** A move with one of the open handles. */
function handle<Numbers>(
  name: string,
  weight: number,
  numbers: { [N in keyof Numbers]: fc.Arbitrary<Numbers[N]> },
  plan: (numbers: Numbers, pool: number, model: Model, world: World) => Deed | undefined,
): Weighted {
  const drawn = { ...numbers, pool: fc.nat(FLOWS_MAX - 1) };
  return move<Numbers & { pool: number }>(name, weight, drawn as never, (n, model, world) => {
    const count = model.pools.length;
    return count === 0 ? undefined : plan(n, n.pool % count, model, world);
  });
}

// ── All together ──────────────────────────────────────────────────────────────────────────

/** Closes a manager with all that it holds, and opens another in its place. */
class Renew implements Command {
  readonly #manager: number;

  constructor(manager: number) {
    this.#manager = manager;
  }

  check(): boolean {
    return true;
  }

  run(battle: Battle): void {
    renew(battle, this.#manager % battle.models.length);
  }

  toString(): string {
    return `renew(${this.#manager})`;
  }
}

/** Rare, for it ends what has grown; the others weigh five times their figure. */
const renewal: Weighted = { weight: 1, arbitrary: fc.nat(5).map((at) => new Renew(at)) };

export function commands(max: number): fc.Arbitrary<Iterable<Command>> {
  const others = [...words, ...picks, ...handles].map(({ weight, arbitrary }) => ({
    arbitrary,
    weight: weight * 5,
  }));
  const any = fc.oneof(...others, renewal);
  return fc.commands<Battle, Battle>([any], { maxCommands: max, size: "max" });
}
