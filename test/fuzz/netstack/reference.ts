// The reference model of a manager, with groups, policies and pools put on top of it in the plainest
// way: a search judges one port after the other.

import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import type { PortRange } from "../../../bindings/index.ts";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import { type GroupModel, PolicyModel, type Searcher } from "../../models/reference-groups.ts";
import type { ReferencePortManager } from "../../models/reference-manager.ts";
import { ReferenceSystem } from "../../replay/reference.ts";
import type { Tester } from "../../replay/system.ts";
import { type Ask, show, toModel } from "../../support/ask.ts";
import type { IsFree } from "../../support/rfc6056.ts";
import type { GroupModels } from "./groups.ts";
import { Ledger } from "./ledger.ts";
import type { GroupedAsk, Mode, System } from "./system.ts";

/** A request for a port, and the limits of what it may get. */
interface Place extends Searcher {
  readonly ask: GroupedAsk;
  readonly mode: Mode;
  readonly reserved: ReadonlySet<number>;
  /** Whether a port is judged as if it had been named: an ephemeral TCP port is not shared. */
  readonly isNamed: boolean;
  /** A tuple is never held twice. */
  readonly isUnique: boolean;
}

interface ModelPool extends Place {
  group: GroupModel | undefined;
  /** As far as batches show: its ports are a bitmap, no longer a sorted list. */
  isMany: boolean;
}

interface ModelReservation {
  ask: GroupedAsk;
  readonly port: number;
  /** By itself, or by a filter. */
  released: boolean;
  /** Its port and its use of a group were released by their values. */
  isStale: boolean;
}

/** How many ports one batch of `takeMany` draws offsets for. */
const BATCH = 1024;

/** A sorted list of ports has at most so many; a bitmap shrinks to a list at so few. */
const LIST_MAX = 64;
const SHRINK_AT = 24;

const NONE: ReadonlySet<number> = new Set();

export class Reference extends ReferenceSystem implements System {
  readonly groups: GroupModels;
  readonly ledger: Ledger = new Ledger();
  readonly pools: ModelPool[] = [];
  readonly reservations: ModelReservation[] = [];
  /** How often a pool grew out of a sorted list into a bitmap, and how often one shrank back. */
  grown = 0;
  shrunk = 0;
  readonly #policy: PolicyModel;
  /** How many reservations are in each group. */
  readonly #uses = new Map<GroupModel, number>();

  constructor(
    seed: number,
    selection: SelectionOptions,
    groups: GroupModels,
    model?: ReferencePortManager,
  ) {
    super(model);
    this.groups = groups;
    this.#policy = new PolicyModel(seed, selection);
  }

  override reserve(ask: GroupedAsk, port: number, test?: Tester): number {
    return this.#noted(ask, this.#at(this.#placeOf(ask, true), port, test));
  }

  override search(ask: GroupedAsk, offset: number | undefined, test?: Tester): number {
    return this.#noted(ask, this.#find(this.#placeOf(ask, false), offset, test));
  }

  override tuple(ask: Ask, port: number): number {
    const answer = super.tuple(ask, port);
    if (answer > 0) this.ledger.add(ask, port);
    return this.#noted(ask, answer);
  }

  /** By its value. */
  override release(ask: GroupedAsk, port: number): boolean {
    const released = this.#release(ask, port);
    const known = ask.group === undefined ? undefined : this.reservationOf(ask, port);
    if (released && known !== undefined) known.isStale = true;
    return released;
  }

  override isAvailable(ask: GroupedAsk, port: number): boolean {
    return this.#allows(this.#placeOf(ask, true), port) && super.isAvailable(ask, port);
  }

  /** The last one that is held just so. */
  reservationOf(ask: Ask, port: number): ModelReservation | undefined {
    const alike = this.reservations.filter(
      (one) => one.port === port && isHeld(one) && show(one.ask, 0) === show(ask, 0),
    );
    return alike.at(-1);
  }

  giveBack(ago: number): boolean {
    const reservation = this.reservations.at(-1 - ago);
    if (reservation === undefined || reservation.released) return false;
    reservation.released = true;
    this.#release(reservation.ask, reservation.port);
    return true;
  }

  agoOf(port: number): number {
    return [...this.reservations].reverse().findIndex((reservation) => reservation.port === port);
  }

  move(ago: number, group: number | undefined): number | undefined {
    const reservation = this.reservations.at(-1 - ago) as ModelReservation;
    const { group: before, ...ask } = reservation.ask;
    reservation.ask = group === undefined ? ask : { ...ask, group };
    this.#enter(group);
    this.#leave(before);
    return group;
  }

  /** Those of its groups of which it has uses left. */
  groupsInUse(): number[] {
    return this.groups.live.filter((group) => (this.#uses.get(this.groups.at(group)) ?? 0) > 0);
  }

  /** The manager has been closed. */
  leaveGroups(): void {
    for (const [group, uses] of this.#uses) group.uses -= uses;
    for (const { group } of this.pools) if (group !== undefined) group.uses -= 1;
  }

  override pick(offset: number = this.#policy.draw(), test: Tester): number {
    return super.pick(offset, test);
  }

  list(port: number | undefined): string[] {
    const lines: string[] = [];
    for (const held of this.ledger.entries()) {
      if (port === undefined || port === held.port) {
        lines.push(`${held.count} x ${show(held.ask, held.port)}`);
      }
    }
    return lines.sort();
  }

  releaseAll(address: string, network: number | undefined): number {
    const before = this.stats().references;
    const concerns = (ask: Ask, one: number): boolean =>
      ask.address === address && (network === undefined || network === one);
    for (const { ask, port, count } of [...this.ledger.entries()]) {
      if (!concerns(ask, ask.networks[0] as number)) continue;
      for (let left = count; left > 0; left--) this.release(ask, port);
    }
    for (const one of this.reservations) {
      const networks = one.ask.networks.filter((each) => !concerns(one.ask, each));
      one.ask = { ...one.ask, networks };
      if (networks.length === 0) one.released = true;
    }
    return before - this.stats().references;
  }

  snapshot(): void {}

  // ── Pools ───────────────────────────────────────────────────────────────────────────────

  open(ask: GroupedAsk, mode: Mode = modeOf(ask), isUnique: boolean): void {
    const { group: _, ...key } = ask;
    const place = { ...this.#placeOf(ask, mode === "connect"), ask: key, mode, isUnique };
    if (place.group !== undefined) place.group.uses += 1;
    // Its own identity distinguishes it where a policy has a place for each pool.
    this.pools.push({ ...place, pool: {}, isMany: false });
  }

  get poolCount(): number {
    return this.pools.length;
  }

  movePool(at: number, group: number | undefined): number | undefined {
    const pool = this.#pool(at);
    if (pool.group !== undefined) pool.group.uses -= 1;
    pool.group = this.groups.find(group);
    if (pool.group !== undefined) pool.group.uses += 1;
    return group;
  }

  take(at: number, offset: number | undefined = this.#drawn()): number {
    return this.#find(this.#pool(at), offset);
  }

  takeAt(at: number, port: number): number {
    return this.#at({ ...this.#pool(at), isNamed: true }, port);
  }

  free(at: number, port: number): boolean {
    return this.release(this.#pool(at).ask, port);
  }

  has(at: number, port: number): boolean {
    return this.ledger.has(this.#pool(at).ask, port);
  }

  held(at: number): number {
    return this.ledger.held(this.#pool(at).ask).length;
  }

  ports(at: number): number[] {
    const { ask } = this.#pool(at);
    const ports = this.ledger.held(ask).filter((port) => this.ledger.has(ask, port));
    return ports.sort((one, other) => one - other);
  }

  takeMany(at: number, count: number, offsets?: readonly number[]): number[] {
    const ports = this.#takeMany(at, count, offsets);
    this.#watch(at);
    return ports;
  }

  freeMany(at: number, ports: readonly number[]): number {
    const freed = ports.filter((port) => port !== 0 && this.free(at, port)).length;
    this.#watch(at);
    return freed;
  }

  closePool(at: number): void {
    this.movePool(at, undefined);
    this.pools.splice(at, 1);
  }

  // ── One port after the other ────────────────────────────────────────────────────────────

  #placeOf(ask: GroupedAsk, isNamed: boolean): Place {
    const group = this.groups.find(ask.group);
    const reserved = ask.reserved === undefined ? NONE : this.groups.reserved(ask.reserved);
    return { ask, group, mode: modeOf(ask), reserved, isNamed, isUnique: false };
  }

  #allows({ group, mode }: Place, port: number): boolean {
    return group === undefined || group.allows(mode, port);
  }

  #at(place: Place, port: number, test?: Tester): number {
    if (!this.#allows(place, port)) return OUTSIDE_GROUP;
    return this.#takes(place, port, test) ? port : IN_USE;
  }

  #find(place: Place, offset: number | undefined, test?: Tester): number {
    const { group, mode, reserved } = place;
    const range = group === undefined ? this.range() : group.within(this.range(), mode);
    if (range === undefined) return EMPTY_RANGE;
    const isFree = (port: number): boolean =>
      !reserved.has(port) && this.#allows(place, port) && this.#takes(place, port, test);
    const found =
      offset === undefined
        ? this.#policy.search(range, place, isFree)
        : firstFrom(range, offset, isFree);
    return found ?? EXHAUSTED;
  }

  /** Holds a port that is free. It is held while a tester is asked, which may refuse it. */
  #takes({ ask, isNamed, isUnique }: Place, port: number, test?: Tester): boolean {
    if (isUnique && this.ledger.isTaken(ask, port)) return false;
    if (!this.model.isAvailable(toModel(ask, port), isNamed)) return false;
    super.reserve(ask, port);
    this.ledger.add(ask, port);
    this.#enter(ask.group);
    let keep = test === undefined;
    try {
      keep ||= test?.(port) === true;
    } finally {
      if (!keep) this.#release(ask, port);
    }
    return keep;
  }

  #release(ask: GroupedAsk, port: number): boolean {
    this.ledger.drop(ask, port);
    const wasHeld = super.release(ask, port);
    if (wasHeld) this.#leave(ask.group);
    return wasHeld;
  }

  #enter(number: number | undefined): void {
    const group = this.groups.find(number);
    if (group === undefined) return;
    this.#uses.set(group, (this.#uses.get(group) ?? 0) + 1);
    group.uses += 1;
  }

  #leave(number: number | undefined): void {
    const group = this.groups.find(number);
    const uses = group === undefined ? 0 : (this.#uses.get(group) ?? 0);
    if (group === undefined || uses === 0) return;
    this.#uses.set(group, uses - 1);
    group.uses -= 1;
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #watch(at: number): void {
    const pool = this.#pool(at);
    const held = this.held(at);
    if (!pool.isMany && held > LIST_MAX) {
      pool.isMany = true;
      this.grown += 1;
    } else if (pool.isMany && held <= SHRINK_AT) {
      pool.isMany = false;
      this.shrunk += 1;
    }
  }

  #takeMany(at: number, count: number, offsets?: readonly number[]): number[] {
    const ports: number[] = [];
    while (ports.length < count) {
      const batch = Math.min(count - ports.length, BATCH);
      const drawn = Array.from({ length: batch }, (_, index) => offsets?.[index] ?? this.#drawn());
      for (const offset of drawn) {
        const port = this.#find(this.#pool(at), offset);
        if (port < 0) return ports;
        ports.push(port);
      }
    }
    return ports;
  }

  /** Only the plain policy draws before it looks at the range. */
  #drawn(): number | undefined {
    return this.#policy.isRandom ? this.#policy.draw() : undefined;
  }

  #pool(at: number): ModelPool {
    return this.pools[at] as ModelPool;
  }

  #noted(ask: GroupedAsk, answer: number): number {
    if (answer > 0) this.reservations.push({ ask, port: answer, released: false, isStale: false });
    return answer;
  }
}

export function isHeld({ released, isStale }: ModelReservation): boolean {
  return !released && !isStale;
}

function modeOf({ destination }: Ask): Mode {
  return destination.address === "" ? "bind" : "connect";
}

/** The first free port of a range, from an offset on. */
function firstFrom({ first, last }: PortRange, offset: number, isFree: IsFree): number | undefined {
  const count = last - first + 1;
  for (let tried = 0; tried < count; tried++) {
    const port = first + (((offset % count) + tried) % count);
    if (isFree(port)) return port;
  }
  return undefined;
}
