// Lists by turns: several pools and reservations search the same sets, each past a list of its own
// or none, while the lists change and words of 64 ports fill up with held and reserved ports
// together. Each answer is compared with a search port by port.

import { describe, expect, test } from "vitest";
import { EXHAUSTED } from "../../../assembly/abi.ts";
import { SeededRandom } from "../../../bindings/core/random.ts";
import type { PortManager, PortPool, Reservation, ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, type Build, openOn } from "../../support/builds.ts";
import { type AnyRequest, answerOf, DNS, reservedOn } from "./fixture.ts";

const ALL = 65536;
/** Where words of 64 and groups of 4096 ports begin and end. */
const EDGES = [1, 63, 64, 127, 128, 4095, 4096, 8191, 8192, 61_439, 61_440, 65_471, 65_535];

/** Flags of 65,536 ports, which a plain loop reads fast. */
type Ports = Uint8Array;

interface List {
  readonly real: ReservedPorts | undefined;
  readonly ports: Ports;
}

function write(list: List, spans: readonly (readonly [number, number])[]): void {
  if (list.real === undefined) return;
  list.real.text = spans.map(([first, last]) => `${first}-${last}`).join();
  list.ports.fill(0);
  for (const [first, last] of spans) list.ports.fill(1, first, last + 1);
}

/** The first port from an offset on that is in none of them. */
function plain(first: number, last: number, offset: number, sets: readonly Ports[]): number {
  const count = last - first + 1;
  for (let tried = 0; tried < count; tried++) {
    const port = first + ((offset + tried) % count);
    if (sets.every((ports) => ports[port] === 0)) return port;
  }
  return EXHAUSTED;
}

/** A manager on all ports, two lists, and no list. */
class Bench {
  readonly manager: PortManager;
  readonly lists: readonly List[];
  readonly #random: SeededRandom;
  readonly #usedAtOpen: number;

  constructor(build: Build, seed: number) {
    this.manager = openOn(build, { seed, portRange: { first: 1, last: ALL - 1 } });
    this.#usedAtOpen = this.manager.stats().memory.used;
    this.#random = new SeededRandom(seed);
    this.lists = [reservedOn(build), reservedOn(build), undefined].map((real) => ({
      real,
      ports: new Uint8Array(ALL),
    }));
  }

  below(count: number): number {
    return this.#random.next() % count;
  }

  /** Near an edge, as a rule. */
  port(): number {
    const edge = EDGES[this.below(EDGES.length)] as number;
    return Math.min(Math.max(edge + this.below(5) - 2, 1), ALL - 1);
  }

  /** Stretches from edge to edge, single ports, nothing, everything. */
  change(list: List): void {
    if (this.below(10) === 0) write(list, this.below(2) ? [] : [[0, ALL - 1]]);
    else if (this.below(3) === 0) write(list, [this.#span(), this.#span(), this.#span()]);
    else {
      const left = this.port();
      write(
        list,
        left === ALL - 1
          ? [[0, left - 1]]
          : [
              [0, left - 1],
              [left + 1, ALL - 1],
            ],
      );
    }
  }

  #span(): [number, number] {
    const [one, other] = [this.port(), this.below(2) ? this.port() : 0];
    return other === 0 ? [one, one] : [Math.min(one, other), Math.max(one, other)];
  }

  end(): void {
    verify(this.manager);
    expect(this.manager.stats()).toMatchObject({
      references: 0,
      memory: { used: this.#usedAtOpen },
    });
    this.manager.close();
  }
}

/** Holds all ports but those near edges. */
function fill(pool: PortPool, held: Ports): void {
  const ports: number[] = [];
  for (let port = 1; port < ALL; port++) {
    if (EDGES.every((edge) => Math.abs(edge - port) > 3)) ports.push(port);
  }
  for (const port of ports) if (pool.takeAt(port) === port) held[port] = 1;
}

function freeAll(pool: PortPool, held: Ports): void {
  const ports = [...held.keys()].filter((port) => held[port] === 1);
  expect(pool.freeMany(Uint16Array.from(ports))).toBe(ports.length);
  held.fill(0);
}

describe.each(BUILDS)("%s build", (build) => {
  const steps = build === "debug" ? 500 : 1500;

  test("pools and reservations of one nearly full description get every port that is left", () => {
    const bench = new Bench(build, 1);
    const { manager, lists } = bench;
    const held = new Uint8Array(ALL);
    const requests: AnyRequest[] = lists.map(({ real }) => ({ ...DNS, reserved: real }));
    const pools = requests.map((request) => manager.pool(request));
    fill(pools[0] as PortPool, held);
    const free = (port: number): void => {
      expect((pools[bench.below(3)] as PortPool).free(port)).toBe(held[port] === 1);
      held[port] = 0;
    };
    for (let step = 0; step < steps; step++) {
      const which = bench.below(3);
      const list = lists[which] as List;
      const random = bench.below(10);
      const port = bench.port();
      if (random < 2) bench.change(list);
      else if (random < 4) free(port);
      else if (random < 5) {
        const wanted = held[port] === 1 ? -1 : port;
        expect((pools[which] as PortPool).takeAt(port)).toBe(wanted);
        held[port] = 1;
      } else {
        const offset = bench.below(3) ? port - 1 : bench.below(ALL);
        const wanted = plain(1, ALL - 1, offset, [held, list.ports]);
        const got =
          random < 8
            ? (pools[which] as PortPool).take(offset)
            : answerOf(() => manager.reservePort({ ...(requests[which] as AnyRequest), offset }));
        expect(got, `step ${step}`).toBe(wanted);
        if (got > 0) held[got] = 1;
        if (got > 0 && bench.below(3)) free(got);
      }
      if (step % 50 === 0) verify(manager);
    }
    freeAll(pools[0] as PortPool, held);
    for (const pool of pools) pool.close();
    bench.end();
  });

  test("many pools are all counted: by address, by destination, by any address", () => {
    const bench = new Bench(build, 2);
    const { manager, lists } = bench;
    const requests: AnyRequest[] = [
      { ...DNS, address: "10.0.0.1" },
      { ...DNS, address: "10.0.0.1", destination: { port: 1 } },
      { ...DNS, address: "10.0.0.2" },
      { ...DNS, address: "10.0.0.2", destination: { address: "9.9.9.9", port: 1 } },
    ];
    const held = requests.map(() => new Uint8Array(ALL));
    const pools = requests.map((request) => lists.map((list) => openWith(manager, request, list)));
    const anyone = lists.map((list) => openWith(manager, DNS, list));
    const [first, last] = [4000, 4300];
    manager.setPortRange(first, last);
    // Each has a quarter of the range, so that only together they fill a word.
    for (const [index, ports] of held.entries()) {
      for (let port = first; port <= last; port++) {
        if (port % 4 !== index || bench.below(20) === 0) continue;
        expect(pools[index]?.[0]?.takeAt(port)).toBe(port);
        ports[port] = 1;
      }
    }
    for (let step = 0; step < steps; step++) {
      const which = bench.below(3);
      const list = lists[which] as List;
      const index = bench.below(4);
      const port = first + bench.below(last - first + 1);
      const random = bench.below(10);
      if (random < 2) {
        const spans = Array.from({ length: bench.below(6) }, () => {
          const from = first + bench.below(last - first + 1);
          return [from, from + bench.below(70)] as const;
        });
        write(list, spans);
      } else if (random < 4) {
        const ports = held[index] as Ports;
        expect(pools[index]?.[which]?.free(port)).toBe(ports[port] === 1);
        ports[port] = 0;
      } else {
        const offset = bench.below(ALL);
        const wanted = plain(first, last, offset, [...held, list.ports]);
        const pool = anyone[which] as PortPool;
        const got =
          random < 8 ? pool.take(offset) : answerOf(() => wordsFrom(manager, list, offset));
        expect(got, `step ${step}`).toBe(wanted);
        if (got > 0) expect(pool.free(got)).toBe(true);
        // A specific one takes it then, if that is what it finds.
        const own = pools[index]?.[which] as PortPool;
        if (got > 0 && own.takeAt(got) === got) (held[index] as Ports)[got] = 1;
      }
      if (step % 50 === 0) verify(manager);
    }
    for (const [index, ports] of held.entries()) freeAll(pools[index]?.[0] as PortPool, ports);
    for (const pool of [...pools.flat(), ...anyone]) pool.close();
    bench.end();
  });

  test.each([0, 30, 63])("a word that holds %i ports fills up, past a list and none", (size) => {
    const bench = new Bench(build, 3);
    const { manager, lists } = bench;
    const [list, , nothing] = lists as [List, List, List];
    const [past, none] = [openWith(manager, DNS, list), openWith(manager, DNS, nothing)];
    const held = new Uint8Array(ALL);
    const [first, last] = [4096, 4096 + 191];
    const [from, to] = [4160, 4223];
    for (let port = 10_000; port < 10_070; port++) none.takeAt(port);
    for (let port = from; port < from + size; port++) held[none.takeAt(port)] = 1;
    manager.setPortRange(first, last);

    const expectTake = (pool: PortPool, { ports }: List): void => {
      const wanted = plain(first, last, from - first, [held, ports]);
      expect(pool.take(from - first)).toBe(wanted);
      held[wanted] = 1;
    };
    for (let open = from + size; open <= to; open++) {
      // All that is left of the word is reserved but one: full for one, open for the other.
      const spans = [
        [from, open - 1],
        [open + 1, to],
      ] as const;
      write(
        list,
        spans.filter(([low, high]) => low <= high),
      );
      for (const pool of [past, none, past]) expectTake(pool, pool === past ? list : nothing);
      write(list, [[from, to]]);
      for (const pool of [none, past]) expectTake(pool, pool === past ? list : nothing);
      write(list, []);
      for (const pool of [past, none]) expectTake(pool, nothing);
      verify(manager);
      for (let port = from + size; port <= last; port++) {
        expect(none.free(port)).toBe(held[port] === 1);
        held[port] = 0;
      }
    }
    manager.close();
  });
});

function openWith(manager: PortManager, request: AnyRequest, { real }: List): PortPool {
  return manager.pool({ ...request, reserved: real });
}

function wordsFrom(manager: PortManager, { real }: List, offset: number): Reservation {
  return manager.reservePort({ ...DNS, reserved: real, offset });
}
