// Reservation: one port that somebody holds, until it is released.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../assembly/abi.ts";
import { addressText, type Destination, type Flags, type Key } from "./request.ts";

/** Takes a reservation's key and port back. */
type Release = (key: Key, port: number) => void;

/**
 * A port that is held. It stays held until {@link Reservation.release} is called, also when the
 * object is forgotten; `using` releases it at the end of a block.
 */
export class Reservation implements Disposable {
  /** The port, 1..65535. */
  readonly port: number;
  readonly #key: Key;
  /** Gone once it has been used. */
  #release: Release | undefined;

  /** Reservations are made by `PortManager.reservePort` and `reserveTuple`. */
  constructor(key: Key, port: number, release: Release) {
    this.port = port;
    this.#key = key;
    this.#release = release;
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

  /** Whether this object has given its port back. */
  get released(): boolean {
    return this.#release === undefined;
  }

  /**
   * Gives the port back (gVisor `ReleasePort`). A second call does nothing and answers `false`.
   * @throws PortError `EBADF` when the manager has been closed; `ENOBUFS` in the one case where a
   * release needs memory: others have released this key with other flags.
   */
  release(): boolean {
    const release = this.#release;
    if (release === undefined) return false;
    release(this.#key, this.port);
    this.#release = undefined;
    return true;
  }

  /** As {@link release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
