// The reference model of UDP ports: one list of sockets, and a loop over it for each question. It
// is the second opinion about the UDP sockets of Linux2632Ports.
//
//   conflict    devices overlap, addresses overlap, and not both have SO_REUSEADDR
//   bind        the explicit port; port 0: the first without conflict from a random start on
//   connect     without a port one more search, as of a socket at its own address, or at any; then
//               the local address is fixed, if the socket has none
//
// It knows nothing of TCP. What is refused has changed nothing.

import { limited, type ReferenceGroup, type ReferenceRange } from "./reference-linux.ts";

export interface UdpSocket {
  reuse: boolean;
  /** 0: none. */
  readonly device: number;
  readonly privileged: boolean;
  group: ReferenceGroup;
  /** "": any. */
  address: string;
  /** 0: none. */
  port: number;
  state: "closed" | "connected";
}

export interface UdpRefusal {
  readonly code: string;
  readonly reason: string;
  readonly searched?: ReferenceRange;
}

/** The port. */
export type UdpAnswer = number | UdpRefusal;

export class ReferenceUdp {
  readonly #draw: () => number;
  readonly #sockets: UdpSocket[] = [];
  range: ReferenceRange = { first: 32768, last: 60999 };
  /** Never picked. */
  reserved: ReadonlySet<number> = new Set();
  unprivilegedStart = 1024;
  /** Of a socket that connects without an address. */
  localAddress = "127.0.0.1";

  /** @param draw gives where a search starts, as any number from 0 on. */
  constructor(draw: () => number) {
    this.#draw = draw;
  }

  socket(reuse: boolean, device: number, privileged: boolean, group: ReferenceGroup): UdpSocket {
    const options = { reuse, device, privileged, group };
    const socket: UdpSocket = { ...options, address: "", port: 0, state: "closed" };
    this.#sockets.push(socket);
    return socket;
  }

  bind(socket: UdpSocket, address: string, port: number): UdpAnswer {
    const needsPrivilege = port !== 0 && port < this.unprivilegedStart;
    if (needsPrivilege && !socket.privileged) return { code: "EACCES", reason: "privileged-port" };
    if (socket.port !== 0) return { code: "EINVAL", reason: "wrong-state" };
    const found = port === 0 ? this.#pick(socket, address, "bind") : port;
    if (typeof found !== "number") return { code: "EADDRINUSE", ...found };
    if (port !== 0) {
      const { first, last } = limited({ first: 1, last: 65535 }, socket.group, "bind");
      const isInside = first <= port && port <= last;
      if (!isInside) return { code: "EADDRINUSE", reason: "outside-group" };
      if (this.isTaken(socket, address, port)) return { code: "EADDRINUSE", reason: "port-in-use" };
    }
    socket.address = address;
    socket.port = found;
    return found;
  }

  /**
   * @param local the address that routing would choose; absent: that of the system.
   * @param offset where the search starts; absent: where a draw says.
   */
  connect(socket: UdpSocket, local?: string, offset?: number): UdpAnswer {
    if (socket.port === 0) {
      const found = this.#pick(socket, socket.address, "connect", offset);
      if (typeof found !== "number") return { code: "EAGAIN", ...found };
      socket.port = found;
    }
    if (socket.address === "") socket.address = local ?? this.localAddress;
    socket.state = "connected";
    return socket.port;
  }

  listen(_socket: UdpSocket): UdpAnswer {
    return { code: "EOPNOTSUPP", reason: "wrong-state" };
  }

  close(socket: UdpSocket): void {
    this.#sockets.splice(this.#sockets.indexOf(socket), 1);
  }

  closeToTimeWait(_socket: UdpSocket): UdpRefusal {
    return { code: "EINVAL", reason: "wrong-state" };
  }

  /** How many sockets have a port. */
  get owners(): number {
    return this.#sockets.filter(({ port }) => port !== 0).length;
  }

  /** Is an owner of the port in the way of a socket that wants it at that address? */
  isTaken(socket: UdpSocket, address: string, port: number): boolean {
    for (const owner of this.#sockets) {
      if (owner.port === port && this.isInTheWay(owner, socket, address)) return true;
    }
    return false;
  }

  isInTheWay(owner: UdpSocket, socket: UdpSocket, address: string): boolean {
    const devices = owner.device === 0 || socket.device === 0 || owner.device === socket.device;
    const addresses = owner.address === "" || address === "" || owner.address === address;
    return devices && addresses && !(owner.reuse && socket.reuse);
  }

  #pick(
    socket: UdpSocket,
    address: string,
    kind: "bind" | "connect",
    offset?: number,
  ): number | Omit<UdpRefusal, "code"> {
    const { first, last } = limited(this.range, socket.group, kind);
    const count = last - first + 1;
    // What the group has left nothing of.
    if (count <= 0) return { reason: "empty-range", searched: { ...this.range } };
    const start = offset ?? this.#draw();
    for (let step = 0; step < count; step++) {
      const port = first + (((start % count) + step) % count);
      if (!this.reserved.has(port) && !this.isTaken(socket, address, port)) return port;
    }
    return { reason: "no-port-available", searched: { first, last } };
  }
}
