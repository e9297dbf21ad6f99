// CooldownOption: a pool whose ports rest after their release, or come back in the order of their release, or both.
//
//        PortPool             core.wasm        who holds which port; cooling ports are held
//        CoolingPool      cooldown.wasm    which of them rest, and which port comes next
//
// Each of its words asks the core as a plain pool does, and then, or before, the cooldown module. Plain pools
// know nothing of it.

import { COOLING, EXHAUSTED, NO_MEMORY } from "../assembly/abi.ts";
import type { WhenCooling } from "./cooldown.ts";
import { checkPorts, lengthOf } from "./core/batch.ts";
import type { CooldownExports } from "./core/cooldown-core.ts";
import type { Core, CoreExports } from "./core/core.ts";
import type { Random } from "./core/random.ts";
import { noMemory } from "./errors.ts";
import {
  checkEnough,
  checkNow,
  checkOffset,
  explicitPort,
  handleOf,
  type OnClose,
  PortPool,
} from "./pool.ts";
import { countPacked } from "./requests/range.ts";
import type { Key } from "./requests/request.ts";
import type { Selection } from "./selection.ts";

/** What cooldown.wasm keeps for one pool, in the memory of the pool's manager. */
export class CoolingRecords {
  readonly exports: CooldownExports;
  /** Where its cooling ports are kept; 0: it has no cooldown, or is closed. */
  cooldown = 0;
  /** Where the order of release is kept; 0: it has none, or is closed. */
  order = 0;
  #among: Set<CoolingRecords> | undefined;

  /** @throws PortError `ENOBUFS`. */
  constructor(exports: CooldownExports, manager: number, period: number, isOrdered: boolean) {
    this.exports = exports;
    if (period > 0) this.cooldown = exports.openCooldown(manager, period) >>> 0;
    if (isOrdered) this.order = exports.openFifo(manager) >>> 0;
    if ((period > 0 && this.cooldown === 0) || (isOrdered && this.order === 0)) {
      this.close();
      throw noMemory("a pool's cooldown");
    }
  }

  /** Whoever owns the manager closes what is still among these. */
  keepAmong(all: Set<CoolingRecords>): void {
    this.#among = all;
    all.add(this);
  }

  /** Gives back the memory. A second call does nothing. */
  close(): void {
    if (this.cooldown !== 0) this.exports.closeCooldown(this.cooldown);
    if (this.order !== 0) this.exports.closeFifo(this.order);
    this.cooldown = 0;
    this.order = 0;
    this.#among?.delete(this);
  }

  /** Runs the debug build's check of the invariants; a release build does nothing. */
  verify(): void {
    if (this.cooldown !== 0) this.exports.verifyCooldown?.(this.cooldown);
    if (this.order !== 0) this.exports.verifyFifo?.(this.order);
  }
}

/** What a cooling pool has beside a plain one. */
interface How {
  readonly records: CoolingRecords;
  readonly whenCooling: WhenCooling;
  /** Says where the search for ports that were never offered begins. */
  readonly random: Random;
}

const FOREVER = Number.POSITIVE_INFINITY;

/** Where the cooldown module keeps the cooling ports of a pool; 0: it has no cooldown. */
export let cooldownOf: (pool: PortPool) => number;

/** A {@link PortPool} with a cooldown, or that offers ports in the order of their release. */
export class CoolingPool extends PortPool {
  readonly #exports: CoreExports;
  readonly #cooling: CooldownExports;
  readonly #records: CoolingRecords;
  readonly #reserved: number;
  /** With flags an ephemeral port may be judged otherwise than a named one, which takes less time. */
  readonly #hasFlags: boolean;
  readonly #takesOldest: boolean;
  readonly #random: Random;

  static {
    cooldownOf = (pool) => (#records in pool ? pool.#records.cooldown : 0);
  }

  constructor(
    core: Core,
    handle: number,
    key: Key,
    selection: Selection,
    onClose: OnClose,
    { records, whenCooling, random }: How,
  ) {
    super(core, handle, key, selection, onClose);
    this.#exports = core.exports;
    this.#cooling = records.exports;
    this.#records = records;
    this.#reserved = key.reservedAt;
    this.#hasFlags = key.flags !== 0;
    this.#takesOldest = whenCooling === "oldest";
    this.#random = random;
  }

  override take(offset?: number): number {
    const port = this.#records.order === 0 ? super.take(offset) : this.#takeNext(offset);
    if (port > 0) return this.#taken(port);
    return port === EXHAUSTED && this.cooling > 0 ? this.#takeCooling() : port;
  }

  override takeAt(port: number): number {
    if (this.#coolsDown(port)) return COOLING;
    const taken = super.takeAt(port);
    if (taken > 0 && this.#records.order !== 0) this.#cooling.claim(this.#records.order, port);
    return taken;
  }

  override takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
    checkPorts(ports);
    const length = lengthOf(ports);
    if (offsets !== undefined) checkEnough(offsets, length);
    let taken = this.#records.order === 0 ? super.takeMany(ports, offsets) : 0;
    if (this.cooling > 0) for (let at = 0; at < taken; at++) this.#taken(ports[at] as number);
    for (; taken < length; taken++) {
      const port = this.take(offsets?.[taken]);
      if (port < 0) break;
      ports[taken] = port;
    }
    return taken;
  }

  override free(port: number): boolean {
    if (this.#coolsDown(port)) return false;
    const freed = super.free(port);
    if (freed && this.#records.order !== 0) this.#cooling.release(this.#records.order, port);
    return freed;
  }

  override freeMany(ports: Uint16Array): number {
    checkPorts(ports);
    if (this.#records.order === 0 && this.cooling === 0) return super.freeMany(ports);
    let freed = 0;
    const length = lengthOf(ports);
    handleOf(this);
    for (let at = 0; at < length; at++) {
      const port = ports[at] as number;
      if (port !== 0 && this.free(port)) freed++;
    }
    return freed;
  }

  override has(port: number): boolean {
    return super.has(port) && !this.#coolsDown(port);
  }

  override get held(): number {
    return Math.max(0, super.held - this.cooling);
  }

  // ── Cooling ─────────────────────────────────────────────────────────────────────────────

  override coolDown(port: number, now: number): boolean {
    if (this.#records.cooldown === 0) return super.coolDown(port, now);
    checkNow(now);
    if (!super.has(port)) return false;
    const answer = this.#cooling.coolDown(this.#records.cooldown, port, now);
    if (answer < 0) throw noMemory(`port ${port} at rest`);
    return answer !== 0;
  }

  override expire(now: number): number {
    handleOf(this);
    return this.#expire(checkNow(now));
  }

  override get cooling(): number {
    handleOf(this);
    const { cooldown } = this.#records;
    return cooldown === 0 ? 0 : this.#cooling.coolingCount(cooldown);
  }

  override get nextExpiry(): number | undefined {
    return this.cooling === 0 ? undefined : this.#cooling.nextExpiry(this.#records.cooldown);
  }

  override close(): void {
    if (this.#records.cooldown !== 0) this.#expire(FOREVER);
    super.close();
    this.#records.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  /** A port that is not checked yet. */
  #coolsDown(port: number): boolean {
    const { cooldown } = this.#records;
    return cooldown !== 0 && this.#cooling.isCooling(cooldown, explicitPort(port)) !== 0;
  }

  /** The core has given a port: if it cooled down here, somebody else has freed it meanwhile. */
  #taken(port: number): number {
    const { cooldown } = this.#records;
    if (cooldown !== 0) this.#cooling.endCooldown(cooldown, port);
    return port;
  }

  /** There is no other port: the one that has cooled down longest, or what to say of it. */
  #takeCooling(): number {
    const handle = handleOf(this);
    const { cooldown, order } = this.#records;
    const range = this.#exports.poolRange(handle);
    for (;;) {
      const port = this.#cooling.oldestCooling(cooldown, range, this.#reserved);
      if (port === 0) return EXHAUSTED;
      const isHeld = this.#exports.hasTaken(handle, port) !== 0;
      if (isHeld && !this.#takesOldest) return COOLING;
      this.#cooling.endCooldown(cooldown, port);
      if (isHeld) return port;
      // Somebody else has freed it, and it is taken again: it is not ours to offer.
      if (order !== 0) this.#cooling.release(order, port);
    }
  }

  /** The next port in order that nobody else holds. */
  #takeNext(offset: number | undefined): number {
    const handle = handleOf(this);
    const { order } = this.#records;
    const start = offset === undefined ? this.#random.next() : checkOffset(offset);
    const range = this.#exports.poolRange(handle);
    let isHopeful = false;
    for (let tries = countPacked(range); tries > 0; tries--) {
      const port = this.#cooling.nextCandidate(order, range, start, this.#reserved);
      if (port < 0) return port;
      if (port === 0) break;
      const taken = this.#hasFlags
        ? this.#exports.takeBetween(handle, port, port, 0)
        : this.#exports.takeAt(handle, port);
      if (taken > 0) return taken;
      // Others hold it. Before going on, one search tells whether they hold all.
      isHopeful ||= taken !== NO_MEMORY && this.#canTake(handle, start);
      if (!isHopeful) {
        this.#cooling.returnCandidate(order, port);
        return taken === NO_MEMORY ? NO_MEMORY : EXHAUSTED;
      }
      this.#cooling.release(order, port);
    }
    return this.#takeUnordered(handle, start);
  }

  #canTake(handle: number, offset: number): boolean {
    const port = this.#exports.take(handle, offset);
    if (port > 0) this.#exports.freePort(handle, port);
    return port > 0;
  }

  /** Nothing fresh, nothing waits: what is left has been freed by others, without this pool. */
  #takeUnordered(handle: number, offset: number): number {
    const port = this.#exports.take(handle, offset);
    if (port > 0) this.#cooling.claim(this.#records.order, port);
    return port;
  }

  /** Frees what has cooled down. */
  #expire(now: number): number {
    const handle = handleOf(this);
    const { cooldown, order } = this.#records;
    if (cooldown === 0) return 0;
    for (let woken = 0; ; ) {
      const count = this.#cooling.expire(cooldown, now);
      if (count === 0) return woken;
      woken += this.#exports.freeMany(handle, count);
      if (order !== 0) this.#cooling.releaseBatch(order, count);
    }
  }
}
