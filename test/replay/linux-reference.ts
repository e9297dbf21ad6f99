// The reference model of Linux2632Ports as a system to replay on. It needs no core, so it can be
// judged alone.

import { ReferenceLinuxPorts, type ReferenceSocket } from "../models/reference-linux.ts";
import type {
  ConnectRequest,
  Left,
  LinuxSystem,
  Look,
  Outcome,
  Range,
  SocketRequest,
} from "./linux-system.ts";

export function openReferenceLinux(hint: number): ReferenceLinux {
  return new ReferenceLinux(hint);
}

export class ReferenceLinux implements LinuxSystem<ReferenceSocket> {
  readonly ports: ReferenceLinuxPorts;
  #random: readonly number[] = [];
  #drawn = 0;

  constructor(hint: number) {
    this.ports = new ReferenceLinuxPorts(() => this.draw(), hint);
  }

  get drawn(): number {
    return this.#drawn;
  }

  /** The next of what the last call was given. */
  protected draw(): number {
    return this.#random[this.#drawn++] ?? 0;
  }

  protected setDraws(random: readonly number[]): void {
    this.#random = random;
    this.#drawn = 0;
  }

  socket({ reuse, device, group }: SocketRequest): ReferenceSocket {
    return this.ports.socket(reuse, device, this.ports.group(group));
  }

  bind(socket: ReferenceSocket, address: string, port: number, random: readonly number[]): Outcome {
    this.setDraws(random);
    return this.ports.bind(socket, address, port);
  }

  listen(socket: ReferenceSocket, random: readonly number[]): Outcome {
    this.setDraws(random);
    return this.ports.listen(socket);
  }

  connect(socket: ReferenceSocket, request: ConnectRequest, portOffset = 0): Outcome {
    this.setDraws([]);
    return this.ports.connect(socket, { ...request, local: request.local ?? "" }, portOffset);
  }

  close(socket: ReferenceSocket): void {
    this.ports.close(socket);
  }

  closeToTimeWait(socket: ReferenceSocket, stamp: number | undefined): Outcome | undefined {
    if (socket.state !== "connected") return "EINVAL";
    this.ports.closeToTimeWait(socket, stamp);
    return undefined;
  }

  expireTimeWait(): number {
    return this.ports.expireTimeWait();
  }

  setReuse(socket: ReferenceSocket, reuse: boolean): void {
    socket.reuse = reuse;
  }

  moveSocket(socket: ReferenceSocket, group: string): void {
    socket.group = this.ports.group(group);
  }

  setGroup(group: string, kind: "bind" | "connect", range: Range | undefined): void {
    this.ports.group(group)[kind] = range;
  }

  setReserved(ports: readonly number[]): void {
    this.ports.reserved = new Set(ports);
  }

  setLocalRange(first: number, last: number): void {
    this.ports.range = { first, last };
  }

  setNow(seconds: number): void {
    this.ports.now = seconds;
  }

  setTwReuse(value: 0 | 1): void {
    this.ports.reusesTimeWait = value === 1;
  }

  /** The model lets every socket have every port: it knows no privileged ones. */
  setUnprivilegedStart(_port: number): void {}

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined {
    return this.ports.bucket(port);
  }

  stats(): { buckets: number; bsockets: number; hint: number } {
    return this.ports.stats();
  }

  look({ reuse, port, address, state }: ReferenceSocket): Look {
    return { type: "tcp", reuse, port, address, state };
  }

  end(): Left {
    return { bytes: 0, uses: 0 };
  }
}
