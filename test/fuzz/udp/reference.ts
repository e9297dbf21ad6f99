// The model of UDP and the model of TCP, which know nothing of each other, side by
// side. They share the tree of groups, the settings, and where draws come from.

import { SeededRandom } from "../../../bindings/core/random.ts";
import { ReferenceLinuxPorts, type ReferenceSocket } from "../../models/reference-linux.ts";
import { ReferenceUdp, type UdpSocket } from "../../models/reference-udp.ts";
import type { Answer, Known, Look, Operation, PairMetrics, System, Type } from "./operation.ts";
import type { Setup } from "./setup.ts";

type Socket =
  | { readonly type: "udp"; readonly its: UdpSocket }
  | { readonly type: "tcp"; readonly its: ReferenceSocket };

export type NewModel = (draw: () => number) => ReferenceUdp;

export class Reference implements System {
  readonly udp: ReferenceUdp;
  readonly tcp: ReferenceLinuxPorts;
  readonly #sockets = new Map<number, Socket>();
  #draws: readonly number[] = [];
  drawn = 0;

  constructor(setup: Setup, newModel: NewModel = (draw) => new ReferenceUdp(draw)) {
    const seeded = setup.seed === undefined ? undefined : new SeededRandom(setup.seed);
    const draw = (): number => seeded?.next() ?? this.#draws[this.drawn++] ?? 0;
    this.udp = newModel(draw);
    this.tcp = new ReferenceLinuxPorts(draw, setup.hint);
    this.udp.localAddress = setup.localAddress;
    this.udp.range = this.tcp.range = { first: setup.first, last: setup.last };
    this.udp.unprivilegedStart = setup.unprivilegedStart;
  }

  /** The sockets that are open, oldest first. */
  get open(): number[] {
    return [...this.#sockets.keys()];
  }

  get count(): number {
    return this.#sockets.size;
  }

  has(sock: number): boolean {
    return this.#sockets.has(sock);
  }

  perform(operation: Operation): Answer {
    this.#draws = operation.draws ?? [];
    this.drawn = 0;
    const { udp, tcp } = this;
    switch (operation.op) {
      case "socket": {
        const { sock, type, reuse, device, privileged } = operation;
        const group = tcp.group(operation.group);
        if (type === "tcp")
          this.#sockets.set(sock, { type, its: tcp.socket(reuse, device, group) });
        else this.#sockets.set(sock, { type, its: udp.socket(reuse, device, privileged, group) });
        return "done";
      }
      case "setGroup":
        tcp.group(operation.group)[operation.kind] = operation.range;
        return "done";
      case "setReserved":
        udp.reserved = tcp.reserved = new Set(operation.ports);
        return "done";
      case "setRange":
        udp.range = tcp.range = { first: operation.first, last: operation.last };
        return "done";
      case "setUnprivilegedStart":
        udp.unprivilegedStart = operation.start;
        return "done";
      case "setNow":
        tcp.now = operation.now;
        return "done";
      case "expireTimeWait":
        return tcp.expireTimeWait();
      default: {
        const socket = this.#socket(operation.sock);
        const answer =
          socket.type === "udp"
            ? this.#performUdp(socket.its, operation)
            : this.#performTcp(socket.its, operation);
        const isClose = operation.op === "close" || operation.op === "closeToTimeWait";
        if (isClose && answer === "done") this.#sockets.delete(operation.sock);
        return answer;
      }
    }
  }

  look(sock: number): Look {
    const { type, its } = this.#socket(sock);
    const { state, address, port, reuse } = its;
    return { type, state, address, port, reuse };
  }

  typeOf(sock: number): Type {
    return this.#socket(sock).type;
  }

  /** An open UDP socket. */
  datagram(sock: number): UdpSocket | undefined {
    const socket = this.#sockets.get(sock);
    return socket?.type === "udp" ? socket.its : undefined;
  }

  figures(): PairMetrics {
    const { buckets, bsockets, hint } = this.tcp.stats();
    return { buckets, sockets: bsockets + this.udp.owners, hint };
  }

  record(port: number): Known | undefined {
    return this.tcp.bucket(port);
  }

  #performUdp(socket: UdpSocket, operation: Operation): Answer {
    switch (operation.op) {
      case "bind":
        return this.udp.bind(socket, operation.address, operation.port);
      case "connect":
        return this.udp.connect(socket, operation.local, operation.offset);
      case "listen":
        return this.udp.listen(socket);
      case "close":
        this.udp.close(socket);
        return "done";
      case "closeToTimeWait":
        return this.udp.closeToTimeWait(socket);
      default:
        return this.#change(socket, operation);
    }
  }

  #performTcp(socket: ReferenceSocket, operation: Operation): Answer {
    const { tcp } = this;
    switch (operation.op) {
      case "bind":
        return inCodes(tcp.bind(socket, operation.address, operation.port));
      case "connect": {
        const { local = "", remote, remotePort, offset = 0 } = operation;
        return inCodes(tcp.connect(socket, { local, remote, remotePort }, offset));
      }
      case "listen":
        return inCodes(tcp.listen(socket));
      case "close":
        tcp.close(socket);
        return "done";
      case "closeToTimeWait":
        if (socket.state !== "connected") return { code: "EINVAL" };
        tcp.closeToTimeWait(socket, operation.stamp ?? undefined);
        return "done";
      default:
        return this.#change(socket, operation);
    }
  }

  #change(socket: UdpSocket | ReferenceSocket, operation: Operation): Answer {
    if (operation.op === "setReuse") socket.reuse = operation.reuse;
    if (operation.op === "moveSocket") socket.group = this.tcp.group(operation.group);
    return "done";
  }

  #socket(sock: number): Socket {
    return this.#sockets.get(sock) as Socket;
  }
}

function inCodes(answer: number | string): Answer {
  return typeof answer === "number" ? answer : { code: answer };
}
