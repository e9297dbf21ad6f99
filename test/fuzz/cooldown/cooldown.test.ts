// Random operations on a cooling pool, and behind its back, against its reference model. The debug build checks
// its invariants after each.

import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type PortGroup,
  PortGroups,
  type PortManager,
  type PortPool,
  type PortRange,
  ReservedPorts,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { type Limits, ReferenceCooling } from "../../models/reference-cooldown.ts";
import { BUILDS, openOn, optionsFor } from "../../support/builds.ts";

const KEY = { networks: [4], transport: UDP, address: "10.0.0.1" };
const ANYONE = { networks: [4], transport: UDP };
const LOWEST = 2000;
const HIGHEST = 2139;

const KINDS = [
  { name: "cooldown, refuse", period: 800, isOrdered: false, takesOldest: false },
  { name: "cooldown, oldest", period: 800, isOrdered: false, takesOldest: true },
  { name: "cooldown of 1 ms, oldest", period: 1, isOrdered: false, takesOldest: true },
  { name: "fifo", period: 0, isOrdered: true, takesOldest: false },
  { name: "fifo with cooldown, refuse", period: 777, isOrdered: true, takesOldest: false },
  { name: "fifo with cooldown, oldest", period: 800, isOrdered: true, takesOldest: true },
];
type Kind = (typeof KINDS)[number];

describe.each(BUILDS)("%s build", (build) => {
  const seeds = build === "release" ? 12 : 4;

  test.each(KINDS)("$name", (kind) => {
    for (let seed = 1; seed <= seeds; seed++) {
      const manager = openOn(build, { portRange: { first: LOWEST, last: HIGHEST }, seed });
      const { module } = optionsFor(build);
      const own = module === undefined ? {} : { module };
      const group = PortGroups.open(own).create("/g");
      const reserved = new ReservedPorts("5", own);
      const other = manager.pool(ANYONE);
      // What stays when all is released: a pool that words emptied cools down until others look at the figures.
      const before = manager.stats().memory.used;
      const world = new World(manager, { group, reserved, other }, kind, seed);
      for (let step = 0; step < 500; step++) {
        const what = world.step();
        world.compare(`${kind.name}, seed ${seed}, step ${step}: ${what}`);
        if (build === "debug") verify(manager);
      }
      world.end();
      expect(manager.stats().memory.used, `${kind.name}, seed ${seed}`).toBe(before);
      expect(manager.stats().references).toBe(0);
      manager.close();
    }
  });
});

interface Around {
  readonly group: PortGroup;
  readonly reserved: ReservedPorts;
  /** Whoever holds a port here keeps it from the cooling pool, and the other way round. */
  readonly other: PortPool;
}

class World {
  readonly #manager: PortManager;
  readonly #around: Around;
  readonly #random: SeededRandom;
  readonly #pool: PortPool;
  readonly #model: ReferenceCooling;
  readonly #period: number;
  #now = 1e12;

  constructor(manager: PortManager, around: Around, kind: Kind, seed: number) {
    this.#manager = manager;
    this.#around = around;
    this.#random = new SeededRandom(seed);
    this.#period = kind.period || 800;
    const { group, reserved } = around;
    this.#pool = manager.pool({
      ...KEY,
      group,
      reserved,
      cooldown: { period: kind.period, whenCooling: kind.takesOldest ? "oldest" : "refuse" },
      selection: kind.isOrdered ? "fifo" : undefined,
    });
    this.#model = new ReferenceCooling({ ...kind, limits: () => this.#limits() });
  }

  /** Does one thing to both; says what it was. */
  step(): string {
    const dice = this.#below(100);
    if (dice < 34) return this.#take();
    if (dice < 40) return this.#takeMany();
    if (dice < 46) return this.#takeAt(this.#port());
    if (dice < 54) return this.#free(this.#port());
    if (dice < 57) return this.#freeMany();
    if (dice < 74) return this.#coolDown(this.#port());
    if (dice < 82) return this.#wake();
    if (dice < 88) return this.#limit();
    if (dice < 94) return this.#foreign(this.#port());
    return this.#behind(this.#port());
  }

  compare(what: string): void {
    const { held, cooling, nextExpiry } = this.#model;
    const { held: ownHeld, cooling: ownCooling, nextExpiry: ownWake } = this.#pool;
    expect({ held: ownHeld, cooling: ownCooling, nextExpiry: ownWake }, what).toEqual({
      held,
      cooling,
      nextExpiry,
    });
    const port = this.#port();
    expect(this.#pool.has(port), what).toBe(this.#model.has(port));
  }

  /** Closes the pool; what it held is still held, but not what cooled down. */
  end(): void {
    this.#pool.close();
    this.#model.close();
    const again = this.#manager.pool(KEY);
    for (let port = LOWEST; port <= HIGHEST; port++) {
      expect(again.free(port)).toBe(this.#model.holders.has(port));
      expect(this.#around.other.free(port)).toBe(this.#model.foreign.has(port));
    }
    again.close();
  }

  #take(): string {
    const offset = this.#random.next();
    const expected = this.#model.take(offset);
    expect(this.#pool.take(offset), `take(${offset})`).toBe(expected);
    return `take ${expected}`;
  }

  #takeMany(): string {
    const ports = new Uint16Array(this.#below(60));
    const offsets = Uint32Array.from(ports, () => this.#random.next());
    const expected: number[] = [];
    for (const offset of offsets) {
      const port = this.#model.take(offset);
      if (port < 0) break;
      expected.push(port);
    }
    const count = this.#pool.takeMany(ports, offsets);
    expect([...ports.subarray(0, count)], "takeMany").toEqual(expected);
    return `takeMany ${expected}`;
  }

  #takeAt(port: number): string {
    // A group keeps out what it does not allow: the model knows nothing of that.
    const { first, last } = this.#allowed();
    if (port < first || port > last) return "nothing";
    expect(this.#pool.takeAt(port), `takeAt(${port})`).toBe(this.#model.takeAt(port));
    return `takeAt ${port}`;
  }

  #free(port: number): string {
    expect(this.#pool.free(port), `free(${port})`).toBe(this.#model.free(port));
    return `free ${port}`;
  }

  #freeMany(): string {
    const ports = Uint16Array.from({ length: this.#below(40) }, () => this.#port());
    const expected = [...ports].filter((port) => this.#model.free(port)).length;
    expect(this.#pool.freeMany(ports), "freeMany").toBe(expected);
    return `freeMany ${ports}`;
  }

  #coolDown(port: number): string {
    const now = this.#time();
    expect(this.#pool.coolDown(port, now), `rest(${port})`).toBe(this.#model.coolDown(port, now));
    return `rest ${port} at ${now}`;
  }

  #wake(): string {
    this.#now += this.#below(this.#period);
    const now = this.#below(4) > 0 ? this.#time() : (this.#model.nextExpiry ?? this.#now);
    this.#now = Math.max(this.#now, now);
    const expected = this.#model.expire(now);
    expect(this.#pool.expire(now), `wake(${now})`).toBe(expected);
    return `wake ${expected} at ${now}`;
  }

  /** Range, group and reserved ports change. */
  #limit(): string {
    const first = this.#port();
    const last = Math.min(HIGHEST, first + this.#below(100));
    const kind = this.#below(5);
    if (kind === 0) this.#around.group.bindPortRange = { first, last };
    else if (kind === 1) this.#around.reserved.text = `${first}-${Math.min(last, first + 20)}`;
    else if (kind === 2) this.#manager.setPortRange(first, last);
    else if (kind === 3) this.#around.group.bindPortRange = { first: 1, last: 65535 };
    else this.#manager.setPortRange(LOWEST, HIGHEST);
    return `limit ${kind}: ${first}..${last}`;
  }

  /** Somebody else takes and frees. */
  #foreign(port: number): string {
    const { foreign, holders } = this.#model;
    const isHeld = foreign.has(port) || holders.has(port);
    if (foreign.has(port)) {
      expect(this.#around.other.free(port)).toBe(true);
      foreign.delete(port);
    } else {
      expect(this.#around.other.takeAt(port) > 0, `others take ${port}`).toBe(!isHeld);
      if (!isHeld) foreign.add(port);
    }
    return `foreign ${port}`;
  }

  /** Words of the same description take and free what the pool knows nothing of. */
  #behind(port: number): string {
    const { foreign, holders } = this.#model;
    const isHeld = holders.has(port);
    const isFree = !isHeld && !foreign.has(port);
    expect(this.#manager.isAvailable({ ...KEY, port })).toBe(isFree);
    if (isHeld) {
      expect(this.#manager.releasePort({ ...KEY, port })).toBe(true);
      holders.delete(port);
    } else if (isFree) {
      this.#manager.reservePort({ ...KEY, port });
      holders.add(port);
    }
    return `behind ${port}`;
  }

  #limits(): Limits {
    const range = this.#manager.portRange();
    const group = this.#allowed();
    return {
      first: Math.max(range.first, group.first),
      last: Math.min(range.last, group.last),
      isReserved: (port) => this.#around.reserved.has(port),
    };
  }

  /** What the group allows. */
  #allowed(): PortRange {
    return this.#around.group.effective.bind as PortRange;
  }

  /** Mostly now, sometimes earlier. */
  #time(): number {
    this.#now += this.#below(this.#period / 4);
    return this.#below(8) > 0 ? this.#now : this.#now - this.#below(2 * this.#period);
  }

  #port(): number {
    return LOWEST + this.#below(HIGHEST - LOWEST + 1);
  }

  #below(count: number): number {
    return this.#random.next() % Math.max(1, Math.floor(count));
  }
}
