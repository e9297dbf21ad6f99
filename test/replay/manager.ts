// The port manager as a system to play on, by either of its two ways in.
//
// Reservations: every operation is a call with a request, by value. Pools: whatever a pool can do
// goes through pools that stay open, one per distinct key, and the rest through reservations of
// the same manager, so the two ways in are seen to share one state.

import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../assembly/abi.ts";
import {
  type PoolRequest,
  PortError,
  type PortManager,
  type PortPool,
  type Reason,
  type Reservation,
} from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { type Ask, show, toFacade } from "../support/ask.ts";
import type { Stats, System, Tester } from "./system.ts";

export class ReservationSystem implements System {
  readonly manager: PortManager;
  readonly #usedAtOpen: number;

  constructor(manager: PortManager) {
    this.manager = manager;
    this.#usedAtOpen = this.manager.stats().memory.used;
  }

  reserve(ask: Ask, port: number, test?: Tester): number {
    return this.#portOf(() => this.manager.reservePort({ ...this.request(ask), port }, test));
  }

  search(ask: Ask, offset: number | undefined, test?: Tester): number {
    const request = { ...this.request(ask), ...(offset !== undefined && { offset }) };
    return this.#portOf(() => this.manager.reservePort(request, test));
  }

  connect(ask: Ask, offset: number): number {
    return this.pick(offset, (port) => this.reserve(ask, port) === port);
  }

  tuple(ask: Ask, port: number): number {
    return this.#portOf(() => this.manager.reserveTuple({ ...this.request(ask), port }));
  }

  release(ask: Ask, port: number): boolean {
    return this.manager.releasePort({ ...this.request(ask), port });
  }

  isAvailable(ask: Ask, port: number): boolean {
    return this.manager.isAvailable({ ...this.request(ask), port });
  }

  pick(offset: number | undefined, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPort(test, offset));
  }

  pickStable(offset: number, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPortStable(offset, test));
  }

  setRange(first: number, last: number): boolean {
    try {
      this.manager.setPortRange(first, last);
      return true;
    } catch (error) {
      if (error instanceof PortError && error.reason === "invalid-port-range") return false;
      throw error;
    }
  }

  range(): { first: number; last: number } {
    return this.manager.portRange();
  }

  stats(): Stats {
    const { descriptors, counters, references } = this.manager.stats();
    return { descriptors, counters, references };
  }

  /** In use beyond those in use when the manager was opened. */
  get bytes(): number {
    return this.manager.stats().memory.used - this.#usedAtOpen;
  }

  verify(): void {
    verify(this.manager);
  }

  close(): number {
    const { bytes } = this;
    this.manager.close();
    return bytes;
  }

  /** In the manager's words. */
  protected request(ask: Ask): PoolRequest {
    return toFacade(ask);
  }

  /** Called with each reservation that is made. */
  protected onReserved(_reservation: Reservation): void {}

  #portOf(reserve: () => Reservation): number {
    return answer(() => {
      const reservation = reserve();
      this.onReserved(reservation);
      return reservation.port;
    });
  }
}

export class PoolSystem extends ReservationSystem {
  readonly #pools = new Map<string, PortPool>();

  override reserve(ask: Ask, port: number, test?: Tester): number {
    if (test !== undefined) return super.reserve(ask, port, test);
    return this.#pool(ask, "bind").takeAt(port);
  }

  override search(ask: Ask, offset: number, test?: Tester): number {
    if (test !== undefined) return super.search(ask, offset, test);
    return this.#pool(ask, "bind").take(offset);
  }

  override connect(ask: Ask, offset: number): number {
    return this.#pool(ask, "connect").take(offset);
  }

  override release(ask: Ask, port: number): boolean {
    return this.#pool(ask, "bind").free(port);
  }

  override close(): number {
    for (const pool of this.#pools.values()) pool.close();
    return super.close();
  }

  #pool(ask: Ask, mode: "bind" | "connect"): PortPool {
    const name = show(ask, mode);
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = this.manager.pool({ ...this.request(ask), mode });
      this.#pools.set(name, pool);
    }
    return pool;
  }
}

const REFUSALS: Partial<Record<Reason, number>> = {
  "port-in-use": IN_USE,
  "no-port-available": EXHAUSTED,
  "outside-group": OUTSIDE_GROUP,
  "empty-range": EMPTY_RANGE,
};

/** A refusal as the number that it was inside. Any other error is no answer. */
function answer(ask: () => number): number {
  try {
    return ask();
  } catch (error) {
    const refusal = error instanceof PortError ? REFUSALS[error.reason] : undefined;
    if (refusal === undefined) throw error;
    return refusal;
  }
}
