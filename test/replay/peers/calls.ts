// Cases of gVisor's own test of its port manager (pkg/tcpip/ports/ports_test.go), as calls on a
// manager.

import type { Ask } from "../../support/ask.ts";
import { BadInput } from "../input.ts";
import type { Call } from "../linux-6.18/sequences.ts";
import type { System } from "../system.ts";

interface Reservation {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: string;
  readonly port: number;
  readonly flags: number;
  readonly bindToDevice: number;
  readonly destination: { readonly addr: string; readonly port: number };
}

/** What the testers of the suite throw. */
class TesterError extends Error {}

const PICK_EACH = /^pick (\d+) times, each port once, from offsets (\d+)\.\.(\d+)$/;

/** Testers by the name of their case; `first` is the range's first port. */
const TESTERS: Readonly<Record<string, (port: number, first: number) => boolean>> = {
  "no-port-available": () => false,
  "only-port-16042-available": (port, first) => port === first + 42,
  "only-port-under-16000-available": (port, first) => port < first,
  "port-tester-error": () => {
    throw new TesterError();
  },
};

export class CallPlayer {
  readonly #system: System;

  constructor(open: () => System) {
    this.#system = open();
  }

  play([op, ...rest]: Call): unknown {
    const each = PICK_EACH.exec(op);
    if (each !== null) return this.#pickEach(...(each.slice(1).map(Number) as [number, number]));
    switch (op) {
      case "reserve":
        return this.#reserve(rest[0] as Reservation);
      case "tuple": {
        const { port } = rest[0] as Reservation;
        return this.#system.tuple(askOf(rest[0]), port) === port ? "ok" : "EADDRINUSE";
      }
      case "release":
        this.#system.release(askOf(rest[0]), (rest[0] as Reservation).port);
        return "ok";
      case "setPortRange":
        return this.#system.setRange(rest[0] as number, rest[1] as number) ? "ok" : "EINVAL";
      case "pick":
        return this.#pick(rest[0] as string);
      default:
        throw new BadInput(`unknown call ${JSON.stringify(op)}`);
    }
  }

  end(): void {
    this.#system.close();
  }

  #reserve(asked: Reservation): string {
    const ask = askOf(asked);
    const port =
      asked.port === 0 ? this.#system.search(ask, 0) : this.#system.reserve(ask, asked.port);
    return port > 0 ? "ok" : "EADDRINUSE";
  }

  #pick(name: string): number | string {
    const tester = TESTERS[name];
    if (tester === undefined) throw new BadInput(`no tester is called ${name}`);
    const { first } = this.#system.range();
    try {
      const port = this.#system.pick(0, (candidate) => tester(candidate, first));
      return port > 0 ? port : "EADDRNOTAVAIL";
    } catch (error) {
      if (error instanceof TesterError) return "EFAULT";
      throw error;
    }
  }

  /** Every offset finds each port once before it finds none. */
  #pickEach(count: number, firstOffset: number, lastOffset = firstOffset): string {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const picked = new Set<number>();
      for (let pick = 0; pick < count; pick++) {
        const port = this.#system.pick(offset, (candidate) => !picked.has(candidate));
        if (port <= 0) return `${picked.size} ports from offset ${offset}`;
        picked.add(port);
      }
    }
    return "ok";
  }
}

function askOf(value: unknown): Ask {
  const { networks, transport, address, flags, bindToDevice, destination } = value as Reservation;
  return {
    networks: [...networks],
    transport,
    address,
    flags,
    device: bindToDevice,
    destination: { address: destination.addr, port: destination.port },
  };
}
