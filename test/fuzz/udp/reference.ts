// The model of UDP and the model of TCP, which know nothing of each other, side by side. They share
// the tree of groups, the settings, and where draws come from.

import { SeededRandom } from "../../../bindings/core/random.ts";
import type { ReferenceSocket } from "../../models/reference-linux.ts";
import { ReferenceUdp, type UdpSocket } from "../../models/reference-udp.ts";
import { ReferenceLinux } from "../../replay/linux-reference.ts";
import type { ConnectRequest, Look, Outcome, SocketRequest } from "../../replay/linux-system.ts";
import type { Setup } from "./setup.ts";

type Socket = ReferenceSocket | UdpSocket;

export type NewModel = (draw: () => number) => ReferenceUdp;

export class Reference extends ReferenceLinux {
  readonly udp: ReferenceUdp;
  readonly #seeded: SeededRandom | undefined;

  constructor(setup: Setup, newModel: NewModel = (draw) => new ReferenceUdp(draw)) {
    super(setup.hint);
    this.#seeded = setup.seed === undefined ? undefined : new SeededRandom(setup.seed);
    this.udp = newModel(() => this.draw());
    this.udp.localAddress = setup.localAddress;
    this.udp.unprivilegedStart = setup.unprivilegedStart;
  }

  protected override draw(): number {
    return this.#seeded?.next() ?? super.draw();
  }

  override socket(request: SocketRequest): ReferenceSocket & UdpSocket {
    const { type, reuse, device, privileged = true, group } = request;
    const socket =
      type === "udp"
        ? this.udp.socket(reuse, device, privileged, this.ports.group(group))
        : super.socket(request);
    return socket as ReferenceSocket & UdpSocket;
  }

  override bind(socket: Socket, address: string, port: number, random: readonly number[]): Outcome {
    if (!isUdp(socket)) return super.bind(socket, address, port, random);
    this.setDraws(random);
    return this.udp.bind(socket, address, port);
  }

  override listen(socket: Socket, random: readonly number[]): Outcome {
    if (!isUdp(socket)) return super.listen(socket, random);
    this.setDraws(random);
    return this.udp.listen(socket);
  }

  override connect(socket: Socket, request: ConnectRequest, portOffset?: number): Outcome {
    if (!isUdp(socket)) return super.connect(socket, request, portOffset);
    this.setDraws([]);
    return this.udp.connect(socket, request.local, portOffset);
  }

  override close(socket: Socket): void {
    if (isUdp(socket)) this.udp.close(socket);
    else super.close(socket);
  }

  override closeToTimeWait(socket: Socket, stamp: number | undefined): Outcome | undefined {
    if (isUdp(socket)) return this.udp.closeToTimeWait(socket);
    return super.closeToTimeWait(socket, stamp);
  }

  override setReserved(ports: readonly number[]): void {
    super.setReserved(ports);
    this.udp.reserved = this.ports.reserved;
  }

  override setLocalRange(first: number, last: number): void {
    super.setLocalRange(first, last);
    this.udp.range = this.ports.range;
  }

  override setUnprivilegedStart(port: number): void {
    this.udp.unprivilegedStart = port;
  }

  override stats(): { buckets: number; bsockets: number; hint: number } {
    const { bsockets, ...others } = super.stats();
    return { ...others, bsockets: bsockets + this.udp.owners };
  }

  override look(socket: Socket): Look {
    if (!isUdp(socket)) return super.look(socket);
    const { reuse, port, address, state } = socket;
    return { type: "udp", reuse, port, address, state };
  }
}

function isUdp(socket: Socket): socket is UdpSocket {
  return "privileged" in socket;
}
