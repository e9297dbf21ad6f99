// Cases from the test suites of gVisor and the Linux kernel (test/vectors/peers/linux.json), each
// on a system of its own. Sockets have names; a port "=s" is that of socket s, an address "@s" its
// address.

import { same } from "../input.ts";
import { type FillOptions, fill, type Opened } from "./filling.ts";
import { seedOf } from "./seed.ts";
import {
  type Call,
  type Difference,
  type Environment,
  type Known,
  Player,
  setupOf,
} from "./sequences.ts";
import type { Name, OpenSystem } from "./system.ts";

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
export function replayCase(one: Case, open: OpenSystem): Difference | undefined {
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
  open: OpenSystem,
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

class CasePlayer extends Player {
  readonly #others: unknown[] = [];
  /** Names of sockets that are closed. */
  readonly #past = new Map<unknown, Name>();

  constructor(open: OpenSystem, env: Environment, seed: number, ops: readonly Call[]) {
    const known = devicesIn(ops);
    const devices = [...known.values()].filter((device) => device !== 0);
    // Whose socket it is calls.
    super(open({ ...setupOf(env, seed), devices }), { exec_as_owner: 1 }, known);
  }

  override play(call: Call): unknown {
    const { system } = this;
    const [op, name, ...rest] = call;
    switch (op) {
      case "getopt":
        return system.range(this.find(name).socket);
      case "bind":
      case "connect":
        return super.play([op, name, this.#address(rest[0]), this.#port(rest[1])]);
      case "accept":
        return this.#accept(name, this.find(rest[0]));
      case "name": {
        const { address: addr, port } = system.name(this.find(name).socket);
        return { addr, port };
      }
      case "opt":
        // The option is a number of 32 bits; LinuxPorts takes two ports, and no bytes.
        if (rest[0] !== "port_range_bytes") return super.play(call);
        return rest[1] === RANGE_BYTES ? "ok" : "EINVAL";
      case "close":
      case "halfclose":
      case "finclose":
      case "rstclose":
        for (const each of call.slice(1)) this.#close(each, op === "rstclose");
        return "ok";
      case "time":
        return super.play(["sleep", name]);
      case "sysctl":
        return system.sysctl(name as string, rest[0] as string);
      case "readctl":
        return system.readSysctl(name as string).trimEnd();
      case "fill":
        return this.#fill(name as FillOptions);
      default:
        return super.play(call);
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

  override end(): { readonly bytes: number } {
    for (const socket of this.#others) this.system.close(socket, true);
    return super.end();
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

  #accept(name: unknown, { socket, uid }: Known): string {
    const accepted = this.system.accept(socket);
    if (accepted === undefined) return "EAGAIN";
    this.known.set(name, { socket: accepted, uid });
    return "ok";
  }

  #close(name: unknown, isReset: boolean): void {
    const { socket } = this.find(name);
    this.#past.set(name, this.system.name(socket));
    this.system.close(socket, isReset);
    this.known.delete(name);
  }

  #fill(options: FillOptions): unknown {
    const opened: Opened = { sockets: this.#others, find: (name) => this.find(name).socket };
    const port = (value: unknown) => this.#port(value);
    return fill(this.system, options, opened, port);
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
    const past = this.#past.get(name);
    if (past === undefined || this.known.has(name)) return this.system.name(this.find(name).socket);
    return past;
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
