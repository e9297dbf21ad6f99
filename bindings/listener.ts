// PortListener: the accepted connections of one listener. The request block keeps the listener's
// description from call to call, and only the remote end is written.

import { checkPorts } from "./core/batch.ts";
import { setKind, typedArrayName } from "./core/brands.ts";
import { checkInside, INSIDE } from "./core/inside.ts";
import { outOfRange, wrongType, wrongValue } from "./errors.ts";
import { refused } from "./refusals.ts";
import { type Address, type AddressLike, ANY, parseAddress } from "./requests/address.ts";
import { writeListener, writeTuple } from "./requests/block.ts";
import { checkPort, isExplicitPort } from "./requests/checks.ts";
import { askedOf, type Key, LISTENER_OPTIONS } from "./requests/parsing.ts";
import { addressText } from "./requests/printing.ts";
import type { ListenerRequest } from "./requests/request.ts";
import type { Reserving } from "./reserving.ts";

/** Bytes of an IPv6 address. */
const ADDRESS_BYTES = 16;

/**
 * The connections that one listener accepts, as numbers: each holds the listener's port towards its
 * own remote end, as `PortManager.reserveTuple` would hold it. Made by `PortManager.listener`.
 *
 * It has no state of its own. The connections belong to the manager, where reservations and
 * `releasePort` with the same description see them, so the listener need not be closed.
 */
export class PortListener {
  /** The listener's port, 1..65535, which its connections share. */
  readonly port: number;
  readonly #reserving: Reserving;
  readonly #key: Key;

  static {
    setKind(PortListener, "PortListener");
  }

  /** Listeners are made by `PortManager.listener`. */
  constructor(token: symbol, reserving: Reserving, key: Key, port: number) {
    checkInside(token, "PortListener", "PortManager.listener()");
    this.port = port;
    this.#reserving = reserving;
    this.#key = { ...key }; // for the block, which tells descriptions apart by their objects
  }

  /** The local address of its connections, as `Reservation.address` gives it. */
  get address(): string {
    return addressText(this.#key);
  }

  /**
   * Holds the port for a connection (gVisor `ReserveTuple`).
   * @param address of the remote end: 4 or 16 bytes, a number or a text. Numbers cost least.
   * @param port of the remote end, 1..65535.
   * @returns the listener's port, or `Refusal.IN_USE` (there is such a connection, and flags do not
   * allow another) or `Refusal.NO_MEMORY`, which are negative.
   * @throws PortError `EBADF` (the manager is closed), and those of bad arguments:
   * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`, `ERR_OUT_OF_RANGE` (a number), any address:
   * `ERR_INVALID_ARG_VALUE`, `ERR_SOCKET_BAD_PORT`.
   */
  accept(address: AddressLike, port: number): number {
    const { exports } = this.#reserving.core;
    const answer = isIpv4Number(address, port)
      ? exports.acceptIpv4(this.#describe(), this.port, address, port)
      : exports.reserveTuple(this.#write(address, port), this.port);
    return answer > 0 ? answer : this.#reserving.counts.refuse(answer);
  }

  /**
   * Releases the port for a connection (gVisor `ReleasePort`).
   * @param address as in {@link accept}.
   * @param port as in {@link accept}.
   * @returns whether there was one.
   * @throws PortError those of {@link accept}; `ENOBUFS` where the tuple is held with other flags and
   * the count that goes below zero finds no memory.
   */
  close(address: AddressLike, port: number): boolean {
    const { exports } = this.#reserving.core;
    const answer = isIpv4Number(address, port)
      ? exports.closeIpv4(this.#describe(), this.port, address, port)
      : exports.releasePort(this.#write(address, port), this.port);
    if (answer >= 0) return answer > 0;
    throw refused({ answer, key: this.#key, port: this.port }, this.#reserving.limit);
  }

  /**
   * Holds the port for one connection after the other, until one is refused.
   * @param addresses of the remote ends: IPv4 addresses as numbers in a `Uint32Array`, or 16 bytes
   * for each of the ports in a `Uint8Array`.
   * @param ports of the remote ends, each 1..65535.
   * @returns how many are held, from the front. Fewer than `ports.length`: {@link accept} would
   * refuse the next one.
   * @throws PortError those of {@link accept}, before any connection is accepted; `ERR_OUT_OF_RANGE`:
   * fewer addresses than ports.
   */
  acceptMany(addresses: Uint32Array | Uint8Array, ports: Uint16Array): number {
    const peerAt = peersOf(addresses, ports);
    for (let index = 0; index < ports.length; index++) {
      if (this.accept(peerAt(index), ports[index] as number) < 0) return index;
    }
    return ports.length;
  }

  /**
   * Releases the port for each of the connections.
   * @param addresses as in {@link acceptMany}.
   * @param ports as in {@link acceptMany}.
   * @returns how many of them there were.
   * @throws PortError those of {@link close} and {@link acceptMany}, those of bad arguments before
   * any connection is closed.
   */
  closeMany(addresses: Uint32Array | Uint8Array, ports: Uint16Array): number {
    const peerAt = peersOf(addresses, ports);
    let closed = 0;
    for (let index = 0; index < ports.length; index++) {
      if (this.close(peerAt(index), ports[index] as number)) closed++;
    }
    return closed;
  }

  /** Makes the request block that of the listener, and returns the manager. */
  #describe(): number {
    const manager = this.#reserving.open();
    writeListener(this.#reserving.core, this.#key);
    return manager;
  }

  /** The same, with the remote end of a connection. */
  #write(address: AddressLike, port: number): number {
    const reserving = this.#reserving;
    const remote = remoteOf(address);
    const remotePort = checkPort(port);
    const manager = reserving.open();
    writeTuple(reserving.core, this.#key, remote, remotePort);
    return manager;
  }
}

/**
 * A handle for the connections of a listener.
 * @throws PortError `EBADF`, and those of bad arguments.
 */
export function openListener(reserving: Reserving, request: ListenerRequest): PortListener {
  const { key, port } = askedOf(reserving.core, request, LISTENER_OPTIONS);
  reserving.open();
  return new PortListener(INSIDE, reserving, key, checkPort(port));
}

/**
 * Are these remote ends numbers alone? Others are checked one by one, and refused with a reason.
 */
function isIpv4Number(address: AddressLike, port: number): address is number {
  return (
    typeof address === "number" &&
    address >>> 0 === address &&
    address !== 0 &&
    isExplicitPort(port)
  );
}

function remoteOf(address: AddressLike): Address {
  const remote = parseAddress("address", address);
  if (remote !== ANY && address !== undefined) return remote;
  throw address === undefined
    ? wrongType("address", "an IP address as a string, as 4 or 16 bytes, or as a number", address)
    : wrongValue("address", "the address of the remote end", address);
}

/** The addresses of a batch by their index. All of its values have been checked. */
function peersOf(
  addresses: Uint32Array | Uint8Array,
  ports: Uint16Array,
): (index: number) => AddressLike {
  checkPorts(ports);
  const kind = typedArrayName(addresses);
  const like = "a Uint32Array of IPv4 addresses, or a Uint8Array of 16 bytes each";
  if (kind !== "Uint32Array" && kind !== "Uint8Array")
    throw wrongType("addresses", like, addresses);
  const size = kind === "Uint8Array" ? ADDRESS_BYTES : 1;
  if (addresses.length < ports.length * size) {
    const valid = `at least ${ports.length * size}, for ${ports.length} ports`;
    throw outOfRange("addresses.length", valid, addresses.length);
  }
  const peerAt = (index: number): AddressLike =>
    size === 1
      ? (addresses[index] as number)
      : (addresses.subarray(index * size, index * size + size) as Uint8Array);
  for (let index = 0; index < ports.length; index++) {
    remoteOf(peerAt(index));
    checkPort(ports[index]);
  }
  return peerAt;
}
