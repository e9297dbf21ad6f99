// Cases from the test suites of gVisor and the Linux kernel (test/vectors/peers/linux.json), each
// on a machine of its own. Sockets have names; a port "=s" is that of socket s, an address "@s" its
// address.

import { BadInput, same } from "../input.ts";
import { type FillOptions, fill, type Opened } from "./filling.ts";
import type { Flag, Machine, Name, OpenMachine, SocketType } from "./machine.ts";
import { seedOf } from "./seed.ts";
import { type Call, type Difference, type Environment, setupOf } from "./sequences.ts";

export interface Case {
  readonly id: string;
  readonly source: string;
  readonly env?: Environment;
  readonly ops: readonly Call[];
  readonly expected: readonly unknown[];
}

const NUMBER_OF_LOOPBACK = 1;
const RANGE_BYTES = 4;
const RUNS_WITH_CHANCE = 10;

/**
 * The first answer that differs, if one does. How far a loop gets may be a matter of chance, on the
 * kernel as well (a range with an odd number of ports is not always used up): what a suite saw in
 * its run must then be what one of ten runs gives.
 */
export function replayCase(one: Case, open: OpenMachine): Difference | undefined {
  const runs = one.ops.some(([op]) => op === "fill") ? RUNS_WITH_CHANCE : 1;
  let difference: Difference | undefined;
  for (let run = 0; run < runs; run++) {
    difference = runOnce(one, open, seedOf(one.id, run));
    if (difference === undefined) return undefined;
  }
  return difference;
}

function runOnce(
  { env = {}, ops, expected }: Case,
  open: OpenMachine,
  seed: number,
): Difference | undefined {
  const player = new CasePlayer(open, env, seed, ops);
  for (const [at, call] of ops.entries()) {
    const got = player.play(call);
    const wanted = expected[at];
    if (!player.agrees(got, wanted)) return { at, call, expected: wanted, got };
  }
  const { bytes } = player.end();
  if (bytes === 0) return undefined;
  return { at: ops.length, call: "close everything", expected: { bytes: 0 }, got: { bytes } };
}

class CasePlayer {
  readonly #machine: Machine;
  readonly #devices: ReadonlyMap<string, number>;
  readonly #sockets = new Map<string, unknown>();
  readonly #uids = new Map<string, number>();
  readonly #others: unknown[] = [];
  /** Names of sockets that are closed. */
  readonly #past = new Map<string, Name>();

  constructor(open: OpenMachine, env: Environment, seed: number, ops: readonly Call[]) {
    this.#devices = devicesIn(ops);
    const devices = [...this.#devices.values()].filter((device) => device !== 0);
    this.#machine = open({ ...setupOf(env, seed), devices });
  }

  play([op, ...rest]: Call): unknown {
    const machine = this.#machine;
    const text = (at: number) => rest[at] as string;
    switch (op) {
      case "socket":
        return this.#open(text(0), rest[1] as SocketType, (rest[2] ?? 0) as number);
      case "opt":
        return this.#setOption(this.#find(rest[0]), text(1), rest[2]);
      case "getopt":
        return machine.range(this.#find(rest[0]));
      case "bind":
        return this.#bind(text(0), this.#address(rest[1]), this.#port(rest[2]));
      case "listen":
        return machine.listen(this.#find(rest[0]));
      case "connect":
        return machine.connect(this.#find(rest[0]), this.#address(rest[1]), this.#port(rest[2]));
      case "accept":
        return this.#accept(text(0), this.#find(rest[1]));
      case "disconnect":
        return machine.disconnect(this.#find(rest[0]));
      case "name": {
        const { address: addr, port } = machine.name(this.#find(rest[0]));
        return { addr, port };
      }
      case "close":
      case "halfclose":
      case "finclose":
        for (const name of rest) this.#close(name, false);
        return "ok";
      case "rstclose":
        for (const name of rest) this.#close(name, true);
        return "ok";
      case "time":
        machine.advance(rest[0] as number);
        return "ok";
      case "sysctl":
        return machine.sysctl(text(0), text(1));
      case "readctl":
        return machine.readSysctl(text(0)).trimEnd();
      case "fill":
        return this.#fill(rest[0] as FillOptions);
      default:
        throw new BadInput(`unknown call ${JSON.stringify(op)}`);
    }
  }

  /**
   * Is the answer what is expected? An object names the keys that must agree; null is not checked.
   */
  agrees(got: unknown, wanted: unknown): boolean {
    if (wanted === null || wanted === undefined) return true;
    if (typeof wanted !== "object" || Array.isArray(wanted)) return same(got, wanted);
    return Object.entries(wanted).every(([key, value]) =>
      this.#agreesIn(key, value, got as Record<string, unknown>),
    );
  }

  end(): { readonly bytes: number } {
    for (const name of [...this.#sockets.keys()]) this.#close(name, true);
    for (const socket of this.#others) this.#machine.close(socket, true);
    return this.#machine.end();
  }

  #agreesIn(key: string, wanted: unknown, got: Record<string, unknown>): boolean {
    const value = got[key];
    if (key === "within") {
      const [least, most] = wanted as [number, number];
      return (got.min as number) >= least && (got.max as number) <= most;
    }
    if (wanted === "any") return value === "0.0.0.0" || value === "::";
    if (wanted === "nonzero") return value !== 0;
    if (Array.isArray(wanted))
      return (value as number) >= wanted[0] && (value as number) <= wanted[1];
    if (key === "port") return value === this.#port(wanted);
    return same(value, wanted);
  }

  #open(name: string, type: SocketType, uid: number): string {
    this.#sockets.set(name, this.#machine.socket(type, uid));
    this.#uids.set(name, uid);
    return "ok";
  }

  /** Whose socket it is calls. */
  #bind(name: string, address: string, port: number): string {
    return this.#machine.bind(this.#find(name), address, port, this.#uids.get(name) ?? 0);
  }

  #accept(name: string, listener: unknown): string {
    const socket = this.#machine.accept(listener);
    if (socket === undefined) return "EAGAIN";
    this.#sockets.set(name, socket);
    return "ok";
  }

  #close(name: unknown, isReset: boolean): void {
    const socket = this.#find(name);
    this.#past.set(name as string, this.#machine.name(socket));
    this.#machine.close(socket, isReset);
    this.#sockets.delete(name as string);
  }

  #setOption(socket: unknown, name: string, value: unknown): string {
    const machine = this.#machine;
    switch (name) {
      case "bindtodevice":
        return machine.setDevice(socket, this.#devices.get(value as string) as number);
      case "port_range":
        return machine.setRange(socket, ...(value as [number, number]));
      case "port_range_bytes":
        // The option is a number of 32 bits; LinuxPorts takes two ports, and no bytes.
        return value === RANGE_BYTES ? "ok" : "EINVAL";
      default:
        return machine.setFlag(socket, name as Flag, value === 1);
    }
  }

  #fill(options: FillOptions): unknown {
    const opened: Opened = { sockets: this.#others, find: (name) => this.#find(name) };
    const port = (value: unknown) => this.#port(value);
    return fill(this.#machine, options, opened, port);
  }

  /** A port, or that of a socket, also of one that is closed: "=s", "=s-1". */
  #port(value: unknown): number {
    const [, name, less = "0"] = /^=(.*?)(?:-(\d+))?$/.exec(`${value}`) ?? [];
    return name === undefined ? (value as number) : this.#nameOf(name).port - Number(less);
  }

  #address(value: unknown): string {
    const text = value as string;
    return text.startsWith("@") ? this.#nameOf(text.slice(1)).address : text;
  }

  #nameOf(name: string): Name {
    const socket = this.#sockets.get(name);
    if (socket !== undefined) return this.#machine.name(socket);
    const past = this.#past.get(name);
    if (past === undefined) throw new BadInput(`socket ${name} has no name`);
    return past;
  }

  #find(name: unknown): unknown {
    const socket = this.#sockets.get(name as string);
    if (socket === undefined) throw new BadInput(`socket ${name} is not open`);
    return socket;
  }
}

/** Numbers for the devices that are named. */
function devicesIn(ops: readonly Call[]): ReadonlyMap<string, number> {
  const devices = new Map([
    ["", 0],
    ["lo", NUMBER_OF_LOOPBACK],
  ]);
  for (const [op, , option, name] of ops) {
    if (op !== "opt" || option !== "bindtodevice" || devices.has(name as string)) continue;
    devices.set(name as string, devices.size);
  }
  return devices;
}
