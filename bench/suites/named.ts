// Named ports: each of a list reserved and released at once, by each system in its own way and in a
// loop of its own.

import { IPV4, IPV6, PortManager, TCP } from "../../bindings/index.ts";
import { ReferencePortManager } from "../../test/models/reference-manager.ts";
import { JsTable, type TableRequest } from "../baselines/js-table.ts";
import { inPieces } from "../harness/range.ts";
import { referenceRequest } from "../harness/requests.ts";
import type { Contender, System } from "../harness/setup.ts";
import { digestOf, FIRST, LAST } from "../harness/workloads.ts";

/** What the digest has for a port that is not to be had. */
export const REFUSED = 0;

/** A request with each of the ports in turn, while some ports are held. */
export interface Named {
  readonly address: string;
  readonly ports: Uint16Array;
  /** How many ports of 10.0.0.1 (and, beyond 50,000, of 10.0.1.1) are held. */
  readonly held: number;
}

/** How a system does it, for the ports at `from..to - 1` of its list, or for one of them. */
interface Way {
  loop(from: number, to: number): void;
  once(index: number): number;
  close?(): void;
}

const OPERATIONS = 1000;
const HELD_PER_ADDRESS = 50000;

/** A batch is the next thousand of a list, round and round; the digest is of all. */
export function contender(system: System, length: number, way: Way): Contender {
  const operations = Math.min(OPERATIONS, length);
  return {
    system,
    operations,
    run: inPieces(length, operations, (from, to) => way.loop(from, to)),
    digest: () => digestOf(Array.from({ length }, (_, index) => way.once(index))),
    close: () => way.close?.(),
  };
}

// ── Words ─────────────────────────────────────────────────────────────────────────────────

/** The request is written where it is used, as people do; the address is the same text each time. */
export function words({ address, ports, held }: Named): Contender {
  const manager = managerWith(held);
  const reserve = (port: number): number => {
    const reservation = manager.reservePort({ networks: [IPV4], transport: TCP, address, port });
    reservation.release();
    return reservation.port;
  };
  return contender("words", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
    close: () => manager.close(),
  });
}

/** The same in both networks. */
export function dualWords({ address, ports, held }: Named): Contender {
  const manager = managerWith(held);
  const reserve = (port: number): number => {
    const networks = [IPV4, IPV6];
    const reservation = manager.reservePort({ networks, transport: TCP, address, port });
    reservation.release();
    return reservation.port;
  };
  return contender("words", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
    close: () => manager.close(),
  });
}

/** `reservePort` would throw, and time the making of errors: whoever expects a refusal asks first. */
export function refusedWords({ address, ports, held }: Named): Contender {
  const manager = managerWith(held);
  const ask = (port: number): number =>
    manager.isAvailable({ networks: [IPV4], transport: TCP, address, port }) ? port : REFUSED;
  return contender("words", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) ask(ports[index] as number);
    },
    once: (index) => ask(ports[index] as number),
    close: () => manager.close(),
  });
}

// ── The others ────────────────────────────────────────────────────────────────────────────

export function handles({ address, ports, held }: Named, networks: readonly number[]): Contender {
  const manager = managerWith(held);
  const pool = manager.pool({ networks, transport: TCP, address });
  return contender("handles", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) {
        const port = pool.takeAt(ports[index] as number);
        if (port > 0) pool.free(port);
      }
    },
    once: (index) => {
      const port = pool.takeAt(ports[index] as number);
      return port > 0 && pool.free(port) ? port : REFUSED;
    },
    close: () => manager.close(),
  });
}

export function reference({ address, ports, held }: Named, networks: readonly number[]): Contender {
  const model = new ReferencePortManager();
  forEachHeld(held, (holder, port) =>
    model.reservePort(referenceRequest(port, { address: holder }), 0),
  );
  const request = referenceRequest(0, { address, networks });
  const reserve = (port: number): number => {
    request.port = port;
    if (model.reservePort(request, 0) < 0) return REFUSED;
    model.releasePort(request);
    return port;
  };
  return contender("reference", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
  });
}

export function jsTable({ address, ports, held }: Named): Contender {
  const table = new JsTable(FIRST, LAST);
  forEachHeld(held, (holder, port) => {
    table.reserve({ network: 4, transport: 6, address: holder, port });
  });
  const reserve = (port: number): number => {
    const request: TableRequest = { network: 4, transport: 6, address, port };
    if (table.reserve(request) < 0) return REFUSED;
    table.release(request);
    return port;
  };
  return contender("js-bitmap", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
  });
}

// ── What is held ──────────────────────────────────────────────────────────────────────────

function managerWith(held: number): PortManager {
  const manager = PortManager.open();
  forEachHeld(held, (address, port) => {
    manager.reservePort({ networks: [IPV4], transport: TCP, address, port });
  });
  return manager;
}

function forEachHeld(count: number, hold: (address: string, port: number) => void): void {
  for (let index = 0; index < count; index++) {
    const address = `10.0.${Math.floor(index / HELD_PER_ADDRESS)}.1`;
    hold(address, 1 + (index % HELD_PER_ADDRESS));
  }
}
