// Fixture: where a story is played. The same story runs on the reference model, and on both builds
// of the core through reservations and through pools; a refusal is one of the negative numbers of
// `abi`.

import { IN_USE } from "../../assembly/abi.ts";
import type { PortManager, PortPool, PortTester } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { ReferencePortManager } from "../models/reference-manager.ts";
import { answer } from "../replay/manager.ts";
import { type Ask, show, toFacade, toModel } from "./ask.ts";
import { type Build, openOn } from "./builds.ts";

export interface Fixture {
  /** A port that is named: the port, or `IN_USE`. */
  reserve(ask: Ask, port: number, test?: PortTester): number;
  /** Any port, as bind() with port 0 asks for it: the port, or `EXHAUSTED`. */
  bind(ask: Ask, offset: number, test?: PortTester): number;
  /** Any port, as connect() asks for it: each is judged as if it had been named. */
  connect(ask: Ask, offset: number): number;
  tuple(ask: Ask, port: number): number;
  release(ask: Ask, port: number): boolean;
  isAvailable(ask: Ask, port: number): boolean;
  pick(offset: number, test: PortTester): number;
  pickStable(offset: number, test: PortTester): number;
  setRange(first: number, last: number): void;
  stats(): Counts;
  /** Traps, on the debug build, when an invariant does not hold. */
  verify(): void;
  /** Ends it; how many bytes are in use beyond those at open. */
  close(): number;
}

export interface Counts {
  readonly descriptors: number;
  readonly counters: number;
  readonly references: number;
}

/** Every way to play a story, by name. */
export const FIXTURES: readonly (readonly [name: string, open: () => Fixture])[] = [
  ["the reference model", () => new ModelFixture()],
  ["reservations, release build", () => new ReservationFixture("release")],
  ["reservations, debug build", () => new ReservationFixture("debug")],
  ["pools, release build", () => new PoolFixture("release")],
  ["pools, debug build", () => new PoolFixture("debug")],
];

class ModelFixture implements Fixture {
  readonly #manager = new ReferencePortManager();

  reserve(ask: Ask, port: number, test?: PortTester): number {
    return this.#manager.reservePort(toModel(ask, port), 0, test);
  }

  bind(ask: Ask, offset: number, test?: PortTester): number {
    return this.#manager.reservePort(toModel(ask, 0), offset, test);
  }

  connect(ask: Ask, offset: number): number {
    return this.#manager.connect(toModel(ask, 0), offset);
  }

  tuple(ask: Ask, port: number): number {
    return this.#manager.reserveTuple(toModel(ask, port)) ? port : IN_USE;
  }

  release(ask: Ask, port: number): boolean {
    return this.#manager.releasePort(toModel(ask, port));
  }

  isAvailable(ask: Ask, port: number): boolean {
    return this.#manager.isAvailable(toModel(ask, port));
  }

  pick(offset: number, test: PortTester): number {
    return this.#manager.pickEphemeralPort(offset, test);
  }

  pickStable(offset: number, test: PortTester): number {
    return this.#manager.pickEphemeralPortStable(offset, test);
  }

  setRange(first: number, last: number): void {
    this.#manager.setPortRange(first, last);
  }

  stats(): Counts {
    return this.#manager.stats();
  }

  verify(): void {}

  close(): number {
    return 0;
  }
}

class ReservationFixture implements Fixture {
  protected readonly manager: PortManager;
  readonly #usedAtOpen: number;

  constructor(build: Build) {
    this.manager = openOn(build);
    this.#usedAtOpen = this.manager.stats().memory.used;
  }

  reserve(ask: Ask, port: number, test?: PortTester): number {
    return answer(() => this.manager.reservePort({ ...toFacade(ask), port }, test).port);
  }

  bind(ask: Ask, offset: number, test?: PortTester): number {
    return answer(() => this.manager.reservePort({ ...toFacade(ask), offset }, test).port);
  }

  connect(ask: Ask, offset: number): number {
    return this.pick(offset, (port) => this.reserve(ask, port) === port);
  }

  tuple(ask: Ask, port: number): number {
    return answer(() => this.manager.reserveTuple({ ...toFacade(ask), port }).port);
  }

  release(ask: Ask, port: number): boolean {
    return this.manager.releasePort({ ...toFacade(ask), port });
  }

  isAvailable(ask: Ask, port: number): boolean {
    return this.manager.isAvailable({ ...toFacade(ask), port });
  }

  pick(offset: number, test: PortTester): number {
    return answer(() => this.manager.pickEphemeralPort(test, offset));
  }

  pickStable(offset: number, test: PortTester): number {
    return answer(() => this.manager.pickEphemeralPortStable(offset, test));
  }

  setRange(first: number, last: number): void {
    this.manager.setPortRange(first, last);
  }

  stats(): Counts {
    const { descriptors, counters, references } = this.manager.stats();
    return { descriptors, counters, references };
  }

  verify(): void {
    verify(this.manager);
  }

  close(): number {
    const left = this.manager.stats().memory.used - this.#usedAtOpen;
    this.manager.close();
    return left;
  }
}

/** Whatever a pool can do goes through pools that stay open, the rest through reservations. */
class PoolFixture extends ReservationFixture {
  readonly #pools = new Map<string, PortPool>();

  override reserve(ask: Ask, port: number, test?: PortTester): number {
    return test === undefined
      ? this.#pool(ask, "bind").takeAt(port)
      : super.reserve(ask, port, test);
  }

  override bind(ask: Ask, offset: number, test?: PortTester): number {
    return test === undefined
      ? this.#pool(ask, "bind").take(offset)
      : super.bind(ask, offset, test);
  }

  override connect(ask: Ask, offset: number): number {
    return this.#pool(ask, "connect").take(offset);
  }

  override release(ask: Ask, port: number): boolean {
    return this.#pool(ask, "connect").free(port);
  }

  override close(): number {
    for (const pool of this.#pools.values()) pool.close();
    return super.close();
  }

  #pool(ask: Ask, mode: "bind" | "connect"): PortPool {
    const name = `${show(ask, mode)} ${ask.destination.port}`;
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = this.manager.pool({ ...toFacade(ask), mode });
      this.#pools.set(name, pool);
    }
    return pool;
  }
}
