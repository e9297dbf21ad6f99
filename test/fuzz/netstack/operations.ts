// What can be asked of port managers, as commands of fast-check. A move is planned by looking at
// the reference model alone, then the same action is done on both sides, and what they answer must
// be equal.

import fc from "fast-check";
import type { Tester } from "../../replay/system.ts";
import { type Ask, show } from "../../support/ask.ts";
import type { Operation, Weighted } from "../fuzz.ts";
import type { Reference } from "./reference.ts";
import type { NetstackSession } from "./session.ts";
import { askDraw, askOf, firstOf, flagsOf, portOf, rangeOf, type Setup } from "./setup.ts";
import { type System, TesterFailure } from "./system.ts";

/** What is to be done, for whoever does it. */
export interface Action {
  readonly says: string;
  /** A question changes nothing, so there is nothing to verify after it. */
  readonly isQuestion?: boolean;
  does(system: System): unknown;
}

type Command = Operation<NetstackSession>;

type Plan<Numbers> = (numbers: Numbers, model: Reference, setup: Setup) => Action | undefined;

type AnyMove = Weighted<NetstackSession>;

const POOLS_MAX = 6;
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

  check(session: NetstackSession): boolean {
    return this.#planned(session) !== undefined;
  }

  run(session: NetstackSession): void {
    const action = this.#planned(session);
    if (action !== undefined) session.step(this.#at(session), action);
  }

  toString(): string {
    return `${this.#name}(${JSON.stringify(this.#numbers)})`;
  }

  #at(session: NetstackSession): number {
    return this.#numbers.manager % session.references.length;
  }

  #planned(session: NetstackSession): Action | undefined {
    return this.#plan(
      this.#numbers,
      session.references[this.#at(session)] as Reference,
      session.setup,
    );
  }
}

function move<Numbers>(
  name: string,
  weight: number,
  numbers: { [N in keyof Numbers]: fc.Arbitrary<Numbers[N]> },
  plan: Plan<Numbers>,
): AnyMove {
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
function isTight(setup: Setup): boolean {
  return setup.limit !== undefined;
}

function offsetIn(setup: Setup, drawn: number | undefined): number | undefined {
  return isTight(setup) ? (drawn ?? 0) : drawn;
}

// ── Testers ───────────────────────────────────────────────────────────────────────────────

const tester = fc.record({ mood: fc.nat(11), salt: draw, ask: askDraw, port });

type TesterDraw = typeof tester extends fc.Arbitrary<infer T> ? T : never;

/** Asks `system` with a tester of that mood; the answer, and all that the tester saw. */
function tested(
  system: System,
  setup: Setup,
  { mood, salt, ask, port }: TesterDraw,
  ask_: (test: Tester | undefined) => unknown,
): unknown {
  if (mood <= 5 || isTight(setup)) return ask_(undefined);
  const seen: unknown[] = [];
  const test = (offered: number): boolean => {
    seen.push(offered);
    if (seen.length === 1 && mood >= 8)
      seen.push(meddle(system, setup, mood, askOf(setup, ask), port));
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

function tell(setup: Setup, { mood, ask, port: drawn }: TesterDraw): string {
  if (mood <= 5 || isTight(setup)) return "";
  if (mood === 6) return ", if a tester likes it";
  if (mood === 7) return ", until a tester throws";
  const port = portOf(setup, drawn);
  const asked = askOf(setup, ask);
  if (mood === 8) return `, with a tester that reserves ${show(asked, port)}`;
  if (mood === 9) return `, with a tester that releases ${show(asked, port)}`;
  if (mood === 10) return `, with a tester that reserves ${show(asked, `any from ${drawn}`)}`;
  return ", with a tester that sets the range";
}

/** What a tester does to the manager that is waiting for its verdict. */
function meddle(system: System, setup: Setup, mood: number, ask: Ask, drawn: number): unknown {
  const port = portOf(setup, drawn);
  if (mood === 8) return system.reserve(ask, port);
  if (mood === 9) return system.release(ask, port);
  if (mood === 10) return system.search(ask, drawn);
  const { first, last } = rangeOf(firstOf(setup, drawn), 1 + (drawn % 64));
  return system.setRange(first, last);
}

// ── Reservations ───────────────────────────────────────────────────────────────────────────

const reservations: AnyMove[] = [
  move("reserve", 12, { ask: askDraw, port, tester }, (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = askOf(setup, n.ask);
    const port = portOf(setup, n.port);
    return {
      says: `reserve ${show(ask, port)}${tell(setup, n.tester)}`,
      does: (system) => tested(system, setup, n.tester, (test) => system.reserve(ask, port, test)),
    };
  }),

  move("search", 10, { ask: askDraw, offset: offsetOrNone, tester }, (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = askOf(setup, n.ask);
    const from = offsetIn(setup, n.offset);
    return {
      says: `reserve ${show(ask, `any from ${from}`)}${tell(setup, n.tester)}`,
      does: (system) => tested(system, setup, n.tester, (test) => system.search(ask, from, test)),
    };
  }),

  move("tuple", 6, { ask: askDraw, port }, (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = askOf(setup, n.ask);
    const port = portOf(setup, n.port);
    return { says: `tuple ${show(ask, port)}`, does: (system) => system.tuple(ask, port) };
  }),

  move("tuple again", 6, { which: draw, flags: draw }, (n, model, setup) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const flags = n.flags < 500 ? held.ask.flags : flagsOf(setup, n.flags);
    const ask = { ...held.ask, flags };
    return {
      says: `tuple ${show(ask, held.port)}`,
      does: (system) => system.tuple(ask, held.port),
    };
  }),

  move("release", 14, { which: draw, all: fc.nat(1) }, (n, model) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const networks = n.all ? model.ledger.networksOf(held.ask, held.port) : held.ask.networks;
    return release({ ...held.ask, networks }, held.port);
  }),

  move("release wrongly", 5, { which: draw, flags: draw, network: draw }, (n, model, setup) => {
    const held = model.ledger.pick(n.which);
    if (held === undefined) return undefined;
    const networks = [[4], [6], [4, 6]][n.network % 3] as number[];
    return release({ ...held.ask, networks, flags: flagsOf(setup, n.flags) }, held.port);
  }),

  move("release any", 2, { ask: askDraw, port }, (n, _model, setup) =>
    release(askOf(setup, n.ask), portOf(setup, n.port)),
  ),

  move("give back", 6, { ago: fc.nat(7) }, (n, model) => {
    if (model.reservations.length <= n.ago) return undefined;
    return { says: `give back, ${n.ago} ago`, does: (system) => system.giveBack(n.ago) };
  }),

  move("is available", 4, { ask: askDraw, port }, (n, _model, setup) => {
    const ask = askOf(setup, n.ask);
    const port = portOf(setup, n.port);
    return {
      says: `is ${show(ask, port)} available`,
      isQuestion: true,
      does: (system) => system.isAvailable(ask, port),
    };
  }),
];

const lists: AnyMove[] = [
  move("list", 2, { port, all: fc.nat(1) }, (n, _model, setup) => {
    const port = n.all ? undefined : portOf(setup, n.port);
    return {
      says: `list what is held at ${port ?? "any port"}`,
      isQuestion: true,
      does: (system) => system.list(port),
    };
  }),

  move("release all", 1, { ask: askDraw, network: fc.nat(2) }, (n, _model, setup) => {
    const { address } = askOf(setup, n.ask);
    const network = [undefined, 4, 6][n.network];
    return {
      says: `release all at ${address || "*"} in ${network ?? "all networks"}`,
      does: (system) => system.releaseAll(address, network),
    };
  }),
];

function release(ask: Ask, port: number): Action {
  return { says: `release ${show(ask, port)}`, does: (system) => system.release(ask, port) };
}

function isFull(model: Reference, setup: Setup): boolean {
  return model.ledger.rows >= setup.rows;
}

// ── Mode, range and figures ────────────────────────────────────────────────────────────

const picks: AnyMove[] = [
  move("pick", 3, { ask: askDraw, offset: offsetOrNone, tester, reserve: fc.nat(1) }, pick(false)),
  move("pick stable", 3, { ask: askDraw, offset, tester, reserve: fc.nat(1) }, pick(true)),

  move("set range", 1, { first: draw, count: fc.integer({ min: 1, max: 70 }) }, (n, _, setup) => {
    const { first, last } = rangeOf(firstOf(setup, n.first), n.count);
    return { says: `range ${first}..${last}`, does: (system) => system.setRange(first, last) };
  }),

  move("restore range", 2, {}, (_n, _model, setup) => {
    const { first, last } = rangeOf(setup.first, setup.count);
    return { says: `range ${first}..${last}`, does: (system) => system.setRange(first, last) };
  }),

  move("range", 1, {}, () => ({
    says: "range",
    isQuestion: true,
    does: (system) => system.range(),
  })),

  move("stats", 3, {}, () => ({
    says: "stats",
    isQuestion: true,
    does: (system) => system.stats(),
  })),

  move("snapshot", 2, {}, () => ({ says: "snapshot", does: (system) => system.snapshot() })),
];

type PickDraw = Parameters<Plan<{ ask: AskDrawn; reserve: number; tester: TesterDraw }>>[0] & {
  offset: number | undefined;
};
type AskDrawn = Parameters<typeof askOf>[1];

/** Mode reserves nothing; a tester that likes the port may. */
function pick(stable: boolean): Plan<PickDraw> {
  return (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = askOf(setup, n.ask);
    const name = stable ? "pick stable" : "pick";
    const from = offsetIn(setup, n.offset);
    const request = n.reserve ? `, reserve ${show(ask, "it")}` : "";
    return {
      says: `${name} from ${from}${request}${tell(setup, n.tester)}`,
      does: (system) => {
        const likes = (port: number): boolean => !n.reserve || system.reserve(ask, port) === port;
        return tested(system, setup, n.tester, (test) => {
          const both = (port: number): boolean => (test?.(port) ?? true) && likes(port);
          return stable ? system.pickStable(from ?? 0, both) : system.pick(from, both);
        });
      },
    };
  };
}

// ── Pools ─────────────────────────────────────────────────────────────────────────────────

const pools: AnyMove[] = [
  move("open", 5, { ask: askDraw, connect: fc.nat(1), unique: fc.nat(2) }, (n, model, setup) => {
    if (model.pools.length >= POOLS_MAX) return undefined;
    const ask = askOf(setup, n.ask);
    const picking = n.connect ? "connect" : "bind";
    const unique = n.unique === 2;
    return {
      says: `pool ${model.pools.length}: ${show(ask, "*")} ${picking}${unique ? " unique" : ""}`,
      does: (system) => system.open(ask, picking, unique),
    };
  }),

  onPool("take", 10, { offset: offsetOrNone }, (n, pool, _model, setup) => {
    const from = offsetIn(setup, n.offset);
    return { says: `pool ${pool}: take from ${from}`, does: (system) => system.take(pool, from) };
  }),

  onPool("take at", 6, { port }, (n, pool, _model, setup) => {
    const port = portOf(setup, n.port);
    return { says: `pool ${pool}: take ${port}`, does: (system) => system.takeAt(pool, port) };
  }),

  onPool("free", 10, { which: draw }, (n, pool, model) => {
    const ports = model.ledger.held((model.pools[pool] as { ask: Ask }).ask);
    const port = ports[n.which % Math.max(1, ports.length)];
    if (port === undefined) return undefined;
    return { says: `pool ${pool}: free ${port}`, does: (system) => system.free(pool, port) };
  }),

  onPool("free any", 2, { port }, (n, pool, _model, setup) => {
    const port = portOf(setup, n.port);
    return { says: `pool ${pool}: free ${port}`, does: (system) => system.free(pool, port) };
  }),

  onPool("look", 3, { port }, (n, pool, _model, setup) => {
    const port = portOf(setup, n.port);
    return {
      says: `pool ${pool}: has ${port}, and how many`,
      isQuestion: true,
      does: (system) => [system.has(pool, port), system.held(pool), system.ports(pool)],
    };
  }),

  onPool("take many", 4, { count: fc.nat(140) }, (n, pool, _model, setup) => {
    if (isTight(setup)) return undefined;
    return {
      says: `pool ${pool}: take ${n.count} ports`,
      does: (system) => system.takeMany(pool, n.count),
    };
  }),

  onPool("free many", 5, { keep: fc.nat(70), salt: draw }, (n, pool, model, setup) => {
    if (isTight(setup)) return undefined;
    const ports = model.ledger.held((model.pools[pool] as { ask: Ask }).ask);
    const leaving = ports.filter((_, index) => (index * 31 + n.salt) % 71 >= n.keep);
    // A port twice and port 0, which is never held, must do no harm.
    const all = n.salt % 5 === 0 ? [...leaving, 0, ...leaving.slice(0, 1)] : leaving;
    return {
      says: `pool ${pool}: free ports ${all}`,
      does: (system) => system.freeMany(pool, all),
    };
  }),

  onPool("close", 2, {}, (_n, pool) => ({
    says: `pool ${pool}: close`,
    does: (system) => system.closePool(pool),
  })),
];

/** A move with one of the open pools. */
function onPool<Numbers>(
  name: string,
  weight: number,
  numbers: { [N in keyof Numbers]: fc.Arbitrary<Numbers[N]> },
  plan: (numbers: Numbers, pool: number, model: Reference, setup: Setup) => Action | undefined,
): AnyMove {
  const drawn = { ...numbers, pool: fc.nat(POOLS_MAX - 1) };
  return move<Numbers & { pool: number }>(name, weight, drawn as never, (n, model, setup) => {
    const count = model.pools.length;
    return count === 0 ? undefined : plan(n, n.pool % count, model, setup);
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

  run(session: NetstackSession): void {
    session.renew(this.#manager % session.references.length);
  }

  toString(): string {
    return `renew(${this.#manager})`;
  }
}

/** Rare, for it ends what has grown; the others weigh five times their figure. */
const renewal: AnyMove = { weight: 1, arbitrary: fc.nat(5).map((at) => new Renew(at)) };

export const OPERATIONS: readonly AnyMove[] = [
  ...[...reservations, ...lists, ...picks, ...pools].map(({ weight, arbitrary }) => ({
    arbitrary,
    weight: weight * 5,
  })),
  renewal,
];
