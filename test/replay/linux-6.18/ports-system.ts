// LinuxPorts by the rules of Linux 6.18 as a system to replay on.

import { PortError } from "../../../bindings/errors.ts";
import { LinuxPorts } from "../../../bindings/linux/rules/6.18/ports.ts";
import type { LinuxSocket } from "../../../bindings/linux/rules/6.18/socket.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import type { Flag, Name, Setup, SocketType, System } from "./system.ts";

interface Modules {
  readonly module?: WebAssembly.Module;
  readonly linuxModule?: WebAssembly.Module;
}

const CALLS_PER_CHECK = 16;
const PROPERTIES = {
  reuseaddr: "reuseAddr",
  reuseport: "reusePort",
  v6only: "v6only",
  bind_no_port: "bindAddressNoPort",
} as const;

export function openPorts(setup: Setup, modules: Modules = {}): PortsSystem {
  return new PortsSystem(setup, modules);
}

export class PortsSystem implements System<LinuxSocket> {
  readonly ports: LinuxPorts;
  readonly #usedAtOpen: number;
  #calls = 0;

  constructor({ sysctl, addresses, devices, seed }: Setup, modules: Modules) {
    this.ports = LinuxPorts.open({ rules: "6.18", addresses, devices, seed, ...modules });
    for (const [name, text] of Object.entries(sysctl)) this.sysctl(name, text);
    this.#usedAtOpen = this.ports.stats().memory.used;
  }

  socket(type: SocketType, uid: number): LinuxSocket {
    return this.ports.socket({ type, uid });
  }

  setFlag(socket: LinuxSocket, flag: Flag, value: boolean): string {
    return this.#answer(() => {
      socket[PROPERTIES[flag]] = value;
    });
  }

  setDevice(socket: LinuxSocket, device: number): string {
    return this.#answer(() => {
      socket.bindToDevice = device;
    });
  }

  setRange(socket: LinuxSocket, first: number, last: number): string {
    return this.#answer(() => {
      socket.localPortRange = { first, last };
    });
  }

  range({ localPortRange: { first, last } }: LinuxSocket): readonly [number, number] {
    return [first, last];
  }

  bind(socket: LinuxSocket, address: string, port: number, uid: number): string {
    return this.#answer(() => socket.bind(address, port, uid));
  }

  listen(socket: LinuxSocket): string {
    return this.#answer(() => socket.listen());
  }

  connect(socket: LinuxSocket, address: string, port: number): string {
    return this.#answer(() => socket.connect(address, port));
  }

  accept(listener: LinuxSocket): LinuxSocket | undefined {
    try {
      return listener.accept();
    } catch (error) {
      if (error instanceof PortError && error.code === "EAGAIN") return undefined;
      throw error;
    }
  }

  disconnect(socket: LinuxSocket): string {
    return this.#answer(() => socket.disconnect());
  }

  shutdown(socket: LinuxSocket): string {
    return this.#answer(() => socket.shutdown());
  }

  close(socket: LinuxSocket, isReset: boolean): string {
    return this.#answer(() => socket.close({ reset: isReset }));
  }

  name(socket: LinuxSocket): Name {
    return socket.name;
  }

  advance(ms: number): void {
    this.ports.setTime(this.ports.time + ms);
    this.ports.expireTimeWait();
  }

  sysctl(name: string, text: string): string {
    return this.#answer(() => this.ports.sysctl.write(`net.ipv4.${name}`, text));
  }

  readSysctl(name: string): string {
    return this.ports.sysctl.read(`net.ipv4.${name}`);
  }

  /** TIME_WAITs outlive their sockets, so time passes first. */
  end(): { readonly bytes: number } {
    this.advance(10_000_000);
    const bytes = this.ports.stats().memory.used - this.#usedAtOpen;
    this.ports.close();
    return { bytes };
  }

  #answer(call: () => unknown): string {
    try {
      call();
    } catch (error) {
      if (error instanceof PortError && !error.code.startsWith("ERR_")) return error.code;
      throw error;
    }
    // In the debug build, whose check looks at everything.
    if (++this.#calls % CALLS_PER_CHECK === 0) verifyLinux(this.ports);
    return "ok";
  }
}
