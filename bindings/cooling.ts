// Cooling: a flow whose ports rest after their release, or come back in the order of their release, or both.
//
//        Flow             core.wasm        who holds which port; resting ports are held
//        CoolingFlow      cooldown.wasm    which of them rest, and which port comes next
//
// Each of its words asks the core as a plain flow does, and then, or before, the cooldown module. Plain flows
// know nothing of it.

import { EXHAUSTED, NO_MEMORY, RESTING } from "../assembly/abi.ts";
import { checkPorts, lengthOf } from "./batch.ts";
import type { WhenResting } from "./cooldown.ts";
import type { CooldownExports } from "./cooldown-core.ts";
import type { Core, CoreExports } from "./core.ts";
import { noMemory } from "./errors.ts";
import {
  checkEnough,
  checkNow,
  checkOffset,
  Flow,
  handleOf,
  namedPort,
  type OnClose,
} from "./flow.ts";
import type { Random } from "./random.ts";
import { countPacked } from "./range.ts";
import type { Key } from "./request.ts";
import type { Selection } from "./selection.ts";

/** What cooldown.wasm keeps for one flow, in the memory of the flow's manager. */
export class CoolingRecords {
  readonly exports: CooldownExports;
  /** Where its resting ports are kept; 0: it has no cooldown, or is closed. */
  cooldown = 0;
  /** Where the order of release is kept; 0: it has none, or is closed. */
  order = 0;
  #among: Set<CoolingRecords> | undefined;

  /** @throws PortError `ENOBUFS`. */
  constructor(exports: CooldownExports, manager: number, period: number, isOrdered: boolean) {
    this.exports = exports;
    if (period > 0) this.cooldown = exports.openCooldown(manager, period) >>> 0;
    if (isOrdered) this.order = exports.openOrder(manager) >>> 0;
    if ((period > 0 && this.cooldown === 0) || (isOrdered && this.order === 0)) {
      this.close();
      throw noMemory("a flow's cooldown");
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
    if (this.order !== 0) this.exports.closeOrder(this.order);
    this.cooldown = 0;
    this.order = 0;
    this.#among?.delete(this);
  }

  /** Runs the debug build's check of the invariants; a release build does nothing. */
  verify(): void {
    if (this.cooldown !== 0) this.exports.verifyCooldown?.(this.cooldown);
    if (this.order !== 0) this.exports.verifyOrder?.(this.order);
  }
}

/** What a cooling flow has beside a plain one. */
interface How {
  readonly records: CoolingRecords;
  readonly whenResting: WhenResting;
  /** Says where the search for ports that were never offered begins. */
  readonly random: Random;
}

const FOREVER = Number.POSITIVE_INFINITY;

/** Where the cooldown module keeps the resting ports of a flow; 0: it has no cooldown. */
export let cooldownOf: (flow: Flow) => number;

/** A {@link Flow} with a cooldown, or that offers ports in the order of their release. */
export class CoolingFlow extends Flow {
  readonly #exports: CoreExports;
  readonly #cooling: CooldownExports;
  readonly #records: CoolingRecords;
  readonly #reserved: number;
  /** With flags an ephemeral port may be judged otherwise than a named one, which takes less time. */
  readonly #hasFlags: boolean;
  readonly #takesOldest: boolean;
  readonly #random: Random;

  static {
    cooldownOf = (flow) => (#records in flow ? flow.#records.cooldown : 0);
  }

  constructor(
    core: Core,
    handle: number,
    key: Key,
    selection: Selection,
    onClose: OnClose,
    { records, whenResting, random }: How,
  ) {
    super(core, handle, key, selection, onClose);
    this.#exports = core.exports;
    this.#cooling = records.exports;
    this.#records = records;
    this.#reserved = key.reservedAt;
    this.#hasFlags = key.flags !== 0;
    this.#takesOldest = whenResting === "oldest";
    this.#random = random;
  }

  override take(offset?: number): number {
    const port = this.#records.order === 0 ? super.take(offset) : this.#takeNext(offset);
    if (port > 0) return this.#taken(port);
    return port === EXHAUSTED && this.resting > 0 ? this.#takeResting() : port;
  }

  override takeAt(port: number): number {
    if (this.#rests(port)) return RESTING;
    const taken = super.takeAt(port);
    if (taken > 0 && this.#records.order !== 0) this.#cooling.claim(this.#records.order, port);
    return taken;
  }

  override takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
    checkPorts(ports);
    const length = lengthOf(ports);
    if (offsets !== undefined) checkEnough(offsets, length);
    let taken = this.#records.order === 0 ? super.takeMany(ports, offsets) : 0;
    if (this.resting > 0) for (let at = 0; at < taken; at++) this.#taken(ports[at] as number);
    for (; taken < length; taken++) {
      const port = this.take(offsets?.[taken]);
      if (port < 0) break;
      ports[taken] = port;
    }
    return taken;
  }

  override free(port: number): boolean {
    if (this.#rests(port)) return false;
    const freed = super.free(port);
    if (freed && this.#records.order !== 0) this.#cooling.release(this.#records.order, port);
    return freed;
  }

  override freeMany(ports: Uint16Array): number {
    checkPorts(ports);
    if (this.#records.order === 0 && this.resting === 0) return super.freeMany(ports);
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
    return super.has(port) && !this.#rests(port);
  }

  override get held(): number {
    return Math.max(0, super.held - this.resting);
  }

  // ── Resting ─────────────────────────────────────────────────────────────────────────────

  override rest(port: number, now: number): boolean {
    if (this.#records.cooldown === 0) return super.rest(port, now);
    checkNow(now);
    if (!super.has(port)) return false;
    const answer = this.#cooling.rest(this.#records.cooldown, port, now);
    if (answer < 0) throw noMemory(`port ${port} at rest`);
    return answer !== 0;
  }

  override wake(now: number): number {
    handleOf(this);
    return this.#wake(checkNow(now));
  }

  override get resting(): number {
    handleOf(this);
    const { cooldown } = this.#records;
    return cooldown === 0 ? 0 : this.#cooling.restingCount(cooldown);
  }

  override get nextWake(): number | undefined {
    return this.resting === 0 ? undefined : this.#cooling.nextRipe(this.#records.cooldown);
  }

  override close(): void {
    if (this.#records.cooldown !== 0) this.#wake(FOREVER);
    super.close();
    this.#records.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  /** A port that is not checked yet. */
  #rests(port: number): boolean {
    const { cooldown } = this.#records;
    return cooldown !== 0 && this.#cooling.isResting(cooldown, namedPort(port)) !== 0;
  }

  /** The core has given a port: if it rested here, somebody else has freed it meanwhile. */
  #taken(port: number): number {
    const { cooldown } = this.#records;
    if (cooldown !== 0) this.#cooling.endRest(cooldown, port);
    return port;
  }

  /** There is no other port: the one that has rested longest, or what to say of it. */
  #takeResting(): number {
    const handle = handleOf(this);
    const { cooldown, order } = this.#records;
    const range = this.#exports.handleRange(handle);
    for (;;) {
      const port = this.#cooling.oldestResting(cooldown, range, this.#reserved);
      if (port === 0) return EXHAUSTED;
      const isHeld = this.#exports.hasTaken(handle, port) !== 0;
      if (isHeld && !this.#takesOldest) return RESTING;
      this.#cooling.endRest(cooldown, port);
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
    const range = this.#exports.handleRange(handle);
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

  /** Nothing fresh, nothing waits: what is left has been freed by others, without this flow. */
  #takeUnordered(handle: number, offset: number): number {
    const port = this.#exports.take(handle, offset);
    if (port > 0) this.#cooling.claim(this.#records.order, port);
    return port;
  }

  /** Frees what has rested. */
  #wake(now: number): number {
    const handle = handleOf(this);
    const { cooldown, order } = this.#records;
    if (cooldown === 0) return 0;
    for (let woken = 0; ; ) {
      const count = this.#cooling.ripen(cooldown, now);
      if (count === 0) return woken;
      woken += this.#exports.freeMany(handle, count);
      if (order !== 0) this.#cooling.releaseBatch(order, count);
    }
  }
}
