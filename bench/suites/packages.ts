// Packages: what npm has for the question "which port?", beside portwarden.
//
//              asks          remembers                        a range, an address, a destination
//   get-port   the kernel    for 15 to 30 s, this process     preferred ports, one address
//   portfinder the kernel    nothing                          from one port upwards, one address
//   listen(0)  the kernel    as long as it is open            none
//   ours       its records   until it is released             all three
//
// The two packages open a listening socket, close it and name the port: it is free by then, so that
// another program may get it before the caller does. portwarden opens nothing and knows nothing of
// other programs, so its caller has to be ready for EADDRINUSE as well, and asks for the next one.
//
// How many sockets are opened, and how many of the ports are different ones, is counted here. All
// is on 127.0.0.1, and each system is asked so: portfinder would ask all addresses of the machine.

import net from "node:net";
import { clearLockedPorts, default as getPort } from "get-port";
import portfinder from "portfinder";
import { IPV4, PortManager, type Reservation, TCP } from "../../bindings/index.ts";
import { figureOf } from "../harness/measure.ts";
import type { Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const HOST = "127.0.0.1";
const PORTS = 200;
const TINY_PORTS = 3;
const ROUNDS = 5;
const KEY = { networks: [IPV4], transport: TCP, address: HOST } as const;

/** One way to come by a port. */
interface Source {
  readonly system: System;
  /** A port without a listener; `reservations` keep it. */
  port(): Promise<number> | number;
  /** A server that listens on a port that it has been given. */
  server(): Promise<net.Server>;
  /** Gives back what it remembers. */
  forget(): void;
}

/** What has been counted while a source was at work. */
interface Counted {
  readonly different: number;
  readonly listens: number;
}

export const packagesSuite: Suite = {
  title: "what names a free port on 127.0.0.1; each port after the one before",
  async run(session) {
    // It would listen on all addresses of the machine.
    Object.assign(portfinder, { _defaultHosts: [HOST] });
    const manager = PortManager.open();
    const sources = [reservations(manager), listening(), ofGetPort(), ofPortfinder()];
    const count = session.smoke ? TINY_PORTS : PORTS;
    await naming(session, sources, count);
    await serving(session, sources, count);
    await counting(session, sources, count);
    manager.close();
  },
};

// ── Sources ───────────────────────────────────────────────────────────────────────────────

function reservations(manager: PortManager): Source {
  const held: Reservation[] = [];
  const port = (): number => {
    const reservation = manager.reservePort(KEY);
    held.push(reservation);
    return reservation.port;
  };
  return {
    system: "reservations",
    port,
    server: async () => {
      for (;;) {
        const server = await listen(port()).catch(refused);
        // Another program has it: it stays reserved, so that it is not picked again.
        if (server !== undefined) return server;
      }
    },
    forget: () => {
      for (const reservation of held.splice(0)) reservation.release();
    },
  };
}

/** The kernel's own choice. */
function listening(): Source {
  return {
    system: "node listen(0)",
    port: async () => {
      const server = await listen(0);
      const port = portOf(server);
      await close(server);
      return port;
    },
    server: () => listen(0),
    forget: () => {},
  };
}

function ofGetPort(): Source {
  const port = (): Promise<number> => getPort({ host: HOST });
  return {
    system: "get-port",
    port,
    server: async () => listen(await port()),
    forget: clearLockedPorts,
  };
}

function ofPortfinder(): Source {
  const port = (): Promise<number> => portfinder.getPortPromise({ host: HOST });
  return {
    system: "portfinder",
    port,
    server: async () => listen(await port()),
    forget: () => {},
  };
}

// ── Rows ──────────────────────────────────────────────────────────────────────────────────

/** Ports are found, and nothing listens there. */
async function naming(session: Session, sources: readonly Source[], count: number): Promise<void> {
  const name = async (source: Source): Promise<number> => {
    const start = process.hrtime.bigint();
    for (let index = 0; index < count; index++) await source.port();
    return elapsed(start) / count;
  };
  await inTurn(session, `${count} ports named`, sources, count, name);
}

/** Each port is listened on at once, and all servers stay open until the last one is there. */
async function serving(session: Session, sources: readonly Source[], count: number): Promise<void> {
  const serve = async (source: Source): Promise<number> => {
    const servers: net.Server[] = [];
    const start = process.hrtime.bigint();
    for (let index = 0; index < count; index++) servers.push(await source.server());
    const ns = elapsed(start) / count;
    await Promise.all(servers.map(close));
    return ns;
  };
  await inTurn(session, `${count} ports listened on`, sources, count, serve);
}

async function inTurn(
  session: Session,
  workload: string,
  sources: readonly Source[],
  count: number,
  sample: (source: Source) => Promise<number>,
): Promise<void> {
  const samples = new Map(sources.map((source) => [source, [] as number[]]));
  for (let round = session.smoke ? 0 : -1; round < (session.smoke ? 1 : ROUNDS); round++) {
    // There and back, so that none always comes behind the one that leaves most garbage.
    for (const source of round % 2 === 0 ? sources : [...sources].reverse()) {
      const ns = await sample(source);
      source.forget();
      if (round >= 0) samples.get(source)?.push(ns);
    }
  }
  for (const [{ system }, values] of samples) {
    session.keep({ suite: "packages", workload, system, operations: count, ...figureOf(values) });
  }
}

/** What the sources do: not timed. */
async function counting(
  session: Session,
  sources: readonly Source[],
  count: number,
): Promise<void> {
  for (const source of sources) {
    const { different, listens } = await counted(source, count);
    const keep = (workload: string, value: number): void => {
      session.keepOne({ suite: "packages", workload }, source.system, value, { unit: "ratio" });
    };
    keep("listening sockets for each port", listens / count);
    keep(`different ones among ${count} ports`, different / count);
  }
}

async function counted(source: Source, count: number): Promise<Counted> {
  const { prototype } = net.Server;
  const { listen: original } = prototype;
  const ports = new Set<number>();
  let listens = 0;
  const counting = function (this: net.Server, ...args: Parameters<typeof original>): net.Server {
    listens++;
    return original.apply(this, args);
  };
  Object.assign(prototype, { listen: counting });
  try {
    for (let index = 0; index < count; index++) ports.add(await source.port());
  } finally {
    Object.assign(prototype, { listen: original });
    source.forget();
  }
  return { different: ports.size, listens };
}

// ── Servers ───────────────────────────────────────────────────────────────────────────────

function listen(port: number): Promise<net.Server> {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: HOST }, () => resolve(server));
  });
}

function close(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}

function refused(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "EADDRINUSE") throw error;
}

function elapsed(start: bigint): number {
  return Number(process.hrtime.bigint() - start);
}
