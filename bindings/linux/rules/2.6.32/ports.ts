// Linux2632Ports: the kernel's two port pickers, behind bind() and connect(), as they were when
// control groups first learned to limit them (Linux 2.6.32): sockets, bind buckets, TIME_WAIT, and
// the sysctls that steer them.

import { INSIDE } from "../../../core/inside.ts";
import { cryptoRandom } from "../../../core/random.ts";
import { noMemory } from "../../../errors.ts";
import type { PortGroups } from "../../../groups/group.ts";
import { tellHolders } from "../../../groups/holders.ts";
import { ReservedPorts, reservedAddress } from "../../../groups/reserved.ts";
import { Selection } from "../../../selection.ts";
import { checkSnapshotOptions, type SnapshotOptions } from "../../../state/selections.ts";
import { type RestoredLinux, restored } from "../../snapshot.ts";
import { Sysctl } from "../../sysctl.ts";
import { LinuxSystem, openOf } from "../../system.ts";
import {
  type ChosenPolicies,
  checkLinuxOptions,
  checkReuse,
  type Linux2632Settings,
} from "./options.ts";
import type { Linux2632Record } from "./record.ts";
import { listed2632 } from "./records.ts";
import { snapshot2632 } from "./snapshot.ts";
import { type Linux2632Socket, openPlainSocket, openSocket } from "./socket.ts";
import type { Linux2632SocketOptions, System } from "./socket-options.ts";

/** The content of a snapshot beside options. */
interface Restoring2632 {
  readonly by: ChosenPolicies;
  /** Reads the rest of the snapshot into the system that is opened for it. */
  readonly fill: (system: System, made: PortGroups[]) => Linux2632Socket[];
}

/**
 * The ports of one machine, as Linux 2.6.32 hands them out to TCP and UDP sockets. All addresses,
 * IPv4 and IPv6, share one port space, as those of dual-stack sockets do. Made by
 * `LinuxPorts.open({ rules: "2.6.32" })`.
 */
export class Linux2632Ports extends LinuxSystem {
  /** The same settings as texts, by their sysctl names. */
  readonly sysctl: Sysctl;
  readonly #system: System;
  #restored: RestoredLinux<Linux2632Socket> | undefined;

  private constructor(token: symbol, system: System) {
    super(token, system);
    this.#system = system;
    this.sysctl = new Sysctl(this);
    tellHolders(system.core, this, (linux, wanted) =>
      listed2632(linux.#system)
        .filter(({ group }) => group === wanted)
        .map(({ record }) => record),
    );
  }

  /**
   * @internal Users call `LinuxPorts.open` and `LinuxPorts.restore`.
   * @param restoring only counts together with the token, which callers do not have.
   */
  static open(
    options: Linux2632Settings = {},
    token?: typeof INSIDE,
    restoring?: Restoring2632,
  ): Linux2632Ports {
    const { by, fill } = token === INSIDE && restoring ? restoring : {};
    const checked = checkLinuxOptions(options, by);
    const { core, linux, random, limit, module } = checked;
    const reserved =
      checked.reserved ?? new ReservedPorts("", module === undefined ? {} : { module });
    const bindSelection = new Selection(core, random, checked.by.bind);
    const connectSelection = new Selection(core, random, checked.by.connect);
    const list = reservedAddress(reserved, core);
    const { hint, duration, now } = checked;
    const address =
      linux.open(cryptoRandom.next(), cryptoRandom.next(), limit, list, hint, duration, now) >>> 0;
    if (address === 0) {
      bindSelection.close();
      connectSelection.close();
      throw noMemory(`a system of ports, limit ${limit} bytes`);
    }
    linux.setPortRange(address, checked.range.first, checked.range.last);
    linux.setStart(address, checked.start);
    linux.setTimeWaitReuse(address, checked.reuse);
    const { draw, isWatched, local: localAddress } = checked;
    const own = {
      duration,
      random,
      draw,
      isWatched,
      bindSelection,
      connectSelection,
      localAddress,
    };
    const shared = { core, linux, limit, reserved, groups: new Map() };
    const ports = new Linux2632Ports(INSIDE, { address, ...shared, ...own });
    if (fill) ports.#restored = restored(ports, (made) => fill(ports.#system, made));
    return ports;
  }

  /**
   * A new socket, closed and without a port.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  socket(options?: Linux2632SocketOptions): Linux2632Socket {
    return options === undefined
      ? openPlainSocket(this.#system)
      : openSocket(this.#system, options);
  }

  /**
   * All sockets, the oldest first, and then the connections in TIME_WAIT, the first to end first, as
   * plain data: as they are now.
   * @throws PortError `EBADF`.
   */
  sockets(): IterableIterator<Linux2632Record> {
    return listed2632(this.#system)
      .map(({ record }) => record)
      .values();
  }

  /**
   * All that decides how the system answers, as bytes for `LinuxPorts.restore`: here, in another
   * thread, page or process. The random numbers of a system without a `seed` are not in it, nor the
   * secrets of selections, unless they are wanted.
   * @throws PortError `EBADF`, and those of bad arguments.
   */
  snapshot(options: SnapshotOptions = {}): Uint8Array {
    return snapshot2632(this.#system, checkSnapshotOptions(options));
  }

  /** The objects made with a restored system; `undefined`: it has been opened. */
  get restored(): RestoredLinux<Linux2632Socket> | undefined {
    return this.#restored;
  }

  /**
   * Whether an automatic connect() may take over a TIME_WAIT with timestamps, two ticks of whole
   * seconds after the last of them, so after more than one second and at most two (Linux 2.6.32
   * `tcp_tw_reuse`): 0 or 1.
   * @throws PortError `EBADF`; (set) `ERR_INVALID_ARG_VALUE`.
   */
  get tcpTwReuse(): number {
    return this.#system.linux.timeWaitReuse(openOf(this.#system));
  }

  set tcpTwReuse(value: number) {
    this.#system.linux.setTimeWaitReuse(openOf(this.#system), checkReuse(value));
  }

  /**
   * Where connect()'s last search ended, for all destinations: 0..4294967295.
   * @throws PortError `EBADF`.
   */
  get hint(): number {
    return this.#system.linux.connectHint(openOf(this.#system)) >>> 0;
  }

  /**
   * Gives back everything. Sockets of the system are closed by that. A second call does nothing.
   */
  override close(): void {
    if (this.#system.address === 0) return;
    super.close();
    this.#system.bindSelection.close();
    this.#system.connectSelection.close();
  }
}
