// A session that knows only the public API: valid calls on one manager, whose answers an
// independent model foresees, and hostile ones on objects of every kind, which must be refused by a
// PortError and change nothing.
//
// The model is a set of ports: whatever has one description without flags holds each port once.

import {
  PortError,
  PortGroups,
  PortManager,
  type PortPool,
  Refusal,
  type Reservation,
  ReservedPorts,
  UDP,
} from "../../../bindings/index.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import type { PlannedSession } from "../planned.ts";
import { Random } from "../random.ts";
import { hostile, METHODS, STATICS, THROWN_BY_GETTER } from "./hostile.ts";

export const WEIGHTS = {
  hostile: 60,
  take: 10,
  takeAt: 8,
  takeMany: 3,
  free: 8,
  freeMany: 3,
  reserve: 6,
  reserveAny: 6,
  release: 8,
  releaseByValue: 5,
  ask: 5,
  range: 2,
} as const;

export type Kind = keyof typeof WEIGHTS;

export interface Setup {
  readonly seed: number;
}

type Victim = Record<string, unknown>;

const KEY = { networks: [4], transport: UDP, address: "10.0.0.1" };
const FIRST = 2000;
const LAST = 2099;
const MESSAGE_MAX = 1000;
const REVOKED = /revoked/;

export class ApiSession implements PlannedSession<Kind, number> {
  readonly script: string[] = [];
  readonly figures = { operations: 0, refused: 0, accepted: 0 };
  readonly #manager: PortManager;
  readonly #pools: readonly PortPool[];
  readonly #reservations: Reservation[] = [];
  readonly #victims: Record<string, Victim> = {};
  /** The model. */
  readonly #held = new Set<number>();
  #first = FIRST;
  #last = LAST;
  #random: Random;
  #kind: Kind = "ask";

  constructor({ seed }: Setup) {
    this.#random = new Random(seed);
    this.#manager = PortManager.open({ portRange: { first: FIRST, last: LAST }, seed });
    const pool = (): PortPool => this.#manager.pool(KEY);
    this.#pools = [pool(), pool()];
    this.#renewVictims();
  }

  plan(kind: Kind, random: Random): number {
    this.#kind = kind;
    return random.u32();
  }

  perform(salt: number): void {
    this.figures.operations += 1;
    this.#random = new Random(salt);
    const kind = this.#kind;
    if (kind === "hostile") this.#callHostile();
    else settled(() => this.#callValid(kind));
    const { references } = settled(() => this.#manager.stats());
    compare("references", references, this.#held.size);
  }

  /** Frees whatever is held: nothing is counted then. */
  finish(): void {
    for (const port of this.#held) compare(`free ${port}`, this.#pool().free(port), true);
    const left = settled(() => this.#manager.stats());
    compare("references left", left.references, 0);
    this.abandon();
  }

  abandon(): void {
    try {
      this.#manager.close();
    } catch {
      // It has trapped before.
    }
  }

  // ── Valid calls ─────────────────────────────────────────────────────────────────────────

  #callValid(kind: Exclude<Kind, "hostile">): void {
    const pool = this.#pool();
    const port = this.#random.between(FIRST, LAST);
    this.script.push(`${kind}, port ${port}`);
    const random = this.#random;
    const calls: Readonly<Record<Exclude<Kind, "hostile">, () => void>> = {
      take: () => {
        const offset = random.u32();
        this.#got(pool.take(offset), this.#next(offset) ?? Refusal.EXHAUSTED);
      },
      takeAt: () => this.#got(pool.takeAt(port), this.#held.has(port) ? Refusal.IN_USE : port),
      takeMany: () => this.#takeMany(pool),
      free: () => compare("freed", pool.free(port), this.#held.delete(port)),
      freeMany: () => this.#freeMany(pool, port),
      reserve: () => this.#reserve({ ...KEY, port }, this.#held.has(port) ? undefined : port),
      reserveAny: () => {
        const offset = random.u32();
        this.#reserve({ ...KEY, offset }, this.#next(offset));
      },
      release: () => this.#release(),
      releaseByValue: () => {
        const released = this.#manager.releasePort({ ...KEY, port });
        compare("released", released, this.#held.delete(port));
      },
      range: () => this.#setRange(),
      ask: () => {
        const isHeld = this.#held.has(port);
        compare("has", pool.has(port), isHeld);
        compare("held", pool.held, this.#held.size);
        compare("is available", this.#manager.isAvailable({ ...KEY, port }), !isHeld);
      },
    };
    calls[kind]();
  }

  #freeMany(pool: PortPool, port: number): void {
    const ports = Uint16Array.from({ length: this.#random.below(20) }, (_, at) => port + at);
    const expected = [...ports].filter((one) => this.#held.delete(one)).length;
    compare("freed", pool.freeMany(ports), expected);
  }

  #got(port: number, expected: number): void {
    compare("port", port, expected);
    if (port > 0) this.#held.add(port);
  }

  #takeMany(pool: PortPool): void {
    const offsets = Uint32Array.from({ length: this.#random.below(30) }, () => this.#random.u32());
    const ports = new Uint16Array(offsets.length);
    const count = pool.takeMany(ports, offsets);
    const expected: number[] = [];
    for (const offset of offsets) {
      const port = this.#next(offset);
      if (port === undefined) break;
      expected.push(port);
      this.#held.add(port);
    }
    compare("ports", [...ports.subarray(0, count)], expected);
  }

  #reserve(request: Parameters<PortManager["reservePort"]>[0], expected: number | undefined): void {
    let port: number | undefined;
    try {
      const reservation = this.#manager.reservePort(request);
      this.#reservations.push(reservation);
      port = reservation.port;
    } catch (error) {
      if (!(error instanceof PortError) || !error.code.startsWith("EADDR")) throw error;
    }
    compare("reserved", port, expected);
    if (port !== undefined) this.#held.add(port);
  }

  /**
   * By value as well: a reservation whose port others have freed takes what has come there since.
   */
  #release(): void {
    const reservation = this.#random.pick(this.#reservations);
    if (reservation === undefined) return;
    const { port, released } = reservation;
    compare("released", reservation.release(), !released);
    if (!released) this.#held.delete(port);
  }

  #setRange(): void {
    const a = this.#random.between(FIRST, LAST);
    const b = this.#random.between(FIRST, LAST);
    this.#first = this.#random.chance(50) ? FIRST : Math.min(a, b);
    this.#last = this.#first === FIRST ? LAST : Math.max(a, b);
    this.#manager.setPortRange(this.#first, this.#last);
  }

  /** The first port that is not held, from an offset on. */
  #next(offset: number): number | undefined {
    const count = this.#last - this.#first + 1;
    for (let step = 0; step < count; step++) {
      const port = this.#first + (((offset % count) + step) % count);
      if (!this.#held.has(port)) return port;
    }
    return undefined;
  }

  #pool(): PortPool {
    return this.#random.pick(this.#pools);
  }

  // ── Hostile calls ───────────────────────────────────────────────────────────────────────

  #callHostile(): void {
    const kind = this.#random.pick(Object.keys(METHODS));
    const method = this.#random.pick(METHODS[kind] as string[]);
    const args = Array.from({ length: this.#random.below(4) }, () => hostile(this.#random));
    this.script.push(`${kind}.${method} with ${args.length} hostile arguments`);
    const before = this.#victimFigures();
    try {
      this.#call(kind, method, args);
      this.figures.accepted += 1;
    } catch (error) {
      this.figures.refused += 1;
      this.#judge(error);
      compare("figures after a refusal", this.#victimFigures(), before);
    }
    if (this.#random.chance(10)) this.#renewVictims();
  }

  #call(kind: string, method: string, args: unknown[]): void {
    if (kind === "statics") {
      const made = (STATICS[method] as (...all: unknown[]) => unknown)(...args);
      (made as { close?(): void }).close?.();
      return;
    }
    const victim = this.#victims[kind] as Victim;
    if (method.startsWith("=")) victim[method.slice(1)] = args[0];
    else (victim[method] as (...all: unknown[]) => unknown)(...args);
  }

  /** A PortError with a code and a short message, or what the argument itself throws. */
  #judge(error: unknown): void {
    if (error === THROWN_BY_GETTER) return;
    if (error instanceof TypeError && REVOKED.test(error.message)) return;
    if (!(error instanceof PortError)) {
      throw new Mismatch(`expected a PortError, got ${(error as Error)?.stack ?? typeof error}`);
    }
    if (error.code === "" || error.reason.length === 0) throw new Mismatch("no code or reason");
    if (error.message.length <= MESSAGE_MAX) return;
    throw new Mismatch(`a message of ${error.message.length} characters`);
  }

  #renewVictims(): void {
    const victims = this.#victims;
    (victims.PortManager as { close?(): void } | undefined)?.close?.();
    (victims.Linux2632Ports as { close?(): void } | undefined)?.close?.();
    const manager = PortManager.open({ portRange: { first: FIRST, last: LAST }, seed: 1 });
    const linux = Linux2632Ports.open({ seed: 1 });
    const groups = PortGroups.open();
    Object.assign(victims, {
      PortManager: manager,
      PortPool: manager.pool({ ...KEY, cooldown: { period: 100 } }),
      Reservation: manager.reservePort({ ...KEY, port: FIRST }),
      PortGroups: groups,
      PortGroup: groups.create("/victim"),
      ReservedPorts: new ReservedPorts("1-5"),
      Linux2632Ports: linux,
      Linux2632Socket: linux.socket(),
    });
  }

  #victimFigures(): unknown {
    const { PortManager: manager, Linux2632Ports: linux } = this.#victims as unknown as {
      PortManager: PortManager;
      Linux2632Ports: Linux2632Ports;
    };
    const { memory, totals: _, ...figures } = manager.stats();
    return [figures, memory.used, linux.stats().sockets];
  }
}
