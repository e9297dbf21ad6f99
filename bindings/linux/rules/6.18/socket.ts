// LinuxSocket: a TCP or UDP socket of Linux 6.18, as far as its port is concerned.

import { NO_ANSWER, NOT_LISTENING, REFUSED } from "../../../../assembly/abi.ts";
import { closed, explained, noMemory, PortError, wrongType, wrongValue } from "../../../errors.ts";
import type { PortGroup } from "../../../groups/group.ts";
import type { AddressLike } from "../../../requests/address.ts";
import {
  checkBoolean,
  checkGivenPort,
  checkPort,
  checkUint32,
  readOptions,
} from "../../../requests/checks.ts";
import { showEnd } from "../../../requests/printing.ts";
import type { PortRange } from "../../../requests/range.ts";
import { orDefault } from "../../checks.ts";
import type { LinuxExplanation } from "../../explanation.ts";
import { openOf } from "../../system.ts";
import {
  type Address,
  ANY_V6,
  asGiven,
  isAnyAddress,
  isLoopback,
  printAddress,
  readAddress,
  writeEnds,
} from "./address.ts";
import { IS_UDP, IS_V6, NO_PORT, REUSE_ADDR, REUSE_PORT, STATE_SHIFT, V6ONLY } from "./core.ts";
import { explainBind, explainConnect, explainListen } from "./explain.ts";
import type { LinuxSocketState, LinuxSocketType } from "./record.ts";
import { refusal618 } from "./refusals.ts";
import type { RestoredSocket } from "./restore.ts";
import {
  checkDevice,
  checkOwnRange,
  flagsOf,
  groupIn,
  type LinuxConnectOptions,
  type LinuxSocketOptions,
  STATES,
  type System,
} from "./socket-options.ts";

const NAMES = [
  ...["type", "reuseAddr", "reusePort", "v6only", "bindAddressNoPort", "localPortRange"],
  ...["bindToDevice", "uid", "group"],
];
const BY_HASH = 1;
const LOOPBACK_DEVICE = 1;
/** Refusals of connect() that explain themselves. */
const FOR_PORTS: readonly string[] = ["EADDRNOTAVAIL", "EAGAIN", "EISCONN"];

/**
 * Opens a socket in a system.
 * @internal Users call `LinuxPorts.socket`.
 */
export function openSocket618(system: System, given: LinuxSocketOptions): LinuxSocket {
  const options = readOptions("options", given, NAMES);
  const { type = "tcp4", group, localPortRange } = options;
  const flags = flagsOf(type, options);
  const device = checkDevice(system, orDefault(options.bindToDevice, 0));
  const uid = checkUint32("uid", orDefault(options.uid, 0));
  // The getters of the options may close the system.
  const range = localPortRange === undefined ? undefined : checkOwnRange(localPortRange);
  const inGroup = groupIn(system, group);
  const inSystem = openOf(system);
  const socket = system.linux.openSocket(inSystem, flags, device, uid, inGroup) >>> 0;
  if (socket === 0) throw noMemory(`a socket, limit ${system.limit} bytes`);
  if (range !== undefined) system.linux.setRange(socket, range.first, range.last);
  return new LinuxSocket(system, socket, type, uid, group);
}

/** The object for a socket of a restored system. */
export function restoredSocket618(
  system: System,
  { record, flags, uid, group }: RestoredSocket,
): LinuxSocket {
  const type = `${flags & IS_UDP ? "udp" : "tcp"}${flags & IS_V6 ? 6 : 4}` as const;
  return new LinuxSocket(system, record, type, uid, group);
}

/** A TCP or UDP socket, as far as its port is concerned. Made by `LinuxPorts.socket`. */
export class LinuxSocket implements Disposable {
  readonly type: LinuxSocketType;
  /** The user who owns the socket; 0 is root. */
  readonly uid: number;
  readonly #system: System;
  /** Where the core keeps the socket; 0 when it is gone. */
  #socket: number;
  #group: PortGroup | undefined;

  /** @internal */
  constructor(
    system: System,
    socket: number,
    type: LinuxSocketType,
    uid: number,
    group: PortGroup | undefined,
  ) {
    this.type = type;
    this.uid = uid;
    this.#system = system;
    this.#socket = socket;
    this.#group = group;
  }

  /**
   * bind() (Linux `inet_bind`, `inet6_bind`).
   * @param address of the socket's family; `""` is any.
   * @param port 1..65535, or 0: any.
   * @param uid the user who calls, if not the socket's: 0 may bind every port.
   * @returns the port; 0 where `bindAddressNoPort` leaves it to connect().
   * @throws PortError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EINVAL`, `EAFNOSUPPORT`, `ENOBUFS`,
   * `EBADF`, and those of bad arguments.
   */
  bind(address: AddressLike, port: number, uid: number = this.uid): number {
    const local = readAddress("address", address, this.#isV6());
    const named = checkGivenPort(port);
    const caller = checkUint32("uid", uid);
    this.#open();
    const { core, linux, draw } = this.#system;
    if (local.isV6 !== this.#isV6()) {
      const message = `a ${this.type} socket has no address ${asGiven(address, local)}`;
      throw new PortError("EAFNOSUPPORT", "invalid-argument", message, { syscall: "bind" });
    }
    const random = named === 0 ? draw() : 0;
    const socket = this.#open(); // what draws may have closed it
    writeEnds(core, local, ANY_V6);
    const isLocal = this.#isOfMachine(local) ? 1 : 0;
    const answer = linux.bind(socket, named, isLocal, caller === 0 ? 1 : 0, random);
    if (answer >= 0) return answer;
    const error = this.#refused(answer, "bind", asGiven(address, local), named);
    throw explained(error, () => this.explainBind(address, named, caller));
  }

  /**
   * listen(). A socket without a port gets any.
   * @returns the port.
   * @throws PortError `EADDRINUSE`, `EINVAL`, `EOPNOTSUPP` (UDP), `ENOBUFS`, `EBADF`.
   */
  listen(): number {
    const hasPort = this.#system.linux.port(this.#open()) !== 0;
    const { linux, draw } = this.#system;
    if (this.#isUdp()) {
      const message = `a ${this.type} socket cannot listen`;
      throw new PortError("EOPNOTSUPP", "wrong-state", message, { syscall: "listen" });
    }
    const random = hasPort ? 0 : draw();
    const answer = linux.listen(this.#open(), random); // what draws may have closed it
    if (answer >= 0) return answer;
    const error = this.#refused(answer, "listen", this.address, this.port);
    throw explained(error, () => {
      const local = readAddress("address", this.address, this.#isV6());
      return explainListen(this.#system, { ...this.#asker(), local, port: this.port });
    });
  }

  /**
   * connect(). Where the address is the machine's own (loopback, or one of `addresses`), a listener
   * of the system gets a connection, which waits for {@link accept}; without one it is refused. A
   * UDP socket only sets its peer.
   * @param port of the remote end, 1..65535; 0 too for UDP.
   * @returns the local port.
   * @throws PortError `EADDRNOTAVAIL`, `EAGAIN` (UDP), `ECONNREFUSED`, `ETIMEDOUT`, `EISCONN`,
   * `ENETUNREACH`, `EAFNOSUPPORT`, `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  connect(address: AddressLike, port: number, options: LinuxConnectOptions = {}): number {
    const names = ["remote", "localAddress", "offset"];
    const { remote = "accepts", localAddress, offset } = readOptions("options", options, names);
    if (!["accepts", "refuses", "silent"].includes(remote)) {
      throw wrongValue("remote", '"accepts", "refuses" or "silent"', remote);
    }
    const target = readAddress("address", address, this.#isV6());
    const remotePort = checkGivenPort(port);
    const system = this.#system;
    const given =
      localAddress === undefined ? system.source : readAddress("localAddress", localAddress, false);
    const start = offset === undefined ? system.draw() : checkUint32("offset", offset);
    const socket = this.#open();
    const isOwn = this.#answers(target) ? 1 : 0;
    const before = system.linux.port(socket);
    writeEnds(system.core, given ?? ANY_V6, target, this.#isV6());
    const answer = this.#isUdp()
      ? system.linux.connectUdp(socket, isOwn, start)
      : this.#connectTcp(remotePort, isOwn, remote, offset === undefined, start);
    if (answer >= 0) return answer;
    const isSilent = answer === REFUSED && remote === "silent" && isOwn === 0;
    const refusal = isSilent ? NO_ANSWER : answer;
    const error = this.#refused(refusal, "connect", asGiven(address, target), remotePort);
    if (!FOR_PORTS.includes(error.code)) throw error;
    const asked = { source: given ?? ANY_V6, target, remotePort, isOwn, port: before };
    throw explained(error, () => explainConnect(system, { ...this.#asker(), ...asked }));
  }

  /**
   * accept(): the connection that has waited longest.
   * @throws PortError `EAGAIN` (none waits), `EINVAL` (the socket does not listen), `EBADF`.
   */
  accept(): LinuxSocket {
    const answer = this.#system.linux.accept(this.#open());
    if (answer < 0 && answer > -100) throw this.#refused(answer, "accept", this.address, this.port);
    return new LinuxSocket(this.#system, answer >>> 0, this.type, this.uid, this.#group);
  }

  /**
   * A connection that has come from outside of the system, and been accepted.
   * @param address and port of the remote end.
   * @param localAddress to which it has come; the listener's own by default.
   * @throws PortError `EINVAL`, `EADDRINUSE` (there is such a connection), `ENOBUFS`, `EBADF`, and those of
   * bad arguments.
   */
  acceptFrom(
    address: AddressLike,
    port: number,
    localAddress: AddressLike = this.address,
  ): LinuxSocket {
    const remote = readAddress("address", address, this.#isV6());
    const local = readAddress("localAddress", localAddress, this.#isV6());
    const remotePort = checkPort(port);
    const socket = this.#open();
    if (isAnyAddress(local))
      throw wrongValue("localAddress", "one address of this machine", localAddress);
    if (this.state !== "listening") {
      throw this.#refused(NOT_LISTENING, "accept", asGiven(address, remote), port);
    }
    const { core, linux } = this.#system;
    writeEnds(core, local, remote);
    if (linux.isKnownFrom(socket, remotePort) !== 0) {
      const message = `there is such a connection: ${showEnd(remote.plain, remotePort)}`;
      throw new PortError("EADDRINUSE", "port-in-use", message, { syscall: "accept" });
    }
    const child = linux.acceptFrom(socket, remotePort, 1) >>> 0;
    if (child === 0) throw noMemory(`a connection, limit ${this.#system.limit} bytes`);
    return new LinuxSocket(this.#system, child, this.type, this.uid, this.#group);
  }

  /**
   * connect() with AF_UNSPEC: the connection is reset, a listener stops; what bind() has given
   * stays.
   * @throws PortError `ENOBUFS`, `EBADF`.
   */
  disconnect(): void {
    const socket = this.#open();
    const { linux } = this.#system;
    const answer = this.#isUdp() ? linux.disconnectUdp(socket) : linux.disconnect(socket);
    if (answer < 0) throw this.#refused(answer, "connect", this.address, this.port);
  }

  /**
   * shutdown() of the direction in which the socket sends: a FIN.
   * @throws PortError `ENOTCONN`, `ENOBUFS`, `EBADF`.
   */
  shutdown(): void {
    const answer = this.#system.linux.shutdown(this.#open());
    if (answer < 0) throw this.#refused(answer, "shutdown", this.address, this.port);
  }

  /**
   * The remote end, which is outside of the system, sends a FIN or a reset.
   * @throws PortError `ENOTCONN` (the other end is none, or a socket of the system), `ENOBUFS`, `EBADF`.
   */
  receive(segment: "fin" | "reset"): void {
    if (segment !== "fin" && segment !== "reset") {
      throw wrongValue("segment", '"fin" or "reset"', segment);
    }
    const { linux } = this.#system;
    const answer = linux.receive(this.#open(), segment === "reset" ? 1 : 0);
    if (answer < 0) throw this.#refused(answer, "receive", this.address, this.port);
  }

  /**
   * close(): in order, so that the end that closes first leaves a TIME_WAIT; or by a reset
   * (SO_LINGER 0). A second call does nothing.
   * @throws PortError `ENOBUFS`: no memory for the TIME_WAIT, and the socket is as it was; and those of
   * bad arguments.
   */
  close(options: { reset?: boolean | undefined } = {}): void {
    if (!this.#isOpen()) return;
    const { reset: isReset } = readOptions("options", options, ["reset"]);
    const reset = checkBoolean("reset", isReset) ? 1 : 0;
    if (!this.#isOpen()) return; // an option's getter may have closed it
    const { linux } = this.#system;
    if (this.#isUdp()) linux.closeUdp(this.#socket);
    const answer = this.#isUdp() ? 0 : linux.close(this.#socket, reset);
    if (answer < 0) throw this.#refused(answer, "close", this.address, this.port);
    this.#socket = 0;
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Why {@link bind} would refuse an address and port, and which sockets have it, by the same
   * rules. Nothing changes.
   * @param port 1..65535, or 0: any, where the answer says what each rule takes from the range.
   * @param uid the user who would call.
   * @throws PortError `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  explainBind(address: AddressLike, port: number, uid: number = this.uid): LinuxExplanation {
    const local = readAddress("address", address, this.#isV6());
    const named = checkGivenPort(port);
    const isPrivileged = checkUint32("uid", uid) === 0;
    const asked = { ...this.#asker(), local, port: named, isPrivileged };
    return explainBind(this.#system, { ...asked, isOfMachine: this.#isOfMachine(local) });
  }

  // ── What it is ──────────────────────────────────────────────────────────────────────────

  /**
   * A number that no other socket of the system has, and that it keeps when the system is restored
   * from a snapshot; 0: the socket is gone.
   */
  get id(): number {
    return this.#isOpen() ? this.#system.linux.id(this.#socket) : 0;
  }

  /** The local port; 0: the socket has none, or is gone. */
  get port(): number {
    return this.#isOpen() ? this.#system.linux.port(this.#socket) : 0;
  }

  /** The local address, as getsockname() prints it. */
  get address(): string {
    if (!this.#isOpen()) return "";
    const { linux } = this.#system;
    const words = [0, 1, 2, 3].map((index) => linux.addressWord(this.#socket, index) >>> 0);
    return printAddress(words, this.#isV6());
  }

  /** getsockname(): after a port is lost TCP may still tell it. */
  get name(): { readonly address: string; readonly port: number } {
    const port = this.#isOpen() ? this.#system.linux.name(this.#socket) : 0;
    return { address: this.address, port };
  }

  get state(): LinuxSocketState {
    if (!this.#isOpen()) return "gone";
    return STATES[this.#system.linux.flags(this.#socket) >>> STATE_SHIFT] as LinuxSocketState;
  }

  /**
   * `SO_REUSEADDR`; acts on later conflicts also where the socket has a port.
   * @throws PortError (set) `ENOBUFS`, `EBADF`, `ERR_INVALID_ARG_TYPE`.
   */
  get reuseAddr(): boolean {
    return this.#has(REUSE_ADDR);
  }

  set reuseAddr(value: boolean) {
    this.#set("reuseAddr", REUSE_ADDR, value);
  }

  /**
   * `SO_REUSEPORT`; acts on later conflicts also where the socket has a port.
   * @throws PortError (set) `ENOBUFS`, `EBADF`, `ERR_INVALID_ARG_TYPE`.
   */
  get reusePort(): boolean {
    return this.#has(REUSE_PORT);
  }

  set reusePort(value: boolean) {
    this.#set("reusePort", REUSE_PORT, value);
  }

  /**
   * `IPV6_V6ONLY`; bind() to an IPv6 address other than `::` sets it, too.
   * @throws PortError (set) `EINVAL`: the socket has a port; `EBADF`, `ERR_INVALID_ARG_TYPE`.
   */
  get v6only(): boolean {
    return this.#has(V6ONLY);
  }

  set v6only(value: boolean) {
    this.#set("v6only", V6ONLY, value);
  }

  /**
   * `IP_BIND_ADDRESS_NO_PORT`.
   * @throws PortError (set) `EBADF`, `ERR_INVALID_ARG_TYPE`.
   */
  get bindAddressNoPort(): boolean {
    return this.#has(NO_PORT);
  }

  set bindAddressNoPort(value: boolean) {
    this.#set("bindAddressNoPort", NO_PORT, value);
  }

  /**
   * `IP_LOCAL_PORT_RANGE`: each bound counts where it lies within the system's range; 0: not set.
   * @throws PortError (set) `EINVAL`: first above last; `EBADF`, and those of bad arguments.
   */
  get localPortRange(): PortRange {
    const both = this.#isOpen() ? this.#system.linux.ownRange(this.#socket) >>> 0 : 0;
    return { first: both & 0xffff, last: both >>> 16 };
  }

  set localPortRange(range: PortRange) {
    const { first, last } = checkOwnRange(range);
    this.#system.linux.setRange(this.#open(), first, last);
  }

  /**
   * `SO_BINDTODEVICE`: 0 is none.
   * @throws PortError (set) `EADDRINUSE`: a connection of the device has the tuple, which the kernel
   * lets pass; `ENODEV`, `ENOBUFS`, `EBADF`, and those of bad arguments.
   */
  get bindToDevice(): number {
    return this.#isOpen() ? this.#system.linux.device(this.#socket) : 0;
  }

  set bindToDevice(device: number) {
    const checked = checkDevice(this.#system, device);
    const answer = this.#system.linux.setDevice(this.#open(), checked);
    if (answer < 0) throw this.#refused(answer, "setsockopt", this.address, this.port);
  }

  /**
   * The group whose port ranges apply. Setting it leaves the socket its port.
   * @throws PortError (set) `EBADF`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ENOENT`.
   */
  get group(): PortGroup | undefined {
    return this.#group;
  }

  set group(group: PortGroup | undefined) {
    const { linux } = this.#system;
    linux.moveSocket(this.#open(), groupIn(this.#system, group));
    this.#group = group;
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #isV6(): boolean {
    return this.type.endsWith("6");
  }

  #isUdp(): boolean {
    return this.type.startsWith("udp");
  }

  #connectTcp(
    port: number,
    isOwn: number,
    remote: string,
    isByHash: boolean,
    start: number,
  ): number {
    const isAccepted = remote === "accepts" ? 1 : 0;
    const how = isByHash ? BY_HASH : 0;
    return this.#system.linux.connect(this.#socket, port, isOwn, isAccepted, how, start);
  }

  #has(flag: number): boolean {
    return this.#isOpen() && (this.#system.linux.flags(this.#socket) & flag) !== 0;
  }

  #set(name: string, flag: number, value: unknown): void {
    if (typeof value !== "boolean") throw wrongType(name, "a boolean", value);
    const answer = this.#system.linux.setFlag(this.#open(), flag, value ? 1 : 0);
    if (answer < 0) throw this.#refused(answer, "setsockopt", this.address, this.port);
  }

  /** Does bind() take the address? */
  #isOfMachine(address: Address): boolean {
    const { addresses } = this.#system;
    // A socket of IPv6 on a device has that device's addresses alone (Linux `inet6_bind`).
    if (address.plain === "::1" && this.bindToDevice > LOOPBACK_DEVICE) return false;
    if (addresses === undefined || isAnyAddress(address) || isLoopback(address)) return true;
    return addresses.has(address.plain);
  }

  /** Does the machine itself answer there? The any address is the machine. */
  #answers(address: Address): boolean {
    if (isLoopback(address) || isAnyAddress(address)) return true;
    return this.#system.addresses?.has(address.plain) === true;
  }

  #isOpen(): boolean {
    return this.#socket !== 0 && this.#system.address !== 0;
  }

  #asker(): { socket: number; type: LinuxSocketType; uid: number; group: PortGroup | undefined } {
    return { socket: this.#open(), type: this.type, uid: this.uid, group: this.#group };
  }

  #open(): number {
    if (this.#socket === 0) throw closed("socket");
    openOf(this.#system);
    return this.#socket;
  }

  #refused(refusal: number, syscall: string, address: string, port: number): PortError {
    const asked = { type: this.type, syscall, address, port };
    return refusal618(refusal, this.#system, this.#socket, asked);
  }
}
