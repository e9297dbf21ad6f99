// Cooling pool: a pool whose ports cool down after their release, or that offers ports in the order
// of their release, or both.
//
//        PortPool         core.wasm        which ports are held; cooling ports are
//        CoolingPool      cooldown.wasm    which of them are cooling, and which port comes next
//
// Each of its methods asks the core as a plain pool does, and before or after that the cooldown
// module. A plain pool never calls that module.

import { COOLING, EXHAUSTED, PORT_COUNT, PORT_MAX } from "../assembly/abi.ts";
import type { CheckedCooldown } from "./cooldown.ts";
import { checkPorts } from "./core/batch.ts";
import type { CooldownExports } from "./core/cooldown-core.ts";
import type { CoreExports } from "./core/core.ts";
import type { Random } from "./core/random.ts";
import { noMemory } from "./errors.ts";
import { checkEnough, checkNow, explicitPort, handleOf, PortPool } from "./pool.ts";
import type { CoolingRecords, ExplainPool, PoolRecord } from "./pool-record.ts";
import { reservedAt } from "./requests/block.ts";
import { checkUint32, isExplicitPort } from "./requests/checks.ts";
import type { Reserving } from "./reserving.ts";

/** Where the cooldown module keeps the cooling ports of a pool; 0: it has no cooldown. */
export let cooldownOf: (pool: PortPool) => number;

/** A {@link PortPool} with a cooldown, or that offers ports in the order of their release. */
export class CoolingPool extends PortPool {
  readonly #exports: CoreExports;
  readonly #cooling: CooldownExports;
  readonly #record: PoolRecord;
  readonly #records: CoolingRecords;
  readonly #reserved: number;
  /**
   * With flags the rules may judge an ephemeral port otherwise than an explicit one, which takes
   * less time.
   */
  readonly #hasFlags: boolean;
  readonly #takesOldest: boolean;
  /** Says where the search for ports that were never offered begins. */
  readonly #random: Random;

  static {
    cooldownOf = (pool) => (#records in pool ? pool.#records.cooldown : 0);
  }

  constructor(
    token: symbol,
    record: PoolRecord,
    explain: ExplainPool,
    reserving: Reserving,
    cooldown: CheckedCooldown,
    random: Random,
  ) {
    super(token, record, explain, reserving);
    this.#exports = record.core.exports;
    this.#record = record;
    this.#records = record.cooling as CoolingRecords;
    this.#cooling = this.#records.exports;
    this.#reserved = reservedAt(record.core, record.key.reserved);
    this.#hasFlags = record.key.flags !== 0;
    this.#takesOldest = cooldown.whenCooling === "oldest";
    this.#random = random;
  }

  override take(offset?: number): number {
    const { counts } = this.#record;
    const { handle } = this.#record;
    const { cooldown, fifo, mayCool } = this.#records;
    const isGood = typeof offset === "number" && offset >>> 0 === offset && handle !== 0;
    let port: number;
    if (fifo === 0 && mayCool && isGood) {
      port = this.#cooling.takeCooled(cooldown, handle, offset);
      if (port > 0) return port;
    } else {
      port = fifo === 0 ? super.take(offset) : this.#takeNext(offset);
      if (port > 0) return mayCool ? this.#taken(port) : port;
      if (fifo === 0) counts.goOn();
    }
    const other = port === EXHAUSTED && this.cooling > 0 ? this.#takeCooling() : port;
    return other > 0 ? other : counts.refuse(other);
  }

  override takeAt(port: number): number {
    if (this.#coolsDown(port)) return this.#record.counts.refuse(COOLING);
    const taken = super.takeAt(port);
    if (taken > 0 && this.#records.fifo !== 0) this.#cooling.claim(this.#records.fifo, port);
    return taken;
  }

  override takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
    checkPorts(ports);
    const { length } = ports;
    if (offsets !== undefined) checkEnough(offsets, length);
    let taken = this.#records.fifo === 0 ? super.takeMany(ports, offsets) : 0;
    if (taken < length && this.#records.fifo === 0) this.#record.counts.goOn();
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
    const { fifo } = this.#records;
    if (fifo === 0 || !isExplicitPort(port)) return super.free(port);
    const released = this.#cooling.freeInOrder(fifo, this.#record.handle, port);
    if (released < 0) throw noMemory(`freeing port ${port}`);
    return released !== 0;
  }

  override freeMany(ports: Uint16Array): number {
    checkPorts(ports);
    if (this.#records.fifo === 0 && this.cooling === 0) return super.freeMany(ports);
    let freed = 0;
    const { length } = ports;
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
    const handle = handleOf(this);
    const { cooldown } = this.#records;
    const answer = this.#cooling.coolDownHeld(cooldown, handle, explicitPort(port), now);
    if (answer < 0) throw noMemory(`port ${port} in cooldown`);
    if (answer !== 0) this.#records.mayCool = true;
    return answer !== 0;
  }

  override get cooling(): number {
    handleOf(this);
    const { cooldown } = this.#records;
    return cooldown === 0 ? 0 : this.#cooling.coolingCount(cooldown);
  }

  override get nextExpiry(): number | undefined {
    return this.cooling === 0 ? undefined : this.#cooling.nextExpiry(this.#records.cooldown);
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  /** A port that is not checked yet. */
  #coolsDown(port: number): boolean {
    const { cooldown, mayCool } = this.#records;
    return mayCool && this.#cooling.isCooling(cooldown, explicitPort(port)) !== 0;
  }

  /**
   * The core has given a port. If it was cooling here, a caller has freed it by its number
   * meanwhile.
   */
  #taken(port: number): number {
    const { cooldown, mayCool } = this.#records;
    if (mayCool) this.#cooling.endCooldown(cooldown, port);
    return port;
  }

  /** No other port is left: takes the port that has been cooling longest, or refuses. */
  #takeCooling(): number {
    const handle = handleOf(this);
    const { cooldown, fifo } = this.#records;
    const range = this.#exports.poolRange(handle);
    for (;;) {
      const port = this.#cooling.oldestCooling(cooldown, range, this.#reserved);
      if (port === 0) return EXHAUSTED;
      const isHeld = this.#exports.hasTaken(handle, port) !== 0;
      if (isHeld && !this.#takesOldest) return COOLING;
      this.#cooling.endCooldown(cooldown, port);
      if (isHeld) {
        this.#record.countTaken(1);
        return port;
      }
      // A caller has freed it by its number and it was taken again: the pool does not hold it.
      if (fifo !== 0) this.#cooling.release(fifo, port);
    }
  }

  /** The next port in order that no other holder keeps from the pool. */
  #takeNext(offset: number | undefined): number {
    const handle = handleOf(this);
    const start = offset === undefined ? this.#random.next() : checkUint32("offset", offset);
    const { fifo } = this.#records;
    const flags = this.#hasFlags ? 1 : 0;
    const answer = this.#cooling.takeInOrder(fifo, handle, start, this.#reserved, flags);
    if (answer >= -PORT_MAX && answer <= PORT_MAX) return answer;
    // The search has taken a port as a test.
    this.#record.countTaken(-1);
    return answer % PORT_COUNT;
  }
}
