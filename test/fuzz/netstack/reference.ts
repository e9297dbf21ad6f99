// The reference model of a manager, with pools put on top of it in the plainest way.

import { EXHAUSTED, IN_USE } from "../../../assembly/abi.ts";
import { SeededRandom } from "../../../bindings/core/random.ts";
import type { ReferencePortManager } from "../../models/reference-manager.ts";
import { ReferenceSystem } from "../../replay/reference.ts";
import type { Tester } from "../../replay/system.ts";
import { type Ask, show, toModel } from "../../support/ask.ts";
import { Ledger } from "./ledger.ts";
import type { Mode, System } from "./system.ts";

interface ModelPool {
  readonly ask: Ask;
  readonly mode: Mode;
  readonly unique: boolean;
  /** As far as batches tell: its ports are a bitmap, no longer a sorted list. */
  isMany: boolean;
}

interface ModelReservation {
  ask: Ask;
  readonly port: number;
  released: boolean;
}

/** How many ports one batch of `takeMany` draws offsets for. */
const BATCH = 1024;

/** A sorted list of ports has at most so many; a bitmap shrinks to a list at so few. */
const LIST_MAX = 64;
const SHRINK_AT = 24;

export class Reference extends ReferenceSystem implements System {
  readonly ledger: Ledger = new Ledger();
  readonly pools: ModelPool[] = [];
  readonly reservations: ModelReservation[] = [];
  /** How often a pool grew out of a sorted list into a bitmap, and how often one shrank back. */
  grown = 0;
  shrunk = 0;
  readonly #random: SeededRandom;

  constructor(seed: number, model?: ReferencePortManager) {
    super(model);
    this.#random = new SeededRandom(seed);
  }

  override reserve(ask: Ask, port: number, test?: Tester): number {
    const answer = super.reserve(ask, port, this.#booked(ask, test));
    return this.#noted(ask, answer, test === undefined);
  }

  override search(ask: Ask, offset: number = this.#random.next(), test?: Tester): number {
    const answer = super.search(ask, offset, this.#booked(ask, test));
    return this.#noted(ask, answer, test === undefined);
  }

  override tuple(ask: Ask, port: number): number {
    return this.#noted(ask, super.tuple(ask, port), true);
  }

  override release(ask: Ask, port: number): boolean {
    this.ledger.drop(ask, port);
    return super.release(ask, port);
  }

  giveBack(ago: number): boolean {
    const reservation = this.reservations.at(-1 - ago);
    if (reservation === undefined || reservation.released) return false;
    reservation.released = true;
    this.release(reservation.ask, reservation.port);
    return true;
  }

  override pick(offset: number = this.#random.next(), test: Tester): number {
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

  open(ask: Ask, mode: Mode, unique: boolean): void {
    this.pools.push({ ask, mode, unique, isMany: false });
  }

  take(at: number, offset: number = this.#random.next()): number {
    const { ask, mode, unique } = this.#pool(at);
    const isNamed = mode === "connect";
    return this.pick(offset, (port) => {
      if (unique && this.ledger.isTaken(ask, port)) return false;
      if (!this.model.isAvailable(toModel(ask, port), isNamed)) return false;
      return this.#reserveNamed(ask, port) === port;
    });
  }

  takeAt(at: number, port: number): number {
    const { ask, unique } = this.#pool(at);
    if (unique && this.ledger.isTaken(ask, port)) return IN_USE;
    return this.#reserveNamed(ask, port);
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

  takeMany(at: number, count: number): number[] {
    const ports = this.#takeMany(at, count);
    this.#watch(at);
    return ports;
  }

  freeMany(at: number, ports: readonly number[]): number {
    const freed = ports.filter((port) => port !== 0 && this.free(at, port)).length;
    this.#watch(at);
    return freed;
  }

  closePool(at: number): void {
    this.pools.splice(at, 1);
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

  #takeMany(at: number, count: number): number[] {
    const ports: number[] = [];
    while (ports.length < count) {
      const batch = Math.min(count - ports.length, BATCH);
      const offsets = Array.from({ length: batch }, () => this.#random.next());
      for (const offset of offsets) {
        const port = this.take(at, offset);
        if (port === EXHAUSTED) return ports;
        ports.push(port);
      }
    }
    return ports;
  }

  #pool(at: number): ModelPool {
    return this.pools[at] as ModelPool;
  }

  #reserveNamed(ask: Ask, port: number): number {
    const answer = super.reserve(ask, port);
    if (answer === port) this.ledger.add(ask, port);
    return answer;
  }

  /** While a tester is asked the port is held, so the ledger says so, too. */
  #booked(ask: Ask, test: Tester | undefined): Tester | undefined {
    if (test === undefined) return undefined;
    return (port) => {
      let keep = false;
      this.ledger.add(ask, port);
      try {
        keep = test(port);
      } finally {
        if (!keep) this.ledger.drop(ask, port);
      }
      return keep;
    };
  }

  #noted(ask: Ask, answer: number, isNew: boolean): number {
    if (answer < 0) return answer;
    if (isNew) this.ledger.add(ask, answer);
    this.reservations.push({ ask, port: answer, released: false });
    return answer;
  }
}
