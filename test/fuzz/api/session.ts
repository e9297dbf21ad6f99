// Calls on managers as the fuzzer of netstack makes them, and hostile ones on objects of every kind
// in the same instance, which must be refused by a PortError and change nothing.

import { PortError, PortGroups, PortManager, ReservedPorts, UDP } from "../../../bindings/index.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import { FIGURES, type NetstackFigures, NetstackSession } from "../netstack/session.ts";
import type { Setup } from "../netstack/setup.ts";
import type { PlannedSession } from "../planned.ts";
import { Random } from "../random.ts";
import { hostile, METHODS, STATICS, THROWN_BY_GETTER } from "./hostile.ts";

type Victim = Record<string, unknown>;

const KEY = { networks: [4], transport: UDP, address: "10.0.0.1" };
const RANGE = { first: 2000, last: 2099 };
const MESSAGE_MAX = 1000;
const REVOKED = /revoked/;

export class ApiSession extends NetstackSession implements PlannedSession<"hostile", number> {
  override readonly figures: NetstackFigures & { refused: number; accepted: number } = {
    ...{ ...FIGURES, refused: 0, accepted: 0 },
  };
  readonly #victims: Record<string, Victim> = {};

  constructor(setup: Setup) {
    super(setup, { open: {}, verifies: false });
    this.#renewVictims();
  }

  plan(_kind: "hostile", random: Random): number {
    return random.u32();
  }

  /** A hostile call, which must change no other object. */
  perform(salt: number): void {
    this.figures.operations += 1;
    const random = new Random(salt);
    const kind = random.pick(Object.keys(METHODS));
    const method = random.pick(METHODS[kind] as string[]);
    const args = Array.from({ length: random.below(4) }, () => hostile(random));
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
    if (random.chance(10)) this.#renewVictims();
    for (const [at, reference] of this.references.entries()) {
      const got = settled(() => this.implementations[at]?.stats());
      compare("figures", got, reference.stats());
    }
  }

  override abandon(): void {
    super.abandon();
    this.#closeVictims();
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
    this.#closeVictims();
    const manager = PortManager.open({ portRange: RANGE, seed: 1 });
    const linux = Linux2632Ports.open({ seed: 1 });
    const groups = PortGroups.open();
    Object.assign(this.#victims, {
      PortManager: manager,
      PortPool: manager.pool({ ...KEY, cooldown: { period: 100 } }),
      Reservation: manager.reservePort({ ...KEY, port: RANGE.first }),
      PortGroups: groups,
      PortGroup: groups.create("/victim"),
      ReservedPorts: new ReservedPorts("1-5"),
      Linux2632Ports: linux,
      Linux2632Socket: linux.socket(),
    });
  }

  #closeVictims(): void {
    const { PortManager: manager, Linux2632Ports: linux } = this.#victims as {
      readonly [name: string]: { close?(): void } | undefined;
    };
    manager?.close?.();
    linux?.close?.();
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
