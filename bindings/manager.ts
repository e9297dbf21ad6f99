// PortManager: the words. Each checks what it is given, writes the request block, asks the core
// once, and turns a refusal into an error that says what was asked.

import { EPHEMERAL_FIRST, EPHEMERAL_LAST, IN_USE, NO_MEMORY, PORT_MAX } from "../assembly/abi.ts";
import { type Core, coreOf } from "./core.ts";
import { closed, invalid, noMemory, PortError, show, wrongType } from "./errors.ts";
import { endFlow, Flow } from "./flow.ts";
import { CryptoRandom, type Random, SeededRandom } from "./random.ts";
import {
  addressText,
  checkBoolean,
  checkInteger,
  checkNames,
  checkObject,
  checkPicking,
  checkPort,
  checkUint32,
  FLOW_OPTIONS,
  type FlowOptions,
  type Key,
  keyOf,
  PORT_OPTIONS,
  type PortRequest,
  RESERVE_OPTIONS,
  type ReserveRequest,
  showKey,
  writeKey,
} from "./request.ts";
import { Reservation } from "./reservation.ts";

/** A range of ports, both ends included: 1 <= first <= last <= 65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What a manager is opened with. */
export interface OpenOptions {
  /** The ephemeral range, 16000..65535 by default (gVisor). */
  portRange?: PortRange;
  /**
   * Makes the random offsets repeatable: 0..4294967295. Without it they come from the host's
   * cryptographic source. With it, whoever sees a few ports can tell the next.
   */
  seed?: number;
  /** Bytes of memory that the manager's records may take: 1024..4294967295, the default. */
  memoryLimit?: number;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module;
}

/** Live figures of a manager. */
export interface Stats {
  /** Different (network, transport, port) that are held. */
  readonly descriptors: number;
  /** Different (network, transport, port, address, device, destination) that are held. */
  readonly counters: number;
  /** Reservations, counted as gVisor counts references. */
  readonly references: number;
  readonly memory: {
    /** Bytes in records of this manager; back to the figure at open when all is released. */
    readonly used: number;
    /** Bytes of linear memory of the core, shared by all managers of one module. */
    readonly taken: number;
    /** The limit of `used`. */
    readonly limit: number;
  };
}

/**
 * Says whether a port suits the caller. In `reservePort` it is called after the port has been
 * reserved, which is undone when it answers `false` or throws (gVisor `ports.PortTester`). It may
 * use the manager.
 */
export type PortTester = (port: number) => boolean;

const OPEN_NAMES = ["portRange", "seed", "memoryLimit", "module"];
const LIMIT_MIN = 1024;
const LIMIT_MAX = 0xffffffff;

// A manager that is forgotten gives its memory back.
const forgotten = new FinalizationRegistry<{ core: Core; manager: number }>(({ core, manager }) =>
  core.exports.closeManager(manager),
);

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verify: (manager: PortManager) => void;

/**
 * Decides which local port a socket gets: gVisor's `ports.PortManager` with its rules of reuse.
 * It keeps records; it does not open sockets, and it does not see other processes.
 */
export class PortManager implements Disposable {
  readonly #core: Core;
  readonly #random: Random;
  readonly #limit: number;
  readonly #flows = new Set<Flow>();
  readonly #release = (key: Key, port: number): void => {
    this.#releaseKey(key, port);
  };
  readonly #onFlowClose = (flow: Flow): void => {
    this.#flows.delete(flow);
  };
  /** Where the core keeps the manager; 0 when it is closed. */
  #manager: number;

  static {
    verify = (manager) => manager.#core.exports.verify?.(manager.#open());
  }

  private constructor(core: Core, manager: number, random: Random, limit: number) {
    this.#core = core;
    this.#manager = manager;
    this.#random = random;
    this.#limit = limit;
    forgotten.register(this, { core, manager }, this);
  }

  /**
   * Opens a manager, empty. Synchronous; the first call compiles the core (about a millisecond).
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `EINVAL` (range), `ENOBUFS`.
   */
  static open(options: OpenOptions = {}): PortManager {
    checkObject("options", options);
    checkNames("options", options, OPEN_NAMES);
    const { seed, portRange } = options;
    const random =
      seed === undefined ? new CryptoRandom() : new SeededRandom(checkUint32("seed", seed));
    const limit =
      options.memoryLimit === undefined
        ? LIMIT_MAX
        : checkInteger("memoryLimit", options.memoryLimit, LIMIT_MIN, LIMIT_MAX);
    const range = portRange === undefined ? undefined : checkRangeObject(portRange);
    if (options.module !== undefined && !(options.module instanceof WebAssembly.Module)) {
      throw wrongType("module", "a WebAssembly.Module", options.module);
    }

    const core = coreOf(options.module);
    // The hash table's seed is secret even where the offsets are not.
    const secret = new CryptoRandom();
    const manager = core.exports.openManager(secret.next(), secret.next(), limit) >>> 0;
    if (manager === 0) throw noMemory(`a manager, limit ${limit} bytes`);
    if (range !== undefined) core.exports.setRange(manager, range.first, range.last);
    return new PortManager(core, manager, random, limit);
  }

  // ── Reserving ───────────────────────────────────────────────────────────────────────────

  /**
   * Reserves a port that is named, or the first acceptable one of the ephemeral range (gVisor
   * `ReservePort`).
   * @param test is asked about the port after it has been reserved. On `false` the reservation is
   * undone and, for an ephemeral port, the search goes on; what it throws is thrown on, after undoing.
   * @throws PortError `EADDRINUSE` (the port, or without a destination the whole range, is taken),
   * `EADDRNOTAVAIL` (the range is exhausted for this destination), `ENOBUFS`, `EBADF`, and those
   * of bad arguments.
   */
  reservePort(request: ReserveRequest, test?: PortTester): Reservation {
    const key = keyOf(request, RESERVE_OPTIONS);
    const { port, offset } = key;
    if (offset !== undefined && port !== 0) {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        `offset is where a search starts and port ${port} is named: give one of them`,
      );
    }
    checkTester(test, true);
    const held =
      port === 0 ? this.#reserveAny(key, offset, test) : this.#reserveAt(key, port, test);
    return new Reservation(key, held, this.#release);
  }

  /**
   * Reserves the very tuple, as an accepted connection does (gVisor `ReserveTuple`): only other
   * holders of the same address, device and destination are asked.
   * @throws PortError `EADDRINUSE`, `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  reserveTuple(request: PortRequest): Reservation {
    const key = keyOf(request, PORT_OPTIONS);
    const port = checkPort(key.port);
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.reserveTuple(manager, port);
    if (answer < 0) throw this.#refused(answer, key, port);
    return new Reservation(key, port, this.#release);
  }

  /**
   * Releases a reservation by its value, for callers that keep their own records (gVisor
   * `ReleasePort`). Counts as gVisor does: releasing with other flags, or in one of several
   * networks, takes a reference from what is named; a second release takes another holder's.
   * @returns whether anything was held under that description.
   * @throws PortError `ENOBUFS` when a count that goes below zero finds no memory; `EBADF`, and
   * those of bad arguments.
   */
  releasePort(request: PortRequest): boolean {
    if (request instanceof Reservation) {
      throw invalid(
        "ERR_INVALID_ARG_VALUE",
        "releasePort takes a description; a reservation object has release() of its own",
      );
    }
    const key = keyOf(request, PORT_OPTIONS);
    return this.#releaseKey(key, checkPort(key.port));
  }

  /**
   * Would `reservePort` with this port succeed now? Changes nothing.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  isAvailable(request: PortRequest): boolean {
    const key = keyOf(request, PORT_OPTIONS);
    const port = checkPort(key.port);
    const manager = this.#open();
    writeKey(this.#core, key);
    const answer = this.#core.exports.isAvailable(manager, port);
    if (answer === NO_MEMORY) throw this.#refused(answer, key, port);
    return answer !== IN_USE;
  }

  /**
   * Opens a handle for taking and freeing many ports of one description.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  flow(options: FlowOptions): Flow {
    const key = keyOf(options, FLOW_OPTIONS);
    const picking = checkPicking(options.picking, key);
    const unique = checkBoolean("unique", options.unique) ? 1 : 0;
    const manager = this.#open();
    writeKey(this.#core, key);
    const { exports } = this.#core;
    const handle = exports.openFlowHandle(manager, picking, unique) >>> 0;
    if (handle === 0) throw this.#noMemory(showKey(key, 0));
    const flow = new Flow(this.#core, handle, this.#random, this.#onFlowClose);
    this.#flows.add(flow);
    return flow;
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
    const both = this.#core.exports.range(this.#open());
    return { first: both & PORT_MAX, last: both >>> 16 };
  }

  /**
   * Changes the ephemeral range (gVisor `SetPortRange`). Reservations stay as they are.
   * @param first 1..65535. gVisor takes 0 here, and may then hand out port 0; we do not.
   * @param last first..65535.
   * @throws PortError `EINVAL` (`invalid-port-range`), `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setPortRange(first: number, last: number): void {
    checkRange(first, last);
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

  /** Gives back everything. Flows and reservations of the manager are dead from here on. A second call does nothing. */
  close(): void {
    if (this.#manager === 0) return;
    for (const flow of this.#flows) endFlow(flow);
    this.#flows.clear();
    forgotten.unregister(this);
    this.#core.exports.closeManager(this.#manager);
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

  #reserveAny(key: Key, wanted: number | undefined, test: PortTester | undefined): number {
    const offset = wanted ?? this.#random.next();
    const { exports } = this.#core;
    // The range as it is now, whatever a tester does to it.
    const { first, last } = this.portRange();
    const count = last - first + 1;
    const start = offset % count;
    let skip = 0;
    for (;;) {
      writeKey(this.#core, key);
      const port = exports.reserveEphemeral(this.#open(), first, last, offset, skip);
      if (port < 0) throw this.#exhausted(port, key, { first, last });
      if (test === undefined || this.#passes(test, key, port)) return port;
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
    writeKey(this.#core, key);
    const answer = this.#core.exports.releasePort(manager, port);
    if (answer < 0) throw this.#refused(answer, key, port);
    return answer > 0;
  }

  #refused(refusal: number, key: Key, port: number, why = "the port is taken"): PortError {
    if (refusal === NO_MEMORY) return this.#noMemory(showKey(key, port));
    const details = { syscall: "bind", address: addressText(key), port };
    return new PortError("EADDRINUSE", "port-in-use", `${why}: ${showKey(key, port)}`, details);
  }

  #noMemory(what: string): PortError {
    return noMemory(`${what}, limit ${this.#limit} bytes`);
  }

  #exhausted(refusal: number, key: Key, searched: PortRange): PortError {
    if (refusal === NO_MEMORY) return this.#noMemory(showKey(key, 0));
    const isConnect = key.destination.text !== "";
    const count = searched.last - searched.first + 1;
    return new PortError(
      isConnect ? "EADDRNOTAVAIL" : "EADDRINUSE",
      "no-port-available",
      `no port is available: ${showKey(key, 0)}, all ${count} of ${searched.first}..${searched.last} are taken`,
      { syscall: isConnect ? "connect" : "bind", address: addressText(key), port: 0, searched },
    );
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

function checkRangeObject(range: PortRange): PortRange {
  checkObject("portRange", range);
  checkNames("portRange", range, ["first", "last"]);
  const { first, last } = range; // read once: a getter may answer otherwise the next time
  checkRange(first, last);
  return { first, last };
}

function checkRange(first: unknown, last: unknown): void {
  if (typeof first !== "number") throw wrongType("first", "an integer in 1..65535", first);
  if (typeof last !== "number") throw wrongType("last", "an integer in 1..65535", last);
  if (
    Number.isInteger(first) &&
    Number.isInteger(last) &&
    1 <= first &&
    first <= last &&
    last <= PORT_MAX
  ) {
    return;
  }
  throw new PortError(
    "EINVAL",
    "invalid-port-range",
    `a port range must have 1 <= first <= last <= ${PORT_MAX}, got ${first}..${last}; ` +
      `the default is ${EPHEMERAL_FIRST}..${EPHEMERAL_LAST}`,
  );
}
