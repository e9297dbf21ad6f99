// Recorded sequences of socket calls on Linux 6.18 (test/vectors/linux): each runs on a system of
// its own, with the listeners that the recorder had, and every answer is compared.

import { BadInput } from "../input.ts";
import { seedOf } from "./seed.ts";
import type { Flag, OpenSystem, Setup, SocketType, System } from "./system.ts";

export interface Environment {
  readonly servers?: readonly (readonly [address: string, port: number])[];
  readonly sysctl?: Readonly<Record<string, string | number>>;
  readonly v4?: readonly string[];
  readonly v6?: readonly string[];
  readonly veth?: number;
  readonly exec_as_owner?: number;
}

export type Call = readonly [string, ...unknown[]];

export interface Sequence {
  readonly id: number;
  readonly ops: readonly Call[];
  readonly r: readonly unknown[];
  readonly env?: Environment;
}

export interface Difference {
  readonly at: number;
  readonly call: unknown;
  readonly expected: unknown;
  readonly got: unknown;
}

const DEVICES: ReadonlyMap<string, number> = new Map(
  Object.entries({ "": 0, lo: 1, v0: 2, v1: 3 }),
);
const VETH_ADDRESSES = ["10.0.0.1", "10.0.1.1"];
const NO_DEVICE = 99;

export interface Known {
  readonly socket: unknown;
  readonly uid: number;
  /** The other end, as the recorder's server has accepted it. */
  peer?: unknown;
}

export function setupOf(env: Environment, seed: number): Setup {
  const { sysctl = {}, v4 = [], v6 = [], veth } = env;
  return {
    sysctl: Object.fromEntries(Object.entries(sysctl).map(([name, value]) => [name, `${value}`])),
    addresses: [...v4, ...v6, ...(veth === undefined ? [] : VETH_ADDRESSES)],
    devices: [1, 2, 3],
    seed,
  };
}

/** The first answer that differs, if one does; and the system has nothing left in the end. */
export function replaySequence(sequence: Sequence, open: OpenSystem): Difference | undefined {
  const { ops, r, env = {} } = sequence;
  const player = new Player(open(setupOf(env, seedOf(sequence.id))), env);
  for (const [at, call] of ops.entries()) {
    const got = player.play(call);
    if (got !== r[at]) return { at, call, expected: r[at], got };
  }
  const { bytes } = player.end();
  if (bytes === 0) return undefined;
  return { at: ops.length, call: "close everything", expected: { bytes: 0 }, got: { bytes } };
}

export class Player {
  protected readonly system: System;
  readonly #devices: ReadonlyMap<string, number>;
  readonly #isOwnersCall: boolean;
  readonly #servers = new Map<string, unknown>();
  protected readonly known: Map<unknown, Known> = new Map();

  constructor(
    system: System,
    { servers = [], exec_as_owner }: Environment,
    devices: ReadonlyMap<string, number> = DEVICES,
  ) {
    this.system = system;
    this.#devices = devices;
    this.#isOwnersCall = exec_as_owner !== undefined && exec_as_owner !== 0;
    for (const [address, port] of servers) this.#serve(address, port);
  }

  play([op, id, ...rest]: Call): unknown {
    if (op === "sleep") {
      this.system.advance(id as number);
      return "ok";
    }
    if (op === "socket") return this.#open(id, rest[0] as SocketType, (rest[1] as number) ?? 0);
    return this.#call(op, id, this.find(id), rest);
  }

  protected find(id: unknown): Known {
    const known = this.known.get(id);
    if (known === undefined) throw new BadInput(`socket ${id} is not open`);
    return known;
  }

  end(): { readonly bytes: number } {
    for (const { socket, peer } of this.known.values()) {
      this.system.close(socket, true);
      if (peer !== undefined) this.system.close(peer, true);
    }
    for (const server of this.#servers.values()) this.system.close(server, true);
    this.known.clear();
    return this.system.end();
  }

  #serve(address: string, port: number): void {
    const system = this.system;
    const server = system.socket(address.includes(":") ? "tcp6" : "tcp4", 0);
    if (address.includes(":")) system.setFlag(server, "v6only", true);
    system.bind(server, address, port, 0);
    system.listen(server);
    this.#servers.set(nameOf(address, port), server);
  }

  #open(id: unknown, type: SocketType, uid: number): string {
    this.known.set(id, { socket: this.system.socket(type, uid), uid });
    return "ok";
  }

  #call(op: string, id: unknown, known: Known, rest: readonly unknown[]): string {
    const system = this.system;
    const { socket } = known;
    switch (op) {
      case "opt":
        return this.#setOption(socket, rest[0] as string, rest[1]);
      case "bind": {
        const uid = this.#isOwnersCall ? known.uid : 0;
        return system.bind(socket, rest[0] as string, rest[1] as number, uid);
      }
      case "listen":
        return system.listen(socket);
      case "connect":
        return this.#connect(known, rest[0] as string, rest[1] as number);
      case "disconnect":
        return this.#disconnect(known);
      case "close":
        this.known.delete(id);
        return this.#close(known, rest[0] === "fin");
      case "name": {
        const { address, port } = system.name(socket);
        return `${address}|${port}`;
      }
      default:
        throw new BadInput(`unknown call ${JSON.stringify(op)}`);
    }
  }

  #setOption(socket: unknown, name: string, value: unknown): string {
    const system = this.system;
    if (name === "bindtodevice") {
      return system.setDevice(socket, this.#devices.get(value as string) ?? NO_DEVICE);
    }
    if (name === "port_range") {
      const [first, last] = value as [number, number];
      return system.setRange(socket, first, last);
    }
    return system.setFlag(socket, name as Flag, value === 1);
  }

  #connect(known: Known, address: string, port: number): string {
    const answer = this.system.connect(known.socket, address, port);
    const server = this.#servers.get(nameOf(address, port));
    if (answer === "ok" && server !== undefined) known.peer = this.system.accept(server);
    return answer;
  }

  #disconnect(known: Known): string {
    const answer = this.system.disconnect(known.socket);
    if (answer === "ok" && known.peer !== undefined) {
      this.system.close(known.peer, true);
      known.peer = undefined;
    }
    return answer;
  }

  /** Both ends: this one first, then the server's. */
  #close({ socket, peer }: Known, isOrderly: boolean): string {
    if (peer === undefined) return this.system.close(socket, false);
    const answer = this.system.close(socket, !isOrderly);
    this.system.close(peer, !isOrderly);
    return answer;
  }
}

function nameOf(address: string, port: number): string {
  return `${address.replace("::ffff:", "")}|${port}`;
}
