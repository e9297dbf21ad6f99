// Linux2632Ports as a system to replay on, with a tree of groups of its own. Seconds become
// milliseconds, groups are made when an event first names them, and sockets are privileged unless
// an event says that they are not.

import { PortError } from "../../bindings/errors.ts";
import { type PortGroup, PortGroups } from "../../bindings/groups/group.ts";
import type { Linux2632Settings } from "../../bindings/linux/rules/2.6.32/options.ts";
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

type Options = Omit<Linux2632Settings, "hint" | "random">;

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
    const chance = options.seed === undefined ? { random } : {};
    this.ports = Linux2632Ports.open({ unprivilegedPortStart: 0, hint, ...chance, ...options });
    this.#usedAtOpen = this.used;
  }

  get used(): number {
    return this.ports.stats().memory.used;
  }

  socket({
    type = "tcp",
    reuse,
    device,
    group,
    privileged = true,
  }: SocketRequest): Linux2632Socket {
    const options = { type, reuseAddr: reuse, bindToDevice: device, privileged };
    return this.ports.socket({ ...options, group: this.#group(group) });
  }

  bind(socket: Linux2632Socket, address: string, port: number, random: readonly number[]): Outcome {
    this.#draws(random);
    return this.outcome(socket, () => socket.bind(address, port));
  }

  listen(socket: Linux2632Socket, random: readonly number[]): Outcome {
    this.#draws(random);
    return this.outcome(socket, () => socket.listen());
  }

  connect(
    socket: Linux2632Socket,
    { local, remote, remotePort }: ConnectRequest,
    offset: number | undefined,
  ): Outcome {
    const how = { localAddress: local, offset };
    this.#draws([]);
    return this.outcome(socket, () => socket.connect(remote, remotePort, how));
  }

  close(socket: Linux2632Socket): void {
    socket.close();
  }

  closeToTimeWait(socket: Linux2632Socket, stamp: number | undefined): Outcome | undefined {
    const timestamp = stamp === undefined ? null : stamp * MS;
    return this.outcome(socket, () => {
      socket.close({ timeWait: true, timestamp });
      return undefined;
    });
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

  setUnprivilegedStart(port: number): void {
    this.ports.unprivilegedPortStart = port;
  }

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined {
    return this.ports.bindBucket(port);
  }

  stats(): { buckets: number; bsockets: number; hint: number } {
    const { buckets, sockets } = this.ports.stats();
    return { buckets, bsockets: sockets, hint: this.ports.hint };
  }

  look({ type, reuseAddr: reuse, port, address, state }: Linux2632Socket): Look {
    return { type, reuse, port, address, state };
  }

  /** The tree would refuse to be closed while a group is used. */
  end(): Left {
    const bytes = this.used - this.#usedAtOpen;
    this.ports.close();
    let { uses } = this.#tree.root;
    for (const group of this.#groups.values()) uses += group.uses;
    this.#tree.close();
    return { bytes, uses };
  }

  /** A refusal is an answer; any other error is none. */
  protected outcome<T>(_socket: Linux2632Socket, ask: () => T): T | Outcome {
    try {
      return ask();
    } catch (error) {
      if (error instanceof PortError && REFUSALS.has(error.code)) return error.code;
      throw error;
    }
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
