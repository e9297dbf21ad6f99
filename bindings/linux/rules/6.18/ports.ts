// LinuxPorts: the ports of one machine by the rules of Linux 6.18; and where those of 2.6.32 are
// asked for.

import { isRevoked } from "../../../core/brands.ts";
import { INSIDE } from "../../../core/inside.ts";
import { cryptoRandom } from "../../../core/random.ts";
import { noMemory } from "../../../errors.ts";
import { tellHolders } from "../../../groups/holders.ts";
import { ReservedPorts, reservedAddress } from "../../../groups/reserved.ts";
import { checkInteger } from "../../../requests/checks.ts";
import { blamed } from "../../../state/bytes.ts";
import { moduleOf } from "../../../state/group-tables.ts";
import {
  type Linux2632RestoreOptions,
  type LinuxRestoreOptions,
  type RestoredLinux,
  restored,
} from "../../snapshot.ts";
import { Sysctl } from "../../sysctl.ts";
import { LinuxSystem, openOf } from "../../system.ts";
import type { Linux2632Options } from "../2.6.32/options.ts";
import { Linux2632Ports } from "../2.6.32/ports.ts";
import { restore2632 } from "../2.6.32/restore.ts";
import { DELAY, FIN_TIMEOUT, SWITCHES, TW_MAX, UDP_SLOTS } from "./core.ts";
import {
  checkOptions,
  DELAY_MAX,
  FIN_SECONDS_MAX,
  type LinuxOptions,
  TW_BUCKETS_MAX,
} from "./options.ts";
import type { LinuxRecord } from "./record.ts";
import { socketsOf } from "./records.ts";
import { beginRestore618, restore618 } from "./restore.ts";
import { snapshot618 } from "./snapshot.ts";
import { type LinuxSocket, openSocket618, restoredSocket618 } from "./socket.ts";
import type { LinuxSocketOptions, System } from "./socket-options.ts";
import { SETTINGS_618, type SysctlHost618 } from "./sysctl.ts";

/**
 * The ports of one machine, as Linux hands them out to TCP and UDP sockets. It keeps records; it
 * does not open sockets, and it does not see other processes. The rules are those of Linux 6.18, or
 * of 2.6.32 where `open` is told so.
 */
export class LinuxPorts extends LinuxSystem {
  /** The same settings as texts, by their sysctl names. */
  readonly sysctl: Sysctl<SysctlHost618>;
  readonly #system: System;
  #restored: RestoredLinux | undefined;

  private constructor(token: symbol, system: System) {
    super(token, system);
    this.#system = system;
    this.sysctl = new Sysctl<SysctlHost618>(this, SETTINGS_618);
    tellHolders(system.core, this, (linux, group) => {
      return socketsOf(linux.#system, group);
    });
  }

  /**
   * Opens a system without sockets, by the rules of Linux 6.18.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`,
   * `ERR_INVALID_IP_ADDRESS`, `EINVAL` (range), `ENOBUFS`; `ERR_WEBASSEMBLY_NOT_SUPPORTED` (no
   * `module` or no `linuxModule` is given, and the host does not let the package compile its own).
   */
  static open(options?: LinuxOptions): LinuxPorts;
  /** Opens a system without sockets, by the rules of Linux 2.6.32. */
  static open(options: Linux2632Options): Linux2632Ports;
  static open(options: LinuxOptions | Linux2632Options = {}): LinuxPorts | Linux2632Ports {
    return isOf2632(options) ? Linux2632Ports.open(options) : LinuxPorts.#open(options);
  }

  /**
   * Opens a system that holds and answers what the original did when it made the {@link snapshot}.
   * @throws PortError `EINVAL` (`invalid-snapshot`): it is none, cut, changed, of another version, of
   * other rules, or of a `PortManager`; `ENOBUFS`: `memoryLimit` is too low for it; and those of bad
   * arguments.
   */
  static restore(snapshot: Uint8Array, options?: LinuxRestoreOptions): LinuxPorts;
  /** The same by the rules of Linux 2.6.32. */
  static restore(snapshot: Uint8Array, options: Linux2632RestoreOptions): Linux2632Ports;
  static restore(
    snapshot: Uint8Array,
    options: LinuxRestoreOptions | Linux2632RestoreOptions = {},
  ): LinuxPorts | Linux2632Ports {
    if (isOf2632(options)) return restore2632(snapshot, options);
    const begun = beginRestore618(snapshot, options);
    const linux = blamed(() => LinuxPorts.#open(begun.options));
    linux.#restored = restored(linux, (made) =>
      restore618(begun, linux.#system, made).map((one) => restoredSocket618(linux.#system, one)),
    );
    return linux;
  }

  static #open(options: LinuxOptions): LinuxPorts {
    const checked = checkOptions(options);
    const { core, linux, module, limit, duration, now, draw } = checked;
    const reserved = checked.reserved ?? new ReservedPorts("", moduleOf({ module }));
    const list = reservedAddress(reserved, core);
    const address =
      linux.open(cryptoRandom.next(), cryptoRandom.next(), limit, list, duration, now) >>> 0;
    if (address === 0) {
      throw noMemory(`a system of ports, limit ${limit} bytes`);
    }
    linux.setPortRange(address, checked.range.first, checked.range.last);
    linux.setStart(address, checked.start);
    linux.set(address, SWITCHES, checked.switches);
    linux.set(address, DELAY, checked.delay);
    linux.set(address, TW_MAX, checked.most);
    linux.set(address, FIN_TIMEOUT, checked.finTimeout);
    linux.set(address, UDP_SLOTS, checked.udpSlots);
    for (let index = 0; index < 4; index++) {
      linux.secret(address, index, checked.secrets.next());
    }
    const { addresses, devices, source } = checked;
    const random = options.random === undefined ? checked.secrets : undefined;
    const own = { addresses, devices, source, reserved, random, groups: new Map() };
    const shared = { core, linux, limit, draw, ...own };
    return new LinuxPorts(INSIDE, { address, ...shared });
  }

  /**
   * A new socket, closed and without a port.
   * @throws PortError `ENOBUFS`, `ENODEV`, `EINVAL`, `EBADF`, and those of bad arguments.
   */
  socket(options: LinuxSocketOptions = {}): LinuxSocket {
    return openSocket618(this.#system, options);
  }

  // ── All of it ─────────────────────────────────────────────────────────────────────────────

  /**
   * All sockets, the oldest first, and then the connections whose sockets are gone, as plain data: as they
   * are when the first one is asked for, whatever happens until the last one is.
   * @throws PortError `EBADF`.
   */
  sockets(): IterableIterator<LinuxRecord> {
    openOf(this.#system);
    return socketsOf(this.#system);
  }

  /**
   * All that decides how the system answers, as bytes for {@link restore}: here, in another thread,
   * page or process. Without a `seed`, the keys and counters of random numbers are not in it.
   * @throws PortError `EBADF`.
   */
  snapshot(): Uint8Array {
    openOf(this.#system);
    return snapshot618(this.#system);
  }

  /** The objects made with a restored system; `undefined`: it has been opened. */
  get restored(): RestoredLinux | undefined {
    return this.#restored;
  }

  // ── Settings ────────────────────────────────────────────────────────────────────────────

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
   * Whether an automatic connect() may take over a TIME_WAIT with timestamps (Linux
   * `tcp_tw_reuse`): 0 never, 1 always, 2 on loopback.
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
   * After how many milliseconds a TIME_WAIT may be taken over (Linux `tcp_tw_reuse_delay`):
   * 1..60000.
   * @throws PortError `EBADF`; (set) `ENOBUFS`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`.
   */
  get tcpTwReuseDelay(): number {
    return this.#setting(DELAY);
  }

  set tcpTwReuseDelay(delay: number) {
    const checked = checkInteger("tcpTwReuseDelay", delay, 1, DELAY_MAX);
    if (this.#system.linux.setReuseDelay(openOf(this.#system), checked) === 0) {
      throw noMemory(`another delay, limit ${this.#system.limit} bytes`);
    }
  }

  /**
   * How many TIME_WAITs there may be; connections beyond end without one (Linux
   * `tcp_max_tw_buckets`).
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

  #setting(setting: number): number {
    return this.#system.linux.setting(openOf(this.#system), setting) >>> 0;
  }

  #store(setting: number, value: number): void {
    this.#system.linux.set(openOf(this.#system), setting, value);
  }

  #switch(index: number): number {
    return (this.#setting(SWITCHES) >>> (index * 8)) & 255;
  }

  #storeSwitch(index: number, value: number): void {
    const shift = index * 8;
    this.#store(SWITCHES, (this.#setting(SWITCHES) & ~(255 << shift)) | (value << shift));
  }
}

function isOf2632<Wanted extends { rules: "2.6.32" }>(
  options: Wanted | { rules?: "6.18" | undefined },
): options is Wanted {
  return !isRevoked(options) && (options as { rules?: unknown } | null)?.rules === "2.6.32";
}
