// Linux618Ports: the ports of one machine by the rules of Linux 6.18.

import { registerCleanup } from "../../core/cleanup.ts";
import type { Core } from "../../core/core.ts";
import { checkInside, INSIDE } from "../../core/inside.ts";
import { CryptoRandom } from "../../core/random.ts";
import { closed, noMemory } from "../../errors.ts";
import { dropList, holdList, ReservedPorts, reservedAddress } from "../../groups/reserved.ts";
import { checkInteger, checkPort, checkTime } from "../../requests/checks.ts";
import { checkRange, type PortRange, unpackRange } from "../../requests/range.ts";
import type { BindBucket, LinuxStats } from "../linux.ts";
import { checkStart, RANGE_ADVICE } from "../linux-options.ts";
import { Sysctl } from "../sysctl.ts";
import {
  DELAY,
  FIN_TIMEOUT,
  type ModernExports,
  RANGE,
  START,
  SWITCHES,
  TW_MAX,
  UDP_SLOTS,
} from "./modern-core.ts";
import {
  checkModernOptions,
  DELAY_MAX,
  FIN_SECONDS_MAX,
  type Linux618Options,
  TW_BUCKETS_MAX,
} from "./modern-options.ts";
import { type Linux618Socket, openModernSocket } from "./modern-socket.ts";
import type { Linux618SocketOptions, ModernSystem } from "./modern-socket-options.ts";
import { MODERN_SETTINGS, type ModernHost } from "./modern-sysctl.ts";

const forgotten = registerCleanup<{
  linux: ModernExports;
  system: number;
  reserved: ReservedPorts;
}>(({ linux, system, reserved }) => {
  linux.closeModernSystem(system);
  dropList(reserved);
});

/** Runs the debug build's check of all invariants; a release build does nothing. For tests. */
export let verifyModern: (ports: Linux618Ports) => void;

/** The ports of one machine, as Linux 6.18 hands them out. Made by `LinuxPorts.open({ rules: "6.18" })`. */
export class Linux618Ports implements Disposable {
  /** The same settings as texts, by their sysctl names. */
  readonly sysctl: Sysctl<ModernHost>;
  readonly #core: Core;
  readonly #linux: ModernExports;
  readonly #system: ModernSystem;

  static {
    verifyModern = (ports) => ports.#linux.verifyModern?.(ports.#open());
  }

  private constructor(token: symbol, system: ModernSystem) {
    checkInside(token, "Linux618Ports", "LinuxPorts.open()");
    this.#core = system.core;
    this.#linux = system.linux;
    this.#system = system;
    this.sysctl = new Sysctl<ModernHost>(this, MODERN_SETTINGS);
    const { linux, address, reserved } = system;
    forgotten.register(system, { linux, system: address, reserved }, system);
  }

  /** @internal Users call `LinuxPorts.open`. */
  static open(options: Linux618Options): Linux618Ports {
    const checked = checkModernOptions(options);
    const { core, linux, module, limit, duration, now, draw } = checked;
    const reserved =
      checked.reserved ?? new ReservedPorts("", module === undefined ? {} : { module });
    const secret = new CryptoRandom();
    const list = reservedAddress(reserved, core);
    const address =
      linux.openModern(secret.next(), secret.next(), limit, list, duration, now) >>> 0;
    if (address === 0) {
      throw noMemory(`a system of ports, limit ${limit} bytes`);
    }
    linux.setModern(address, RANGE, packed(checked.range));
    linux.setModern(address, START, checked.start);
    linux.setModern(address, SWITCHES, checked.switches);
    linux.setModern(address, DELAY, checked.delay);
    linux.setModern(address, TW_MAX, checked.most);
    linux.setModern(address, FIN_TIMEOUT, checked.finTimeout);
    linux.setModern(address, UDP_SLOTS, checked.udpSlots);
    for (let index = 0; index < 4; index++) {
      linux.modernSecret(address, index, checked.secrets.next());
    }
    const { addresses, devices, source } = checked;
    const shared = { core, linux, limit, draw, addresses, devices, source, reserved };
    holdList(reserved);
    return new Linux618Ports(INSIDE, { address, ...shared });
  }

  /**
   * A new socket, closed and without a port.
   * @throws PortError `ENOBUFS`, `ENODEV`, `EINVAL`, `EBADF`, and those of bad arguments.
   */
  socket(options: Linux618SocketOptions = {}): Linux618Socket {
    return openModernSocket(this.#system, options);
  }

  // ── Settings ────────────────────────────────────────────────────────────────────────────

  /** The reserved ports (Linux `ip_local_reserved_ports`). */
  get reserved(): ReservedPorts {
    return this.#system.reserved;
  }

  /**
   * The local port range (Linux `ip_local_port_range`).
   * @throws PortError `EBADF`.
   */
  portRange(): PortRange {
    return unpackRange(this.#setting(RANGE)) as PortRange;
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
    this.#store(RANGE, packed({ first, last }));
  }

  /**
   * Ports below need the call of user 0 (Linux `ip_unprivileged_port_start`): 0..65535, not above the
   * first port of the local range.
   * @throws PortError `EBADF`; (set) `EINVAL`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  get unprivilegedPortStart(): number {
    return this.#setting(START);
  }

  set unprivilegedPortStart(start: number) {
    this.#store(START, checkStart(start, this.portRange()));
  }

  /**
   * Whether bind() with port 0 shares ports of SO_REUSEADDR sockets when no other is left (Linux
   * `ip_autobind_reuse`): 0 or 1.
   * @throws PortError `EBADF`; (set) `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get autobindReuse(): number {
    return this.#switch(0);
  }

  set autobindReuse(value: number) {
    this.#storeSwitch(0, checkInteger("autobindReuse", value, 0, 1));
  }

  /**
   * Whether an automatic connect() may take over a TIME_WAIT with timestamps (Linux `tcp_tw_reuse`): 0
   * never, 1 always, 2 on loopback.
   * @throws PortError `EBADF`; (set) `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpTwReuse(): number {
    return this.#switch(1);
  }

  set tcpTwReuse(value: number) {
    this.#storeSwitch(1, checkInteger("tcpTwReuse", value, 0, 2));
  }

  /**
   * Whether connections that begin from now on have timestamps (Linux `tcp_timestamps`): 0 is off,
   * 1..255 is on.
   * @throws PortError `EBADF`; (set) `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpTimestamps(): number {
    return this.#switch(2);
  }

  set tcpTimestamps(value: number) {
    this.#storeSwitch(2, checkInteger("tcpTimestamps", value, 0, 255));
  }

  /**
   * After how many milliseconds a TIME_WAIT may be taken over (Linux `tcp_tw_reuse_delay`): 1..60000.
   * @throws PortError `EBADF`; (set) `ENOBUFS`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpTwReuseDelay(): number {
    return this.#setting(DELAY);
  }

  set tcpTwReuseDelay(delay: number) {
    const checked = checkInteger("tcpTwReuseDelay", delay, 1, DELAY_MAX);
    if (this.#linux.setReuseDelay(this.#open(), checked) === 0) {
      throw noMemory(`another delay, limit ${this.#system.limit} bytes`);
    }
  }

  /**
   * How many TIME_WAITs there may be; connections beyond end without one (Linux `tcp_max_tw_buckets`).
   * @throws PortError `EBADF`; (set) `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpMaxTwBuckets(): number {
    return this.#setting(TW_MAX);
  }

  set tcpMaxTwBuckets(most: number) {
    this.#store(TW_MAX, checkInteger("tcpMaxTwBuckets", most, 0, TW_BUCKETS_MAX));
  }

  /**
   * How many seconds a half-open connection without a socket stays (Linux `tcp_fin_timeout`).
   * @throws PortError `EBADF`; (set) `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpFinTimeout(): number {
    return this.#setting(FIN_TIMEOUT) / 1000;
  }

  set tcpFinTimeout(seconds: number) {
    const checked = checkInteger("tcpFinTimeout", seconds, 0, FIN_SECONDS_MAX);
    this.#store(FIN_TIMEOUT, checked * 1000);
  }

  // ── Time and figures ────────────────────────────────────────────────────────────────────

  /**
   * The system's clock, in milliseconds. It stands still until {@link setTime} moves it.
   * @throws PortError `EBADF`.
   */
  get time(): number {
    return this.#linux.currentModernTime(this.#open());
  }

  /**
   * Moves the clock. What {@link expireTimeWait} would remove stays until it is called.
   * @param time milliseconds, not before {@link time}, 4294967000000 at most; fractions are cut off.
   * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  setTime(time: number): void {
    this.#linux.setModernNow(this.#open(), Math.trunc(checkTime("time", time, this.time)));
  }

  /**
   * Removes every TIME_WAIT that has lasted its time, at a constant cost for each.
   * @returns how many.
   * @throws PortError `EBADF`.
   */
  expireTimeWait(): number {
    return this.#linux.expireModern(this.#open());
  }

  /**
   * What is known of a TCP port; `undefined`: no TCP socket or TIME_WAIT owns it. `fastreuse` is -1 where an
   * automatic connect() may use the port.
   * @param port 1..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `EBADF`.
   */
  bindBucket(port: number): BindBucket | undefined {
    const linux = this.#linux;
    const system = this.#open();
    const fastreuse = linux.modernFastreuse(system, checkPort(port));
    if (fastreuse < -1) return undefined;
    return {
      fastreuse: fastreuse === 0 ? 0 : -1,
      owners: linux.modernOwners(system, port, 0),
      timeWait: linux.modernOwners(system, port, 1),
    };
  }

  /**
   * Live figures.
   * @throws PortError `EBADF`.
   */
  stats(): LinuxStats {
    const system = this.#open();
    const linux = this.#linux;
    const { exports } = this.#core;
    return {
      buckets: linux.modernCount(system, 0),
      sockets: linux.modernCount(system, 1) + linux.modernCount(system, 2),
      timeWait: linux.modernCount(system, 3),
      memory: {
        used: linux.modernUsed(system) >>> 0,
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
    this.#linux.closeModernSystem(system.address);
    system.address = 0;
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

  #setting(setting: number): number {
    return this.#linux.modernSetting(this.#open(), setting) >>> 0;
  }

  #store(setting: number, value: number): void {
    this.#linux.setModern(this.#open(), setting, value);
  }

  #switch(index: number): number {
    return (this.#setting(SWITCHES) >>> (index * 8)) & 255;
  }

  #storeSwitch(index: number, value: number): void {
    const shift = index * 8;
    this.#store(SWITCHES, (this.#setting(SWITCHES) & ~(255 << shift)) | (value << shift));
  }
}

/** Both ends as one number, as the core keeps them. */
function packed({ first, last }: PortRange): number {
  return (first | (last << 16)) >>> 0;
}
