// What happens next in a session, planned by looking at the reference models alone.

import { Random } from "../random.ts";
import type { Operation, Range, Target } from "./operation.ts";
import type { Reference } from "./reference.ts";
import type { Setup } from "./setup.ts";

const PORT_MAX = 65535;
const DRAWS_MAX = 6;
/** Ports that are named although no range may include them. */
const EDGES = [1, 63, 64, 80, 1023, 1024, 4095, 4096, 65535];
const REMOTES = ["192.0.2.1", "2001:db8::9"];

export const WEIGHTS = {
  want: 3,
  socket: 30,
  bind: 20,
  bindAny: 16,
  connect: 20,
  listen: 3,
  close: 26,
  closeToTimeWait: 3,
  setReuse: 7,
  moveSocket: 4,
  setGroup: 5,
  setReserved: 3,
  setRange: 2,
  setUnprivilegedStart: 1,
  setNow: 2,
  expireTimeWait: 1,
} as const;

export type Kind = keyof typeof WEIGHTS;

export class Planner {
  #random: Random;
  readonly #setup: Setup;
  readonly #reference: Reference;
  #newest = 0;
  #now = 0;
  /** How many sockets are wanted now. */
  #wanted: number;

  constructor(setup: Setup, reference: Reference) {
    this.#random = new Random(setup.salt);
    this.#setup = setup;
    this.#reference = reference;
    this.#wanted = setup.sockets;
  }

  /** Undefined where there is nothing to do that with. */
  plan(kind: Kind, random: Random): Operation | undefined {
    this.#random = random;
    return this.#planned(kind);
  }

  #planned(kind: Kind): Operation | undefined {
    const random = this.#random;
    switch (kind) {
      case "want":
        this.#wanted = random.between(1, this.#setup.sockets);
        return undefined;
      case "socket":
        return this.#socket();
      case "setGroup":
        return this.#setGroup();
      case "setReserved":
        return { op: kind, ports: this.#reserved() };
      case "setRange":
        return this.#setRange();
      case "setUnprivilegedStart":
        return { op: kind, start: random.below(this.#reference.udp.range.first + 1) };
      case "setNow":
        this.#now += random.pick([0, 1, 1, 2, 3, 59, 60]);
        return { op: kind, now: this.#now };
      case "expireTimeWait":
        return { op: kind };
      default:
        return this.#onSocket(kind);
    }
  }

  #onSocket(kind: Kind): Operation | undefined {
    const random = this.#random;
    const sock = this.#which(kind);
    if (sock === undefined) return undefined;
    switch (kind) {
      case "bind":
        return { op: "bind", sock, address: this.#address(), port: this.#port() };
      case "bindAny":
        return { op: "bind", sock, address: this.#address(), port: 0, draws: this.#draws() };
      case "listen":
        return { op: "listen", sock, draws: this.#draws() };
      case "connect":
        return { op: "connect", sock, ...this.#target(sock) };
      case "close":
        return this.#isCrowded() || random.chance(20) ? { op: "close", sock } : undefined;
      case "closeToTimeWait": {
        const stamp = random.chance(25) ? null : Math.max(0, this.#now - random.below(3));
        return { op: "closeToTimeWait", sock, stamp };
      }
      case "setReuse":
        return { op: "setReuse", sock, reuse: random.chance(50) };
      default:
        return { op: "moveSocket", sock, group: random.pick(this.#setup.groups) };
    }
  }

  #socket(): Operation | undefined {
    const { devices, groups, privileged, reuse, udp } = this.#setup;
    const random = this.#random;
    if (this.#isCrowded()) return undefined;
    this.#newest += 1;
    const isUdp = random.chance(udp);
    return {
      op: "socket",
      sock: this.#newest,
      type: isUdp ? "udp" : "tcp",
      reuse: random.chance(reuse),
      device: random.chance(60) ? 0 : random.below(devices),
      group: random.pick(groups),
      // The model of TCP knows no privileged ports.
      privileged: !isUdp || random.chance(privileged),
    };
  }

  #isCrowded(): boolean {
    return this.#reference.count >= this.#wanted;
  }

  /** Mostly one that this is meant for, now and then any. */
  #which(kind: Kind): number | undefined {
    const { open } = this.#reference;
    if (open.length === 0) return undefined;
    if (kind === "close" || this.#random.chance(8)) return this.#random.pick(open);
    const meant = open.filter((sock) => this.#isMeant(kind, sock));
    return meant.length === 0 ? undefined : this.#random.pick(meant);
  }

  #isMeant(kind: Kind, sock: number): boolean {
    const { type, state, port } = this.#reference.look(sock);
    switch (kind) {
      case "bind":
      case "bindAny":
        return port === 0;
      case "connect":
        return state === "closed";
      case "listen":
        return state === "closed" && type === "tcp";
      case "closeToTimeWait":
        return state === "connected" && type === "tcp";
      default:
        return port !== 0;
    }
  }

  #setGroup(): Operation {
    const random = this.#random;
    const group = random.pick(this.#setup.groups);
    const kind = random.pick(["bind", "connect"] as const);
    const { first, last } = this.#setup;
    if (random.chance(45)) return { op: "setGroup", group, kind };
    const a = inPorts(random.between(first - 3, last + 3));
    const b = inPorts(random.between(first - 3, last + 3));
    const range: Range = { first: Math.min(a, b), last: Math.max(a, b) };
    return { op: "setGroup", group, kind, range };
  }

  #reserved(): number[] {
    const random = this.#random;
    const { first, last } = this.#setup;
    const percent = random.pick([0, 0, 5, 20, 50, 100]);
    const chosen = random.chance(20) ? [0, ...EDGES] : [];
    for (let port = first; port <= last; port++) if (random.chance(percent)) chosen.push(port);
    return [...new Set(chosen)].sort((a, b) => a - b);
  }

  /** It never begins below the unprivileged ports. */
  #setRange(): Operation {
    const random = this.#random;
    const { first, last } = this.#setup;
    const start = Math.max(1, this.#reference.udp.unprivilegedStart);
    const low = random.chance(50) ? first : inPorts(first - 2 + random.below(last - first + 4));
    const from = Math.max(start, low);
    const isWhole = from === first && random.chance(80);
    return { op: "setRange", first: from, last: isWhole ? last : inPorts(from + random.below(64)) };
  }

  #target(sock: number): Target {
    const random = this.#random;
    const local = this.#address();
    const to = { remote: random.pick(REMOTES), remotePort: random.pick([53, 443]) };
    const offset = random.chance(50) ? random.below(200) : random.u32();
    if (this.#reference.typeOf(sock) === "tcp")
      return { ...to, local: local || "10.0.0.9", offset };
    return {
      ...to,
      ...(local !== "" && { local }),
      // Without a seed nobody can tell where such a search starts.
      ...((this.#setup.seed === undefined || random.chance(50)) && { offset }),
    };
  }

  #address(): string {
    return this.#random.pick(this.#setup.addresses);
  }

  #port(): number {
    const { first, last } = this.#setup;
    const random = this.#random;
    return random.chance(8) ? random.pick(EDGES) : inPorts(random.between(first - 2, last + 2));
  }

  #draws(): number[] {
    return Array.from({ length: DRAWS_MAX }, () => this.#random.u32());
  }
}

function inPorts(port: number): number {
  return Math.min(PORT_MAX, Math.max(1, port));
}
