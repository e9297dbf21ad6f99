// PortPool: takes and frees many ports of one description. After the pool has been opened only
// numbers cross the border to the core, so a call costs little more than the search itself.

import { BATCH_MAX, EMPTY_RANGE } from "../assembly/abi.ts";
import { checkOffsets, checkPorts, offsetsIn, portsIn, portsOut } from "./core/batch.ts";
import { setKind } from "./core/brands.ts";
import type { CoreExports } from "./core/core.ts";
import { checkInside } from "./core/inside.ts";
import type { Counts } from "./counts.ts";
import { closed, noMemory, outOfRange } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import { type ExplainPool, type PoolRecord, poolCleanup } from "./pool-record.ts";
import { groupAt, writeKey } from "./requests/block.ts";
import { checkPort, checkTime, checkUint32, isExplicitPort } from "./requests/checks.ts";
import { withGroup } from "./requests/parsing.ts";
import { type PortRange, unpackRange } from "./requests/range.ts";
import type { Reserving } from "./reserving.ts";
import { draw } from "./search.ts";
import type { HashedTuple } from "./selection.ts";
import type { Explanation } from "./state/explanation.ts";
import { portsOf } from "./state/flow-list.ts";

/** Where the core keeps a pool, for the kinds of {@link PortPool}. Throws if it is closed. */
export let handleOf: (pool: PortPool) => number;

/**
 * The range that a pool's `take` searches, for its kinds; `undefined`: its group leaves nothing of
 * it.
 */
export let rangeOf: (pool: PortPool) => PortRange | undefined;

/** Is a pool's selection `"random"`, with a random offset for each search? */
export let isRandomPool: (pool: PortPool) => boolean;

/** The counts of a pool's manager. */
export let countsOf: (pool: PortPool) => Counts;

/** Calls when a pool is closed, or its manager: then with `true`. */
export let atEnd: (pool: PortPool, call: (isManagers: boolean) => void) => void;

/**
 * An opened pool: all ports that are held with one description (networks, transport, address,
 * device, destination, flags). Reservations and other pools of the same description see the same
 * ports. Made by `PortManager.pool`.
 */
export class PortPool implements Disposable {
  // The fields are few, so that those of thousands of pools fit into the processor's cache.
  /** Where the core keeps the pool; 0 when it is closed. The manager may have been closed since. */
  #handle: number;
  readonly #exports: CoreExports;
  readonly #reserving: Reserving;
  readonly #record: PoolRecord;
  /** Refers to the manager, so that it does not become garbage as long as the pool is in use. */
  readonly #explain: ExplainPool;

  static {
    setKind(PortPool, "PortPool");
    handleOf = (pool) => pool.#open();
    isRandomPool = (pool) => pool.#reserving.selection.isRandom;
    countsOf = (pool) => pool.#reserving.counts;
    atEnd = (pool, call) => {
      pool.#record.onEnd = call;
    };
    rangeOf = (pool) => unpackRange(pool.#exports.poolRange(pool.#open()));
  }

  /** Pools are made by `PortManager.pool`. */
  constructor(token: symbol, record: PoolRecord, explain: ExplainPool, reserving: Reserving) {
    checkInside(token, "PortPool", "PortManager.pool()");
    const { core, selection } = reserving;
    this.#handle = record.handle;
    this.#exports = core.exports;
    this.#reserving = reserving;
    this.#record = record;
    this.#explain = explain;
    if (selection.algorithm === "sequential") {
      this.#exports.setPlace(record.handle, selection.newPlace().index);
    }
    poolCleanup.register(this, record, this);
  }

  /**
   * Takes an ephemeral port: the first acceptable one of the manager's range, as far as the pool's
   * group allows, from `first + offset % count` on, each port met once (gVisor `ReservePort` with
   * port 0, or `PickEphemeralPort` and `ReservePort`, by the option `mode`). A selection that draws
   * may miss a port that is free.
   * @param offset 0..4294967295; by default the manager's selection decides.
   * @returns the port, or `Refusal.EXHAUSTED`, `Refusal.COOLING`, `Refusal.EMPTY_RANGE` or
   * `Refusal.NO_MEMORY`, which are negative.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (offset); `EBADF` (closed).
   */
  take(offset?: number): number {
    const handle = this.#openHandle();
    const isGood = typeof offset === "number" && offset >>> 0 === offset && handle !== 0;
    const port = isGood ? this.#exports.take(handle, offset) : this.#takeOther(handle, offset);
    return port > 0 ? port : this.#reserving.counts.refuse(port);
  }

  /** Takes a port from an offset that the manager's selection says, or that is still unchecked. */
  #takeOther(handle: number, offset: number | undefined): number {
    if (handle === 0) throw closed("pool");
    if (offset !== undefined) return this.#exports.take(handle, checkUint32("offset", offset));
    const { selection } = this.#reserving;
    if (selection.isRandom) return this.#exports.take(handle, selection.next());
    return this.#takeBySelection(handle);
  }

  /**
   * Takes an explicit port (gVisor `ReservePort` with a port).
   * @param port 1..65535, in the ephemeral range or not, but within what the pool's group allows.
   * @returns the port, or `Refusal.IN_USE`, `Refusal.COOLING`, `Refusal.OUTSIDE_GROUP` or
   * `Refusal.NO_MEMORY`, which are negative.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed).
   */
  takeAt(port: number): number {
    const taken = this.#exports.takeAt(this.#open(), explicitPort(port));
    return taken > 0 ? taken : this.#reserving.counts.refuse(taken);
  }

  /**
   * Takes one port for each place of `ports`, each as by {@link take}.
   * @param offsets one for each place; by default the manager's selection decides. Must not share
   * memory with `ports`.
   * @returns how many places were filled, from the front. Fewer than `ports.length` means that one
   * more {@link take} would have been refused.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (fewer offsets than places);
   * `EBADF` (closed).
   */
  takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
    checkPorts(ports);
    const { length } = ports;
    if (offsets !== undefined) checkEnough(offsets, length);
    this.#open();
    const { selection } = this.#reserving;
    if (offsets === undefined && !selection.isRandom) return this.#takeEach(ports, length);
    return this.#takeBatches(ports, length, offsets);
  }

  #takeBatches(ports: Uint16Array, length: number, offsets: Uint32Array | undefined): number {
    const { core } = this.#reserving;
    // Random offsets are drawn for all places, so that with a seed the next draws are the same.
    const isSingle = length === 1 || (this.#record.wasShort && offsets !== undefined);
    let taken = isSingle ? this.#takeFirst(ports, length, offsets) : 0;
    if (taken < 0) return 0;
    while (taken < length) {
      const count = Math.min(length - taken, BATCH_MAX);
      if (offsets === undefined) this.#offsets(count);
      else offsetsIn(offsets, taken, core.offsets, count);
      const got = this.#exports.takeMany(this.#handle, count);
      portsOut(core.ports, ports, taken, got);
      taken += got;
      this.#record.wasShort = got < count;
      if (got < count) return this.#endShort(taken, core.offsets[got] as number);
    }
    return taken;
  }

  /** Asks why the place after those that were filled is refused, for the counts. */
  #endShort(taken: number, offset: number): number {
    this.#reserving.counts.refuse(this.#exports.take(this.#handle, offset));
    return taken;
  }

  /** Takes a port for the first place of a batch: 1, 0 (the batch has none), or a refusal. */
  #takeFirst(ports: Uint16Array, length: number, offsets: Uint32Array | undefined): number {
    if (length === 0) return 0;
    const offset = offsets === undefined ? this.#reserving.selection.next() : offsets[0];
    const port = this.#exports.take(this.#handle, offset as number);
    if (port < 0) return this.#reserving.counts.refuse(port);
    ports[0] = port;
    return 1;
  }

  /** Random offsets for a batch. */
  #offsets(count: number): void {
    const { core, selection } = this.#reserving;
    const { offsets } = core;
    for (let index = 0; index < count; index++) offsets[index] = selection.next();
  }

  /**
   * Gives a port back, with the pool's own flags (gVisor `ReleasePort`), at once: it does not cool
   * down.
   * @param port 1..65535.
   * @returns whether the pool's description held the port in any of its networks; `false` for a port that
   * cools down.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed); `ENOBUFS`
   * where the tuple is held with other flags and the count that goes below zero finds no memory.
   */
  free(port: number): boolean {
    const handle = this.#openHandle();
    const isGood = isExplicitPort(port) && handle !== 0;
    const released = isGood ? this.#exports.freePort(handle, port) : this.#refuse(port);
    if (released < 0) throw noMemory(`freeing port ${port}`);
    return released !== 0;
  }

  /**
   * Gives back every port in `ports`.
   * @returns how many of them were held.
   * @throws PortError `ERR_INVALID_ARG_TYPE`; `EBADF` (closed).
   */
  freeMany(ports: Uint16Array): number {
    checkPorts(ports);
    const handle = this.#open();
    const { length } = ports;
    if (length === 1) return this.#exports.freePort(handle, ports[0] as number) > 0 ? 1 : 0;
    let released = 0;
    for (let start = 0; start < length; start += BATCH_MAX) {
      const count = Math.min(length - start, BATCH_MAX);
      portsIn(ports, start, this.#reserving.core.ports, count);
      released += this.#exports.freeMany(handle, count);
    }
    return released;
  }

  /**
   * Gives a port back into cooldown: it stays taken, as in TIME_WAIT, until the pool's period is
   * over and {@link expire} is called. A pool without a cooldown gives it back at once.
   * @param port 1..65535.
   * @param now milliseconds of any clock, 0..4294967000000. It never goes back: an earlier time counts
   * as the latest one.
   * @returns whether the pool held the port; `false` if it is cooling already.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; `EBADF`
   * (closed); `ENOBUFS`: there is no memory to remember it, and the pool still holds it.
   */
  coolDown(port: number, now: number): boolean {
    this.#open();
    explicitPort(port);
    checkNow(now);
    return this.free(port);
  }

  /**
   * Frees the ports that have cooled down: one period after their release, or up to 1/64 of a
   * period later.
   * @param now as in {@link coolDown}.
   * @param freed gets the ports that are freed, the longest cooling first, from the front on. As many
   * are freed as it has places; if it comes back full, there may be more.
   * @returns how many ports were freed.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; `EBADF` (closed).
   */
  expire(now: number, freed?: Uint16Array): number {
    const handle = this.#open();
    checkNow(now);
    if (freed !== undefined) checkPorts(freed);
    return this.#record.cooling?.expire(this.#reserving.core, handle, now, freed) ?? 0;
  }

  /**
   * How many ports are cooling.
   * @throws PortError `EBADF` (closed).
   */
  get cooling(): number {
    this.#open();
    return 0;
  }

  /**
   * When {@link expire} will free the next port, in milliseconds of the pool's clock; `undefined`
   * if no port is cooling.
   * @throws PortError `EBADF` (closed).
   */
  get nextExpiry(): number | undefined {
    this.#open();
    return undefined;
  }

  /**
   * Does the pool hold the port, with its own flags, in all of its networks? A cooling port is not
   * held.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed).
   */
  has(port: number): boolean {
    return this.#exports.hasTaken(this.#open(), explicitPort(port)) !== 0;
  }

  /**
   * How many ports the pool holds, with its own flags, in the first of its networks. Cooling ports
   * do not count.
   * @throws PortError `EBADF` (closed).
   */
  get held(): number {
    return this.#exports.heldCount(this.#open());
  }

  /**
   * Says whether `takeAt` of that port, or `take`, would succeed now, and if not, which holder or
   * limit is in the way. Changes nothing.
   * @param port 1..65535; absent: any.
   * @throws PortError `EBADF` (closed), `ENOENT` (the group is gone), `ERR_SOCKET_BAD_PORT`,
   * `ERR_INVALID_ARG_TYPE`.
   */
  explain(port?: number): Explanation {
    this.#open();
    return this.#explain(this.#record, port === undefined ? 0 : explicitPort(port));
  }

  /**
   * The ports for which {@link has} answers `true`, ascending. A copy: what happens later does not
   * show.
   * @throws PortError `EBADF` (closed).
   */
  ports(): Uint16Array {
    const handle = this.#open();
    const all = portsOf(
      this.#reserving.core,
      this.#exports.poolFlow(handle),
      this.#exports.heldCount(handle),
    );
    return all.filter((port) => this.has(port));
  }

  /**
   * Closes the pool. Ports that it holds stay held: they belong to the manager, and can be released
   * by value or through another pool of the same description. Cooling ports are freed. A pool that
   * becomes garbage is closed, too. A second call does nothing.
   */
  close(): void {
    if (this.#record.handle === 0) return;
    poolCleanup.unregister(this);
    this.#handle = 0;
    this.#record.close();
  }

  /**
   * The group whose port range applies. Setting another group leaves the ports that the pool holds
   * as they are.
   * @throws PortError (set) `EBADF` (closed), `ENOENT`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  get group(): PortGroup | undefined {
    return this.#record.key.group;
  }

  set group(group: PortGroup | undefined) {
    this.#exports.movePool(this.#open(), groupAt(this.#reserving.core, group));
    this.#record.key = withGroup(this.#record.key, group);
  }

  /** Throws the error of a closed pool or a bad port. */
  #refuse(port: number): number {
    this.#open();
    return explicitPort(port);
  }

  #open(): number {
    const handle = this.#openHandle();
    if (handle === 0) throw closed("pool");
    return handle;
  }

  /** Where the core keeps the pool, or 0. */
  #openHandle(): number {
    return this.#reserving.address === 0 ? 0 : this.#handle;
  }

  #takeBySelection(handle: number): number {
    const { selection } = this.#reserving;
    if (selection.isKeyed) {
      this.#record.tuple ??= this.#hashTuple();
      const { slot, hash } = this.#record.tuple;
      return this.#exports.takeHashed(handle, selection.selector, slot, hash);
    }
    return selection.isDrawn ? this.#draw(handle) : this.#exports.takeNext(handle);
  }

  #hashTuple(): HashedTuple {
    writeKey(this.#reserving.core, this.#record.key);
    return this.#reserving.selection.hashTuple();
  }

  #draw(handle: number): number {
    const range = unpackRange(this.#exports.poolRange(handle));
    if (range === undefined) return EMPTY_RANGE;
    return draw(this.#reserving.selection, range, (first, last, offset) =>
      this.#exports.takeBetween(handle, first, last, offset),
    );
  }

  #takeEach(ports: Uint16Array, length: number): number {
    const handle = this.#open();
    for (let taken = 0; taken < length; taken++) {
      const port = this.#takeBySelection(handle);
      if (port < 0) {
        this.#reserving.counts.refuse(port);
        return taken;
      }
      ports[taken] = port;
    }
    return length;
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

// The checks of the hot calls: one comparison lets a good value pass, and the slow check says what
// is wrong with a bad one.

export function explicitPort(port: number): number {
  return isExplicitPort(port) ? port : checkPort(port);
}

export function checkNow(now: number): number {
  return checkTime("now", now);
}

export function checkEnough(offsets: Uint32Array, length: number): void {
  checkOffsets(offsets);
  if (offsets.length >= length) return;
  throw outOfRange("offsets.length", `at least ${length}, one per port`, offsets.length);
}
