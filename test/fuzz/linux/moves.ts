// Moves: what happens next in a battle. A move is planned by looking at the reference model alone; what
// comes out is an operation in the words of the vectors, so that a battle can be written down as
// a trace.

import type { LinuxOperation, LinuxPlayer } from "../../replay/linux-trace.ts";
import type { Dice } from "./dice.ts";
import type { Move, World } from "./world.ts";

const PORT_MAX = 65535;
const U32_MAX = 0xffffffff;
const DRAWS_MAX = 6;
const DESTINATION_PORTS = [80, 81, 443];

/** Ports that are named although no range may include them. */
const EDGES = [1, 63, 64, 80, 1023, 1024, 4095, 4096, 65535];

/** For how many moves a battle goes for so many sockets, before it changes its mind. */
const PHASE_MAX = 100;

export class Moves {
  readonly #dice: Dice;
  readonly #world: World;
  readonly #model: LinuxPlayer;
  #now = 0;
  #newest = 0;
  /** How many sockets are wanted now, and for how many moves. */
  #wanted: number;
  #phase = PHASE_MAX;

  constructor(dice: Dice, world: World, model: LinuxPlayer) {
    this.#dice = dice;
    this.#world = world;
    this.#model = model;
    this.#wanted = world.sockets;
  }

  /** How a battle begins. */
  opening(): LinuxOperation[] {
    const { first, count } = this.#world;
    this.#now = this.#dice.between(0, 100_000);
    return [
      { op: "setNow", now: this.#now },
      { op: "setLocalRange", low: first, high: first + count - 1 },
    ];
  }

  next(): LinuxOperation {
    this.#phase -= 1;
    if (this.#phase === 0) {
      this.#phase = this.#dice.between(10, PHASE_MAX);
      this.#wanted = this.#dice.between(this.#world.fewest, this.#world.sockets);
    }
    for (;;) {
      const operation = this.#planned(this.#dice.weighted(this.#world.weights));
      if (operation !== undefined) return operation;
    }
  }

  /** Undefined where there is nothing to make that move with. */
  #planned(move: Move): LinuxOperation | undefined {
    const dice = this.#dice;
    switch (move) {
      case "socket":
        return this.#socket();
      case "expireTimeWait":
        return { op: move };
      case "setGroup":
        return this.#setGroup();
      case "setReserved":
        return { op: move, ports: this.#reserved() };
      case "setLocalRange":
        return this.#setLocalRange();
      case "setNow":
        this.#now += dice.pick([0, 1, 1, 2, 3, 30, 59, 60, 61]);
        return { op: move, now: this.#now };
      case "setTwReuse":
        return { op: move, value: dice.chance(70) ? 1 : 0 };
      default:
        return this.#onSocket(move);
    }
  }

  #onSocket(move: Move): LinuxOperation | undefined {
    const dice = this.#dice;
    const sock = this.#which(move);
    if (sock === undefined) return undefined;
    switch (move) {
      case "bind":
        return { op: "bind", sock, addr: this.#address(), port: this.#port() };
      case "bindAny":
        return { op: "bind", sock, addr: this.#address(), port: 0, random: this.#random() };
      case "listen":
        return { op: "listen", sock, random: this.#random() };
      case "connect":
        return { op: "connect", sock, ...this.#way(), portOffset: this.#offset() };
      case "close":
        return this.#isCrowded() || dice.chance(20) ? { op: "close", sock } : undefined;
      case "closeToTimeWait":
        return this.#closeToTimeWait(sock);
      case "setReuse": {
        const mayClear = this.#world.clears || this.#model.look(sock).port === 0;
        return { op: "setReuse", sock, reuse: !mayClear || dice.chance(30) };
      }
      default:
        return { op: "moveSocket", sock, group: dice.pick(this.#world.groups) };
    }
  }

  #socket(): LinuxOperation | undefined {
    const { devices, groups, reuse } = this.#world;
    const dice = this.#dice;
    if (this.#isCrowded()) return undefined;
    this.#newest += 1;
    return {
      op: "socket",
      sock: this.#newest,
      reuse: dice.chance(reuse),
      device: dice.chance(60) ? 0 : dice.below(devices),
      group: dice.pick(groups),
    };
  }

  #isCrowded(): boolean {
    return [...this.#model.open].length >= this.#wanted;
  }

  /** Mostly one that the move is made for, now and then any. */
  #which(move: Move): number | undefined {
    const open = [...this.#model.open];
    if (open.length === 0) return undefined;
    if (move === "close" || this.#dice.chance(8)) return this.#dice.pick(open);
    const meant = open.filter((sock) => this.#isMeant(move, sock));
    return meant.length === 0 ? undefined : this.#dice.pick(meant);
  }

  #isMeant(move: Move, sock: number): boolean {
    const { state, port } = this.#model.look(sock);
    switch (move) {
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
    const ago = this.#dice.pick([0, 0, 1, 1, 2, 3, 5, 100]);
    const stamp = Math.max(0, this.#now - ago);
    return { op: "closeToTimeWait", sock, stamp, hasTimestamp: this.#dice.chance(75) };
  }

  #setGroup(): LinuxOperation {
    const { groups } = this.#world;
    const group = this.#dice.pick(this.#dice.chance(80) ? groups.slice(-3) : groups);
    const kind = this.#dice.below(3);
    return {
      op: "setGroup",
      group,
      ...(kind !== 0 && { bind: this.#limit() }),
      ...(kind !== 1 && { connect: this.#limit() }),
    };
  }

  /** Mostly one that leaves something of the range. */
  #limit(): [low: number, high: number] | null {
    const dice = this.#dice;
    const { first, count } = this.#world;
    if (dice.chance(50)) return null;
    if (dice.chance(5)) return [1, PORT_MAX];
    const [a, b] = [0, 1].map(() => clamp(first - 3 + dice.below(count + 6))) as [number, number];
    return a < b ? [a, b] : [b, a];
  }

  #reserved(): number[] {
    const dice = this.#dice;
    const { first, count } = this.#world;
    const percent = dice.pick(this.#world.fewest > 0 ? [0, 2, 5, 10] : [0, 0, 5, 20, 50, 100]);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const chosen = ports.filter(() => dice.chance(percent));
    if (dice.chance(20)) chosen.push(...EDGES, 0);
    return [...new Set(chosen)].sort((a, b) => a - b);
  }

  #setLocalRange(): LinuxOperation {
    const { first, count } = this.#world;
    const dice = this.#dice;
    const op = "setLocalRange";
    if (dice.chance(50)) return { op, low: first, high: first + count - 1 };
    const low = clamp(first - 2 + dice.below(count + 4));
    return { op, low, high: clamp(low + dice.below(Math.max(64, count))) };
  }

  #way(): { saddr: string; daddr: string; dport: number } {
    const { addresses, destinations, destinationPorts } = this.#world;
    const saddr = this.#dice.pick(addresses);
    return {
      saddr: saddr === "" ? "10.0.0.9" : saddr,
      daddr: this.#dice.pick(destinations),
      dport: DESTINATION_PORTS[this.#dice.below(destinationPorts)] as number,
    };
  }

  #address(): string {
    return this.#dice.pick(this.#world.addresses);
  }

  #port(): number {
    const { first, count } = this.#world;
    if (this.#dice.chance(5)) return this.#dice.pick(EDGES);
    return clamp(first - 2 + this.#dice.below(count + 4));
  }

  /** Now and then one with which the search passes 2^32. */
  #offset(): number {
    const dice = this.#dice;
    const hint = Number(this.#model.perform({ op: "stats" })?.hint);
    const short = -hint - dice.below(this.#world.count + 2);
    return dice.pick([dice.below(200), dice.u32(), U32_MAX - dice.below(200), short >>> 0]);
  }

  #random(): number[] {
    return Array.from({ length: DRAWS_MAX }, () => this.#dice.u32());
  }
}

function clamp(port: number): number {
  return Math.min(PORT_MAX, Math.max(1, port));
}
