// Linux2632Ports as a system to replay on, with a tree of groups of its own. Seconds become
// milliseconds, groups are made when they are first heard of, and sockets are privileged: the
// vectors know no privileged ports.

import { PortError } from "../../bindings/errors.ts";
import { type PortGroup, PortGroups } from "../../bindings/groups/group.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../bindings/linux/rules/2.6.32/socket.ts";
import type {
  ConnectRequest,
  Left,
  LinuxSystem,
  Look,
  Outcome,
  Range,
  SocketRequest,
} from "./linux-system.ts";

interface Options {
  readonly module?: WebAssembly.Module;
  readonly linuxModule?: WebAssembly.Module;
  readonly memoryLimit?: number;
}

/** What the rules may answer. Any other error is no answer. */
const REFUSALS = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EINVAL", "EISCONN"]);
const MS = 1000;

export function openLinuxPorts(hint: number, options: Options = {}): OnLinuxPorts {
  return new OnLinuxPorts(hint, options);
}

export class OnLinuxPorts implements LinuxSystem<Linux2632Socket> {
  readonly ports: Linux2632Ports;
  readonly #tree: PortGroups;
  readonly #groups = new Map<string, PortGroup>();
  readonly #usedAtOpen: number;
  #random: readonly number[] = [];
  drawn = 0;

  constructor(hint: number, options: Options) {
    const { module } = options;
    this.#tree = PortGroups.open(module === undefined ? {} : { module });
    const random = (): number => this.#random[this.drawn++] ?? 0;
    this.ports = Linux2632Ports.open({ ...options, unprivilegedPortStart: 0, hint, random });
    this.#usedAtOpen = this.ports.stats().memory.used;
  }

  socket({ reuse, device, group }: SocketRequest): Linux2632Socket {
    const where = this.#group(group);
    const options = { reuseAddr: reuse, bindToDevice: device, group: where, privileged: true };
    return this.ports.socket(options);
  }

  bind(socket: Linux2632Socket, address: string, port: number, random: readonly number[]): Outcome {
    this.#draws(random);
    return outcome(() => socket.bind(address, port));
  }

  listen(socket: Linux2632Socket, random: readonly number[]): Outcome {
    this.#draws(random);
    return outcome(() => socket.listen());
  }

  connect(
    socket: Linux2632Socket,
    { local, remote, remotePort }: ConnectRequest,
    offset: number,
  ): Outcome {
    return outcome(() => socket.connect(remote, remotePort, { localAddress: local, offset }));
  }

  close(socket: Linux2632Socket): void {
    socket.close();
  }

  closeToTimeWait(socket: Linux2632Socket, stamp: number | undefined): void {
    socket.close({ timeWait: true, timestamp: stamp === undefined ? null : stamp * MS });
  }

  expireTimeWait(): number {
    return this.ports.expireTimeWait();
  }

  setReuse(socket: Linux2632Socket, reuse: boolean): void {
    socket.reuseAddr = reuse;
  }

  moveSocket(socket: Linux2632Socket, group: string): void {
    socket.group = this.#group(group);
  }

  setGroup(path: string, kind: "bind" | "connect", range: Range | undefined): void {
    const group = this.#group(path);
    if (kind === "bind") group.bindPortRange = range;
    else group.connectPortRange = range;
  }

  setReserved(ports: readonly number[]): void {
    this.ports.reserved.text = ports.join(",");
  }

  setLocalRange(first: number, last: number): void {
    this.ports.setPortRange(first, last);
  }

  setNow(seconds: number): void {
    this.ports.setTime(seconds * MS);
  }

  setTwReuse(value: 0 | 1): void {
    this.ports.tcpTwReuse = value;
  }

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined {
    return this.ports.bindBucket(port);
  }

  stats(): { buckets: number; bsockets: number; hint: number } {
    const { buckets, sockets } = this.ports.stats();
    return { buckets, bsockets: sockets, hint: this.ports.hint };
  }

  look({ port, address, state }: Linux2632Socket): Look {
    return { port, address, state };
  }

  /** The tree would refuse to be closed while a group is used. */
  end(): Left {
    const bytes = this.ports.stats().memory.used - this.#usedAtOpen;
    this.ports.close();
    let { uses } = this.#tree.root;
    for (const group of this.#groups.values()) uses += group.uses;
    this.#tree.close();
    return { bytes, uses };
  }

  #draws(random: readonly number[]): void {
    this.#random = random;
    this.drawn = 0;
  }

  #group(path: string): PortGroup {
    if (path === "/") return this.#tree.root;
    let group = this.#groups.get(path);
    if (group === undefined) {
      group = this.#made(path);
      this.#groups.set(path, group);
    }
    return group;
  }

  /** It may be there already, as the parent of another. */
  #made(path: string): PortGroup {
    try {
      return this.#tree.get(path);
    } catch (error) {
      if (error instanceof PortError && error.code === "ENOENT") return this.#tree.create(path);
      throw error;
    }
  }
}

function outcome(ask: () => number): Outcome {
  try {
    return ask();
  } catch (error) {
    if (error instanceof PortError && REFUSALS.has(error.code)) return error.code;
    throw error;
  }
}
