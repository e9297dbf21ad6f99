// Loopback: servers and sockets on this machine's own addresses, and two questions that only a try
// can answer: which 127.x addresses there are (Linux: all; macOS and Windows: 127.0.0.1 unless
// more have been set up), and whether one local port can serve two destinations at once (Linux:
// yes; kernels that refuse to bind the same address and port a second time: no).

import { once } from "node:events";
import net from "node:net";

/** Where a connection goes to. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A connection as the server that accepted it sees it. */
export interface Sighting {
  readonly from: Endpoint;
  readonly to: Endpoint;
}

// Longer than any number of attempts at once, so that none is dropped and has to be sent again.
const BACKLOG = 1024;
const DIAL_MS_MAX = 5000;

/** A TCP server that accepts connections and keeps them open. */
export class Server {
  readonly endpoint: Endpoint;
  /** Told of each connection that the server has accepted. */
  onAccept: (sighting: Sighting) => void = () => {};
  readonly #server: net.Server;
  readonly #accepted = new Set<net.Socket>();

  private constructor(server: net.Server) {
    const { address, port } = server.address() as net.AddressInfo;
    this.endpoint = { address, port };
    this.#server = server;
  }

  /** Listens on a port that the kernel chooses. */
  static async start(address: string): Promise<Server> {
    const listening = net.createServer().listen({ host: address, port: 0, backlog: BACKLOG });
    await once(listening, "listening");
    const server = new Server(listening);
    listening.on("connection", (socket) => server.#accept(socket));
    return server;
  }

  /** Closes what is left of the accepted connections, and the server. */
  async close(): Promise<void> {
    for (const socket of this.#accepted) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: net.Socket): void {
    this.#accepted.add(socket);
    // A client that goes away resets the connection, which is how this demo closes.
    socket.on("error", () => {});
    socket.once("close", () => this.#accepted.delete(socket));
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) return;
    this.onAccept({ from: { address: remoteAddress, port: remotePort }, to: this.endpoint });
  }
}

/**
 * Starts to connect from a chosen address and, unless 0, a chosen port. The socket closes when
 * nothing happens for a while; whoever has what he wants sets its timeout to 0.
 */
export function dial(source: string, port: number, to: Endpoint): net.Socket {
  const socket = net.connect({
    host: to.address,
    port: to.port,
    localAddress: source,
    localPort: port,
  });
  socket.setTimeout(DIAL_MS_MAX, () => {
    socket.destroy(
      Object.assign(new Error("no answer"), { code: "ETIMEDOUT", syscall: "connect" }),
    );
  });
  return socket;
}

/**
 * Closes a client's socket by a reset. A plain close would leave the connection in TIME_WAIT for
 * about a minute, and with it the local port; a reset leaves nothing, on either side, so that
 * the same ports serve the next run at once. Nothing is lost: no byte was ever sent.
 */
export function hangUp(socket: net.Socket): void {
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}

/** Those of the addresses that a program on this machine can have. */
export async function usableAddresses(wanted: readonly string[]): Promise<string[]> {
  const usable: string[] = [];
  for (const address of wanted) {
    try {
      const server = await Server.start(address);
      await server.close();
      usable.push(address);
    } catch {
      // Not an address of this machine.
    }
  }
  return usable;
}

/**
 * Can two sockets of `source` have one local port at once, each with its own destination?
 * @throws the system's error when there is no connection at all.
 */
export async function canSharePort(source: string, address: string): Promise<boolean> {
  const servers = [await Server.start(address), await Server.start(address)] as const;
  const sockets = [dial(source, 0, servers[0].endpoint)];
  try {
    const port = await localPortOf(sockets[0] as net.Socket);
    sockets.push(dial(source, port, servers[1].endpoint));
    return (await localPortOf(sockets[1] as net.Socket).catch(() => undefined)) === port;
  } finally {
    for (const socket of sockets) hangUp(socket);
    for (const server of servers) await server.close();
  }
}

async function localPortOf(socket: net.Socket): Promise<number> {
  await once(socket, "connect");
  return socket.localPort as number;
}
