// Servers of the connector's fuzzer: each does something else to its connections.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** What a server does with a connection. */
const BEHAVIOURS = {
  echo: (socket) => void socket.on("data", (data) => socket.write(data)),
  // A TLS handshake stalls here.
  mute: (socket) => void socket.resume(),
  reset: (socket) => void socket.resetAndDestroy(),
  end: (socket) => void socket.resume().end(),
  // Ends, and reads no more: half of it stays open.
  halfOpen: (socket) => void socket.end(),
  // Garbage, to a client of TLS as well.
  talk: (socket) => void socket.resume().write("no TLS here\n"),
  late: (socket) => void setTimeout(() => socket.resetAndDestroy(), 15),
} satisfies Record<string, (socket: Socket) => void>;

export interface Servers {
  /** Where they listen, and one port where none does. */
  readonly ports: readonly number[];
  /** The port of the one that keeps connections. */
  readonly echo: number;
  /** Resets all connections that are open. */
  killAll(): void;
  close(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const ports: number[] = [];
  for (const behave of Object.values(BEHAVIOURS)) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
      socket.on("end", () => setTimeout(() => socket.end(), 2));
      behave(socket);
    });
    server.listen({ host: "0.0.0.0", port: 0 });
    await once(server, "listening");
    servers.push(server);
    ports.push((server.address() as AddressInfo).port);
  }
  const killAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const close = async (): Promise<void> => {
    killAll();
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  };
  return { ports: [...ports, 1], echo: ports[0] as number, killAll, close };
}
