// A session on a pool whose ports cool down, beside its reference model: what is asked of the pool,
// what others do to its ports, and what changes around it.

import {
  type PortGroup,
  PortGroups,
  PortManager,
  type PortPool,
  type PortRange,
  ReservedPorts,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { type Limits, ReferenceCooling } from "../../models/reference-cooldown.ts";
import type { Build } from "../../support/builds.ts";
import { moduleFor, optionsFor } from "../../support/builds.ts";
import { compare, settled } from "../mismatch.ts";
import type { PlannedSession } from "../planned.ts";
import { Random } from "../random.ts";

/** What a pool can be: how long ports cool down, and which one is taken. */
export interface Setup {
  readonly name: string;
  readonly period: number;
  readonly isOrdered: boolean;
  readonly takesOldest: boolean;
  readonly seed: number;
}

export const WEIGHTS = {
  take: 34,
  takeMany: 6,
  takeAt: 6,
  free: 8,
  freeMany: 3,
  coolDown: 17,
  expire: 8,
  limit: 6,
  foreign: 6,
  behind: 6,
} as const;

export type Kind = keyof typeof WEIGHTS;

/** An operation on both sides, and its name in reports; it answers what each side says. */
interface Step {
  readonly says: string;
  readonly both: () => readonly [got: unknown, expected: unknown];
}

const KEY = { networks: [4], transport: UDP, address: "10.0.0.1" };
const ANYONE = { networks: [4], transport: UDP };
const LOWEST = 2000;
const HIGHEST = 2139;
const START = 1e12;

export class CooldownSession implements PlannedSession<Kind, Step> {
  readonly script: string[] = [];
  readonly figures = { operations: 0, taken: 0, cooled: 0, expired: 0 };
  readonly #build: Build;
  readonly #manager: PortManager;
  readonly #group: PortGroup;
  readonly #reserved: ReservedPorts;
  /** A holder of a port here keeps it from the cooling pool, and the other way round. */
  readonly #other: PortPool;
  readonly #usedBefore: number;
  readonly #pool: PortPool;
  readonly #model: ReferenceCooling;
  readonly #period: number;
  #random: Random;
  #now = START;

  constructor(setup: Setup, build: Build, Model: typeof ReferenceCooling = ReferenceCooling) {
    const { period, seed, takesOldest, isOrdered } = setup;
    const options = optionsFor(build);
    this.#build = build;
    this.#random = new Random(seed);
    this.#period = period || 800;
    this.#manager = PortManager.open({
      ...options,
      portRange: { first: LOWEST, last: HIGHEST },
      seed,
    });
    this.#group = PortGroups.open(moduleFor(build)).create("/g");
    this.#reserved = new ReservedPorts("5", moduleFor(build));
    this.#other = this.#manager.pool(ANYONE);
    // What stays when all is released: a pool that others emptied cools down until its figures are
    // looked at.
    this.#usedBefore = this.#manager.stats().memory.used;
    this.#pool = this.#manager.pool({
      ...KEY,
      group: this.#group,
      reserved: this.#reserved,
      cooldown: { period, whenCooling: takesOldest ? "oldest" : "refuse" },
      selection: isOrdered ? "fifo" : undefined,
    });
    this.#model = new Model({ ...setup, limits: () => this.#limits() });
  }

  plan(kind: Kind, random: Random): Step | undefined {
    this.#random = random;
    return this.#planned(kind);
  }

  perform({ says, both }: Step): void {
    this.figures.operations += 1;
    this.script.push(says);
    const [got, expected] = settled(both);
    compare(says, got, expected);
    this.#compareFigures();
    if (this.#build === "debug") settled(() => verify(this.#manager));
  }

  /** Closes the pool; what it held is still held, but not what cooled down. */
  finish(): void {
    this.#pool.close();
    this.#model.close();
    const again = this.#manager.pool(KEY);
    for (let port = LOWEST; port <= HIGHEST; port++) {
      compare(`pool holds ${port}`, again.free(port), this.#model.holders.has(port));
      compare(`others hold ${port}`, this.#other.free(port), this.#model.foreign.has(port));
    }
    again.close();
    const { memory, references } = this.#manager.stats();
    compare("left", { used: memory.used, references }, { used: this.#usedBefore, references: 0 });
  }

  abandon(): void {
    try {
      this.#manager.close();
    } catch {
      // It has trapped before.
    }
  }

  #planned(kind: Kind): Step | undefined {
    const random = this.#random;
    const port = this.#port();
    switch (kind) {
      case "take":
        return this.#take(random.u32());
      case "takeMany":
        return this.#takeMany(Uint32Array.from({ length: random.below(60) }, () => random.u32()));
      case "takeAt":
        return this.#takeAt(port);
      case "free":
        return this.#on(`free ${port}`, (side) => side.free(port));
      case "freeMany":
        return this.#freeMany(Uint16Array.from({ length: random.below(40) }, () => this.#port()));
      case "coolDown":
        return this.#coolDown(port, this.#time());
      case "expire":
        return this.#expire();
      case "limit":
        return random.chance(80) ? this.#limit(random.below(5), port) : this.#snapshot();
      case "foreign":
        return this.#foreign(port);
      default:
        return this.#behind(port);
    }
  }

  #on(says: string, act: (side: PortPool | ReferenceCooling) => unknown): Step {
    return { says, both: () => [act(this.#pool), act(this.#model)] };
  }

  #take(offset: number): Step {
    return {
      says: `take from ${offset}`,
      both: () => {
        const port = this.#pool.take(offset);
        if (port > 0) this.figures.taken += 1;
        return [port, this.#model.take(offset)];
      },
    };
  }

  #takeMany(offsets: Uint32Array): Step {
    return {
      says: `take ${offsets.length} ports`,
      both: () => {
        const expected: number[] = [];
        for (const offset of offsets) {
          const port = this.#model.take(offset);
          if (port < 0) break;
          expected.push(port);
        }
        const ports = new Uint16Array(offsets.length);
        const count = this.#pool.takeMany(ports, offsets);
        return [[...ports.subarray(0, count)], expected];
      },
    };
  }

  /** A group keeps out what it does not allow: the model knows nothing of that. */
  #takeAt(port: number): Step | undefined {
    const { first, last } = this.#allowed();
    if (port < first || port > last) return undefined;
    return this.#on(`take ${port}`, (side) => side.takeAt(port));
  }

  #freeMany(ports: Uint16Array): Step {
    return {
      says: `free ${ports}`,
      both: () => {
        const expected = [...ports].filter((port) => this.#model.free(port)).length;
        return [this.#pool.freeMany(ports), expected];
      },
    };
  }

  #coolDown(port: number, now: number): Step {
    return {
      says: `cool down ${port} at ${now}`,
      both: () => {
        const cooled = this.#pool.coolDown(port, now);
        if (cooled) this.figures.cooled += 1;
        return [cooled, this.#model.coolDown(port, now)];
      },
    };
  }

  #expire(): Step {
    const random = this.#random;
    this.#now += random.below(this.#period);
    const now = random.chance(75) ? this.#time() : (this.#model.nextExpiry ?? this.#now);
    this.#now = Math.max(this.#now, now);
    return {
      says: `expire at ${now}`,
      both: () => {
        const expired = this.#model.expire(now);
        this.figures.expired += expired;
        return [this.#pool.expire(now), expired];
      },
    };
  }

  /** Range, group and reserved ports change. */
  #limit(kind: number, first: number): Step {
    const last = Math.min(HIGHEST, first + this.#random.below(100));
    const range = { first, last };
    const changes = [
      () => this.#setGroup(range),
      () => {
        this.#reserved.text = `${first}-${Math.min(last, first + 20)}`;
      },
      () => this.#manager.setPortRange(first, last),
      () => this.#setGroup({ first: 1, last: 65535 }),
      () => this.#manager.setPortRange(LOWEST, HIGHEST),
    ];
    const change = changes[kind] as () => void;
    return { says: `limit ${kind}: ${first}..${last}`, both: () => [change(), undefined] };
  }

  /** Frees what is kept and not needed, and changes nothing else. */
  #snapshot(): Step {
    return { says: "snapshot", both: () => [void this.#manager.snapshot(), undefined] };
  }

  #setGroup(range: PortRange): void {
    this.#group.bindPortRange = range;
  }

  /** Another holder takes or frees. */
  #foreign(port: number): Step {
    const { foreign, holders } = this.#model;
    if (foreign.has(port)) {
      const both = () => [this.#other.free(port), foreign.delete(port)] as const;
      return { says: `others free ${port}`, both };
    }
    const isHeld = holders.has(port);
    const both = () => {
      const got = this.#other.takeAt(port) > 0;
      if (!isHeld) foreign.add(port);
      return [got, !isHeld] as const;
    };
    return { says: `others take ${port}`, both };
  }

  /** Reservations with the pool's description take and free what the pool knows nothing of. */
  #behind(port: number): Step {
    const { foreign, holders } = this.#model;
    const manager = this.#manager;
    if (holders.has(port)) {
      const both = () => [manager.releasePort({ ...KEY, port }), holders.delete(port)] as const;
      return { says: `release ${port} by value`, both };
    }
    const isFree = !foreign.has(port);
    const both = () => {
      const got = manager.isAvailable({ ...KEY, port });
      if (isFree) {
        manager.reservePort({ ...KEY, port });
        holders.add(port);
      }
      return [got, isFree] as const;
    };
    return { says: `reserve ${port} by value`, both };
  }

  #compareFigures(): void {
    const { held, cooling, nextExpiry } = this.#pool;
    const model = this.#model;
    const expected = { held: model.held, cooling: model.cooling, nextExpiry: model.nextExpiry };
    compare("figures", { held, cooling, nextExpiry }, expected);
    const port = this.#port();
    compare(`has ${port}`, this.#pool.has(port), model.has(port));
  }

  #limits(): Limits {
    const range = this.#manager.portRange();
    const group = this.#allowed();
    return {
      first: Math.max(range.first, group.first),
      last: Math.min(range.last, group.last),
      isReserved: (port) => this.#reserved.has(port),
    };
  }

  /** What the group allows. */
  #allowed(): PortRange {
    return this.#group.effective.bind as PortRange;
  }

  /** Mostly now, sometimes earlier. */
  #time(): number {
    const random = this.#random;
    this.#now += random.below(Math.max(1, this.#period >> 2));
    return random.chance(88) ? this.#now : this.#now - random.below(2 * this.#period);
  }

  #port(): number {
    return LOWEST + this.#random.below(HIGHEST - LOWEST + 1);
  }
}
