// LinuxPorts: the kernel's two port pickers, behind bind() and connect(), as they were when control
// groups first learned to limit them (Linux 2.6.32): sockets, bind buckets, TIME_WAIT, and the
// sysctls that steer them.

import { registerCleanup } from "../core/cleanup.ts";
import type { Core } from "../core/core.ts";
import { checkInside, INSIDE } from "../core/inside.ts";
import { CryptoRandom } from "../core/random.ts";
import { closed, noMemory } from "../errors.ts";
import { dropList, holdList, ReservedPorts, reservedAddress } from "../groups/reserved.ts";
import { checkPort, checkTime } from "../requests/checks.ts";
import { checkRange, type PortRange, unpackRange } from "../requests/range.ts";
import { Selection } from "../selection.ts";
import type { LinuxExports } from "./linux-core.ts";
import {
  checkLinuxOptions,
  checkReuse,
  checkStart,
  type LinuxOptions,
  RANGE_ADVICE,
} from "./linux-options.ts";
import type { Linux618Options } from "./modern/modern-options.ts";
import { Linux618Ports } from "./modern/modern-ports.ts";
import {
  type LinuxSocket,
  openPlainSocket,
  openSocket,
  type SocketOptions,
  type System,
} from "./socket.ts";
import { Sysctl } from "./sysctl.ts";

/** What is known of a port that somebody owns (Linux `struct inet_bind_bucket`). */
export interface BindBucket {
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
  readonly buckets: number;
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

// A system that is forgotten gives its memory back.
const forgotten = registerCleanup<Kept>(({ linux, system, reserved }) => {
  linux.closeLinux(system);
  dropList(reserved);
});

/** What a system keeps in memory. */
interface Kept {
  readonly linux: LinuxExports;
  readonly system: number;
  readonly reserved: ReservedPorts;
}

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verifyLinux: (ports: LinuxPorts) => void;

/** Where the core keeps a system. Throws if it is closed. */
export let systemOf: (ports: LinuxPorts) => number;

/**
 * The ports of one machine, as Linux hands them out to TCP and UDP sockets. It keeps records; it does not
 * open sockets, and it does not see other processes. All addresses, IPv4 and IPv6, share one port
 * space, as those of dual-stack sockets do.
 */
export class LinuxPorts implements Disposable {
  /** The same settings as texts, by their sysctl names. */
  readonly sysctl: Sysctl;
  readonly #core: Core;
  readonly #linux: LinuxExports;
  readonly #system: System;

  static {
    verifyLinux = (ports) => ports.#linux.verifyLinux?.(ports.#open());
    systemOf = (ports) => ports.#open();
  }

  private constructor(token: symbol, system: System) {
    checkInside(token, "LinuxPorts", "LinuxPorts.open()");
    this.#core = system.core;
    this.#linux = system.linux;
    this.#system = system;
    this.sysctl = new Sysctl(this);
    // Sockets hold on to what they share, not to this object.
    const { linux, address, reserved } = system;
    forgotten.register(system, { linux, system: address, reserved }, system);
  }

  /**
   * Opens a system without sockets.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `ERR_INVALID_IP_ADDRESS`, `EINVAL` (range), `ENOBUFS`; `ERR_WEBASSEMBLY_NOT_SUPPORTED` (no `module`
   * or no `linuxModule` is given, and the host does not let the package compile its own).
   */
  static open(options?: LinuxOptions): LinuxPorts;
  /** Opens a system without sockets, by the rules of Linux 6.18. */
  static open(options: Linux618Options): Linux618Ports;
  static open(options: LinuxOptions | Linux618Options = {}): LinuxPorts | Linux618Ports {
    return isModern(options) ? Linux618Ports.open(options) : LinuxPorts.#openOld(options);
  }

  static #openOld(options: LinuxOptions): LinuxPorts {
    const checked = checkLinuxOptions(options);
    const { core, linux, random, limit, module } = checked;
    const reserved =
      checked.reserved ?? new ReservedPorts("", module === undefined ? {} : { module });
    const bindSelection = new Selection(core, random, checked.bindBy);
    const connectSelection = new Selection(core, random, checked.connectBy);
    const secret = new CryptoRandom();
    const list = reservedAddress(reserved, core);
    const { hint, duration, now } = checked;
    const address =
      linux.openLinux(secret.next(), secret.next(), limit, list, hint, duration, now) >>> 0;
    if (address === 0) {
      bindSelection.close();
      connectSelection.close();
      throw noMemory(`a system of ports, limit ${limit} bytes`);
    }
    core.exports.setRange(address, checked.range.first, checked.range.last);
    linux.setUnprivilegedStart(address, checked.start);
    linux.setTimeWaitReuse(address, checked.reuse);
    const { draw, isWatched, local: localAddress } = checked;
    const selections = { bindSelection, connectSelection };
    const shared = { core, linux, limit, draw, isWatched, ...selections, localAddress };
    holdList(reserved);
    return new LinuxPorts(INSIDE, { address, reserved, ...shared });
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
   * The reserved ports (Linux `ip_local_reserved_ports`), over which automatic selection passes: the
   * list that the system was opened with, or one of its own.
   */
  get reserved(): ReservedPorts {
    return this.#system.reserved;
  }

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
    return this.#linux.unprivilegedStart(this.#open());
  }

  set unprivilegedPortStart(start: number) {
    const checked = checkStart(start, this.portRange());
    this.#linux.setUnprivilegedStart(this.#open(), checked);
  }

  /**
   * Whether an automatic connect() may take over a TIME_WAIT with timestamps, two ticks of whole
   * seconds after the last of them, so after more than one second and at most two (Linux 2.6.32
   * `tcp_tw_reuse`): 0 or 1.
   * @throws PortError `EBADF`; (set) `ERR_INVALID_ARG_VALUE`.
   */
  get tcpTwReuse(): number {
    return this.#linux.timeWaitReuse(this.#open());
  }

  set tcpTwReuse(value: number) {
    this.#linux.setTimeWaitReuse(this.#open(), checkReuse(value));
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────

  /**
   * The system's clock, in milliseconds. It stands still until {@link setTime} moves it.
   * @throws PortError `EBADF`.
   */
  get time(): number {
    return this.#linux.currentTime(this.#open());
  }

  /**
   * Moves the clock. What {@link expireTimeWait} would remove stays until it is called.
   * @param time milliseconds, not before {@link time}, 4294967000000 at most; fractions are cut off.
   * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setTime(time: number): void {
    this.#linux.setNow(this.#open(), Math.trunc(checkTime("time", time, this.time)));
  }

  /**
   * Removes every TIME_WAIT that has lasted its time, at a constant cost for each.
   * @returns how many.
   * @throws PortError `EBADF`.
   */
  expireTimeWait(): number {
    return this.#linux.expireWaits(this.#open());
  }

  // ── PairMetrics ─────────────────────────────────────────────────────────────────────────────

  /**
   * Where connect()'s last search ended, for all destinations: 0..4294967295.
   * @throws PortError `EBADF`.
   */
  get hint(): number {
    return this.#linux.connectHint(this.#open()) >>> 0;
  }

  /**
   * What is known of a TCP port; `undefined`: no TCP socket or TIME_WAIT owns it.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  bindBucket(port: number): BindBucket | undefined {
    const linux = this.#linux;
    const system = this.#open();
    const fastreuse = linux.bucketFastreuse(system, checkPort(port));
    if (fastreuse < -1) return undefined;
    return {
      fastreuse: fastreuse as -1 | 0 | 1,
      owners: linux.bucketOwners(system, port),
      timeWait: linux.bucketWaits(system, port),
    };
  }

  /**
   * Live figures.
   * @throws PortError `EBADF`.
   */
  stats(): LinuxStats {
    const system = this.#open();
    const { exports } = this.#core;
    const linux = this.#linux;
    return {
      buckets: linux.bucketCount(system),
      sockets: linux.owningCount(system) + linux.udpSocketCount(system),
      timeWait: linux.waitingCount(system),
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
    forgotten.unregister(system);
    this.#linux.closeLinux(system.address);
    system.address = 0;
    system.bindSelection.close();
    system.connectSelection.close();
    dropList(system.reserved);
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

function isModern(options: LinuxOptions | Linux618Options): options is Linux618Options {
  return (options as { rules?: unknown } | null)?.rules === "6.18";
}
