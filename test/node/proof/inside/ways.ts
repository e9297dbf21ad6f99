// Ways: how a program may open connections from one source, each as its users would.

import { connect as netConnect, type Socket } from "node:net";
import type { Connector } from "../../../../bindings/node/index.ts";
import { CERTIFICATE } from "./certificate.ts";
import { HOST, type Kind } from "./hosts.ts";

/** What a client is made with. */
interface World {
  readonly connector: Connector;
  readonly source: string;
  /** Connections to each destination. */
  readonly each: number;
  readonly onFailure: (error: Error) => void;
}

/** Opens connections and keeps them open. */
interface Client {
  /** Opens all connections to a server; done when each is open or has failed. */
  openAll(port: number): Promise<unknown>;
  close(): Promise<unknown> | unknown;
}

export interface Way {
  readonly kind: Kind;
  client(world: World): Client;
}

export const WAYS: Readonly<Record<string, Way>> = {
  "localAddress alone": {
    kind: "tcp",
    client: ({ source, ...world }) =>
      ofSockets(world, (port) => connected(netConnect({ host: HOST, port, localAddress: source }))),
  },
  "the system's choice": {
    kind: "tcp",
    client: (world) => ofSockets(world, (port) => connected(netConnect({ host: HOST, port }))),
  },
  "connector.connect": {
    kind: "tcp",
    client: (world) => ofSockets(world, (port) => world.connector.connect({ host: HOST, port })),
  },
  "connector.connect, TLS": {
    kind: "tls",
    client: (world) =>
      ofSockets(world, (port) =>
        world.connector.connect({ host: HOST, port, tls: { ca: CERTIFICATE } }),
      ),
  },
};

/** A client that opens one socket at a time. */
function ofSockets(
  { each, onFailure }: Pick<World, "each" | "onFailure">,
  open: (port: number) => Promise<Socket>,
): Client {
  const sockets: Socket[] = [];
  return {
    openAll: (port) => all(each, async () => sockets.push(await open(port)), onFailure),
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Does it so many times at once. */
function all(
  count: number,
  once: () => Promise<unknown>,
  onFailure: (error: Error) => void,
): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => once().catch(onFailure)));
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}
