// LinuxSystem: the part of a system of ports that does not depend on the rules: sysctls, the clock,
// figures, closing.

import { registerCleanup } from "../core/cleanup.ts";
import type { Core } from "../core/core.ts";
import { checkInside } from "../core/inside.ts";
import { closed } from "../errors.ts";
import { dropList, holdList, type ReservedPorts } from "../groups/reserved.ts";
import { checkPort, checkTime } from "../requests/checks.ts";
import { checkRange, type PortRange, unpackRange } from "../requests/range.ts";
import { checkStart, RANGE_ADVICE } from "./checks.ts";
import type { SharedExports } from "./core.ts";

/** The bucket of a port that has an owner (Linux `struct inet_bind_bucket`). */
export interface BindBucket {
  /**
   * 1: every bind() so far had SO_REUSEADDR, and no socket listens; 0: some bind() had not; -1:
   * made by connect(), and no bind() without SO_REUSEADDR has joined.
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

/** The record that a system shares with its sockets. */
export interface OpenSystem {
  readonly core: Core;
  readonly linux: SharedExports;
  /** Where the core keeps the system; 0 when it has been closed. */
  address: number;
  readonly limit: number;
  /** The reserved ports, which the core reads as long as the system lives. */
  readonly reserved: ReservedPorts;
}

// Frees the memory of a system that has become garbage.
const systemCleanup = registerCleanup<SystemResources>(({ linux, system, reserved }) => {
  linux.closeSystem(system);
  dropList(reserved);
});

/** The memory of a system. */
interface SystemResources {
  readonly linux: SharedExports;
  readonly system: number;
  readonly reserved: ReservedPorts;
}

/** Where the core keeps the system. Throws if it is closed. */
export function openOf(system: Pick<OpenSystem, "address">): number {
  if (system.address === 0) throw closed("system of ports");
  return system.address;
}

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verifyLinux: (ports: LinuxSystem) => void;

/** Where the core keeps a system. Throws if it is closed. */
export let systemOf: (ports: LinuxSystem) => number;

/** A system of ports, as far as it is alike under all rules. */
export abstract class LinuxSystem implements Disposable {
  readonly #system: OpenSystem;

  static {
    verifyLinux = (ports) => ports.#system.linux.verify?.(ports.#open());
    systemOf = (ports) => ports.#open();
  }

  /** @internal Users call `LinuxPorts.open`. */
  constructor(token: symbol, system: OpenSystem) {
    checkInside(token, "LinuxPorts", "LinuxPorts.open()");
    this.#system = system;
    // Sockets refer to the shared record, not to this object.
    const { linux, address, reserved } = system;
    holdList(reserved);
    systemCleanup.register(system, { linux, system: address, reserved }, system);
  }

  // ── Settings ────────────────────────────────────────────────────────────────────────────

  /**
   * The reserved ports (Linux `ip_local_reserved_ports`), over which automatic selection passes:
   * the list that the system was opened with, or one of its own.
   */
  get reserved(): ReservedPorts {
    return this.#system.reserved;
  }

  /**
   * The local port range (Linux `ip_local_port_range`).
   * @throws PortError `EBADF`.
   */
  portRange(): PortRange {
    return unpackRange(this.#system.linux.portRange(this.#open())) as PortRange;
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
    this.#system.linux.setPortRange(this.#open(), first, last);
  }

  /**
   * Ports below need a privileged socket, or user 0 (Linux `ip_unprivileged_port_start`): 0..65535,
   * not above the first port of the local range.
   * @throws PortError `EBADF`; (set) `EINVAL`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  get unprivilegedPortStart(): number {
    return this.#system.linux.start(this.#open());
  }

  set unprivilegedPortStart(start: number) {
    const checked = checkStart(start, this.portRange());
    this.#system.linux.setStart(this.#open(), checked);
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────

  /**
   * The system's clock, in milliseconds. It stands still until {@link setTime} moves it.
   * @throws PortError `EBADF`.
   */
  get time(): number {
    return this.#system.linux.currentTime(this.#open());
  }

  /**
   * Moves the clock. TIME_WAITs that have lasted their time stay until {@link expireTimeWait} is
   * called.
   * @param time milliseconds, not before {@link time}, 4294967000000 at most; fractions are cut off.
   * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setTime(time: number): void {
    this.#system.linux.setNow(this.#open(), Math.trunc(checkTime("time", time, this.time)));
  }

  /**
   * Removes every TIME_WAIT that has lasted its time, at a constant cost for each.
   * @returns how many.
   * @throws PortError `EBADF`.
   */
  expireTimeWait(): number {
    return this.#system.linux.expire(this.#open());
  }

  // ── Figures ─────────────────────────────────────────────────────────────────────────────

  /**
   * The bucket of a TCP port; `undefined`: no TCP socket or TIME_WAIT owns it.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  bindBucket(port: number): BindBucket | undefined {
    const { linux } = this.#system;
    const system = this.#open();
    const fastreuse = linux.fastreuse(system, checkPort(port));
    if (fastreuse < -1) return undefined;
    return {
      fastreuse: fastreuse as -1 | 0 | 1,
      owners: linux.owners(system, port, 0),
      timeWait: linux.owners(system, port, 1),
    };
  }

  /**
   * Live figures.
   * @throws PortError `EBADF`.
   */
  stats(): LinuxStats {
    const system = this.#open();
    const { core, linux, limit } = this.#system;
    return {
      buckets: linux.count(system, 0),
      sockets: linux.count(system, 1) + linux.count(system, 2),
      timeWait: linux.count(system, 3),
      memory: {
        used: linux.used(system) >>> 0,
        taken: core.exports.memory.buffer.byteLength,
        limit,
      },
    };
  }

  /**
   * Gives back everything. Sockets of the system are closed by that. A second call does nothing.
   */
  close(): void {
    const system = this.#system;
    if (system.address === 0) return;
    systemCleanup.unregister(system);
    system.linux.closeSystem(system.address);
    system.address = 0;
    dropList(system.reserved);
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(): number {
    return openOf(this.#system);
  }
}
