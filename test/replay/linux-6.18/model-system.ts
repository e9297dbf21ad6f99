// The reference model of Linux 6.18 as a system to replay on.

import { Kernel, type Socket } from "../../models/linux-6.18/kernel.ts";
import type { Random } from "../../models/linux-6.18/picking.ts";
import { TimeWait } from "../../models/linux-6.18/socket.ts";
import type { Flag, Setup, System } from "./system.ts";

export function openModel(setup: Setup): ModelSystem {
  return new ModelSystem(setup);
}

export class ModelSystem extends Kernel implements System<Socket> {
  readonly #devices: ReadonlySet<number>;
  #range = "32768\t60999";

  constructor({ sysctl, addresses, devices, seed }: Setup) {
    super({ addresses, random: seeded(seed) });
    // LinuxPorts has no two connections with one tuple of one device: one takes the place
    // of the TIME_WAIT of its device, and none that of a live one. In the kernel the newest
    // decides.
    this.host.decides = (met, device) =>
      met.find((other) => !(other instanceof TimeWait)) ??
      met.find((other) => other.device === device) ??
      met[0];
    this.#devices = new Set(devices);
    for (const [name, text] of Object.entries(sysctl)) this.sysctl(name, text);
  }

  setFlag(socket: Socket, flag: Flag, value: boolean): string {
    if (flag === "v6only") return this.setV6only(socket, value);
    if (flag === "reuseaddr") socket.reuseAddr = value;
    else if (flag === "reuseport") socket.reusePort = value;
    else socket.bindsAddressOnly = value;
    return "ok";
  }

  setDevice(socket: Socket, device: number): string {
    if (device !== 0 && !this.#devices.has(device)) return "ENODEV";
    // The kernel allows that, too.
    if (device !== socket.device && this.host.hasEqual(socket, device)) return "EADDRINUSE";
    socket.device = device;
    return "ok";
  }

  range({ range }: Socket): readonly [number, number] {
    return [range.first, range.last];
  }

  advance(ms: number): void {
    this.setTime(this.host.now + ms);
  }

  override sysctl(name: string, text: string): string {
    if (name === "ip_local_port_range") this.#range = text.split(/\s+/).join("\t");
    return super.sysctl(name, text);
  }

  readSysctl(name: string): string {
    if (name !== "ip_local_port_range") throw new Error(`no replay reads ${name}`);
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
