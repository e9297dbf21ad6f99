// PortManager: the words. Each checks what it is given, writes the request block, asks the core
// once, and turns a refusal into an error that says what was asked.

import { EMPTY_RANGE, IN_USE, NO_MEMORY } from "../assembly/abi.ts";
import { type CheckedCooldown, checkCooldown, checkOrder } from "./cooldown.ts";
import { CoolingPool, CoolingRecords } from "./cooling.ts";
import { registerCleanup } from "./core/cleanup.ts";
import { cooldownCoreOf } from "./core/cooldown-core.ts";
import { type Core, coreOf } from "./core/core.ts";
import { CryptoRandom, type Random } from "./core/random.ts";
import { closed, invalid, noMemory, PortError, show, wrongType } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import { checkOpen, type OpenOptions, RANGE_ADVICE, type Stats } from "./open.ts";
import { endPool, PortPool } from "./pool.ts";
import { exhausted, outsideGroup, refused } from "./refusals.ts";
import { checkBoolean, checkPort, checkUint32 } from "./requests/checks.ts";
import { checkRange, type PortRange, unpackRange } from "./requests/range.ts";
import {
  askedOf,
  checkMode,
  type GroupOption,
  groupAt,
  type Key,
  liveGroupAt,
  POOL_OPTIONS,
  PORT_OPTIONS,
  type PoolOptions,
  type PortRequest,
  RESERVE_OPTIONS,
  type ReserveRequest,
  showKey,
  TUPLE_OPTIONS,
  withGroup,
  writeHeldKey,
  writeKey,
} from "./requests/request.ts";
import { type Owner, Reservation } from "./reservation.ts";
import { searchBy } from "./search.ts";
import { Selection } from "./selection.ts";

/**
 * Says whether a port suits the caller. In `reservePort` it is called after the port has been
 * reserved, which is undone when it answers `false` or throws (gVisor `ports.PortTester`). It may
 * use the manager.
 */
export type PortTester = (port: number) => boolean;

// A manager that is forgotten gives its memory back.
const forgotten = registerCleanup<Kept>(closeKept);

/** What a manager keeps in memory. */
interface Kept {
  readonly core: Core;
  readonly manager: number;
  readonly cooling: Set<CoolingRecords>;
}

function closeKept({ core, manager, cooling }: Kept): void {
  for (const records of cooling) records.close();
  core.exports.closeManager(manager);
}

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verify: (manager: PortManager) => void;

/**
 * Decides which local port a socket gets: gVisor's `ports.PortManager` with its rules of reuse.
 * It keeps records; it does not open sockets, and it does not see other processes.
 */
export class PortManager implements Disposable {
  readonly #core: Core;
  readonly #random: Random;
  readonly #selection: Selection;
  readonly #limit: number;
  readonly #cooldown: CheckedCooldown;
  readonly #cooldownModule: WebAssembly.Module | undefined;
  readonly #pools = new Set<PortPool>();
  /** Of the pools that have any. */
  readonly #cooling = new Set<CoolingRecords>();
  readonly #owner: Owner = {
    release: (key, port) => {
      this.#releaseKey(key, port);
    },
    move: (key, group) => this.#moveKey(key, group),
  };
  readonly #onPoolClose = (pool: PortPool): void => {
    this.#pools.delete(pool);
  };
  /** Where the core keeps the manager; 0 when it is closed. */
  #manager: number;

  static {
    verify = (manager) => {
      manager.#core.exports.verify?.(manager.#open());
      for (const records of manager.#cooling) records.verify();
    };
  }

  private constructor(
    core: Core,
    manager: number,
    selection: Selection,
    { random, limit, cooldown, cooldownModule }: ReturnType<typeof checkOpen>,
  ) {
    this.#core = core;
    this.#manager = manager;
    this.#random = random;
    this.#selection = selection;
    this.#limit = limit;
    this.#cooldown = cooldown;
    this.#cooldownModule = cooldownModule;
    forgotten.register(this, { core, manager, cooling: this.#cooling }, this);
  }

  /**
   * Opens a manager, empty. Synchronous; the first call compiles the core (about a millisecond).
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `EINVAL` (range), `ENOBUFS`; `ERR_WEBASSEMBLY_NOT_SUPPORTED`: no `module` is given, and the host does
   * not let the package compile its own (a page's Content-Security-Policy without 'wasm-unsafe-eval').
   */
  static open(options: OpenOptions = {}): PortManager {
    const checked = checkOpen(options);
    const { limit, range } = checked;
    const core = coreOf(checked.module);
    const selection = new Selection(core, checked.random, checked.selection);
    // The hash table's seed is secret even where the offsets are not.
    const secret = new CryptoRandom();
    const manager = core.exports.openManager(secret.next(), secret.next(), limit) >>> 0;
    if (manager === 0) {
      selection.close();
      throw noMemory(`a manager, limit ${limit} bytes`);
    }
    if (range !== undefined) core.exports.setRange(manager, range.first, range.last);
    return new PortManager(core, manager, selection, checked);
  }

  // ── Reserving ───────────────────────────────────────────────────────────────────────────

  /**
   * Reserves a port that is named, or the first acceptable one of the ephemeral range (gVisor
   * `ReservePort`).
   * @param test is asked about the port after it has been reserved. On `false` the reservation is
   * undone and, for an ephemeral port, the search goes on; what it throws is thrown on, after undoing.
   * @throws PortError `EADDRINUSE` (the port, or without a destination the whole range, is taken),
   * `EADDRNOTAVAIL` (the range is exhausted for this destination), `EACCES` (the group does not allow
   * the port, or any of the range), `ENOENT` (the group is gone), `ENOBUFS`, `EBADF`, and those of bad
   * arguments.
   */
  reservePort(request: ReserveRequest, test?: PortTester): Reservation {
    const { key, port, offset } = askedOf(this.#core, request, RESERVE_OPTIONS);
    if (offset !== undefined && port !== 0) {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        `offset is where a search starts and port ${port} is named: give one of them`,
      );
    }
    checkTester(test, true);
    const held =
      port === 0 ? this.#reserveAny(key, offset, test) : this.#reserveAt(key, port, test);
    return new Reservation(key, held, this.#owner);
  }

  /**
   * Reserves the very tuple, as an accepted connection does (gVisor `ReserveTuple`): only other
   * holders of the same address, device and destination are asked. The port is that of a listener,
   * so there is no group to ask.
   * @throws PortError `EADDRINUSE`, `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  reserveTuple(request: PortRequest): Reservation {
    const asked = askedOf(this.#core, request, TUPLE_OPTIONS);
    const { key } = asked;
    const port = checkPort(asked.port);
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.reserveTuple(manager, port);
    if (answer < 0) throw this.#refused(answer, key, port);
    return new Reservation(key, port, this.#owner);
  }

  /**
   * Releases a reservation by its value, for callers that keep their own records (gVisor
   * `ReleasePort`). Counts as gVisor does: releasing with other flags, or in one of several
   * networks, takes a reference from what is named; a second release takes another holder's.
   * A reservation that was made in a group names it here, too, so that the group is in use no longer.
   * @returns whether anything was held under that description.
   * @throws PortError `ENOBUFS` when a count that goes below zero finds no memory; `EBADF`, and
   * those of bad arguments.
   */
  releasePort(request: PortRequest & GroupOption): boolean {
    if (request instanceof Reservation) {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        "releasePort takes a description; a reservation object has release() of its own",
      );
    }
    const { key, port } = askedOf(this.#core, request, PORT_OPTIONS);
    return this.#releaseKey(key, checkPort(port));
  }

  /**
   * Would `reservePort` with this port succeed now? Changes nothing.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  isAvailable(request: PortRequest & GroupOption): boolean {
    const asked = askedOf(this.#core, request, PORT_OPTIONS);
    const { key } = asked;
    const port = checkPort(asked.port);
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.isAvailable(manager, port);
    if (answer === NO_MEMORY) throw this.#refused(answer, key, port);
    return answer > 0;
  }

  /**
   * Opens a handle for taking and freeing many ports of one description.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  pool(options: PoolOptions): PortPool {
    const { key } = askedOf(this.#core, options, POOL_OPTIONS);
    const mode = checkMode(options.mode, key);
    const cooldown = checkCooldown(options.cooldown, this.#cooldown);
    const isOrdered = checkOrder(options.selection);
    const isCooling = cooldown.period > 0 || isOrdered;
    // What cools down, or waits in order, must not be taken a second time under flags of reuse.
    const isUnique = checkBoolean("unique", options.unique) || (isCooling && key.flags !== 0);
    const manager = this.#open();
    writeKey(this.#core, key);
    const { exports } = this.#core;
    const handle = exports.openPool(manager, mode, isUnique ? 1 : 0) >>> 0;
    if (handle === 0) throw this.#noMemory(showKey(key, 0));
    const pool = isCooling
      ? this.#coolingPool(handle, key, cooldown, isOrdered)
      : new PortPool(this.#core, handle, key, this.#selection, this.#onPoolClose);
    this.#pools.add(pool);
    return pool;
  }

  #coolingPool(handle: number, key: Key, cooldown: CheckedCooldown, isOrdered: boolean): PortPool {
    try {
      const { exports } = cooldownCoreOf(this.#core, this.#cooldownModule);
      const records = new CoolingRecords(exports, this.#manager, cooldown.period, isOrdered);
      records.keepAmong(this.#cooling);
      const how = { records, whenCooling: cooldown.whenCooling, random: this.#random };
      return new CoolingPool(this.#core, handle, key, this.#selection, this.#onPoolClose, how);
    } catch (error) {
      this.#core.exports.closePool(handle);
      throw error;
    }
  }

  // ── Picking ─────────────────────────────────────────────────────────────────────────────

  /**
   * Offers the ports of the ephemeral range to `test`, each once, until it accepts one (gVisor
   * `PickEphemeralPort`; RFC 6056 algorithm 1). Reserves nothing: the tester may.
   * @param offset 0..4294967295, where to start, modulo the range's count; random by default.
   * @returns the port that was accepted.
   * @throws PortError `EADDRNOTAVAIL` (none was accepted), `EBADF`, and those of bad arguments; what
   * the tester throws.
   */
  pickEphemeralPort(test: PortTester, offset?: number): number {
    checkTester(test, false);
    return this.#pick(
      test,
      offset === undefined ? this.#random.next() : checkUint32("offset", offset),
    );
  }

  /**
   * As {@link pickEphemeralPort}, starting at `offset` plus the number of picks of this kind that
   * have succeeded (gVisor `PickEphemeralPortStable`; RFC 6056 algorithm 3 when `offset` is a keyed
   * hash of the tuple). Predictable: who sees a few ports can tell the next ones.
   * @param offset 0..4294967295.
   */
  pickEphemeralPortStable(offset: number, test: PortTester): number {
    checkUint32("offset", offset);
    checkTester(test, false);
    const { exports } = this.#core;
    const port = this.#pick(test, (exports.hint(this.#open()) + offset) >>> 0);
    // The tester may have closed the manager.
    exports.advanceHint(this.#open());
    return port;
  }

  // ── Range and figures ───────────────────────────────────────────────────────────────────

  /**
   * The ephemeral range (gVisor `PortRange`).
   * @throws PortError `EBADF`.
   */
  portRange(): PortRange {
    return unpackRange(this.#core.exports.range(this.#open())) as PortRange;
  }

  /**
   * Changes the ephemeral range (gVisor `SetPortRange`). Reservations stay as they are.
   * @param first 1..65535. gVisor takes 0 here, and may then hand out port 0; we do not.
   * @param last first..65535.
   * @throws PortError `EINVAL` (`invalid-port-range`), `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setPortRange(first: number, last: number): void {
    checkRange(first, last, RANGE_ADVICE);
    this.#core.exports.setRange(this.#open(), first, last);
  }

  /**
   * Live figures. `descriptors` looks at every port of every space: some microseconds each.
   * @throws PortError `EBADF`, `ENOBUFS`.
   */
  stats(): Stats {
    const manager = this.#open();
    const { exports } = this.#core;
    const descriptors = exports.descriptorCount(manager);
    if (descriptors < 0) throw this.#noMemory("stats");
    return {
      descriptors,
      counters: exports.counterCount(manager) >>> 0,
      references: exports.referenceCount(manager) >>> 0,
      memory: {
        used: exports.usedBytes(manager) >>> 0,
        taken: exports.memory.buffer.byteLength,
        limit: this.#limit,
      },
    };
  }

  /** Gives back everything. Pools and reservations of the manager are dead from here on. A second call does nothing. */
  close(): void {
    if (this.#manager === 0) return;
    for (const pool of this.#pools) endPool(pool);
    this.#pools.clear();
    forgotten.unregister(this);
    closeKept({ core: this.#core, manager: this.#manager, cooling: this.#cooling });
    this.#selection.close();
    this.#manager = 0;
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #open(): number {
    if (this.#manager === 0) throw closed("manager");
    return this.#manager;
  }

  #reserveAt(key: Key, port: number, test: PortTester | undefined): number {
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.reservePort(manager, port);
    if (answer < 0) throw this.#refused(answer, key, port);
    if (test !== undefined && !this.#passes(test, key, port)) {
      throw this.#refused(IN_USE, key, port, "the tester refused it");
    }
    return port;
  }

  #reserveAny(key: Key, offset: number | undefined, test: PortTester | undefined): number {
    const searched = this.#rangeFor(key);
    const { first, last } = searched;
    const search = (from: number, to: number, start: number): number =>
      this.#searchFor(key, from, to, start, test);
    const port =
      offset === undefined
        ? searchBy(this.#selection, searched, search)
        : search(first, last, offset);
    if (port < 0) {
      const isDrawn = offset === undefined && this.#selection.isDrawn;
      throw exhausted(port, key, searched, isDrawn, this.#limit);
    }
    return port;
  }

  /** The range as it is now, whatever a tester does to it, as far as the group allows. */
  #rangeFor(key: Key): PortRange {
    const { exports } = this.#core;
    const local = exports.range(this.#open());
    writeKey(this.#core, key);
    const range = unpackRange(key.group === undefined ? local : exports.clampToRequest(local));
    if (range === undefined) throw outsideGroup(EMPTY_RANGE, key, 0, this.portRange());
    return range;
  }

  /** Reserves the first port of first..last, from an offset on, that the tester accepts. */
  #searchFor(
    key: Key,
    first: number,
    last: number,
    offset: number,
    test: PortTester | undefined,
  ): number {
    const { exports } = this.#core;
    const count = last - first + 1;
    const start = offset % count;
    let skip = 0;
    for (;;) {
      writeKey(this.#core, key);
      const port = exports.reserveEphemeral(this.#open(), first, last, offset, skip);
      if (port < 0 || test === undefined || this.#passes(test, key, port)) return port;
      skip = ((port - first - start + count) % count) + 1;
    }
  }

  /** Asks a tester about a port that has just been reserved, and undoes that unless it agrees. */
  #passes(test: PortTester, key: Key, port: number): boolean {
    let passed = false;
    try {
      passed = checkVerdict(test(port));
      return passed;
    } finally {
      if (!passed && this.#manager !== 0) this.#releaseKey(key, port);
    }
  }

  #pick(test: PortTester, offset: number): number {
    const { first, last } = this.portRange();
    const count = last - first + 1;
    const start = offset % count;
    for (let index = 0; index < count; index++) {
      const port = first + ((start + index) % count);
      if (checkVerdict(test(port))) return port;
    }
    throw new PortError(
      "EADDRNOTAVAIL",
      "no-port-available",
      `the tester accepted none of the ports ${first}..${last}`,
      { syscall: "connect", port: 0, searched: { first, last } },
    );
  }

  #releaseKey(key: Key, port: number): boolean {
    const manager = this.#open();
    writeHeldKey(this.#core, key);
    const answer = this.#core.exports.releasePort(manager, port);
    if (answer < 0) throw this.#refused(answer, key, port);
    return answer > 0;
  }

  /** From now on another group counts for a reservation. */
  #moveKey(key: Key, group: PortGroup | undefined): Key {
    const manager = this.#open();
    const from = liveGroupAt(this.#core, key.group);
    const to = groupAt(this.#core, group);
    if (this.#core.exports.moveGroupUse(manager, from, to) === NO_MEMORY) {
      throw this.#noMemory(`a reservation in group ${group?.path}`);
    }
    return withGroup(key, group);
  }

  #refused(refusal: number, key: Key, port: number, why?: string): PortError {
    return refused(refusal, key, port, this.#limit, why);
  }

  #noMemory(what: string): PortError {
    return noMemory(`${what}, limit ${this.#limit} bytes`);
  }
}

function checkTester(test: unknown, optional: boolean): void {
  if (typeof test === "function" || (optional && test === undefined)) return;
  throw wrongType("test", "a function that answers a boolean", test);
}

function checkVerdict(verdict: unknown): boolean {
  if (typeof verdict === "boolean") return verdict;
  const message = `test must answer true or false, synchronously, got ${show(verdict)}`;
  throw invalid("ERR_INVALID_RETURN_VALUE", message);
}
