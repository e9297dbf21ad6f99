// Handles whose limits change under them: several of one description, with reserved lists and
// groups of their own, against a set and a loop.

import { describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED } from "../../../assembly/abi.ts";
import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type PortGroup,
  PortGroups,
  type PortManager,
  type PortPool,
  ReservedPorts,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, openOn, optionsFor } from "../../support/builds.ts";

const FIRST = 1024;
const LAST = 1407;
const PORT_RANGE = { first: FIRST, last: LAST };
const KEY = { networks: [4], transport: UDP };

describe.each(BUILDS)("%s build", (build) => {
  const open = (): PortManager => openOn(build, { seed: 3, portRange: PORT_RANGE });
  const moduleOf = (): { module?: WebAssembly.Module } => {
    const { module } = optionsFor(build);
    return module === undefined ? {} : { module };
  };
  const listOf = (text: string): ReservedPorts => new ReservedPorts(text, moduleOf());

  test("a second pool sees the list as it is now, though the first has searched under an older one", () => {
    using manager = open();
    const reserved = listOf("5");
    const first = manager.pool({ ...KEY, reserved });
    first.takeMany(new Uint16Array(100), new Uint32Array(100));
    expect(first.take(0)).toBe(1124);
    reserved.text = "1125-1215";
    const second = manager.pool({ ...KEY, reserved });
    const ports = new Uint16Array(8);
    second.takeMany(ports, new Uint32Array(8).fill(70));
    expect([...ports]).toEqual([1216, 1217, 1218, 1219, 1220, 1221, 1222, 1223]);
    reserved.text = "";
    expect(manager.pool({ ...KEY, reserved }).take(100)).toBe(1125);
    verify(manager);
  });

  test("a list that shrinks opens the range to whoever comes next", () => {
    using manager = open();
    const reserved = listOf("1088-1407");
    const first = manager.pool({ ...KEY, reserved });
    for (let port = FIRST; port < 1088; port++) first.takeAt(port);
    first.takeAt(1400);
    expect(first.take(0)).toBe(EXHAUSTED);
    reserved.text = "5";
    expect(manager.pool({ ...KEY, reserved }).take(0)).toBe(1088);
    verify(manager);
  });

  test("one pool frees under a list that has changed, and takes as the list says", () => {
    using manager = open();
    const reserved = listOf("5");
    const pool = manager.pool({ ...KEY, reserved });
    pool.takeMany(new Uint16Array(100), new Uint32Array(100));
    reserved.text = "1124-1200";
    manager.reservePort({ networks: [6], transport: UDP, port: 9 });
    expect(pool.free(1030)).toBe(true);
    expect(pool.take(60)).toBe(1201);
    expect(pool.take(60)).toBe(1202);
    expect(pool.held).toBe(101);
    verify(manager);
  });

  test("where memory is limited an empty pool leaves its bitmap to others", () => {
    using manager = openOn(build, { memoryLimit: 12000 });
    const idle = manager.pool({ ...KEY, destination: { address: "9.9.9.9", port: 1 } });
    const busy = manager.pool({ ...KEY, networks: [6] });
    const ports = new Uint16Array(100);
    for (const give of [
      () => idle.freeMany(ports),
      () => ports.forEach((port) => void idle.free(port)),
    ]) {
      const { used } = manager.stats().memory;
      expect(idle.takeMany(ports)).toBe(100);
      give();
      expect(manager.stats().memory.used).toBe(used);
    }
    expect(busy.takeMany(ports)).toBe(100);
  });

  test("lists, groups, ranges and reservations change, and each pick is that of a set and a loop", () => {
    for (let seed = 1; seed <= (build === "release" ? 40 : 8); seed++) {
      const fixture = new Fixture(open(), limits(), seed);
      for (let step = 0; step < 600; step++) {
        fixture.change();
        fixture.pick();
        if (build === "debug") verify(fixture.manager);
      }
      expect(fixture.pools[0]?.pool.held).toBe(fixture.held.size);
      fixture.manager.close();
    }
  });

  function limits(): Limits {
    const tree = PortGroups.open(moduleOf());
    return {
      groups: [tree.create("/a"), tree.create("/a/b")],
      lists: [listOf("5"), listOf("1100-1200")],
    };
  }
});

interface Limits {
  readonly groups: readonly PortGroup[];
  readonly lists: readonly ReservedPorts[];
}

interface Handle {
  readonly pool: PortPool;
  readonly reserved: ReservedPorts | undefined;
}

/** Five pools of one description, and beside them what they hold together, as a set. */
class Fixture {
  readonly manager: PortManager;
  readonly held = new Set<number>();
  readonly pools: readonly Handle[];
  readonly #limits: Limits;
  readonly #random: SeededRandom;

  constructor(manager: PortManager, limits: Limits, seed: number) {
    this.manager = manager;
    this.#limits = limits;
    this.#random = new SeededRandom(seed);
    this.pools = Array.from({ length: 5 }, () => {
      const reserved = this.#oneOf([undefined, ...limits.lists]);
      const group = this.#oneOf([undefined, ...limits.groups]);
      return { reserved, pool: manager.pool({ ...KEY, reserved, group }) };
    });
  }

  /** Something about the limits, or the record tree, may become another. */
  change(): void {
    const { groups, lists } = this.#limits;
    const first = FIRST + this.#below(300);
    const last = Math.min(LAST, first + this.#below(300));
    switch (this.#below(12)) {
      case 0:
        this.#oneOf(lists).text = `${first}-${last}`;
        break;
      case 1:
        this.#oneOf(groups).bindPortRange = { first, last };
        break;
      case 2:
        this.#oneOf(this.pools).pool.group = this.#oneOf([undefined, ...groups]);
        break;
      case 3:
        this.manager.setPortRange(first, last);
        break;
      case 4:
        this.manager.reservePort({ networks: [6], transport: UDP, port: first }).release();
    }
  }

  /** Takes or frees by one of the pools. */
  pick(): void {
    const handle = this.#oneOf(this.pools);
    const kind = this.#below(6);
    if (kind < 2) this.#take(handle);
    else if (kind < 4) this.#free(handle);
    else if (kind === 4) this.#takeMany(handle);
    else this.#freeMany(handle);
  }

  #take(handle: Handle): void {
    const offset = this.#random.next();
    const port = this.#expected(handle, offset);
    expect(handle.pool.take(offset)).toBe(port);
    if (port > 0) this.held.add(port);
  }

  #free({ pool }: Handle): void {
    const port = FIRST + this.#below(LAST - FIRST + 1);
    expect(pool.free(port)).toBe(this.held.delete(port));
  }

  #takeMany(handle: Handle): void {
    const ports = new Uint16Array(60);
    const offsets = Uint32Array.from(ports, () => this.#random.next());
    const wanted: number[] = [];
    for (const offset of offsets) {
      const port = this.#expected(handle, offset);
      if (port < 0) break;
      this.held.add(port);
      wanted.push(port);
    }
    const count = handle.pool.takeMany(ports, offsets);
    expect([...ports.subarray(0, count)]).toEqual(wanted);
  }

  #freeMany({ pool }: Handle): void {
    const some = [...this.held].filter(() => this.#below(3) > 0);
    expect(pool.freeMany(Uint16Array.from(some))).toBe(some.length);
    for (const port of some) this.held.delete(port);
  }

  /** What a loop over the range finds. */
  #expected({ pool, reserved }: Handle, offset: number): number {
    const range = this.manager.portRange();
    const limit = pool.group === undefined ? range : pool.group.effective.bind;
    const first = Math.max(range.first, limit?.first ?? LAST + 1);
    const count = Math.min(range.last, limit?.last ?? 0) - first + 1;
    if (count < 1) return EMPTY_RANGE;
    for (let step = 0; step < count; step++) {
      const port = first + (((offset % count) + step) % count);
      if (!this.held.has(port) && !reserved?.has(port)) return port;
    }
    return EXHAUSTED;
  }

  #oneOf<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #below(count: number): number {
    return this.#random.next() % count;
  }
}
