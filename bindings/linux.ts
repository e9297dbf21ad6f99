// LinuxPorts: the kernel's two port pickers, behind bind() and connect(), as they were when control
// groups first learned to limit them (Linux 2.6.32): sockets, port records, TIME_WAIT, and the
// sysctls that steer them.

import { PORT_MAX } from "../assembly/abi.ts";
import { checkInteger, checkNames, checkObject, checkPort, checkUint32 } from "./checks.ts";
import type { Core } from "./core.ts";
import {
  closed,
  invalid,
  noMemory,
  outOfRange,
  PortError,
  wrongType,
  wrongValue,
} from "./errors.ts";
import { coreFrom } from "./module.ts";
import { CryptoRandom, type Random, SeededRandom } from "./random.ts";
import { checkRange, checkRangeObject, type PortRange, unpackRange } from "./range.ts";
import { ReservedPorts, reservedAddress } from "./reserved.ts";
import {
  checkSelection,
  Selection,
  type SelectionName,
  type SelectionOptions,
} from "./selection.ts";
import {
  type LinuxSocket,
  openPlainSocket,
  openSocket,
  parseLocal,
  type SocketOptions,
  type System,
} from "./socket.ts";
import { Sysctl } from "./sysctl.ts";

/** What a system is opened with. */
export interface LinuxOptions {
  /** `net.ipv4.ip_local_port_range`: 32768..60999 by default. */
  portRange?: PortRange;
  /** `net.ipv4.ip_local_reserved_ports`: a list of its own, empty, by default. */
  reserved?: ReservedPorts;
  /** `net.ipv4.ip_unprivileged_port_start`: 0..65535, not above the range's first; 1024 by default. */
  unprivilegedPortStart?: number;
  /** `net.ipv4.tcp_tw_reuse`: whether an automatic connect() may take over a TIME_WAIT. 0 by default. */
  tcpTwReuse?: 0 | 1;
  /** How long TIME_WAIT lasts: milliseconds, 0..4294967295; 60000 by default. */
  timeWaitMs?: number;
  /** Where the clock starts: milliseconds, 0..4294967000000; 0 by default. */
  time?: number;
  /** Where connect()'s hint starts: 0..4294967295; 0 by default. */
  hint?: number;
  /** The local address that routing would choose for a socket without one: 127.0.0.1 by default. */
  localAddress?: string;
  /**
   * Whose rules: `"seed"`, the default and so far the only ones, are those of Linux 2.6.32 with
   * ranges for control groups.
   */
  rules?: "seed";
  /** How bind() with port 0 picks; `"random"` by default, as the kernel does. */
  bindSelection?: SelectionName | SelectionOptions;
  /**
   * How connect() picks; `"hash"` by default, as the kernel does: a keyed hash of the tuple plus one
   * hint for all destinations, which moves by the number of ports that were looked at.
   */
  connectSelection?: SelectionName | SelectionOptions;
  /**
   * Makes chance repeatable: 0..4294967295. Without it draws and keys come from the host's
   * cryptographic source. With it, whoever sees a few ports can tell the next.
   */
  seed?: number;
  /**
   * Where bind()'s draws come from, one for each run of its search: answers 0..4294967295, and the
   * search starts at `first + answer % count`. For tests and simulations; not together with `seed`.
   */
  random?: () => number;
  /** Bytes of memory that the system's records may take: 8192..4294967295, the default. */
  memoryLimit?: number;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module;
}

/** What is known of a port that somebody owns (Linux `struct inet_bind_bucket`). */
export interface PortRecord {
  /**
   * 1: every bind() so far had SO_REUSEADDR, and nobody listens; 0: some bind() had not; -1: made by
   * connect(), and no bind() without SO_REUSEADDR has joined.
   */
  readonly fastreuse: -1 | 0 | 1;
  /** Sockets that own the port. */
  readonly owners: number;
  /** Connections in TIME_WAIT that own the port. */
  readonly timeWait: number;
}

/** Live figures of a system. */
export interface LinuxStats {
  /** Ports that some TCP socket or TIME_WAIT owns. */
  readonly records: number;
  /** Sockets that have a port, TCP and UDP. */
  readonly sockets: number;
  /** Connections in TIME_WAIT. */
  readonly timeWait: number;
  readonly memory: {
    /** Bytes in records of this system; back to the figure at open when all is closed. */
    readonly used: number;
    /** Bytes of linear memory of the core, shared by all that one module has opened. */
    readonly taken: number;
    /** The limit of `used`. */
    readonly limit: number;
  };
}

const OPTION_NAMES = [
  ...["portRange", "reserved", "unprivilegedPortStart", "tcpTwReuse", "timeWaitMs", "time"],
  ...["hint", "localAddress", "rules", "bindSelection", "connectSelection", "seed", "random"],
  ...["memoryLimit", "module"],
];
const DEFAULT_RANGE: PortRange = { first: 32768, last: 60999 };
const RANGE_ADVICE = "the default is 32768..60999";
const UNPRIVILEGED_DEFAULT = 1024;
const TIME_WAIT_MS = 60_000;
const LIMIT_MIN = 8192;
const UINT32_MAX = 0xffffffff;
/** Seconds are kept in 32 bits, and a TIME_WAIT looks a few of them ahead. */
const TIME_MAX = 4_294_967_000_000;

// A system that is forgotten gives its memory back.
const forgotten = new FinalizationRegistry<{ core: Core; system: number }>(({ core, system }) =>
  core.exports.closeLinux(system),
);

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verifyLinux: (ports: LinuxPorts) => void;

/**
 * The ports of one machine, as Linux hands them out to TCP and UDP sockets. It keeps records; it does not
 * open sockets, and it does not see other processes. All addresses, IPv4 and IPv6, share one port
 * space, as those of dual-stack sockets do.
 */
export class LinuxPorts implements Disposable {
  /** `net.ipv4.ip_local_reserved_ports`: automatic selection passes over them. */
  readonly reserved: ReservedPorts;
  /** The same settings as texts, by their sysctl names. */
  readonly sysctl: Sysctl;
  readonly #core: Core;
  readonly #system: System;

  static {
    verifyLinux = (ports) => ports.#core.exports.verifyLinux?.(ports.#open());
  }

  private constructor(system: System, reserved: ReservedPorts) {
    this.#core = system.core;
    this.#system = system;
    this.reserved = reserved;
    this.sysctl = new Sysctl(this);
    forgotten.register(this, { core: system.core, system: system.address }, this);
  }

  /**
   * Opens a system without sockets.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `ERR_INVALID_IP_ADDRESS`, `EINVAL` (range), `ENOBUFS`.
   */
  static open(options: LinuxOptions = {}): LinuxPorts {
    checkObject("options", options);
    checkNames("options", options, OPTION_NAMES);
    const {
      portRange = DEFAULT_RANGE,
      unprivilegedPortStart = UNPRIVILEGED_DEFAULT,
      tcpTwReuse = 0,
      timeWaitMs = TIME_WAIT_MS,
      time = 0,
      hint = 0,
      localAddress = "127.0.0.1",
      rules = "seed",
      memoryLimit = UINT32_MAX,
    } = options;
    const range = checkRangeObject("portRange", portRange, RANGE_ADVICE);
    const start = checkStart(unprivilegedPortStart, range);
    const reuse = checkReuse(tcpTwReuse);
    const duration = checkInteger("timeWaitMs", timeWaitMs, 0, UINT32_MAX);
    const now = checkTime("time", time, 0);
    checkUint32("hint", hint);
    const local = parseLocal(localAddress);
    if (rules !== "seed") throw wrongValue("rules", '"seed"', rules);
    const bindBy = checkSelection(options.bindSelection);
    const connectBy = checkSelection(options.connectSelection ?? { algorithm: "hash", from: 0 });
    const random = randomOf(options);
    const draw = options.random === undefined ? () => random.next() : checkedDraw(options.random);
    const limit = checkInteger("memoryLimit", memoryLimit, LIMIT_MIN, UINT32_MAX);
    const core = coreFrom(options.module);
    const { exports } = core;
    const reserved = options.reserved ?? new ReservedPorts("", modulePart(options));
    const list = reservedAddress(reserved, core);

    const bindSelection = new Selection(core, random, bindBy);
    const connectSelection = new Selection(core, random, connectBy);
    const secret = new CryptoRandom();
    const address =
      exports.openLinux(secret.next(), secret.next(), limit, list, hint, duration, now) >>> 0;
    if (address === 0) {
      bindSelection.close();
      connectSelection.close();
      throw noMemory(`a system of ports, limit ${limit} bytes`);
    }
    exports.setRange(address, range.first, range.last);
    exports.setUnprivilegedStart(address, start);
    exports.setTimeWaitReuse(address, reuse);
    const isWatched = options.random !== undefined || options.seed !== undefined;
    const shared = {
      core,
      limit,
      draw,
      isWatched,
      bindSelection,
      connectSelection,
      localAddress: local,
    };
    return new LinuxPorts({ address, ...shared }, reserved);
  }

  /**
   * A new socket, closed and without a port.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  socket(options?: SocketOptions): LinuxSocket {
    return options === undefined
      ? openPlainSocket(this.#system)
      : openSocket(this.#system, options);
  }

  // ── Settings ────────────────────────────────────────────────────────────────────────────

  /**
   * The local port range (Linux `ip_local_port_range`).
   * @throws PortError `EBADF`.
   */
  portRange(): PortRange {
    return unpackRange(this.#core.exports.range(this.#open())) as PortRange;
  }

  /**
   * Changes the local port range. Sockets keep their ports.
   * @param first 1..65535, not below {@link unprivilegedPortStart}.
   * @param last first..65535.
   * @throws PortError `EINVAL`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setPortRange(first: number, last: number): void {
    checkRange(first, last, RANGE_ADVICE);
    checkStart(this.unprivilegedPortStart, { first, last });
    this.#core.exports.setRange(this.#open(), first, last);
  }

  /**
   * Ports below need a privileged socket (Linux `ip_unprivileged_port_start`): 0..65535, not above
   * the first port of the local range.
   * @throws PortError `EBADF`; (set) `EINVAL`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  get unprivilegedPortStart(): number {
    return this.#core.exports.unprivilegedStart(this.#open());
  }

  set unprivilegedPortStart(start: number) {
    const checked = checkStart(start, this.portRange());
    this.#core.exports.setUnprivilegedStart(this.#open(), checked);
  }

  /**
   * Whether an automatic connect() may take over a TIME_WAIT with timestamps, a second after the
   * last of them (Linux `tcp_tw_reuse`): 0 or 1.
   * @throws PortError `EBADF`; (set) `ERR_INVALID_ARG_VALUE`.
   */
  get tcpTwReuse(): number {
    return this.#core.exports.timeWaitReuse(this.#open());
  }

  set tcpTwReuse(value: number) {
    this.#core.exports.setTimeWaitReuse(this.#open(), checkReuse(value));
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────

  /**
   * The system's clock, in milliseconds. It stands still until {@link setTime} moves it.
   * @throws PortError `EBADF`.
   */
  get time(): number {
    return this.#core.exports.currentTime(this.#open());
  }

  /**
   * Moves the clock. What {@link expireTimeWait} would remove stays until it is called.
   * @param time milliseconds, not before {@link time}, 4294967000000 at most; fractions are cut off.
   * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setTime(time: number): void {
    this.#core.exports.setNow(this.#open(), checkTime("time", time, this.time));
  }

  /**
   * Removes every TIME_WAIT that has lasted its time, at a constant cost for each.
   * @returns how many.
   * @throws PortError `EBADF`.
   */
  expireTimeWait(): number {
    return this.#core.exports.expireWaits(this.#open());
  }

  // ── Figures ─────────────────────────────────────────────────────────────────────────────

  /**
   * Where connect()'s last search ended, for all destinations: 0..4294967295.
   * @throws PortError `EBADF`.
   */
  get hint(): number {
    return this.#core.exports.connectHint(this.#open()) >>> 0;
  }

  /**
   * What is known of a TCP port; `undefined`: no TCP socket or TIME_WAIT owns it.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  portRecord(port: number): PortRecord | undefined {
    const { exports } = this.#core;
    const system = this.#open();
    const fastreuse = exports.recordFastreuse(system, checkPort(port));
    if (fastreuse < -1) return undefined;
    return {
      fastreuse: fastreuse as -1 | 0 | 1,
      owners: exports.recordOwners(system, port),
      timeWait: exports.recordWaits(system, port),
    };
  }

  /**
   * Live figures.
   * @throws PortError `EBADF`.
   */
  stats(): LinuxStats {
    const system = this.#open();
    const { exports } = this.#core;
    return {
      records: exports.recordCount(system),
      sockets: exports.owningCount(system) + exports.datagramCount(system),
      timeWait: exports.waitingCount(system),
      memory: {
        used: exports.usedBytes(system) >>> 0,
        taken: exports.memory.buffer.byteLength,
        limit: this.#system.limit,
      },
    };
  }

  /** Gives back everything. Sockets of the system are gone from here on. A second call does nothing. */
  close(): void {
    const system = this.#system;
    if (system.address === 0) return;
    forgotten.unregister(this);
    this.#core.exports.closeLinux(system.address);
    system.address = 0;
    system.bindSelection.close();
    system.connectSelection.close();
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(): number {
    if (this.#system.address === 0) throw closed("system of ports");
    return this.#system.address;
  }
}

// ── Checks ────────────────────────────────────────────────────────────────────────────────

function checkStart(value: unknown, range: PortRange): number {
  const start = checkInteger("unprivilegedPortStart", value, 0, PORT_MAX);
  if (start <= range.first) return start;
  throw new PortError(
    "EINVAL",
    "invalid-port-range",
    `the local port range must not begin below unprivilegedPortStart, got ${range.first} and ${start}`,
  );
}

function checkReuse(value: unknown): number {
  if (value === 0 || value === 1) return value;
  throw wrongValue("tcpTwReuse", "0 or 1", value);
}

function checkTime(name: string, value: unknown, from: number): number {
  const valid = `milliseconds in ${from}..${TIME_MAX}`;
  if (typeof value !== "number") throw wrongType(name, valid, value);
  if (!(value >= from && value <= TIME_MAX)) throw outOfRange(name, valid, value);
  return Math.trunc(value);
}

function modulePart({ module }: LinuxOptions): { module?: WebAssembly.Module } {
  return module === undefined ? {} : { module };
}

function randomOf({ seed, random }: LinuxOptions): Random {
  if (seed === undefined) return new CryptoRandom();
  if (random === undefined) return new SeededRandom(checkUint32("seed", seed));
  const message = "seed and random both say where chance comes from: give one of them";
  throw invalid("ERR_INVALID_ARG_VALUE", message);
}

/** A caller's source of draws, of which every answer is checked. */
function checkedDraw(random: unknown): () => number {
  if (typeof random !== "function") {
    throw wrongType("random", "a function that answers an integer in 0..4294967295", random);
  }
  return () => {
    const answer: unknown = random();
    if (typeof answer === "number" && answer >>> 0 === answer) return answer;
    const message = `random must answer an integer in 0..4294967295, got ${String(answer)}`;
    throw invalid("ERR_INVALID_RETURN_VALUE", message);
  };
}
