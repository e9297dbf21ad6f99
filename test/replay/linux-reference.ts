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

  constructor(hint: number) {
    this.ports = new ReferenceLinuxPorts(() => this.#random[this.ports.drawn] ?? 0, hint);
  }

  get drawn(): number {
    return this.ports.drawn;
  }

  socket({ reuse, device, group }: SocketRequest): ReferenceSocket {
    return this.ports.socket(reuse, device, this.ports.group(group));
  }

  bind(socket: ReferenceSocket, address: string, port: number, random: readonly number[]): Outcome {
    this.#random = random;
    return this.ports.bind(socket, address, port);
  }

  listen(socket: ReferenceSocket, random: readonly number[]): Outcome {
    this.#random = random;
    return this.ports.listen(socket);
  }

  connect(socket: ReferenceSocket, request: ConnectRequest, portOffset: number): Outcome {
    return this.ports.connect(socket, request, portOffset);
  }

  close(socket: ReferenceSocket): void {
    this.ports.close(socket);
  }

  closeToTimeWait(socket: ReferenceSocket, stamp: number | undefined): void {
    this.ports.closeToTimeWait(socket, stamp);
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

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined {
    return this.ports.bucket(port);
  }

  stats(): { buckets: number; bsockets: number; hint: number } {
    return this.ports.stats();
  }

  look({ port, address, state }: ReferenceSocket): Look {
    return { port, address, state };
  }

  end(): Left {
    return { bytes: 0, uses: 0 };
  }
}
