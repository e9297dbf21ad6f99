// Linux2632Socket: a TCP or UDP socket as far as its port is concerned. It checks what it is given,
// writes the addresses into the request block, and asks the core.

import {
  AGAIN,
  BAD_STATE,
  FIRST_DRAW,
  LAST_DRAW,
  NO_MEMORY,
  POLICY_DRAW,
  PORT_MAX,
  TRANSPORT_TCP,
  TRANSPORT_UDP,
} from "../../../../assembly/abi.ts";
import {
  closed,
  explained,
  noMemory,
  outOfRange,
  PortError,
  wrongType,
  wrongValue,
} from "../../../errors.ts";
import { groupAddress, type PortGroup } from "../../../groups/group.ts";
import {
  type Address,
  type AddressLike,
  ANY,
  parseAddress,
  parseLocal,
  textOf,
} from "../../../requests/address.ts";
import { writeEnds } from "../../../requests/block.ts";
import {
  checkBoolean,
  checkGivenPort,
  checkInteger,
  checkPort,
  checkUint32,
  readOptions,
} from "../../../requests/checks.ts";
import { showEnd } from "../../../requests/printing.ts";
import { isEmpty, unpackRange } from "../../../requests/range.ts";
import { type Search, searchBy } from "../../../search.ts";
import type { Selection } from "../../../selection.ts";
import type { LinuxExplanation } from "../../explanation.ts";
import { openOf } from "../../system.ts";
import type { Exports2632 } from "./core.ts";
import {
  type Asked2632,
  explainBind2632,
  explainConnect2632,
  explainListen2632,
} from "./explain.ts";
import type { Linux2632Record, Linux2632State } from "./record.ts";
import { type About, refusedBind, refusedConnect, wrongState } from "./refusals.ts";
import {
  type Linux2632CloseOptions,
  type Linux2632ConnectOptions,
  type Linux2632SocketOptions,
  STATES,
  type System,
} from "./socket-options.ts";

const DEVICE_MAX = 0x7fffffff;
/** A search is repeated so often when what it found cannot be shared (Linux: `attempts = 5`). */
const RETRIES_MAX = 5;
const SOCKET_NAMES = ["type", "reuseAddr", "bindToDevice", "group", "privileged"];

/**
 * Opens a socket in a system.
 * @internal Users call `Linux2632Ports.socket`.
 */
export function openSocket(system: System, options: Linux2632SocketOptions): Linux2632Socket {
  const given = readOptions("options", options, SOCKET_NAMES);
  const { group, bindToDevice = 0, type = "tcp" } = given;
  if (type !== "tcp" && type !== "udp") throw wrongValue("type", '"tcp" or "udp"', type);
  const reuse = checkBoolean("reuseAddr", given.reuseAddr) ? 1 : 0;
  const device = checkInteger("bindToDevice", bindToDevice, 0, DEVICE_MAX);
  const privileged = checkBoolean("privileged", given.privileged) ? 1 : 0;
  const inGroup = groupIn(system, group);
  const transport = type === "udp" ? TRANSPORT_UDP : TRANSPORT_TCP;
  const inSystem = openOf(system);
  const address = system.linux.openSocket(inSystem, reuse, device, inGroup, privileged, transport);
  return newSocket(system, address, type, group, device);
}

/** The address of a group, which the system knows from then on; 0: none. */
export function groupIn({ core, groups }: System, group: PortGroup | undefined): number {
  if (group === undefined) return 0;
  const address = groupAddress(group, core);
  groups.set(address, group);
  return address;
}

/**
 * Opens a TCP socket without options.
 * @internal
 */
export function openPlainSocket(system: System): Linux2632Socket {
  const address = system.linux.openSocket(openOf(system), 0, 0, 0, 0, TRANSPORT_TCP);
  return newSocket(system, address, "tcp", undefined, 0);
}

function newSocket(
  system: System,
  address: number,
  type: "tcp" | "udp",
  group: PortGroup | undefined,
  device: number,
): Linux2632Socket {
  if (address === 0) throw noMemory(`a socket, limit ${system.limit} bytes`);
  return new Linux2632Socket(system, address >>> 0, type, group, device);
}

/** A TCP or UDP socket, as far as its port is concerned. Made by `Linux2632Ports.socket`. */
export class Linux2632Socket implements Disposable {
  /** 1..4294967295: no other socket of the system has the same. */
  readonly id: number;
  /** The protocol. */
  readonly type: "tcp" | "udp";
  readonly #system: System;
  /** Where the core keeps the socket; 0 when it is gone. */
  #socket: number;
  #group: PortGroup | undefined;
  readonly #device: number;

  constructor(
    system: System,
    socket: number,
    type: "tcp" | "udp",
    group: PortGroup | undefined,
    device: number,
  ) {
    this.#device = device;
    this.id = system.linux.id(socket);
    this.type = type;
    this.#system = system;
    this.#socket = socket;
    this.#group = group;
  }

  /**
   * Gives the socket a local address and port (Linux `inet_csk_get_port`; UDP: `udp_lib_get_port`).
   * @param address IPv4 or IPv6 text; `""`, `"0.0.0.0"` and `"::"` are any.
   * @param port 1..65535, within the group's bind range, whatever the local port range and the
   * reserved ports are; or 0 for a port of the local range that is not reserved, within the
   * group's bind range, searched from a random start.
   * @returns the port.
   * @throws PortError `EADDRINUSE`: the port conflicts with another owner's, lies outside the
   * group's range, or no port is left; the socket then has neither port nor address. `EACCES`: the
   * port is privileged; `EINVAL`: the socket has a port, or listens, or is connected; `ENOBUFS`;
   * `EBADF`; and those of bad arguments.
   */
  bind(address: AddressLike, port: number): number {
    if (address === undefined) throw wrongType("address", 'an IP address, or "" for any', address);
    const local = parseAddress("address", address);
    const named = checkGivenPort(port);
    const socket = this.#open();
    const { core, linux } = this.#system;
    writeEnds(core, local, ANY, 0);
    if (named === 0) return this.#search("bind", linux.bindAny, local);
    const answer = linux.bindAt(socket, named);
    if (answer < 0) throw this.#refused(answer, "bind", local, named);
    return answer;
  }

  /**
   * Says whether bind() would get the port now, and if not, which holder or limit is in the way.
   * Changes nothing. For port 0 of a socket with SO_REUSEADDR, bind() may fail by chance all the
   * same: the search stops at ports that others share.
   * @throws PortError `EBADF`, and those of bad arguments.
   */
  explainBind(address: AddressLike, port: number): LinuxExplanation<Linux2632Record> {
    const local = parseAddress("address", address);
    const named = checkGivenPort(port);
    return explainBind2632(this.#system, this.#asked(local, named));
  }

  /**
   * Lets the socket listen, which asks for its port once more, as one that listens; a socket
   * without a port gets one as by `bind("", 0)`. A socket that listens already goes on.
   * @returns the port.
   * @throws PortError `EADDRINUSE`: another owner does not let it listen, or its group's range has
   * changed; a socket with a port keeps it. `EINVAL`: the socket is connected; `EOPNOTSUPP`: it is
   * a UDP socket; `ENOBUFS`; `EBADF`.
   */
  listen(): number {
    const socket = this.#open();
    if (this.type === "udp") {
      const details = { syscall: "listen" };
      throw new PortError("EOPNOTSUPP", "wrong-state", "a UDP socket does not listen", details);
    }
    const { core, linux } = this.#system;
    if (linux.port(socket) === 0) {
      writeEnds(core, ANY, ANY, 0);
      linux.preferOwnAddress(socket);
      return this.#search("listen", linux.listenAny, ANY);
    }
    core.written = undefined; // listenBound writes the request block
    const answer = linux.listenBound(socket);
    if (answer < 0) throw this.#refused(answer, "listen", this.#own(), this.port);
    return answer;
  }

  /**
   * Connects the socket (Linux `__inet_hash_connect`). One without a port gets one of the local
   * range that is not reserved, within the group's connect range, which no bind() holds and
   * whose tuple is not taken.
   *
   * A UDP socket without a port gets one as by `bind("", 0)`, but from the group's connect range
   * (Linux `inet_autobind`); tuples do not matter, and it may connect again.
   * @param address IPv4 or IPv6 text of the remote end.
   * @param port 1..65535, of the remote end.
   * @returns the local port.
   * @throws PortError `EADDRNOTAVAIL`: no port is left for this destination, or the tuple of the
   * socket's port is taken; a port that bind() had picked is released then. `EAGAIN`: no port is
   * left for a UDP socket. `EISCONN`: the socket listens or is connected; `ENOBUFS`; `EBADF`; and
   * those of bad arguments.
   */
  connect(address: AddressLike, port: number, options?: Linux2632ConnectOptions): number {
    const remote = parseAddress("address", address);
    if (remote === ANY) throw wrongValue("address", "the address of the remote end", address);
    const remotePort = checkPort(port);
    const system = this.#system;
    let local = system.localAddress;
    let offset: number | undefined;
    if (options !== undefined) {
      const names = ["localAddress", "offset"];
      const { localAddress, offset: wanted } = readOptions("options", options, names);
      if (localAddress !== undefined) local = parseLocal(localAddress);
      offset = wanted === undefined ? undefined : checkUint32("offset", wanted);
    }
    const socket = this.#open();
    const { core, linux } = system;
    if (this.type === "udp") return this.#connectDatagram(local, offset);
    writeEnds(core, local, remote, remotePort);
    const before = linux.port(socket);
    // A socket that has a port needs no search.
    const answer =
      offset === undefined && before === 0
        ? this.#connectBySelection(socket)
        : linux.connectSocket(socket, 1, PORT_MAX, offset ?? 0);
    if (answer < 0) {
      const to = ` -> ${showEnd(remote.text, remotePort)}`;
      const about = this.#about(system.connectSelection);
      const error = refusedConnect(answer, { ...about, port: before }, this.address, to);
      throw this.#explainedTo(error, local, before, remote, remotePort);
    }
    return answer;
  }

  /**
   * Closes the socket and gives its port back, at once or, for a connected one, after TIME_WAIT:
   * then its tuple stays taken until `Linux2632Ports.expireTimeWait` finds it old enough. A second
   * call does nothing.
   * @throws PortError `EINVAL`: TIME_WAIT is for connected TCP sockets; `ENOBUFS`: no memory for the
   * TIME_WAIT, and the socket is as it was; and those of bad arguments.
   */
  close(options?: Linux2632CloseOptions): void {
    if (!this.#isOpen()) return;
    const { linux } = this.#system;
    const stamp = options === undefined ? undefined : this.#checkClose(options);
    if (!this.#isOpen()) return; // an option's getter may have closed it
    if (stamp === undefined) {
      linux.closeSocket(this.#socket);
    } else {
      const answer = linux.closeToWait(this.#socket, stamp);
      if (answer === BAD_STATE)
        throw wrongState("close", "only a connected TCP socket has TIME_WAIT");
      if (answer === NO_MEMORY) throw this.#noMemory("a TIME_WAIT");
    }
    this.#socket = 0;
  }

  /** As {@link close} without TIME_WAIT, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The local port; 0: the socket has none, or is gone. */
  get port(): number {
    return this.#isOpen() ? this.#system.linux.port(this.#socket) : 0;
  }

  /** The local address as canonical text; `""` is any, or none. */
  get address(): string {
    if (!this.#isOpen()) return "";
    const { linux } = this.#system;
    return textOf([0, 1, 2, 3].map((index) => linux.addressWord(this.#socket, index) >>> 0));
  }

  /** The socket's state. */
  get state(): Linux2632State {
    if (!this.#isOpen()) return "gone";
    return STATES[this.#system.linux.state(this.#socket)] as Linux2632State;
  }

  /**
   * `SO_REUSEADDR`. Setting it acts on later conflicts; what the port's record says of its owners
   * so far stays.
   * @throws PortError (set) `ENOBUFS`, `EBADF`, `ERR_INVALID_ARG_TYPE`.
   */
  get reuseAddr(): boolean {
    return this.#isOpen() && this.#system.linux.hasReuse(this.#socket) !== 0;
  }

  set reuseAddr(reuse: boolean) {
    if (typeof reuse !== "boolean") throw wrongType("reuseAddr", "a boolean", reuse);
    const bit = reuse ? 1 : 0;
    const answer = this.#system.linux.setSocketReuse(this.#open(), bit);
    if (answer < 0) throw this.#noMemory("another way to hold a port");
  }

  /**
   * The group whose port ranges apply. Setting it leaves the socket its port.
   * @throws PortError (set) `EBADF`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ENOENT`.
   */
  get group(): PortGroup | undefined {
    return this.#group;
  }

  set group(group: PortGroup | undefined) {
    const address = groupIn(this.#system, group);
    this.#system.linux.moveSocket(this.#open(), address);
    this.#group = group;
  }

  // ── Searching ───────────────────────────────────────────────────────────────────────────

  /** The search of bind() or listen() with port 0. */
  #search(syscall: string, ask: Exports2632["bindAny"], local: Address): number {
    const { bindSelection, linux } = this.#system;
    const answer =
      bindSelection.algorithm === "random"
        ? this.#searchFromRandom(ask, local)
        : this.#searchBySelection(bindSelection, linux.bindRange, (first, last, offset) =>
            ask(this.#socket, first, last, offset, POLICY_DRAW),
          );
    if (answer < 0) throw this.#refused(answer, syscall, local, 0);
    return answer;
  }

  #refused(refusal: number, syscall: string, { text }: Address, port: number): PortError {
    const error = refusedBind(refusal, this.#about(), syscall, text, port);
    const explain = (): LinuxExplanation<Linux2632Record> =>
      syscall === "bind"
        ? this.explainBind(text, port)
        : explainListen2632(this.#system, this.#asked(this.#own(), this.port));
    return explained(error, explain);
  }

  /** The error of a refused connect(), where the port is to blame, with its explanation. */
  #explainedTo(
    error: PortError,
    local: Address,
    port: number,
    remote: Address,
    remotePort: number,
  ): PortError {
    if (error.reason === "no-memory") return error;
    return explained(error, () => {
      const own = this.#own();
      const asked = this.#asked(own === ANY ? local : own, port);
      return explainConnect2632(this.#system, asked, remote, remotePort);
    });
  }

  /**
   * As the kernel does it: another draw, at most five times, when what was found cannot be shared.
   */
  #searchFromRandom(ask: Exports2632["bindAny"], local: Address): number {
    const { core, linux, draw } = this.#system;
    // A call that is refused without a search must not draw, where the caller could see it.
    if (this.#system.isWatched && isEmpty(linux.bindRange(this.#socket))) {
      return ask(this.#socket, 1, PORT_MAX, 0, LAST_DRAW);
    }
    for (let retries = RETRIES_MAX; ; retries--) {
      const random = draw();
      // The caller's draw may have used or closed the socket.
      const socket = this.#open();
      writeEnds(core, local, ANY, 0);
      const answer = ask(socket, 1, PORT_MAX, random, retries === 0 ? LAST_DRAW : FIRST_DRAW);
      if (answer !== AGAIN) return answer;
    }
  }

  #connectBySelection(socket: number): number {
    const { connectSelection: selection, linux } = this.#system;
    // The kernel's own: a keyed hash, to which the core adds the hint that it keeps.
    if (selection.algorithm === "hash") return linux.connectByHash(socket, selection.selector);
    linux.preferOwnAddress(socket);
    return this.#searchBySelection(selection, linux.connectRange, (first, last, offset) => {
      // The core begins one step behind hint and offset, and its sums jump at 2^32.
      const index = offset % (last - first + 1);
      const start = index - 1 - linux.connectHint(this.#system.address);
      return linux.connectSocket(socket, first, last, start >>> 0);
    });
  }

  #connectDatagram(local: Address, offset: number | undefined): number {
    const { core, linux } = this.#system;
    const ask: Search = (first, last, start) => {
      const socket = this.#open(); // the caller's draw may have closed it
      writeEnds(core, local, ANY, 0);
      return linux.connectUdp(socket, first, last, start);
    };
    const isSettled = offset !== undefined || linux.port(this.#socket) !== 0;
    const answer = isSettled ? ask(1, PORT_MAX, offset ?? 0) : this.#pickDatagram(ask, local);
    if (answer >= 0) return answer;
    const error = refusedConnect(answer, this.#about(), this.address, "");
    throw this.#explainedTo(error, local, 0, ANY, 0);
  }

  /** The search for the port of a UDP socket that connects without one. */
  #pickDatagram(ask: Search, local: Address): number {
    const { bindSelection, core, linux, draw } = this.#system;
    const { connectRange } = linux;
    // A call that is refused without a search does not draw.
    if (isEmpty(connectRange(this.#socket))) return ask(1, PORT_MAX, 0);
    if (bindSelection.algorithm === "random") return ask(1, PORT_MAX, draw());
    writeEnds(core, local, ANY, 0); // for the policies that hash it
    return this.#searchBySelection(bindSelection, connectRange, ask);
  }

  #searchBySelection(
    selection: Selection,
    rangeOf: (socket: number) => number,
    ask: Search,
  ): number {
    const range = unpackRange(rangeOf(this.#socket));
    if (range === undefined) return ask(1, PORT_MAX, 0); // to be refused
    return searchBy(selection, selection.place, range, ask);
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #isOpen(): boolean {
    return this.#socket !== 0 && this.#system.address !== 0;
  }

  /** The socket's own address. */
  #own(): Address {
    return parseAddress("address", this.address);
  }

  /** The explanation for an address and a port. */
  #asked(local: Address, port: number): Asked2632 {
    const [socket, device] = [this.#open(), this.#device];
    const { id, type, reuseAddr, group } = this;
    return { socket, id, type, local, port, reuseAddr, device, group };
  }

  #open(): number {
    if (this.#socket === 0) throw closed("socket");
    openOf(this.#system);
    return this.#socket;
  }

  /** The stamp of a TIME_WAIT, negative if there is none; undefined: no TIME_WAIT. */
  #checkClose(options: Linux2632CloseOptions): number | undefined {
    const { timeWait, timestamp } = readOptions("options", options, ["timeWait", "timestamp"]);
    const waits = checkBoolean("timeWait", timeWait);
    const now = this.#isOpen() ? this.#system.linux.currentTime(this.#system.address) : 0;
    if (timestamp === null) return waits ? -1 : undefined;
    const valid = `milliseconds in 0..${now}, or null`;
    if (timestamp !== undefined && typeof timestamp !== "number") {
      throw wrongType("timestamp", valid, timestamp);
    }
    if (timestamp !== undefined && !(timestamp >= 0 && timestamp <= now)) {
      throw outOfRange("timestamp", valid, timestamp);
    }
    return waits ? (timestamp ?? now) : undefined;
  }

  #noMemory(what: string): PortError {
    return noMemory(`${what}, limit ${this.#system.limit} bytes`);
  }

  /** The socket, as the errors of refusals describe it. */
  #about(selection = this.#system.bindSelection): About {
    const { core, linux, address, limit } = this.#system;
    const { type, state, port } = this;
    return {
      core,
      linux,
      system: address,
      socket: this.#socket,
      limit,
      type,
      state,
      port,
      group: this.#group,
      isDrawn: selection.isDrawn,
    };
  }
}
