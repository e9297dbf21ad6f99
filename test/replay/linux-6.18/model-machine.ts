// The reference model of Linux 6.18 as a machine to replay on.

import { Kernel, type Socket } from "../../models/linux-6.18/kernel.ts";
import type { Random } from "../../models/linux-6.18/picking.ts";
import type { Flag, Machine, Name, Setup, SocketType } from "./machine.ts";

export function openModel(setup: Setup): ModelMachine {
  return new ModelMachine(setup);
}

export class ModelMachine implements Machine<Socket> {
  readonly kernel: Kernel;
  readonly #devices: ReadonlySet<number>;
  #range = "32768\t60999";

  constructor({ sysctl, addresses, devices, seed }: Setup) {
    this.kernel = new Kernel({ addresses, random: seeded(seed) });
    this.#devices = new Set(devices);
    for (const [name, text] of Object.entries(sysctl)) this.sysctl(name, text);
  }

  socket(type: SocketType, uid: number): Socket {
    return this.kernel.socket(type, uid);
  }

  setFlag(socket: Socket, flag: Flag, value: boolean): string {
    if (flag === "v6only") return this.kernel.setV6only(socket, value);
    if (flag === "reuseaddr") socket.reuseAddr = value;
    else if (flag === "reuseport") socket.reusePort = value;
    else socket.bindsAddressOnly = value;
    return "ok";
  }

  setDevice(socket: Socket, device: number): string {
    if (device !== 0 && !this.#devices.has(device)) return "ENODEV";
    // The kernel allows that; LinuxPorts has no two connections with one tuple of one device.
    if (device !== socket.device && this.kernel.host.hasTwin(socket, device)) return "EADDRINUSE";
    socket.device = device;
    return "ok";
  }

  setRange(socket: Socket, first: number, last: number): string {
    return this.kernel.setRange(socket, first, last);
  }

  range({ range }: Socket): readonly [number, number] {
    return [range.first, range.last];
  }

  bind(socket: Socket, address: string, port: number, uid: number): string {
    return this.kernel.bind(socket, address, port, { isPrivileged: uid === 0 });
  }

  listen(socket: Socket): string {
    return this.kernel.listen(socket);
  }

  connect(socket: Socket, address: string, port: number): string {
    return this.kernel.connect(socket, address, port);
  }

  accept(listener: Socket): Socket | undefined {
    const accepted = this.kernel.accept(listener);
    return typeof accepted === "string" ? undefined : accepted;
  }

  disconnect(socket: Socket): string {
    return this.kernel.disconnect(socket);
  }

  close(socket: Socket, isReset: boolean): string {
    return this.kernel.close(socket, isReset);
  }

  name(socket: Socket): Name {
    return this.kernel.name(socket);
  }

  advance(ms: number): void {
    this.kernel.setTime(this.kernel.host.now + ms);
  }

  sysctl(name: string, text: string): string {
    if (name === "ip_local_port_range") this.#range = text.split(/\s+/).join("\t");
    this.kernel.sysctl(name, text);
    return "ok";
  }

  readSysctl(name: string): string {
    if (name !== "ip_local_port_range") throw new Error(`nobody reads ${name}`);
    return this.#range;
  }

  end(): { readonly bytes: number } {
    return { bytes: 0 };
  }
}

/** Marsaglia's xorshift: repeatable draws. */
export function seeded(seed: number): Random {
  let state = seed * 2 + 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((state >>> 0) / 2 ** 32) * bound);
  };
}
