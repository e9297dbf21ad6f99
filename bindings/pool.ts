// PortPool: the handle of a caller that takes and frees many ports of one kind. After `open` only
// numbers cross the border, and no call allocates.

import { BATCH_MAX, EMPTY_RANGE, PORT_MAX } from "../assembly/abi.ts";
import { checkOffsets, checkPorts, lengthOf, offsetsIn, portsIn, portsOut } from "./core/batch.ts";
import type { Core, CoreExports } from "./core/core.ts";
import { closed, noMemory, outOfRange } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import { checkPort, checkTime, checkUint32 } from "./requests/checks.ts";
import { unpackRange } from "./requests/range.ts";
import { groupAt, type Key, withGroup, writeKey } from "./requests/request.ts";
import { searchBy } from "./search.ts";
import type { Selection } from "./selection.ts";

/** Told when a pool has closed itself. */
export type OnClose = (pool: PortPool) => void;

/** Lets the manager end its pools; the second half of a friendship that TypeScript cannot spell. */
export let endPool: (pool: PortPool) => void;
/** Where the core keeps the handle of a pool, for {@link PortPool}'s own kind. Throws if it is closed. */
export let handleOf: (pool: PortPool) => number;

/**
 * An opened pool: all ports that one socket description (networks, transport, address, device,
 * destination, flags) holds. Words and other handles of the same description see the same ports.
 * Made by `PortManager.pool`.
 */
export class PortPool implements Disposable {
  readonly #core: Core;
  readonly #exports: CoreExports;
  #key: Key;
  readonly #selection: Selection;
  /** Is the selection the plain one: a random offset for each search? */
  readonly #isRandom: boolean;
  readonly #onClose: OnClose;
  /** Where the core keeps the handle; 0 when it is closed. */
  #handle: number;

  static {
    endPool = (pool) => {
      pool.#handle = 0;
    };
    handleOf = (pool) => {
      if (pool.#handle === 0) throw closed("pool");
      return pool.#handle;
    };
  }

  constructor(core: Core, handle: number, key: Key, selection: Selection, onClose: OnClose) {
    this.#core = core;
    this.#exports = core.exports;
    this.#handle = handle;
    this.#key = key;
    this.#selection = selection;
    this.#isRandom = selection.algorithm === "random";
    this.#onClose = onClose;
  }

  /**
   * Takes an ephemeral port: the first acceptable one of the manager's range, as far as the pool's
   * group allows, from `first + offset % count` on, each port met once (gVisor `ReservePort` with
   * port 0, or `PickEphemeralPort` and `ReservePort`, by the option `mode`). A selection that draws
   * may miss a port that is free.
   * @param offset 0..4294967295; by default what the manager's selection says, a random one.
   * @returns the port, or `Refusal.EXHAUSTED`, `Refusal.COOLING`, `Refusal.EMPTY_RANGE` or
   * `Refusal.NO_MEMORY`, which are negative.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (offset); `EBADF` (closed).
   */
  take(offset?: number): number {
    if (this.#handle === 0) throw closed("pool");
    if (offset !== undefined) return this.#exports.take(this.#handle, checkOffset(offset));
    if (this.#isRandom) return this.#exports.take(this.#handle, this.#selection.start());
    return this.#takeBySelection();
  }

  /**
   * Takes a port that is named (gVisor `ReservePort` with a port).
   * @param port 1..65535, in the ephemeral range or not, but within what the pool's group allows.
   * @returns the port, or `Refusal.IN_USE`, `Refusal.COOLING`, `Refusal.OUTSIDE_GROUP` or
   * `Refusal.NO_MEMORY`, which are negative.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed).
   */
  takeAt(port: number): number {
    if (this.#handle === 0) throw closed("pool");
    return this.#exports.takeAt(this.#handle, explicitPort(port));
  }

  /**
   * Takes one port for each place of `ports`, each as by {@link take}.
   * @param offsets one for each place; by default what the manager's selection says, random ones. Must
   * not share memory with `ports`.
   * @returns how many places were filled, from the front. Fewer than `ports.length` means that one
   * more {@link take} would have been refused.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (fewer offsets than places);
   * `EBADF` (closed).
   */
  takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
    checkPorts(ports);
    const length = lengthOf(ports);
    if (offsets !== undefined) checkEnough(offsets, length);
    if (this.#handle === 0) throw closed("pool");
    if (offsets === undefined && !this.#isRandom) return this.#takeEach(ports, length);
    return this.#takeBatches(ports, length, offsets);
  }

  #takeBatches(ports: Uint16Array, length: number, offsets: Uint32Array | undefined): number {
    let taken = 0;
    while (taken < length) {
      const count = Math.min(length - taken, BATCH_MAX);
      if (offsets === undefined) this.#draw(count);
      else offsetsIn(offsets, taken, this.#core.offsets, count);
      const got = this.#exports.takeMany(this.#handle, count);
      portsOut(this.#core.ports, ports, taken, got);
      taken += got;
      if (got < count) break;
    }
    return taken;
  }

  /** Random offsets for a batch. */
  #draw(count: number): void {
    const offsets = this.#core.offsets;
    for (let index = 0; index < count; index++) offsets[index] = this.#selection.start();
  }

  /**
   * Gives a port back, with the pool's own flags (gVisor `ReleasePort`), at once: it does not rest.
   * @param port 1..65535.
   * @returns whether the pool's description held the port in any of its networks; `false` for a port that
   * cools down.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed); `ENOBUFS`
   * where others hold the key with other flags and the count that goes below zero finds no memory.
   */
  free(port: number): boolean {
    if (this.#handle === 0) throw closed("pool");
    const released = this.#exports.freePort(this.#handle, explicitPort(port));
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
    const length = lengthOf(ports);
    if (this.#handle === 0) throw closed("pool");
    let released = 0;
    for (let start = 0; start < length; start += BATCH_MAX) {
      const count = Math.min(length - start, BATCH_MAX);
      portsIn(ports, start, this.#core.ports, count);
      released += this.#exports.freeMany(this.#handle, count);
    }
    return released;
  }

  /**
   * Gives a port back into cooldown: it stays taken for everybody, as after a TIME_WAIT, until it has cooled down
   * for the pool's period and {@link expire} is called. A pool without a cooldown gives it back at once.
   * @param port 1..65535.
   * @param now milliseconds of any clock, 0..4294967000000. It never goes back: an earlier time counts
   * as the latest that the pool was told.
   * @returns whether the pool held the port; `false` if it cools down already.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; `EBADF` (closed);
   * `ENOBUFS`: there is no memory to remember it, and the pool still holds it.
   */
  coolDown(port: number, now: number): boolean {
    if (this.#handle === 0) throw closed("pool");
    explicitPort(port);
    checkNow(now);
    return this.free(port);
  }

  /**
   * Frees the ports that have cooled down. A port that was given back at some time has cooled down when one period
   * has passed since, or up to an eighth of a period later.
   * @param now as in {@link coolDown}.
   * @returns how many ports were freed.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; `EBADF` (closed).
   */
  expire(now: number): number {
    if (this.#handle === 0) throw closed("pool");
    checkNow(now);
    return 0;
  }

  /**
   * How many ports rest.
   * @throws PortError `EBADF` (closed).
   */
  get cooling(): number {
    if (this.#handle === 0) throw closed("pool");
    return 0;
  }

  /**
   * From when on {@link expire} frees a port, in milliseconds of the pool's clock; `undefined` if none cools down.
   * @throws PortError `EBADF` (closed).
   */
  get nextExpiry(): number | undefined {
    if (this.#handle === 0) throw closed("pool");
    return undefined;
  }

  /**
   * Does the pool hold the port, with its own flags, in all of its networks? A port that cools down is not held.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`; `EBADF` (closed).
   */
  has(port: number): boolean {
    if (this.#handle === 0) throw closed("pool");
    return this.#exports.hasTaken(this.#handle, explicitPort(port)) !== 0;
  }

  /**
   * How many ports the pool holds, with its own flags, in the first of its networks, without those that rest.
   * @throws PortError `EBADF` (closed).
   */
  get held(): number {
    if (this.#handle === 0) throw closed("pool");
    return this.#exports.heldCount(this.#handle);
  }

  /**
   * Closes the handle. Ports that the pool holds stay held: they belong to the manager, and can be
   * released by value or through another handle. Ports that rest are freed, since nobody could wake
   * them any more. A second call does nothing.
   */
  close(): void {
    if (this.#handle === 0) return;
    this.#exports.closePool(this.#handle);
    this.#handle = 0;
    this.#onClose(this);
  }

  /**
   * The group whose port range counts. Another may be set: ports that the pool holds stay held.
   * @throws PortError (set) `EBADF` (closed), `ENOENT`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  get group(): PortGroup | undefined {
    return this.#key.group;
  }

  set group(group: PortGroup | undefined) {
    if (this.#handle === 0) throw closed("pool");
    this.#exports.movePool(this.#handle, groupAt(this.#core, group));
    this.#key = withGroup(this.#key, group);
  }

  #takeBySelection(): number {
    const range = unpackRange(this.#exports.poolRange(this.#handle));
    if (range === undefined) return EMPTY_RANGE;
    if (this.#selection.isKeyed) writeKey(this.#core, this.#key);
    return searchBy(this.#selection, range, (first, last, offset) =>
      this.#exports.takeBetween(this.#handle, first, last, offset),
    );
  }

  #takeEach(ports: Uint16Array, length: number): number {
    for (let taken = 0; taken < length; taken++) {
      const port = this.#takeBySelection();
      if (port < 0) return taken;
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

export function checkOffset(offset: number): number {
  const isGood = typeof offset === "number" && offset >>> 0 === offset;
  return isGood ? offset : checkUint32("offset", offset);
}

export function explicitPort(port: number): number {
  const isGood = typeof port === "number" && (port & PORT_MAX) === port && port !== 0;
  return isGood ? port : checkPort(port);
}

export function checkNow(now: number): number {
  return checkTime("now", now);
}

export function checkEnough(offsets: Uint32Array, length: number): void {
  checkOffsets(offsets);
  const given = lengthOf(offsets);
  if (given < length) throw outOfRange("offsets.length", `at least ${length}, one per port`, given);
}
