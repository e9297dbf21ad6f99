// PortManager: each method checks what it is given, writes the request block, asks the core once, and
// turns a refusal into an error that says what was asked.

import { GROUP_BIND, GROUP_CONNECT, NO_MEMORY } from "../assembly/abi.ts";
import { CoolingReservations } from "./cooling-reservations.ts";
import { isRevoked, kindOf, setKind } from "./core/brands.ts";
import type { Core } from "./core/core.ts";
import { checkInside, INSIDE } from "./core/inside.ts";
import { explained, invalid, type PortError, type RefusalCode } from "./errors.ts";
import { tellHolders } from "./groups/holders.ts";
import { leasedPool } from "./leasing.ts";
import { openListener, type PortListener } from "./listener.ts";
import { checkOpen, type OpenOptions, RANGE_ADVICE, type Stats } from "./open.ts";
import { closeResources, managerCleanup, moveKey, openReserving } from "./opening.ts";
import { openPool, type PoolOwner, poolKind } from "./opening-pools.ts";
import { checkTester, pick } from "./picking.ts";
import type { PortPool } from "./pool.ts";
import type { ExplainPool, PoolRecord } from "./pool-record.ts";
import { type Outcome, refused } from "./refusals.ts";
import { ANY } from "./requests/address.ts";
import { writeKey } from "./requests/block.ts";
import { checkInteger, checkPort, checkTime, checkUint32 } from "./requests/checks.ts";
import {
  type Asked,
  askedOf,
  type Key,
  POOL_OPTIONS,
  PORT_OPTIONS,
  RESERVE_OPTIONS,
  TUPLE_OPTIONS,
} from "./requests/parsing.ts";
import { checkRange, type PortRange } from "./requests/range.ts";
import type {
  GroupOption,
  ListenerRequest,
  PoolOptions,
  PortRequest,
  ReserveRequest,
} from "./requests/request.ts";
import { type CoolingEntry, type Owner, Reservation } from "./reservation.ts";
import type { PortTester, Reserving } from "./reserving.ts";
import { type AsyncPortTester, reserveAsync } from "./reserving-async.ts";
import { knownAs, notHeld } from "./state/attach.ts";
import { judged } from "./state/conflicts.ts";
import { explainAny, explainPool, explainPort } from "./state/explain.ts";
import type { Explanation } from "./state/explanation.ts";
import { GroupedReservations, knownOf } from "./state/grouped.ts";
import { checkFilter, type HeldSource, listHeld, releaseHeld } from "./state/held.ts";
import type { HeldFilter, HeldPort } from "./state/held-port.ts";
import { Purges } from "./state/release-all.ts";
import { beginRestore, type Restored, type RestoreOptions, restoreInto } from "./state/restore.ts";
import { checkSnapshotOptions, type SnapshotOptions } from "./state/selections.ts";
import { snapshotOf } from "./state/snapshot.ts";

const PERIOD_MAX = 86_400_000;

/** For tests: the debug build's check of all invariants. Returns bytes in bitmaps of few ports. */
export let verify: (manager: PortManager) => number;

/**
 * Decides which local port a socket gets: gVisor's `ports.PortManager` with its rules of reuse.
 * It keeps records; it does not open sockets, and it does not see other processes.
 */
export class PortManager implements Disposable {
  readonly #core: Core;
  readonly #settings: ReturnType<typeof checkOpen>;
  readonly #reserving: Reserving;
  readonly #pools = new Set<PoolRecord>();
  readonly #cooling = new CoolingReservations<CoolingEntry>();
  #restored: Restored | undefined;
  readonly #grouped = new GroupedReservations();
  readonly #owner: Owner = {
    release: (key, port) => void this.#reserving.release(key, port),
    narrow: (key, networks, port) => {
      this.#reserving.release({ ...key, networks, group: undefined }, port);
    },
    coolDown: (reservation, now, period) => this.#coolDown(reservation, now, period),
    move: (reservation, key, group) => {
      const moved = moveKey(this.#reserving, key, group);
      this.#grouped.add(reservation);
      return moved;
    },
    purges: new Purges(),
  };

  static {
    setKind(PortManager, "PortManager");
    verify = (manager) => {
      for (const { cooling } of manager.#pools) cooling?.verify();
      return manager.#core.exports.verify?.(manager.#open()) ?? 0;
    };
  }

  private constructor(token: symbol, reserving: Reserving, settings: ReturnType<typeof checkOpen>) {
    checkInside(token, "PortManager", "PortManager.open()");
    const { core, address } = reserving;
    this.#core = core;
    this.#reserving = reserving;
    reserving.purges = this.#owner.purges;
    this.#settings = settings;
    managerCleanup.register(this, { core, manager: address, pools: this.#pools }, this);
    tellHolders(core, this, (manager, group) => manager.reservations({ group }));
  }

  /**
   * Opens a manager, empty. Synchronous; the first call compiles the core (about a millisecond).
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `EINVAL` (range), `ENOBUFS`; `ERR_WEBASSEMBLY_NOT_SUPPORTED`: no `module` is given, and the host does
   * not let the package compile its own (a page's Content-Security-Policy without 'wasm-unsafe-eval').
   */
  static open(options: OpenOptions = {}): PortManager {
    const settings = checkOpen(options);
    return new PortManager(INSIDE, openReserving(settings), settings);
  }

  /**
   * Opens a manager that holds and answers what the original did when it made the {@link snapshot}.
   * @throws PortError `EINVAL` (`invalid-snapshot`): it is none, cut, changed, or of another version;
   * `ENOBUFS`: it does not fit into the memory limit; those of bad arguments, and of {@link open}.
   */
  static restore(snapshot: Uint8Array, options: RestoreOptions = {}): PortManager {
    const begun = beginRestore(snapshot, options);
    const { settings } = begun;
    const manager = new PortManager(INSIDE, openReserving(settings), settings);
    manager.#cooling.setClock(begun.clock);
    manager.#restored = restoreInto(begun, {
      ...manager.#poolOwner(),
      attach: (key, port) => manager.#reservation(key, port),
      addCooling: (reservation, due) => manager.#cooling.add({ due, reservation }),
      close: () => manager.close(),
    });
    return manager;
  }

  // ── Reserving ───────────────────────────────────────────────────────────────────────────

  /**
   * Reserves an explicit port, or the first acceptable one of the ephemeral range (gVisor
   * `ReservePort`).
   * @param test is asked about the port after it has been reserved. On `false` the reservation is
   * undone and, for an ephemeral port, the search goes on; what it throws is rethrown after that.
   * @throws PortError `EADDRINUSE` (the port, or without a destination the whole range, is taken),
   * `EADDRNOTAVAIL` (the range is exhausted for this destination), `EACCES` (the group does not allow
   * the port, or any of the range), `ENOENT` (the group is gone), `ENOBUFS`, `EBADF`, and those of bad
   * arguments.
   */
  reservePort(request: ReserveRequest, test?: PortTester): Reservation {
    const asked = this.#asked(request, test);
    const answer = test ? 0 : this.#reserving.reserveOnce(asked);
    if (answer > 0) return this.#reservation(asked.key, answer);
    return this.#granted(this.#reserving.reserve(asked, test, answer));
  }

  /**
   * As {@link reservePort}, for callers that expect refusals: no error is made.
   * @returns a reservation, or one of the numbers of {@link Refusal}, which are negative: `IN_USE` (also
   * where the tester refused an explicit port), `EXHAUSTED`, `OUTSIDE_GROUP`, `EMPTY_RANGE`, `NO_MEMORY`.
   * @throws PortError `ENOENT` (the group is gone), `EBADF`, and those of bad arguments.
   */
  tryReserve(request: ReserveRequest, test?: PortTester): Reservation | RefusalCode {
    const outcome = this.#reserving.reserve(this.#asked(request, test), test);
    if (outcome.answer > 0) return this.#granted(outcome);
    return this.#reserving.counts.refuse(outcome.answer as RefusalCode);
  }

  /**
   * As {@link reservePort}, with an asynchronous tester, such as one that listens on the port. The
   * port is held while the tester is asked, so that no other call gets it; other calls go on meanwhile,
   * each with its own port. Each port is offered once; after a refusal the search goes on behind it.
   * @param test answers a boolean or a promise of one. On `false` the port is given back; what it
   * throws is rethrown after that.
   * @throws PortError as {@link reservePort}, and `EBADF` where the manager was closed meanwhile.
   */
  async reservePortAsync(request: ReserveRequest, test: AsyncPortTester): Promise<Reservation> {
    checkTester(test, false);
    const asked = this.#asked(request, undefined);
    return this.#granted(await reserveAsync(this.#reserving, asked, test));
  }

  /**
   * Reserves the very tuple, as an accepted connection does (gVisor `ReserveTuple`): it conflicts only
   * with holders of the same address, device and destination. The port is that of a listener, so
   * groups do not apply.
   * @throws PortError `EADDRINUSE`, `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  reserveTuple(request: PortRequest): Reservation {
    const { key, port: asked } = askedOf(this.#core, request, TUPLE_OPTIONS);
    const port = checkPort(asked);
    const manager = this.#open();
    writeKey(this.#core, key);
    return this.#granted({ answer: this.#core.exports.reserveTuple(manager, port), key, port });
  }

  /**
   * A handle for the connections that a listener accepts: each is held as by {@link reserveTuple},
   * without an object for it. Holds nothing itself: the listening port is a reservation.
   * @param request describes the connections: their local address is the one that they were made to.
   * @throws PortError `EBADF`, and those of bad arguments.
   */
  listener(request: ListenerRequest): PortListener {
    return openListener(this.#reserving, request);
  }

  /**
   * Releases a reservation by its value, for callers that keep their own records (gVisor
   * `ReleasePort`). Counts as gVisor does: releasing with other flags, or in one of several networks,
   * takes a reference from that description; a second release takes another holder's reference. A reservation
   * that was made in a group names it here, too, so that the group is no longer in use.
   * @returns whether anything was held under that description.
   * @throws PortError `ENOBUFS` when a count that goes below zero finds no memory; `EBADF`, and
   * those of bad arguments.
   */
  releasePort(request: PortRequest & GroupOption): boolean {
    if (kindOf(request) === "Reservation") {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        "releasePort takes a description; a reservation object has release() of its own",
      );
    }
    const { key, port } = askedOf(this.#core, request, PORT_OPTIONS);
    if (!this.#reserving.release(key, checkPort(port))) return false;
    this.#grouped.forget(key, port);
    return true;
  }

  /**
   * Would `reservePort` with this port succeed now? Changes nothing.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  isAvailable(request: PortRequest & GroupOption): boolean {
    const { key, port: asked } = askedOf(this.#core, request, PORT_OPTIONS);
    const port = checkPort(asked);
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.isAvailable(manager, port);
    if (answer === NO_MEMORY) throw this.#refused({ answer, key, port });
    return answer > 0;
  }

  // ── Cooldown of reservations ────────────────────────────────────────────────────────────

  /**
   * Releases the reservations whose cooldown is over (`Reservation.coolDown`), each at its very time.
   * For the ports of pools see `PortPool.expire`.
   * @param now milliseconds of the clock that `coolDown` was given.
   * @param freed gets the reservations that are released, the earliest first.
   * @returns how many they are.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `EBADF`.
   */
  expire(now: number, freed?: Reservation[]): number {
    this.#open();
    this.#cooling.setClock(checkTime("now", now));
    return this.#cooling.expire(freed);
  }

  /**
   * When {@link expire} will release the next reservation, in milliseconds; `undefined`: none cools down.
   * @throws PortError `EBADF`.
   */
  get nextExpiry(): number | undefined {
    this.#open();
    return this.#cooling.nextExpiry;
  }

  // ── Pools ───────────────────────────────────────────────────────────────────────────────

  /**
   * Opens a pool, for taking and freeing many ports of one description.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  pool(options: PoolOptions): PortPool {
    if (!isRevoked(options) && options?.blocks !== undefined) return leasedPool(this, options);
    const asked = askedOf(this.#core, options, POOL_OPTIONS);
    return openPool(this.#poolOwner(), asked.key, poolKind(this.#poolOwner(), asked));
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
    const start =
      offset === undefined ? this.#settings.random.next() : checkUint32("offset", offset);
    return pick(this.#reserving, test, start);
  }

  /**
   * As {@link pickEphemeralPort}, starting at `offset` plus the number of picks of this kind that
   * have succeeded (gVisor `PickEphemeralPortStable`; RFC 6056 algorithm 3 when `offset` is a keyed
   * hash of the tuple). Predictable: an observer of a few ports can compute the next. gVisor removed
   * it in 2023, since hosts could be tracked by it.
   * @param offset 0..4294967295.
   */
  pickEphemeralPortStable(offset: number, test: PortTester): number {
    checkUint32("offset", offset);
    checkTester(test, false);
    const { exports } = this.#core;
    const port = pick(this.#reserving, test, (exports.hint(this.#open()) + offset) >>> 0);
    exports.setHint(this.#open(), exports.hint(this.#open()) + 1);
    return port;
  }

  // ── What is held ────────────────────────────────────────────────────────────────────────

  /**
   * Lists what is held, as it is at the call: one record for each network, description and port. What
   * happens while it is read does not show.
   * @throws PortError `EBADF`, and those of a bad filter.
   */
  reservations(filter: HeldFilter = {}): IterableIterator<HeldPort> {
    return listHeld(this.#heldSource(), checkFilter(this.#core, filter));
  }

  /**
   * Says whether `reservePort` with this request would succeed now, and if not, which holder or limit is
   * in the way. Changes nothing. A refused call's error says the same: `PortError.explain`.
   * @throws PortError `EBADF`, `ENOENT` (the group is gone), and those of bad arguments.
   */
  explain(request: ReserveRequest): Explanation {
    const { key, port } = this.#asked(request, undefined);
    return this.#explain(key, port);
  }

  #explain(key: Key, port: number): Explanation {
    const source = this.#heldSource();
    const kind = key.destination === ANY ? GROUP_BIND : GROUP_CONNECT;
    const limits = { group: key.group, kind, range: this.portRange() } as const;
    if (port !== 0) return explainPort(source, judged(key, false), port, limits);
    return explainAny(source, judged(key, true), limits);
  }

  /**
   * Releases all that is held and agrees with the filter, by reservations and pools. Pools stay open,
   * and objects of released reservations are as after their own `release()`.
   * @returns how many references were released.
   * @throws PortError `EBADF`, `ENOBUFS`, and those of a bad filter.
   */
  releaseAll(filter: HeldFilter = {}): number {
    const source = this.#heldSource();
    const references = (): number => this.#core.exports.referenceCount(this.#open()) >>> 0;
    const before = references();
    const release = (key: Key, port: number): boolean => this.#reserving.release(key, port);
    releaseHeld(source, checkFilter(this.#core, filter), this.#owner.purges, release);
    return before - references();
  }

  // ── Moving ──────────────────────────────────────────────────────────────────────────────

  /**
   * All that decides how the manager answers, as bytes for {@link restore}: here, in another thread, page
   * or version of Node. Frees what is kept for reuse, for both to use the same memory.
   * @throws PortError `EBADF`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  snapshot(options: SnapshotOptions = {}): Uint8Array {
    const source = { ...this.#poolOwner(), ...this.#heldSource(), clock: this.#cooling.clock };
    return snapshotOf(source, checkSnapshotOptions(options));
  }

  /** The objects made with a restored manager; `undefined`: it has been opened. */
  get restored(): Restored | undefined {
    return this.#restored;
  }

  /**
   * An object for a port that is held already, for instance since a restore: nothing is taken twice, and
   * its `release()` gives the port back.
   * @throws PortError `ENOENT` (`not-found`): nothing is held so; `EBADF`, and those of bad arguments.
   */
  attach(request: PortRequest & GroupOption): Reservation {
    const { key, port } = askedOf(this.#core, request, PORT_OPTIONS);
    const known = knownAs({ key, port: checkPort(port) }, this.#heldSource());
    if (known !== undefined) return known;
    const plain = { ...key, group: undefined };
    writeKey(this.#core, plain);
    if (!this.#core.exports.isHeld(this.#open(), port)) throw notHeld(key, port);
    return this.#reservation(moveKey(this.#reserving, plain, key.group), port);
  }

  // ── Range and figures ───────────────────────────────────────────────────────────────────

  /**
   * The ephemeral range (gVisor `PortRange`).
   * @throws PortError `EBADF`.
   */
  portRange(): PortRange {
    return this.#reserving.range();
  }

  /**
   * Changes the ephemeral range (gVisor `SetPortRange`). Reservations stay as they are.
   * @param first 1..65535. gVisor takes 0 here, and may then hand out port 0.
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
    return this.#reserving.stats();
  }

  /**
   * Frees everything. Pools and reservations of the manager cannot be used any more. A second call
   * does nothing.
   */
  close(): void {
    const { address, selection } = this.#reserving;
    if (address === 0) return;
    managerCleanup.unregister(this);
    this.#reserving.address = 0;
    closeResources({ core: this.#core, manager: address, pools: this.#pools });
    selection.close();
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #open(): number {
    return this.#reserving.open();
  }

  #asked(request: ReserveRequest, test: PortTester | undefined): Asked {
    const asked = askedOf(this.#core, request, RESERVE_OPTIONS);
    if (asked.offset !== undefined && asked.port !== 0) {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        `offset is where a search starts, and port ${asked.port} is explicit: give one of them`,
      );
    }
    checkTester(test, true);
    return asked;
  }

  /** A reservation, or the refusal as an error. */
  #granted(outcome: Outcome): Reservation {
    if (outcome.answer > 0) return this.#reservation(outcome.key, outcome.answer, outcome.since);
    this.#reserving.counts.refuse(outcome.answer);
    throw this.#refused(outcome);
  }

  /** A refusal as an error that can be asked for an explanation. */
  #refused(outcome: Outcome): PortError {
    const { key, port } = outcome;
    return explained(refused(outcome, this.#settings.limit), () => this.#explain(key, port));
  }

  #reservation(key: Key, port: number, since?: number): Reservation {
    const reservation = new Reservation(INSIDE, key, port, this.#owner, since);
    if (key.group !== undefined) this.#grouped.add(reservation);
    return reservation;
  }

  #poolOwner(): PoolOwner {
    const pools = this.#pools;
    const explain: ExplainPool = (pool, port) =>
      explainPool(this.#heldSource(), pool, port, this.portRange());
    return { reserving: this.#reserving, settings: this.#settings, pools, explain };
  }

  #heldSource(): HeldSource {
    const cooling = [...this.#cooling.entries()].flatMap(({ due, reservation }) =>
      [...knownOf([reservation])].map((known) => ({ ...known, due })),
    );
    return {
      core: this.#core,
      manager: this.#open(),
      pools: this.#pools,
      cooling,
      grouped: [...knownOf(this.#grouped.held())],
    };
  }

  /** Starts the cooldown of a reservation: when it ends, or `undefined` where it has none. */
  #coolDown(reservation: Reservation, now: number, period: unknown): number | undefined {
    this.#open();
    const length = checkInteger("period", period ?? this.#settings.cooldown.period, 0, PERIOD_MAX);
    this.#cooling.setClock(checkTime("now", now));
    if (length === 0) return undefined;
    const due = this.#cooling.clock + length;
    this.#cooling.add({ due, reservation });
    return due;
  }
}
