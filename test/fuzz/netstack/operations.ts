// The operations on port managers, as commands of fast-check. One is planned by looking at the
// reference model alone, then done on both sides, whose answers must be equal.

import fc from "fast-check";
import { type Ask, show } from "../../support/ask.ts";
import type { Operation, Weighted } from "../fuzz.ts";
import { LISTS } from "./groups.ts";
import { isHeld, type Reference } from "./reference.ts";
import type { NetstackSession } from "./session.ts";
import {
  type AskDraw,
  askDraw,
  askOf,
  draw,
  firstOf,
  flagsOf,
  limitDraw,
  limitOf,
  listOf,
  portOf,
  rangeOf,
  reservedOf,
  type Setup,
} from "./setup.ts";
import type { GroupedAsk, System } from "./system.ts";
import { isTight, type TesterDraw, tell, tested, tester } from "./testers.ts";

/** What is to be done, by any implementation. */
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

const port = draw;
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

function offsetIn(setup: Setup, drawn: number | undefined): number | undefined {
  if (isTight(setup)) return drawn ?? 0;
  // Half of them are the policy's to find.
  return setup.selection !== undefined && (drawn ?? 0) % 2 === 1 ? undefined : drawn;
}

/** What is asked, in one of the groups that there are or in none. */
function groupedAsk(model: Reference, setup: Setup, drawn: AskDraw): GroupedAsk {
  const group = groupIn(model, setup, drawn.group);
  return { ...askOf(setup, drawn), ...(group !== undefined && { group }) };
}

/** The same, with a list of reserved ports perhaps, as a search may have one. */
function searchingAsk(model: Reference, setup: Setup, drawn: AskDraw): GroupedAsk {
  const reserved = listOf(setup, drawn.reserved);
  return { ...groupedAsk(model, setup, drawn), ...(reserved !== undefined && { reserved }) };
}

function groupIn(model: Reference, setup: Setup, drawn: number): number | undefined {
  const { live } = model.groups;
  return setup.groups === undefined ? undefined : live[drawn % (live.length + 1)];
}

// ── Reservations ───────────────────────────────────────────────────────────────────────────

const reservations: AnyMove[] = [
  move("reserve", 12, { ask: askDraw, port, tester }, (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = groupedAsk(model, setup, n.ask);
    const port = portOf(setup, n.port);
    return {
      says: `reserve ${tellAsk(ask, port)}${tell(setup, n.tester)}`,
      does: (system) =>
        tested(system, setup, n.tester, (test) => system.reserve(ask, port, test), ask.group),
    };
  }),

  move("search", 10, { ask: askDraw, offset: offsetOrNone, tester }, (n, model, setup) => {
    if (isFull(model, setup)) return undefined;
    const ask = searchingAsk(model, setup, n.ask);
    const from = offsetIn(setup, n.offset);
    return {
      says: `reserve ${tellAsk(ask, `any from ${from}`)}${tell(setup, n.tester)}`,
      does: (system) =>
        tested(system, setup, n.tester, (test) => system.search(ask, from, test), ask.group),
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
    const ask = { ...held.ask, networks };
    // A release of a reservation in a group names the group, or it would be in use for ever.
    const { group } = model.reservationOf(ask, held.port)?.ask ?? {};
    return release(group === undefined ? ask : { ...ask, group }, held.port);
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
    if (model.reservations.at(-1 - n.ago)?.isStale !== false) return undefined;
    return { says: `give back, ${n.ago} ago`, does: (system) => system.giveBack(n.ago) };
  }),

  move("is available", 4, { ask: askDraw, port }, (n, model, setup) => {
    const ask = groupedAsk(model, setup, n.ask);
    const port = portOf(setup, n.port);
    return {
      says: `is ${tellAsk(ask, port)} available`,
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

function tellAsk(ask: GroupedAsk, port: number | string): string {
  const { group, reserved } = ask;
  const inGroup = group === undefined ? "" : ` in group ${group}`;
  return `${show(ask, port)}${inGroup}${reserved === undefined ? "" : ` but list ${reserved}`}`;
}

function release(ask: GroupedAsk, port: number): Action {
  return { says: `release ${tellAsk(ask, port)}`, does: (system) => system.release(ask, port) };
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

/** Mostly given; else the destination decides. */
const mode = fc.constantFrom("bind" as const, "connect" as const, undefined);

const pools: AnyMove[] = [
  move("open", 5, { ask: askDraw, mode, unique: fc.nat(2) }, (n, model, setup) => {
    if (model.pools.length >= POOLS_MAX) return undefined;
    const ask = searchingAsk(model, setup, n.ask);
    const unique = n.unique === 2;
    return {
      says: `pool ${model.pools.length}: ${tellAsk(ask, "*")} ${n.mode}${unique ? " unique" : ""}`,
      does: (system) => system.open(ask, n.mode, unique),
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

  onPool("take many", 4, { count: fc.nat(140), offset: offsetOrNone }, (n, pool, _, setup) => {
    if (isTight(setup)) return undefined;
    const { offset } = n;
    const offsets =
      offset === undefined
        ? undefined
        : Array.from({ length: n.count }, (_, index) => (offset + index * 7) >>> 0);
    return {
      says: `pool ${pool}: take ${n.count} ports from ${offset}`,
      does: (system) => system.takeMany(pool, n.count, offsets),
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

// ── Groups ────────────────────────────────────────────────────────────────────────────────

const groups: AnyMove[] = [
  move("create group", 3, { parent: draw }, (n, model, setup) => {
    const { live } = model.groups;
    const parent = live[n.parent % live.length] as number;
    if (live.length > (setup.groups as number)) return undefined;
    return { says: `group under ${parent}`, does: (system) => system.groups.create(parent) };
  }),

  move("remove group", 2, { group: draw }, (n, model) => {
    const [, ...others] = model.groups.live;
    const group = others[n.group % (others.length || 1)];
    if (group === undefined) return undefined;
    return { says: `remove group ${group}`, does: (system) => system.groups.remove(group) };
  }),

  move("limit", 5, { group: draw, kind: fc.nat(1), limit: limitDraw }, (n, model, setup) => {
    const { live } = model.groups;
    const group = live[n.group % live.length] as number;
    const kind = n.kind ? "connect" : "bind";
    const range = limitOf(setup, n.limit);
    return {
      says: `group ${group}: ${kind} ${range?.first}..${range?.last}`,
      does: (system) => system.groups.setRange(group, kind, range),
    };
  }),

  move("reserved", 2, { list: fc.nat(LISTS - 1), limit: limitDraw }, (n, _model, setup) => {
    const ranges = reservedOf(setup, n.limit);
    return {
      says: `list ${n.list}: ${ranges.map(({ first, last }) => `${first}-${last}`)}`,
      does: (system) => system.groups.setReserved(n.list, ranges),
    };
  }),

  move("move", 4, { ago: fc.nat(7), group: draw }, (n, model, setup) => {
    const reservation = model.reservations.at(-1 - n.ago);
    if (reservation === undefined || !isHeld(reservation)) return undefined;
    const group = groupIn(model, setup, n.group);
    return {
      says: `move what was reserved ${n.ago} ago to group ${group}`,
      does: (system) => system.move(n.ago, group),
    };
  }),

  onPool("move pool", 8, { group: draw }, (n, pool, model, setup) => {
    const group = groupIn(model, setup, n.group);
    return {
      says: `pool ${pool}: move to group ${group}`,
      does: (system) => system.movePool(pool, group),
    };
  }),

  move("uses", 4, {}, () => ({
    says: "uses of groups",
    isQuestion: true,
    does: (system) => system.groups.uses(),
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

export const OPERATIONS: readonly AnyMove[] = together(reservations, lists, picks, pools);

/** Pools are asked more often: what they remember of their limits must be true. */
export const IN_GROUPS: readonly AnyMove[] = together(reservations, picks, pools, pools, groups);

function together(...all: readonly (readonly AnyMove[])[]): AnyMove[] {
  const moves = all.flat().map(({ weight, arbitrary }) => ({ arbitrary, weight: weight * 5 }));
  return [...moves, renewal];
}
