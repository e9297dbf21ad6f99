// The next operation of a session, planned by looking at the reference model alone. It is in the
// words of the vectors, so that a session can be written down as a trace.

import type { LinuxOperation, LinuxPlayer } from "../../replay/linux-trace.ts";
import { Random } from "../random.ts";
import type { Kind, Setup } from "./setup.ts";

const PORT_MAX = 65535;
const U32_MAX = 0xffffffff;
const DRAWS_MAX = 6;
const DESTINATION_PORTS = [80, 81, 443];

/** Ports that are named although no range may include them. */
const EDGES = [1, 63, 64, 80, 1023, 1024, 4095, 4096, 65535];

export type Target = Omit<LinuxOperation & { op: "connect" }, "op" | "sock">;

export class Planner {
  protected random: Random;
  protected readonly model: LinuxPlayer;
  readonly #setup: Setup;
  #now = 0;
  #newest = 0;
  /** How many sockets are wanted now. */
  #wanted: number;

  constructor(setup: Setup, model: LinuxPlayer) {
    this.random = new Random(setup.salt);
    this.#setup = setup;
    this.model = model;
    this.#wanted = setup.sockets;
  }

  /** How a session begins. */
  opening(): LinuxOperation[] {
    const { first, count, now } = this.#setup;
    this.#now = now;
    return [
      { op: "setNow", now },
      { op: "setLocalRange", low: first, high: first + count - 1 },
    ];
  }

  /** Undefined where there is nothing to do that with. */
  plan(kind: Kind, random: Random): LinuxOperation | undefined {
    this.random = random;
    return this.planned(kind);
  }

  protected planned(kind: Kind): LinuxOperation | undefined {
    const { random } = this;
    switch (kind) {
      case "want":
        this.#wanted = random.between(this.#setup.fewest, this.#setup.sockets);
        return undefined;
      case "socket":
        return this.socket();
      case "expireTimeWait":
        return { op: kind };
      case "setGroup":
        return this.#setGroup();
      case "setReserved":
        return { op: kind, ports: this.#reserved() };
      case "setLocalRange":
        return this.setLocalRange();
      case "setNow":
        this.#now += random.pick([0, 1, 1, 2, 3, 30, 59, 60, 61]);
        return { op: kind, now: this.#now };
      case "setTwReuse":
        return { op: kind, value: random.chance(70) ? 1 : 0 };
      default:
        return this.#onSocket(kind);
    }
  }

  #onSocket(kind: Kind): LinuxOperation | undefined {
    const { random } = this;
    const sock = this.#which(kind);
    if (sock === undefined) return undefined;
    switch (kind) {
      case "bind":
        return { op: "bind", sock, addr: this.address(), port: this.#port() };
      case "bindAny":
        return { op: "bind", sock, addr: this.address(), port: 0, random: this.#draws() };
      case "listen":
        return { op: "listen", sock, random: this.#draws() };
      case "connect":
        return { op: "connect", sock, ...this.target(sock) };
      case "close":
        return this.#isFull() || random.chance(20) ? { op: "close", sock } : undefined;
      case "closeToTimeWait":
        return this.#closeToTimeWait(sock);
      case "setReuse": {
        const mayClear = this.#setup.clears || this.model.look(sock).port === 0;
        return { op: "setReuse", sock, reuse: !mayClear || random.chance(30) };
      }
      default:
        return { op: "moveSocket", sock, group: random.pick(this.#setup.groups) };
    }
  }

  protected socket(): (LinuxOperation & { op: "socket" }) | undefined {
    const { devices, groups, reuse } = this.#setup;
    const { random } = this;
    if (this.#isFull()) return undefined;
    this.#newest += 1;
    return {
      op: "socket",
      sock: this.#newest,
      reuse: random.chance(reuse),
      device: random.chance(60) ? 0 : random.below(devices),
      group: random.pick(groups),
    };
  }

  #isFull(): boolean {
    return [...this.model.open].length >= this.#wanted;
  }

  /** Mostly one that this is meant for, now and then any. */
  #which(kind: Kind): number | undefined {
    const open = [...this.model.open];
    if (open.length === 0) return undefined;
    if (kind === "close" || this.random.chance(8)) return this.random.pick(open);
    const meant = open.filter((sock) => this.isMeant(kind, sock));
    return meant.length === 0 ? undefined : this.random.pick(meant);
  }

  protected isMeant(kind: Kind, sock: number): boolean {
    const { state, port } = this.model.look(sock);
    switch (kind) {
      case "bind":
      case "bindAny":
        return port === 0;
      case "listen":
      case "connect":
        return state === "closed";
      case "closeToTimeWait":
        return state === "connected";
      default:
        return port !== 0;
    }
  }

  #closeToTimeWait(sock: number): LinuxOperation {
    const ago = this.random.pick([0, 0, 1, 1, 2, 3, 5, 100]);
    const stamp = Math.max(0, this.#now - ago);
    return { op: "closeToTimeWait", sock, stamp, hasTimestamp: this.random.chance(75) };
  }

  #setGroup(): LinuxOperation {
    const { groups } = this.#setup;
    const group = this.random.pick(this.random.chance(80) ? groups.slice(-3) : groups);
    const kind = this.random.below(3);
    return {
      op: "setGroup",
      group,
      ...(kind !== 0 && { bind: this.#limit() }),
      ...(kind !== 1 && { connect: this.#limit() }),
    };
  }

  /** Mostly one that leaves something of the range. */
  #limit(): [low: number, high: number] | null {
    const { random } = this;
    const { first, count } = this.#setup;
    if (random.chance(50)) return null;
    if (random.chance(5)) return [1, PORT_MAX];
    const [a, b] = [0, 1].map(() => clamp(first - 3 + random.below(count + 6))) as [number, number];
    return a < b ? [a, b] : [b, a];
  }

  #reserved(): number[] {
    const { random } = this;
    const { first, count } = this.#setup;
    const percent = random.pick(this.#setup.fewest > 0 ? [0, 2, 5, 10] : [0, 0, 5, 20, 50, 100]);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const chosen = ports.filter(() => random.chance(percent));
    if (random.chance(20)) chosen.push(...EDGES, 0);
    return [...new Set(chosen)].sort((a, b) => a - b);
  }

  protected setLocalRange(): LinuxOperation {
    const { first, count } = this.#setup;
    const { random } = this;
    const op = "setLocalRange";
    if (random.chance(50)) return { op, low: first, high: first + count - 1 };
    const low = clamp(first - 2 + random.below(count + 4));
    return { op, low, high: clamp(low + random.below(Math.max(64, count))) };
  }

  protected target(_sock: number): Target {
    const { destinations, destinationPorts } = this.#setup;
    return {
      saddr: this.address() || "10.0.0.9",
      daddr: this.random.pick(destinations),
      dport: DESTINATION_PORTS[this.random.below(destinationPorts)] as number,
      portOffset: this.#offset(),
    };
  }

  protected address(): string {
    return this.random.pick(this.#setup.addresses);
  }

  #port(): number {
    const { first, count } = this.#setup;
    if (this.random.chance(5)) return this.random.pick(EDGES);
    return clamp(first - 2 + this.random.below(count + 4));
  }

  /** Now and then one with which the search passes 2^32. */
  #offset(): number {
    const { random } = this;
    const hint = Number(this.model.perform({ op: "stats" })?.hint);
    const short = -hint - random.below(this.#setup.count + 2);
    return random.pick([random.below(200), random.u32(), U32_MAX - random.below(200), short >>> 0]);
  }

  #draws(): number[] {
    return Array.from({ length: DRAWS_MAX }, () => this.random.u32());
  }
}

export function clamp(port: number): number {
  return Math.min(PORT_MAX, Math.max(1, port));
}
