// Packages: a server on a port that npm's packages name, beside one that portwarden reserves and
// one that the kernel picks. All is on 127.0.0.1, and each is asked so: portfinder would ask all
// addresses of the machine.
//
// The two packages open a listening socket, close it and name the port: it is free by then, so that
// another program may get it before the caller does. portwarden opens nothing and knows nothing of
// other programs, so its caller has to be ready for EADDRINUSE as well, and asks for the next one.

import net from "node:net";
import { clearLockedPorts, default as getPort } from "get-port";
import portfinder from "portfinder";
import { IPV4, PortManager, type Reservation, TCP } from "../../bindings/index.ts";
import { figureOf } from "../harness/measure.ts";
import type { System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const HOST = "127.0.0.1";
const PORTS = 200;
const TINY_PORTS = 3;
const ROUNDS = 5;
const KEY = { networks: [IPV4], transport: TCP, address: HOST } as const;

/** One way to come by a server that listens. */
interface Source {
  readonly system: System;
  server(): Promise<net.Server>;
  /** Gives back what it remembers. */
  forget(): void;
}

export const packagesSuite: Suite = {
  title: "a server that listens on a port of 127.0.0.1, all open until the last one is there",
  async run(session) {
    // It would listen on all addresses of the machine.
    Object.assign(portfinder, { _defaultHosts: [HOST] });
    using manager = PortManager.open();
    const sources = sourcesOf(manager);
    const count = session.smoke ? TINY_PORTS : PORTS;
    const samples = new Map(sources.map((source) => [source, [] as number[]]));
    for (let round = session.smoke ? 0 : -1; round < (session.smoke ? 1 : ROUNDS); round++) {
      // There and back, so that none always comes behind the one that leaves most garbage.
      for (const source of round % 2 === 0 ? sources : [...sources].reverse()) {
        const ns = await serve(source, count);
        source.forget();
        if (round >= 0) samples.get(source)?.push(ns);
      }
    }
    const key = { suite: "packages", workload: `${count} ports listened on`, operations: count };
    for (const [{ system }, values] of samples)
      session.keep({ ...key, system, ...figureOf(values) });
  },
};

function sourcesOf(manager: PortManager): Source[] {
  const portfinderPort = () => portfinder.getPortPromise({ host: HOST });
  const nothing = (): void => {};
  return [
    reservations(manager),
    { system: "node listen(0)", server: () => listen(0), forget: nothing },
    {
      system: "get-port",
      server: async () => listen(await getPort({ host: HOST })),
      forget: clearLockedPorts,
    },
    { system: "portfinder", server: async () => listen(await portfinderPort()), forget: nothing },
  ];
}

function reservations(manager: PortManager): Source {
  const held: Reservation[] = [];
  return {
    system: "reservations",
    server: async () => {
      for (;;) {
        const reservation = manager.reservePort(KEY);
        held.push(reservation);
        const server = await listen(reservation.port).catch(refused);
        // Another program has it: it stays reserved, so that it is not picked again.
        if (server !== undefined) return server;
      }
    },
    forget: () => {
      for (const reservation of held.splice(0)) reservation.release();
    },
  };
}

/** Nanoseconds for one of so many servers. */
async function serve(source: Source, count: number): Promise<number> {
  const servers: net.Server[] = [];
  const start = process.hrtime.bigint();
  for (let index = 0; index < count; index++) servers.push(await source.server());
  const ns = Number(process.hrtime.bigint() - start) / count;
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ns;
}

function listen(port: number): Promise<net.Server> {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: HOST }, () => resolve(server));
  });
}

function refused(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "EADDRINUSE") throw error;
}
