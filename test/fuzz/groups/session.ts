// A session on managers that share a tree of groups and lists of reserved ports: each operation is
// done to the real thing and to the model, and the answers are compared.

import { isDeepStrictEqual } from "node:util";
import type { PortPool, Reservation } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import { openGroups } from "../../api/groups/fixture.ts";
import { type AnyRequest, answerOf, reservedOn } from "../../api/netstack/fixture.ts";
import { GroupModel, type Kind, ManagerModel, type Place } from "../../models/reference-groups.ts";
import { type Ask, show, toFacade } from "../../support/ask.ts";
import { type Build, openOn } from "../../support/builds.ts";
import { settled } from "../mismatch.ts";
import type { PlannedSession } from "../planned.ts";
import type { Random } from "../random.ts";
import {
  type Answer,
  type Change,
  type Group,
  type Holder,
  type List,
  type Manager,
  type OpenPool,
  orThrown,
  THROWN,
} from "./pairs.ts";
import { GroupsRandom } from "./random.ts";

export interface Rules {
  readonly build: Build;
  readonly seed: number;
  readonly selection: SelectionOptions;
  /** Few descriptions and long ranges, so that pools have bitmaps. */
  readonly isDense: boolean;
}

type Tester = (port: number) => boolean;

const NONE: ReadonlySet<number> = new Set();
const ALL = { first: 1, last: 65535 };

export class GroupsSession implements PlannedSession<"any", number> {
  readonly #rules: Rules;
  #random: GroupsRandom;
  readonly #tree;
  readonly #groups: Group[];
  readonly #lists: List[];
  readonly #managers: Manager[];
  readonly script: string[] = [];
  /** How many ports were given, and how often each refusal. */
  readonly figures: Record<string, number> & { operations: number } = { operations: 0 };

  constructor(rules: Rules) {
    this.#rules = rules;
    this.#random = new GroupsRandom(rules.seed, rules.isDense);
    this.#tree = openGroups(rules.build);
    this.#groups = [{ real: this.#tree.root, model: new GroupModel("/", undefined) }];
    this.#lists = [0, 1].map(() => ({ real: reservedOn(rules.build), model: new Set() }));
    this.#managers = [0, 1].map(() => this.#openManager());
    for (let operation = 0; operation < 4; operation++) this.#createGroup();
  }

  plan(_kind: "any", random: Random): number {
    return random.u32();
  }

  /** Whatever comes out of a salt. */
  perform(salt: number): void {
    this.figures.operations += 1;
    this.#random = new GroupsRandom(salt, this.#rules.isDense);
    const manager = this.#random.one(this.#managers) as Manager;
    settled(() => this.#act(this.#random.below(100), manager));
    if (this.figures.operations % 25 === 0) settled(() => this.#compare());
  }

  finish(): void {
    settled(() => this.#compare());
    settled(() => this.#end());
  }

  abandon(): void {
    for (const { real } of this.#managers) {
      try {
        real.close();
      } catch {
        // It has trapped before.
      }
    }
  }

  #act(random: number, manager: Manager): void {
    const { pools } = manager;
    const pool = this.#random.one(pools);
    if (random < 16) this.#reserve(manager);
    else if (random < 22) this.#reserveAt(manager);
    else if (random < 27 && pools.length < 12) this.#openPool(manager);
    else if (random < 46 && pool) this.#take(manager, pool);
    else if (random < 52 && pool) this.#takeAt(manager, pool);
    else if (random < 58 && pool) this.#takeMany(manager, pool);
    else if (random < 68) this.#release(manager);
    else if (random < 76 && pool) this.#free(manager, pool);
    else if (random < 80)
      this.#move(this.#random.isOneIn(2) ? manager.pools : manager.reservations);
    else if (random < 82) this.#closePool(manager);
    else if (random < 90) this.#apply(this.#anyChange());
    else if (random < 93) this.#ask(manager);
    else if (random < 95 && this.#groups.length < 12) this.#createGroup();
    else if (random < 97) this.#removeGroup();
    else if (random < 99) this.#setRange(manager);
    else if (this.#random.isOneIn(4)) this.#reopen(manager);
  }

  // ── Words ───────────────────────────────────────────────────────────────────────────────

  #reserve(manager: Manager): void {
    const ask = this.#random.ask();
    const [group, list] = [this.#anyGroup(), this.#anyList()];
    const offset = this.#random.isOneIn(2) ? this.#random.offset() : undefined;
    const place = wordPlace(ask, group, list, true);
    const request = { ...requestOf(ask, group, list), ...(offset === undefined ? {} : { offset }) };
    this.#reserving(manager, ask, group, `from ${offset}`, {
      real: (test) => manager.real.reservePort(request, test),
      model: (accepts) =>
        offset === undefined
          ? manager.model.byPolicy(ask, place, accepts)
          : manager.model.from(ask, place, offset, accepts),
    });
  }

  #reserveAt(manager: Manager): void {
    const [ask, group, port] = [this.#random.ask(), this.#anyGroup(), this.#random.port()];
    const place = wordPlace(ask, group, undefined, false);
    this.#reserving(manager, ask, group, `at ${port}`, {
      real: (test) => manager.real.reservePort({ ...requestOf(ask, group), port }, test),
      model: (accepts) => manager.model.at(ask, place, port, accepts),
    });
  }

  #reserving(
    manager: Manager,
    ask: Ask,
    group: Group | undefined,
    where: string,
    by: { real(test: Tester | undefined): Reservation; model(accepts: Tester): number },
  ): void {
    const answers = this.#random.isOneIn(4) ? this.#anyAnswers() : undefined;
    const seen = { real: [] as number[], model: [] as number[] };
    const tester =
      (side: "real" | "model"): Tester =>
      (port) => {
        const answer = answers?.[seen[side].push(port) - 1];
        answer?.change?.[side]();
        if (answer?.says === "throws") throw THROWN;
        return answer?.says ?? true;
      };
    let real: Reservation | undefined;
    const got = orThrown(() =>
      answerOf(() => {
        real = by.real(answers && tester("real"));
        return real;
      }),
    );
    const wanted = orThrown(() => by.model(tester("model")));
    const isTested = answers ? ", tested" : "";
    this.#same(`reserve ${show(ask, where)} in ${group?.model.path}${isTested}`, got, wanted);
    if (answers) this.#same("   its tester has seen", seen.real, seen.model);
    if (real === undefined) return;
    manager.reservations.push({ real, ask, group });
    enter(group);
  }

  #release(manager: Manager): void {
    const holder = this.#random.pull(manager.reservations);
    if (holder === undefined) {
      const left = this.#random.pull(manager.left);
      if (left === undefined) return;
      const got = manager.real.releasePort({ ...toFacade(left.ask), port: left.port });
      this.#same("release what is left", got, manager.model.release(left.ask, left.port));
      return;
    }
    const { real, ask, group } = holder;
    const isByValue = this.#random.isOneIn(2);
    const got = isByValue
      ? manager.real.releasePort({ ...requestOf(ask, group), port: real.port })
      : real.release();
    const words = `release ${show(ask, real.port)}${isByValue ? " by value" : ""}`;
    this.#same(words, got, manager.model.release(ask, real.port));
    leave(group);
  }

  #ask(manager: Manager): void {
    const [ask, group, port] = [this.#random.ask(), this.#anyGroup(), this.#random.port()];
    const got = manager.real.isAvailable({ ...requestOf(ask, group), port });
    const place = wordPlace(ask, group, undefined, false);
    this.#same(`is free ${show(ask, port)}`, got, manager.model.isAvailable(ask, place, port));
  }

  // ── Handles ─────────────────────────────────────────────────────────────────────────────

  #openPool(manager: Manager): void {
    const ask = this.#random.ask();
    const [group, list] = [this.#anyGroup(), this.#anyList()];
    const picking = this.#random.one([undefined, undefined, "bind", "connect"] as const);
    const kind = picking ?? (ask.destination.address === "" ? "bind" : "connect");
    const unique = this.#random.isOneIn(4);
    this.script.push(`open ${show(ask, kind)} in ${group?.model.path}, unique ${unique}`);
    const request = { ...requestOf(ask, group, list), unique };
    const real = manager.real.pool(picking === undefined ? request : { ...request, mode: picking });
    const reserved = list?.model ?? NONE;
    const place = { kind, reserved, isStrict: kind === "bind", isUnique: unique };
    manager.pools.push({ real, ask, group, place, ports: [] });
    enter(group);
  }

  #take(manager: Manager, pool: OpenPool): void {
    const offset = this.#random.isOneIn(2) ? this.#random.offset() : undefined;
    const got = pool.real.take(offset);
    const wanted =
      offset === undefined
        ? picks(manager.model, pool, 1)[0]
        : manager.model.from(pool.ask, placeOf(pool), offset);
    this.#same(`take ${nameOf(pool)} from ${offset}`, got, wanted);
    if (got > 0) pool.ports.push(got);
  }

  #takeMany(manager: Manager, pool: OpenPool): void {
    const ports = new Uint16Array(this.#random.below(this.#rules.isDense ? 90 : 12));
    const offsets = this.#random.isOneIn(2)
      ? Uint32Array.from(ports, () => this.#random.offset())
      : undefined;
    const got = [...ports.subarray(0, pool.real.takeMany(ports, offsets))];
    const wanted = picks(manager.model, pool, ports.length, offsets).filter((port) => port > 0);
    const from = offsets === undefined ? "" : ` from ${offsets}`;
    this.#same(`take ${ports.length} ${nameOf(pool)}${from}`, got, wanted);
    pool.ports.push(...got);
  }

  #takeAt(manager: Manager, pool: OpenPool): void {
    const port = this.#random.port();
    const got = pool.real.takeAt(port);
    const wanted = manager.model.at(pool.ask, placeOf(pool), port);
    this.#same(`take ${nameOf(pool)} at ${port}`, got, wanted);
    if (got > 0) pool.ports.push(got);
  }

  /** What it has taken, or another of its description has, and a port that nobody has. */
  #free(manager: Manager, pool: OpenPool): void {
    const alike = manager.pools.filter(({ ask }) => isDeepStrictEqual(ask, pool.ask));
    const taken = (this.#random.one(alike) as OpenPool).ports;
    const count = Math.min(taken.length, this.#random.isOneIn(8) ? 500 : this.#random.below(5));
    const ports = Array.from({ length: count }, () => this.#random.pull(taken) as number);
    const other = this.#random.port();
    const held = [
      ...manager.pools.flatMap((holder) => holder.ports),
      ...[...manager.reservations.map(({ real }) => real), ...manager.left].map(({ port }) => port),
    ];
    if (!held.includes(other)) ports.push(other);
    const got = pool.real.freeMany(Uint16Array.from(ports));
    const wanted = ports.filter((port) => manager.model.release(pool.ask, port)).length;
    this.#same(`free ${nameOf(pool)} ${ports}`, got, wanted);
  }

  #closePool(manager: Manager): void {
    const pool = this.#random.pull(manager.pools);
    if (pool === undefined) return;
    this.script.push(`close ${nameOf(pool)}`);
    pool.real.close();
    leave(pool.group);
    manager.left.push(...pool.ports.map((port) => ({ ask: pool.ask, port })));
  }

  // ── What they are asked under ───────────────────────────────────────────────────────────

  #move(holders: readonly Holder<Reservation | PortPool>[]): void {
    const holder = this.#random.one(holders);
    if (holder === undefined) return;
    const group = this.#anyGroup();
    this.script.push(`from ${holder.group?.model.path} to ${group?.model.path}`);
    holder.real.group = group?.real;
    leave(holder.group);
    enter(group);
    holder.group = group;
  }

  #anyChange(): Change {
    const { real, model } = this.#random.one(this.#groups) as Group;
    const list = this.#random.one(this.#lists) as List;
    if (this.#random.isOneIn(3)) return listChange(list, this.#random.reserved());
    const kind: Kind = this.#random.isOneIn(2) ? "bind" : "connect";
    const range = this.#random.isOneIn(3) ? undefined : this.#random.range();
    return {
      says: `${model.path} ${kind} ${range?.first}..${range?.last}`,
      real: () => {
        if (kind === "bind") real.bindPortRange = range;
        else real.connectPortRange = range;
      },
      model: () => {
        model.own[kind] = range ?? ALL;
      },
    };
  }

  #apply({ says, real, model }: Change): void {
    this.script.push(says);
    real();
    model();
  }

  #anyAnswers(): Answer[] {
    return Array.from({ length: 1 + this.#random.below(6) }, () => ({
      change: this.#random.isOneIn(3) ? this.#anyChange() : undefined,
      says: this.#random.isOneIn(12) ? "throws" : this.#random.isOneIn(6),
    }));
  }

  #createGroup(): void {
    const { model } = this.#random.one(this.#groups) as Group;
    const path = `${model.path === "/" ? "" : model.path}/${this.#random.word()}`;
    this.script.push(`create ${path}`);
    this.#groups.push({ real: this.#tree.create(path), model: new GroupModel(path, model) });
  }

  #removeGroup(): void {
    const group = this.#random.one(this.#groups.slice(1));
    if (group === undefined) return;
    const hasChildren = this.#groups.some(({ model }) => model.parent === group.model);
    const wanted = hasChildren || group.model.uses > 0 ? "EBUSY" : 0;
    const got = orThrown(() => {
      group.real.remove();
      return 0;
    });
    this.#same(`remove ${group.model.path}`, got, wanted);
    if (got === 0) this.#groups.splice(this.#groups.indexOf(group), 1);
  }

  #setRange(manager: Manager): void {
    const range = this.#random.range();
    this.script.push(`range ${range.first}..${range.last}`);
    manager.real.setPortRange(range.first, range.last);
    manager.model.range = range;
  }

  #reopen(manager: Manager): void {
    this.script.push("close, and open again");
    for (const { group } of [...manager.reservations, ...manager.pools]) leave(group);
    manager.real.close();
    this.#managers.splice(this.#managers.indexOf(manager), 1, this.#openManager());
  }

  #openManager(): Manager {
    const { build, seed, selection } = this.#rules;
    const portRange = { first: 960, last: this.#rules.isDense ? 1200 : 1100 };
    const real = openOn(build, { seed, selection, portRange });
    const model = new ManagerModel(seed, selection, portRange);
    const usedAtOpen = real.stats().memory.used;
    return { real, model, usedAtOpen, reservations: [], pools: [], left: [] };
  }

  #anyGroup(): Group | undefined {
    return this.#random.isOneIn(4) ? undefined : this.#random.one(this.#groups);
  }

  #anyList(): List | undefined {
    return this.#random.isOneIn(2) ? undefined : this.#random.one(this.#lists);
  }

  // ── Comparing ───────────────────────────────────────────────────────────────────────────

  #same(what: string, got: unknown, wanted: unknown): void {
    this.script.push(`${what}: ${wanted}`);
    const answer = typeof wanted === "number" && wanted > 0 ? "port" : `${wanted}`;
    if (typeof wanted !== "object") this.figures[answer] = (this.figures[answer] ?? 0) + 1;
    if (!isDeepStrictEqual(got, wanted)) throw new Error(`got ${got}, the model says ${wanted}`);
  }

  #compare(): void {
    for (const { real, model, pools } of this.#managers) {
      verify(real);
      const { descriptors, counters, references } = real.stats();
      this.#same("figures", { descriptors, counters, references }, model.stats());
      for (const pool of pools) {
        const isHeld = pool.ports.every((port) => pool.real.has(port));
        this.#same(`it holds its ports: ${nameOf(pool)}`, isHeld, true);
      }
    }
    const uses = this.#groups.map(({ real }) => real.uses);
    const wanted = this.#groups.map(({ model }) => model.uses);
    this.#same("uses", uses, wanted);
  }

  /** Gives back everything: no byte is in use then, and nobody in a group. */
  #end(): void {
    this.#compare();
    for (const manager of this.#managers) {
      while (manager.pools.length > 0) this.#closePool(manager);
      while (manager.reservations.length + manager.left.length > 0) this.#release(manager);
    }
    this.#compare();
    this.#same("in use", this.#groups.map(({ real }) => real.uses).filter(Boolean), []);
    this.#tree.close();
    for (const { real, usedAtOpen } of this.#managers) {
      this.#same("bytes", real.stats().memory.used, usedAtOpen);
      real.close();
    }
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** So many ports, and the refusal that ends it: from offsets, which a random policy draws at first. */
function picks(model: ManagerModel, pool: OpenPool, count: number, given?: Uint32Array): number[] {
  const drawn = Array.from({ length: !given && model.isRandom ? count : 0 }, () => model.draw());
  const offsets = given ?? drawn;
  const answers: number[] = [];
  for (let index = 0; index < count && (answers.at(-1) ?? 1) > 0; index++) {
    const offset = offsets[index];
    const place = placeOf(pool);
    if (offset === undefined) answers.push(model.byPolicy(pool.ask, place, undefined, pool));
    else answers.push(model.from(pool.ask, place, offset));
  }
  return answers;
}

function listChange(
  { real, model }: List,
  ranges: readonly { first: number; last: number }[],
): Change {
  const text = ranges.map(({ first, last }) => `${first}-${last}`).join();
  return {
    says: `reserved ${text}`,
    real: () => {
      real.text = text;
    },
    model: () => {
      model.clear();
      for (const { first, last } of ranges) for (let at = first; at <= last; at++) model.add(at);
    },
  };
}

function enter(group: Group | undefined): void {
  if (group !== undefined) group.model.uses += 1;
}

function leave(group: Group | undefined): void {
  if (group !== undefined) group.model.uses -= 1;
}

function requestOf(ask: Ask, group?: Group, list?: List): AnyRequest {
  const request = { ...toFacade(ask), group: group?.real };
  return list === undefined ? request : { ...request, reserved: list.real };
}

function wordPlace(
  ask: Ask,
  group: Group | undefined,
  list: List | undefined,
  isStrict: boolean,
): Place {
  const kind = ask.destination.address === "" ? "bind" : "connect";
  const reserved = list?.model ?? NONE;
  return { group: group?.model, kind, reserved, isStrict, isUnique: false };
}

function placeOf({ place, group }: OpenPool): Place {
  return { ...place, group: group?.model };
}

function nameOf({ ask, place, group }: OpenPool): string {
  return `${show(ask, place.kind)} in ${group?.model.path}`;
}
