// Pool record: the memory that the core keeps for one pool. It is freed when the pool or its
// manager is closed, or when the pool has become garbage. Its ports stay held; they belong to the
// manager.

import { BATCH_MAX, PORT_MAX } from "../assembly/abi.ts";
import { type Registry, registerCleanup } from "./core/cleanup.ts";
import type { CooldownExports } from "./core/cooldown-core.ts";
import type { Core } from "./core/core.ts";
import type { Counts } from "./counts.ts";
import { noMemory } from "./errors.ts";
import { dropList, holdList } from "./groups/reserved.ts";
import type { PoolKind } from "./opening-pools.ts";
import type { Key } from "./requests/parsing.ts";
import type { Reserving } from "./reserving.ts";
import type { HashedTuple } from "./selection.ts";
import type { Explanation } from "./state/explanation.ts";

/** A period has so many slots (assembly/cooldown/cooldown.ts). */
const SLOTS = 64;

/** Explains why a pool can, or cannot, have a port; 0: any. */
export type ExplainPool = (pool: PoolRecord, port: number) => Explanation;

/**
 * Where the core keeps a pool, and what belongs to it. It must not refer to the pool or its
 * manager, because it is kept until they are garbage.
 */
export class PoolRecord {
  readonly core: Core;
  readonly counts: Counts;
  /** Where the core keeps the pool; 0 when it is closed. */
  handle: number;
  /** The records of the pool in cooldown.wasm. */
  readonly cooling: CoolingRecords | undefined;
  /** The pool's description, with the group that it is in now. */
  key: Key;
  readonly kind: PoolKind;
  /** Called when the pool closes; with `true` if its manager closes. */
  onEnd: ((isManagers: boolean) => void) | undefined;
  /**
   * The hash of the pool's tuple by a keyed selection. The tuple never changes, so it is hashed
   * once.
   */
  tuple: HashedTuple | undefined;
  /**
   * Did the last batch get fewer ports than it has places? Then the next one begins with a single
   * port, so that a full pool refuses it after one search, before its offsets are copied.
   */
  wasShort = false;
  /** The open pools of the manager. */
  readonly #among: Set<PoolRecord>;

  constructor(
    { core, counts }: Reserving,
    handle: number,
    key: Key,
    kind: PoolKind,
    cooling: CoolingRecords | undefined,
    among: Set<PoolRecord>,
  ) {
    this.core = core;
    this.counts = counts;
    this.handle = handle;
    this.cooling = cooling;
    this.key = key;
    this.kind = kind;
    this.#among = among;
    among.add(this);
    if (key.reserved !== undefined) holdList(key.reserved);
  }

  /** Counts references that the pool took, or gave back, without the core. */
  countTaken(times: number): void {
    this.counts.taken += times * this.key.networks.length;
  }

  /** Closes the pool and frees its cooling ports. A second call does nothing. */
  close(): void {
    if (this.handle === 0) return;
    this.cooling?.expire(this.core, this.handle, Number.POSITIVE_INFINITY);
    this.core.exports.closePool(this.handle);
    this.end(false);
  }

  /**
   * Closes the record because the manager closes, which frees all that its pools have in the core.
   */
  end(isManagers = true): void {
    this.cooling?.close();
    this.handle = 0;
    this.#among.delete(this);
    if (this.key.reserved !== undefined) dropList(this.key.reserved);
    this.onEnd?.(isManagers);
  }
}

/** Closes the records of pools that are garbage. */
export const poolCleanup: Registry<PoolRecord> = registerCleanup((record) => record.close());

/** The records of one pool in cooldown.wasm, in the memory of the pool's manager. */
export class CoolingRecords {
  readonly exports: CooldownExports;
  /** Where its cooling ports are kept; 0: it has no cooldown, or is closed. */
  cooldown = 0;
  /** Has a port been given into cooldown since there was none? If not, the module is not asked. */
  mayCool = false;
  /** Where the order of release is kept; 0: it has none, or is closed. */
  fifo = 0;

  /** @throws PortError `ENOBUFS`. */
  constructor(exports: CooldownExports, manager: number, period: number, isOrdered: boolean) {
    this.exports = exports;
    if (period > 0) this.cooldown = exports.openCooldown(manager, period) >>> 0;
    if (isOrdered) this.fifo = exports.openFifo(manager) >>> 0;
    if ((period > 0 && this.cooldown === 0) || (isOrdered && this.fifo === 0)) {
      this.close();
      throw noMemory("a pool's cooldown");
    }
  }

  /**
   * Frees ports that have cooled down.
   * @param freed takes as many of them as it has places for; the others go on cooling.
   * @returns how many were freed. A port that was freed by its number meanwhile does not count.
   */
  expire(core: Core, handle: number, now: number, freed?: Uint16Array): number {
    if (this.cooldown === 0) return 0;
    if (freed !== undefined) return this.#expireInto(core, handle, now, freed);
    const all = this.exports.freeDue(this.cooldown, handle, this.fifo, now);
    this.mayCool = all >= 0;
    return all < 0 ? ~all : all;
  }

  #expireInto(core: Core, handle: number, now: number, freed: Uint16Array): number {
    let total = 0;
    for (;;) {
      const left = Math.min(freed.length - total, BATCH_MAX);
      const count = this.exports.expire(this.cooldown, now, left);
      if (count === 0) {
        this.mayCool = this.count > 0;
        return total;
      }
      total += freeEach(core, handle, count, freed, total);
      if (this.fifo !== 0) this.exports.releaseBatch(this.fifo, count);
    }
  }

  /** Frees memory that is only kept for reuse. */
  settle(): void {
    if (this.cooldown !== 0) this.exports.settleCooldown(this.cooldown);
    if (this.fifo !== 0) this.exports.settleFifo(this.fifo);
  }

  /** How many ports are cooling. */
  get count(): number {
    return this.cooldown === 0 ? 0 : this.exports.coolingCount(this.cooldown);
  }

  /** When the cooldown of a port ends; `undefined`: it is not cooling. */
  dueOf(port: number): number | undefined {
    const due = this.cooldown === 0 ? -1 : this.exports.dueOf(this.cooldown, port);
    return due < 0 ? undefined : due;
  }

  /** The cooling ports, the oldest first, each with the number of slots since its release. */
  picture(): { clock: number; ports: { port: number; age: number }[] } {
    const { cooldown, exports } = this;
    if (cooldown === 0) return { clock: 0, ports: [] };
    const ports = Array.from({ length: this.count }, (_, place) =>
      exports.coolingAt(cooldown, place),
    );
    const clock = exports.cooldownClock(cooldown);
    return { clock, ports: ports.map((one) => ({ port: one & PORT_MAX, age: one >>> 16 })) };
  }

  /**
   * The ports that have been offered, and those of them that wait to be offered again, in order.
   */
  order(): { offered: number[]; queued: number[] } {
    const { fifo, exports } = this;
    const offered: number[] = [];
    const queued: number[] = [];
    if (fifo === 0) return { offered, queued };
    for (let port = exports.nextOffered(fifo, 1); port !== 0; ) {
      offered.push(port);
      port = port === PORT_MAX ? 0 : exports.nextOffered(fifo, port + 1);
    }
    for (
      let port = exports.queuedAt(fifo, 0);
      port !== 0;
      port = exports.queuedAt(fifo, queued.length)
    ) {
      queued.push(port);
    }
    return { offered, queued };
  }

  /**
   * Restores cooling ports: each was released so many slots of 1/64 of the period ago.
   * @throws PortError `ENOBUFS`.
   */
  restore(clock: number, ports: readonly { port: number; age: number }[], period: number): void {
    const { cooldown, exports } = this;
    if (cooldown === 0) return;
    const slot = Math.floor((clock * SLOTS) / period);
    for (const { port, age } of ports) {
      const time = age === 0 ? clock : Math.max(0, ((slot - age + 0.5) * period) / SLOTS);
      this.mayCool = true;
      if (exports.coolDown(cooldown, port, time) < 0) throw noMemory("a pool's cooldown");
    }
    exports.expire(cooldown, clock, 0);
  }

  /** Restores the ports that have been offered, and the order of those that wait. */
  restoreOrder(offered: Uint16Array, queued: readonly number[]): void {
    const { fifo, exports } = this;
    if (fifo === 0) return;
    for (const port of offered) exports.claim(fifo, port);
    for (const port of queued) exports.release(fifo, port);
  }

  /** Gives back the memory. A second call does nothing. */
  close(): void {
    if (this.cooldown !== 0) this.exports.closeCooldown(this.cooldown);
    if (this.fifo !== 0) this.exports.closeFifo(this.fifo);
    this.cooldown = 0;
    this.fifo = 0;
    this.mayCool = false;
  }

  /** Runs the debug build's check of the invariants; a release build does nothing. */
  verify(): void {
    if (this.cooldown !== 0) this.exports.verifyCooldown?.(this.cooldown);
    if (this.fifo !== 0) this.exports.verifyFifo?.(this.fifo);
  }
}

/** Frees the ports in the batch, writes those that were held, and returns how many they are. */
function freeEach(
  core: Core,
  handle: number,
  count: number,
  freed: Uint16Array,
  at: number,
): number {
  let held = 0;
  for (let index = 0; index < count; index++) {
    const port = core.ports[index] as number;
    if (core.exports.freePort(handle, port) > 0) freed[at + held++] = port;
  }
  return held;
}
