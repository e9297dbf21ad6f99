// Proxy: stands between clients and a server on loopback, and delays or holds back what the server
// answers.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class SlowProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  #target: number;
  #frozenUntil = 0;
  #delayMs = 0;

  private constructor(server: Server, sockets: Set<Socket>, target: number) {
    this.#server = server;
    this.#target = target;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async to(port: number): Promise<SlowProxy> {
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const upstream = connect({ port: proxy.#target, host: "127.0.0.1" });
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket
          .on("error", () => {})
          .on("close", () => {
            sockets.delete(socket);
            other.destroy();
          });
      }
      client.pipe(upstream);
      upstream.on("data", (data) => proxy.#pass(() => client.write(data)));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new SlowProxy(server, sockets, port);
    return proxy;
  }

  /** No answer passes for so long. */
  freeze(ms: number): void {
    this.#frozenUntil = performance.now() + ms;
  }

  /** Each answer takes so much longer from now on. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** New clients get another server, and of those that are there so large a share is cut off. */
  turnTo(port: number, share = 1): void {
    this.#target = port;
    for (const socket of this.#sockets) if (Math.random() < share) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** In the order in which they came: a timer of the same length is called in order. */
  #pass(write: () => void): void {
    const wait = Math.max(this.#delayMs, this.#frozenUntil - performance.now());
    if (wait <= 0) write();
    else setTimeout(write, wait);
  }
}
