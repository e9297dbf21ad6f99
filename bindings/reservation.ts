// Reservation: one port that is held until it is released.

import { setKind } from "./core/brands.ts";
import { checkInside } from "./core/inside.ts";
import { PortError } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import { checkSome, type Key } from "./requests/parsing.ts";
import { addressText, flagNames } from "./requests/printing.ts";
import type { Flags } from "./requests/request.ts";
import type { Purges } from "./state/release-all.ts";

/** A reservation that stays held until a time, unless it is released before. */
export interface CoolingEntry {
  readonly due: number;
  readonly reservation: Reservation;
}

/** The manager of a reservation. */
export interface Owner {
  /** Releases a port. */
  release(key: Key, port: number): void;
  /** Starts a cooldown; returns when it ends, `undefined`: there is none. */
  coolDown(reservation: Reservation, now: number, period: unknown): number | undefined;
  /** Gives back some of the networks of a reservation. */
  narrow(key: Key, given: readonly number[], port: number): void;
  /** Moves a reservation to another group, and returns its key there. */
  move(reservation: Reservation, key: Key, group: PortGroup | undefined): Key;
  /** The releases by filter. */
  readonly purges: Purges;
}

/** Marks a reservation as cooling, for its manager. */
export let cool: (reservation: Reservation) => void;

/** The description of a reservation; `undefined` once its port has been given back. */
export let keyOf: (reservation: Reservation) => Key | undefined;

/**
 * A port that is held. It stays held until {@link Reservation.release} is called, also when the
 * object becomes garbage; `using` releases it at the end of a block.
 */
export class Reservation implements Disposable {
  /** The port, 1..65535. */
  readonly port: number;
  #key: Key;
  /** `undefined` once the port has been given back. */
  #owner: Owner | undefined;
  #isCooling = false;
  /** The epoch of releases by filter that the reservation knows of. */
  #epoch: number;

  static {
    setKind(Reservation, "Reservation");
    cool = (reservation) => {
      reservation.#isCooling = true;
    };
    keyOf = (reservation) => (reservation.released ? undefined : reservation.#key);
  }

  /**
   * Reservations are made by `PortManager.reservePort` and `reserveTuple`.
   * @param since the epoch of releases by filter when the port was taken; now by default.
   */
  constructor(token: symbol, key: Key, port: number, owner: Owner, since?: number) {
    checkInside(token, "Reservation", "PortManager.reservePort()");
    this.port = port;
    this.#key = key;
    this.#owner = owner;
    this.#epoch = since ?? owner.purges.epoch;
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
    this.#held();
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
  get destination(): { readonly address: string; readonly port: number } {
    return { address: this.#key.destination.text, port: this.#key.destinationPort };
  }

  /** The reuse flags, also where the request said `reuseAddr` or `reusePort`. */
  get flags(): { readonly [flag in keyof Flags]-?: boolean } {
    return flagNames(this.#key.flags);
  }

  /**
   * The group that the reservation is made in. Setting another group moves the reservation: the
   * port stays held, and that group is in use.
   * @throws PortError (set) `EBADF` when the manager or the group's tree has been closed, `EINVAL`
   * after the release, `ENOENT`, `ENOBUFS`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  get group(): PortGroup | undefined {
    return this.#key.group;
  }

  set group(group: PortGroup | undefined) {
    const owner = this.#held();
    if (owner === undefined) throw this.#gone();
    this.#key = owner.move(this, this.#key, group);
  }

  /**
   * Whether the reservation has been given back and its port is held until its cooldown is over.
   */
  get isCooling(): boolean {
    this.#held();
    return this.#isCooling;
  }

  /** Whether the port has been released. */
  get released(): boolean {
    return this.#held() === undefined;
  }

  /**
   * Gives the reservation back into cooldown, as a connection goes into TIME_WAIT: its port stays
   * held until the period is over, to the millisecond, and `PortManager.expire` is called.
   * `release()` ends that at once.
   * @param now milliseconds of any clock, 0..4294967000000. It never goes back: an earlier time counts
   * as the latest one.
   * @param period milliseconds, 0..86400000: by default the manager's `cooldown`. 0 releases at once.
   * @returns whether the reservation was held; `false` after the release and while it is cooling.
   * @throws PortError `EBADF` when the manager has been closed, `ERR_INVALID_ARG_TYPE`,
   * `ERR_OUT_OF_RANGE`, and those of {@link release}.
   */
  coolDown(now: number, period?: number): boolean {
    const owner = this.#held();
    if (owner === undefined || this.#isCooling) return false;
    if (owner.coolDown(this, now, period) === undefined) return this.release();
    this.#isCooling = true;
    return true;
  }

  /**
   * Keeps the port in some of its networks and gives it back in the others, as gVisor does when a
   * dual-stack socket connects. {@link release} then gives back what is left.
   * @param networks one or more of {@link networks}.
   * @returns whether the port was given back in any network.
   * @throws PortError `EINVAL` after the release; `EBADF` when the manager has been closed; `ENOBUFS` as in
   * {@link release}; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (a network that it does not
   * hold).
   */
  narrow(networks: readonly number[]): boolean {
    const owner = this.#held();
    if (owner === undefined) throw this.#gone();
    const key = this.#key;
    const kept = checkSome(networks, key);
    const given = key.networks.filter((network) => !kept.includes(network));
    if (given.length === 0) return false;
    owner.narrow(key, given, this.port);
    this.#key = { ...key, networks: kept };
    return true;
  }

  /** The manager, as long as the port is held; what has been released by filter is not. */
  #held(): Owner | undefined {
    const owner = this.#owner;
    if (owner === undefined || owner.purges.epoch === this.#epoch) return owner;
    const left = owner.purges.restOf(this.#key, this.port, this.#epoch);
    this.#epoch = owner.purges.epoch;
    if (left !== undefined) {
      this.#key = left;
      return owner;
    }
    this.#owner = undefined;
    this.#isCooling = false;
    return undefined;
  }

  #gone(): PortError {
    return new PortError("EINVAL", "wrong-state", `port ${this.port} has been released`);
  }

  /**
   * Gives the port back (gVisor `ReleasePort`). A second call does nothing and answers `false`.
   * @throws PortError `EBADF` when the manager has been closed; `ENOBUFS` in the one case where a
   * release needs memory: the same tuple has been released by value with other flags.
   */
  release(): boolean {
    const owner = this.#held();
    if (owner === undefined) return false;
    owner.release(this.#key, this.port);
    this.#owner = undefined;
    this.#isCooling = false;
    return true;
  }

  /** As {@link release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
