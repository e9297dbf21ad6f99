// The implementation: a manager with its reservations, by value and as objects, and its pools.

import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type OpenOptions,
  type PoolRequest,
  PortManager,
  type PortPool,
  type Reservation,
} from "../../../bindings/index.ts";
import { ReservationSystem } from "../../replay/manager.ts";
import type { Stats } from "../../replay/system.ts";
import { bitsOf, show } from "../../support/ask.ts";
import type { RealGroups } from "./groups.ts";
import { spelled } from "./setup.ts";
import type { GroupedAsk, Mode, System } from "./system.ts";

const ANYS = ["0.0.0.0", "::"];

export class Implementation extends ReservationSystem implements System {
  readonly groups: RealGroups;
  readonly #pools: PortPool[] = [];
  readonly #reservations: Reservation[] = [];
  /** Goes up with each request, so that addresses are written in different ways. */
  #turn = 0;

  constructor(options: OpenOptions & { seed: number }, groups: RealGroups) {
    super(withSecretOf(options.seed, () => PortManager.open(options)));
    this.groups = groups;
  }

  /** What is counted, and the bytes in use beyond those at open. */
  figures(): Stats & { readonly bytes: number } {
    return { ...this.stats(), bytes: this.bytes };
  }

  /** The same, with all that groups show. */
  picture(): unknown {
    const all = [...this.#reservations, ...this.#pools];
    const inGroups = all.map(({ group }) => this.groups.numberOf(group));
    return [this.figures(), this.groups.uses(), inGroups, this.#pools.map(({ held }) => held)];
  }

  giveBack(ago: number): boolean {
    return this.#reservations.at(-1 - ago)?.release() ?? false;
  }

  agoOf(port: number): number {
    return [...this.#reservations].reverse().findIndex((reservation) => reservation.port === port);
  }

  move(ago: number, group: number | undefined): number | undefined {
    const reservation = this.#reservations.at(-1 - ago) as Reservation;
    reservation.group = this.groups.find(group);
    return this.groups.numberOf(reservation.group);
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

  snapshot(): void {
    this.manager.snapshot();
  }

  // ── Pools ───────────────────────────────────────────────────────────────────────────────

  open(ask: GroupedAsk, mode: Mode | undefined, unique: boolean): void {
    const options = mode === undefined ? { unique } : { unique, mode };
    this.#pools.push(this.manager.pool({ ...this.request(ask), ...options }));
  }

  get poolCount(): number {
    return this.#pools.length;
  }

  movePool(at: number, group: number | undefined): number | undefined {
    const pool = this.#pool(at);
    pool.group = this.groups.find(group);
    return this.groups.numberOf(pool.group);
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

  takeMany(pool: number, count: number, offsets?: readonly number[]): number[] {
    const ports = new Uint16Array(count);
    const given = offsets && Uint32Array.from(offsets);
    return [...ports.subarray(0, this.#pool(pool).takeMany(ports, given))];
  }

  freeMany(pool: number, ports: readonly number[]): number {
    return this.#pool(pool).freeMany(Uint16Array.from(ports));
  }

  closePool(pool: number): void {
    this.#pool(pool).close();
    this.#pools.splice(pool, 1);
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #pool(at: number): PortPool {
    return this.#pools[at] as PortPool;
  }

  protected override request(ask: GroupedAsk): PoolRequest {
    this.#turn += 1;
    const { address, port } = ask.destination;
    return {
      ...super.request(ask),
      address: spelled(ask.address, this.#turn),
      destination: { address: spelled(address, this.#turn), port },
      ...this.groups.named(ask),
    };
  }

  protected override onReserved(reservation: Reservation): void {
    this.#reservations.push(reservation);
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
