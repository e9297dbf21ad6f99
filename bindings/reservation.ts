// Reservation: one port that somebody holds, until it is released.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../assembly/abi.ts";
import { PortError } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import { addressText, type Destination, type Flags, type Key } from "./requests/request.ts";

/** Whose reservations these are. */
export interface Owner {
  /** Takes a key and port back. */
  release(key: Key, port: number): void;
  /** The key in another group, which has been told. */
  move(key: Key, group: PortGroup | undefined): Key;
}

/**
 * A port that is held. It stays held until {@link Reservation.release} is called, also when the
 * object is forgotten; `using` releases it at the end of a block.
 */
export class Reservation implements Disposable {
  /** The port, 1..65535. */
  readonly port: number;
  #key: Key;
  /** Gone once the port has been given back. */
  #owner: Owner | undefined;

  /** Reservations are made by `PortManager.reservePort` and `reserveTuple`. */
  constructor(key: Key, port: number, owner: Owner) {
    this.port = port;
    this.#key = key;
    this.#owner = owner;
  }

  /**
   * The local address as canonical text, IPv4 for v4-mapped ones. Any is `"::"` if {@link networks}
   * has IPv6 (6), else `"0.0.0.0"`, as `net.Server.listen` and `localAddress` take it.
   */
  get address(): string {
    return addressText(this.#key);
  }

  /** The networks in which the port is held, each once. */
  get networks(): readonly number[] {
    return [...this.#key.networks];
  }

  /** The transport protocol number. */
  get transport(): number {
    return this.#key.transport;
  }

  /** The interface number, 0 for none. */
  get bindToDevice(): number {
    return this.#key.device;
  }

  /** The remote end; address `""` is the wildcard. */
  get destination(): Required<Destination> {
    return { address: this.#key.destination.text, port: this.#key.destinationPort };
  }

  /** The reuse flags, however they were asked for. */
  get flags(): Required<Flags> {
    const { flags } = this.#key;
    return {
      mostRecent: (flags & MOST_RECENT) !== 0,
      loadBalanced: (flags & LOAD_BALANCED) !== 0,
      tupleOnly: (flags & TUPLE_ONLY) !== 0,
    };
  }

  /**
   * The group that the reservation is made in. Another may be set: the port stays held, and from
   * then on that group is in use.
   * @throws PortError (set) `EBADF` when the manager or the group's tree has been closed, `EINVAL`
   * after the release, `ENOENT`, `ENOBUFS`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  get group(): PortGroup | undefined {
    return this.#key.group;
  }

  set group(group: PortGroup | undefined) {
    if (this.#owner === undefined) {
      throw new PortError("EINVAL", "wrong-state", `port ${this.port} has been released`);
    }
    this.#key = this.#owner.move(this.#key, group);
  }

  /** Whether this object has given its port back. */
  get released(): boolean {
    return this.#owner === undefined;
  }

  /**
   * Gives the port back (gVisor `ReleasePort`). A second call does nothing and answers `false`.
   * @throws PortError `EBADF` when the manager has been closed; `ENOBUFS` in the one case where a
   * release needs memory: others have released this key with other flags.
   */
  release(): boolean {
    const owner = this.#owner;
    if (owner === undefined) return false;
    owner.release(this.#key, this.port);
    this.#owner = undefined;
    return true;
  }

  /** As {@link release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
