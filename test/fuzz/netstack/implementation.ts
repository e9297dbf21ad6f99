// The real thing: a manager with its reservations, by value and as objects, and its pools.

import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type OpenOptions,
  PortManager,
  type PortPool,
  type Reservation,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { answer } from "../../replay/manager.ts";
import { type Ask, bitsOf, show, toFacade } from "../../support/ask.ts";
import { spelled } from "./setup.ts";
import type { Mode, System, Tester } from "./system.ts";

const ANYS = ["0.0.0.0", "::"];

type PoolRequest = ReturnType<typeof toFacade>;

export class Implementation implements System {
  readonly manager: PortManager;
  readonly #usedAtOpen: number;
  readonly #pools: PortPool[] = [];
  readonly #reservations: Reservation[] = [];
  /** Goes up with each request, so that addresses are written in different ways. */
  #turn = 0;

  constructor(options: OpenOptions & { seed: number }) {
    this.manager = withSecretOf(options.seed, () => PortManager.open(options));
    this.#usedAtOpen = this.manager.stats().memory.used;
  }

  /** Traps, on the debug build, when an invariant does not hold. */
  verify(): void {
    verify(this.manager);
  }

  /** What is counted, and the bytes in use beyond those at open. */
  figures(): { descriptors: number; counters: number; references: number; bytes: number } {
    const { memory, totals: _, ...counts } = this.manager.stats();
    return { ...counts, bytes: memory.used - this.#usedAtOpen };
  }

  reserve(ask: Ask, port: number, test?: Tester): number {
    return this.#noted(() => this.manager.reservePort({ ...this.#request(ask), port }, test));
  }

  search(ask: Ask, offset: number | undefined, test?: Tester): number {
    const request = this.#request(ask);
    return this.#noted(() =>
      this.manager.reservePort(offset === undefined ? request : { ...request, offset }, test),
    );
  }

  tuple(ask: Ask, port: number): number {
    return this.#noted(() => this.manager.reserveTuple({ ...this.#request(ask), port }));
  }

  release(ask: Ask, port: number): boolean {
    return this.manager.releasePort({ ...this.#request(ask), port });
  }

  isAvailable(ask: Ask, port: number): boolean {
    return this.manager.isAvailable({ ...this.#request(ask), port });
  }

  giveBack(ago: number): boolean {
    return this.#reservations.at(-1 - ago)?.release() ?? false;
  }

  pick(offset: number | undefined, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPort(test, offset));
  }

  pickStable(offset: number, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPortStable(offset, test));
  }

  setRange(first: number, last: number): void {
    this.manager.setPortRange(first, last);
  }

  range(): { first: number; last: number } {
    return this.manager.portRange();
  }

  list(port: number | undefined): string[] {
    const lines: string[] = [];
    for (const held of this.manager.reservations(port === undefined ? {} : { port })) {
      const address = ANYS.includes(held.address) ? "" : held.address;
      const { bindToDevice: device, flags, ...rest } = held;
      lines.push(
        `${held.count} x ${show({ ...rest, address, device, flags: bitsOf(flags) }, held.port)}`,
      );
    }
    return lines.sort();
  }

  releaseAll(address: string, network: number | undefined): number {
    return this.manager.releaseAll({ address: spelled(address, ++this.#turn), network });
  }

  stats(): { descriptors: number; counters: number; references: number } {
    const { descriptors, counters, references } = this.manager.stats();
    return { descriptors, counters, references };
  }

  snapshot(): void {
    this.manager.snapshot();
  }

  // ── Pools ───────────────────────────────────────────────────────────────────────────────

  open(ask: Ask, mode: Mode, unique: boolean): void {
    this.#pools.push(this.manager.pool({ ...this.#request(ask), mode, unique }));
  }

  take(pool: number, offset: number | undefined): number {
    return this.#pool(pool).take(offset);
  }

  takeAt(pool: number, port: number): number {
    return this.#pool(pool).takeAt(port);
  }

  free(pool: number, port: number): boolean {
    return this.#pool(pool).free(port);
  }

  has(pool: number, port: number): boolean {
    return this.#pool(pool).has(port);
  }

  held(pool: number): number {
    return this.#pool(pool).held;
  }

  ports(pool: number): number[] {
    return [...this.#pool(pool).ports()];
  }

  takeMany(pool: number, count: number): number[] {
    const ports = new Uint16Array(count);
    return [...ports.subarray(0, this.#pool(pool).takeMany(ports))];
  }

  freeMany(pool: number, ports: readonly number[]): number {
    return this.#pool(pool).freeMany(Uint16Array.from(ports));
  }

  close(pool: number): void {
    this.#pool(pool).close();
    this.#pools.splice(pool, 1);
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #pool(at: number): PortPool {
    return this.#pools[at] as PortPool;
  }

  #request(ask: Ask): PoolRequest {
    this.#turn += 1;
    const { address, port } = ask.destination;
    return {
      ...toFacade(ask),
      address: spelled(ask.address, this.#turn),
      destination: { address: spelled(address, this.#turn), port },
    };
  }

  #noted(reserve: () => Reservation): number {
    return answer(() => {
      const reservation = reserve();
      this.#reservations.push(reservation);
      return reservation.port;
    });
  }
}

/**
 * A manager draws a secret for its hash table from the host. Here it comes from the seed, too, so
 * that a session that is fought again has its records in the same slots.
 */
function withSecretOf<T>(seed: number, open: () => T): T {
  const random = new SeededRandom(~seed);
  const host = crypto.getRandomValues;
  crypto.getRandomValues = <A extends ArrayBufferView | null>(array: A): A => {
    if (array instanceof Uint32Array) for (const at of array.keys()) array[at] = random.next();
    return array;
  };
  try {
    return open();
  } finally {
    crypto.getRandomValues = host;
  }
}
