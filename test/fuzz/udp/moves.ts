// Moves: what happens next in a battle, planned by looking at the reference side alone.

import type { Dice } from "../linux/dice.ts";
import type { Operation, Range, Way } from "./operation.ts";
import type { ReferenceSide } from "./reference.ts";
import type { World } from "./world.ts";

const PORT_MAX = 65535;
const DRAWS_MAX = 6;
/** For how many moves a battle goes for so many sockets, before it changes its mind. */
const PHASE_MAX = 100;
/** Ports that are named although no range may include them. */
const EDGES = [1, 63, 64, 80, 1023, 1024, 4095, 4096, 65535];
const REMOTES = ["192.0.2.1", "2001:db8::9"];

const WEIGHTS = {
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

type Move = keyof typeof WEIGHTS;

export class Moves {
  readonly #dice: Dice;
  readonly #world: World;
  readonly #reference: ReferenceSide;
  #newest = 0;
  #now = 0;
  /** How many sockets are wanted now, and for how many moves. */
  #wanted: number;
  #phase = PHASE_MAX;

  constructor(dice: Dice, world: World, reference: ReferenceSide) {
    this.#dice = dice;
    this.#world = world;
    this.#reference = reference;
    this.#wanted = world.sockets;
  }

  next(): Operation {
    this.#phase -= 1;
    if (this.#phase === 0) {
      this.#phase = this.#dice.between(10, PHASE_MAX);
      this.#wanted = this.#dice.between(1, this.#world.sockets);
    }
    for (;;) {
      const operation = this.#planned(this.#dice.weighted(WEIGHTS));
      if (operation !== undefined) return operation;
    }
  }

  /** Undefined where there is nothing to make that move with. */
  #planned(move: Move): Operation | undefined {
    const dice = this.#dice;
    switch (move) {
      case "socket":
        return this.#socket();
      case "setGroup":
        return this.#setGroup();
      case "setReserved":
        return { op: move, ports: this.#reserved() };
      case "setRange":
        return this.#setRange();
      case "setUnprivilegedStart":
        return { op: move, start: dice.below(this.#reference.udp.range.first + 1) };
      case "setNow":
        this.#now += dice.pick([0, 1, 1, 2, 3, 59, 60]);
        return { op: move, now: this.#now };
      case "expireTimeWait":
        return { op: move };
      default:
        return this.#onSocket(move);
    }
  }

  #onSocket(move: Move): Operation | undefined {
    const dice = this.#dice;
    const sock = this.#which(move);
    if (sock === undefined) return undefined;
    switch (move) {
      case "bind":
        return { op: "bind", sock, address: this.#address(), port: this.#port() };
      case "bindAny":
        return { op: "bind", sock, address: this.#address(), port: 0, draws: this.#draws() };
      case "listen":
        return { op: "listen", sock, draws: this.#draws() };
      case "connect":
        return { op: "connect", sock, ...this.#way(sock) };
      case "close":
        return this.#isCrowded() || dice.chance(20) ? { op: "close", sock } : undefined;
      case "closeToTimeWait": {
        const stamp = dice.chance(25) ? null : Math.max(0, this.#now - dice.below(3));
        return { op: "closeToTimeWait", sock, stamp };
      }
      case "setReuse":
        return { op: "setReuse", sock, reuse: dice.chance(50) };
      default:
        return { op: "moveSocket", sock, group: dice.pick(this.#world.groups) };
    }
  }

  #socket(): Operation | undefined {
    const { devices, groups, privileged, reuse, udp } = this.#world;
    const dice = this.#dice;
    if (this.#isCrowded()) return undefined;
    this.#newest += 1;
    const isUdp = dice.chance(udp);
    return {
      op: "socket",
      sock: this.#newest,
      type: isUdp ? "udp" : "tcp",
      reuse: dice.chance(reuse),
      device: dice.chance(60) ? 0 : dice.below(devices),
      group: dice.pick(groups),
      // The model of TCP knows no privileged ports.
      privileged: !isUdp || dice.chance(privileged),
    };
  }

  #isCrowded(): boolean {
    return this.#reference.count >= this.#wanted;
  }

  /** Mostly one that the move is made for, now and then any. */
  #which(move: Move): number | undefined {
    const { open } = this.#reference;
    if (open.length === 0) return undefined;
    if (move === "close" || this.#dice.chance(8)) return this.#dice.pick(open);
    const meant = open.filter((sock) => this.#isMeant(move, sock));
    return meant.length === 0 ? undefined : this.#dice.pick(meant);
  }

  #isMeant(move: Move, sock: number): boolean {
    const { type, state, port } = this.#reference.look(sock);
    switch (move) {
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
    const dice = this.#dice;
    const group = dice.pick(this.#world.groups);
    const kind = dice.pick(["bind", "connect"] as const);
    const { first, last } = this.#world;
    if (dice.chance(45)) return { op: "setGroup", group, kind };
    const a = inPorts(dice.between(first - 3, last + 3));
    const b = inPorts(dice.between(first - 3, last + 3));
    const range: Range = { first: Math.min(a, b), last: Math.max(a, b) };
    return { op: "setGroup", group, kind, range };
  }

  #reserved(): number[] {
    const dice = this.#dice;
    const { first, last } = this.#world;
    const percent = dice.pick([0, 0, 5, 20, 50, 100]);
    const chosen = dice.chance(20) ? [0, ...EDGES] : [];
    for (let port = first; port <= last; port++) if (dice.chance(percent)) chosen.push(port);
    return [...new Set(chosen)].sort((a, b) => a - b);
  }

  /** It never begins below the unprivileged ports. */
  #setRange(): Operation {
    const dice = this.#dice;
    const { first, last } = this.#world;
    const start = Math.max(1, this.#reference.udp.unprivilegedStart);
    const low = dice.chance(50) ? first : inPorts(first - 2 + dice.below(last - first + 4));
    const from = Math.max(start, low);
    const isWhole = from === first && dice.chance(80);
    return { op: "setRange", first: from, last: isWhole ? last : inPorts(from + dice.below(64)) };
  }

  #way(sock: number): Way {
    const dice = this.#dice;
    const local = this.#address();
    const to = { remote: dice.pick(REMOTES), remotePort: dice.pick([53, 443]) };
    const offset = dice.chance(50) ? dice.below(200) : dice.u32();
    if (this.#reference.typeOf(sock) === "tcp")
      return { ...to, local: local || "10.0.0.9", offset };
    return {
      ...to,
      ...(local !== "" && { local }),
      // Without a seed nobody can tell where such a search starts.
      ...((this.#world.seed === undefined || dice.chance(50)) && { offset }),
    };
  }

  #address(): string {
    return this.#dice.pick(this.#world.addresses);
  }

  #port(): number {
    const { first, last } = this.#world;
    const dice = this.#dice;
    return dice.chance(8) ? dice.pick(EDGES) : inPorts(dice.between(first - 2, last + 2));
  }

  #draws(): number[] {
    return Array.from({ length: DRAWS_MAX }, () => this.#dice.u32());
  }
}

function inPorts(port: number): number {
  return Math.min(PORT_MAX, Math.max(1, port));
}
