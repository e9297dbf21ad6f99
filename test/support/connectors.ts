// Connectors in tests: servers on loopback, sources that no other test has, and what must hold in
// the end.

import { once } from "node:events";
import {
  type AddressInfo,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from "node:net";
import { expect, onTestFinished } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import type { ConnectOptions, ConnectTarget } from "../../bindings/node/connector/connector.ts";
import {
  type Connector,
  type ConnectorError,
  type ConnectorOptions,
  createConnector,
} from "../../bindings/node/index.ts";

/** Another program's listener on a port of ours. */
export async function occupy(host: string, port: number): Promise<Server> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  return server;
}

/** What `Connector.dial` opens, as a promise. */
export function dialled(
  connector: Connector,
  to: ConnectTarget,
  dial: Dial,
  readyEvent?: string,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const opened = (error: Error | null, socket: Socket | null): void => {
      if (socket === null) reject(error);
      else resolve(socket);
    };
    connector.dial(to, dial, opened, readyEvent);
  });
}

/** Ports that neither the system nor other tests use. */
export const RANGE = { first: 23_000, last: 23_007 };
const WAIT_MAX_MS = 120_000;

/** Addresses of 127.0.0.0/8, one after the other, that no other test has but for a rare chance. */
export function freshSources(count: number): string[] {
  const octet = (most = 250): number => 1 + Math.floor(Math.random() * most);
  const [net, first] = [`127.${octet()}.${octet()}`, octet(250 - count)];
  return Array.from({ length: count }, (_, index) => `${net}.${first + index}`);
}

export interface TestServer {
  readonly port: number;
  /** Where to connect to. */
  readonly to: { readonly host: string; readonly port: number };
  /** Connections as the server sees them. */
  readonly sockets: Set<Socket>;
  readonly server: Server;
  /** Resets all connections and listens no more. */
  close(): Promise<void>;
}

/** A server that keeps connections and sends back what it gets; it is closed when the test ends. */
export async function serve(
  options: ListenOptions = {},
  allowHalfOpen = false,
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", (data) => socket.write(data));
  });
  server.listen({ host: "127.0.0.1", port: 0, ...options });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.resetAndDestroy();
    if (server.listening) await new Promise((done) => server.close(done));
  };
  onTestFinished(close);
  return { port, to: { host: "127.0.0.1", port }, sockets, server, close };
}

/** A connector with eight ports and a source of its own, by default. */
export function connectorWith(options: Partial<ConnectorOptions> = {}): Connector {
  const connector = createConnector({
    sources: freshSources(1),
    portRange: RANGE,
    reserved: "",
    cooldown: "none",
    skipUsed: false,
    ...options,
  });
  onTestFinished(() => connector.close());
  return connector;
}

/** So many connections at the same time. */
export function openMany(
  connector: Connector,
  options: ConnectOptions,
  count: number,
): Promise<Socket[]> {
  return Promise.all(Array.from({ length: count }, () => connector.connect(options)));
}

/** Closes without a TIME_WAIT, and waits for it. */
export async function reset(...sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map(async (socket) => {
      if (socket.closed) return;
      const closed = once(socket, "close");
      socket.resetAndDestroy();
      await closed;
    }),
  );
}

/** The error that a promise is rejected with. */
export async function errorOf(promise: Promise<unknown>): Promise<ConnectorError & Error> {
  const none = Symbol("none");
  const error = await promise.then(
    () => none,
    (reason: unknown) => reason,
  );
  if (error === none) throw new Error("expected a rejection");
  return error as ConnectorError;
}

/** Waits until that holds, for a while. */
export async function until(holds: () => boolean, what = `${holds}`): Promise<void> {
  const end = performance.now() + WAIT_MAX_MS;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${WAIT_MAX_MS} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/**
 * What must hold in the end: nothing is held, no caller waits, and every port of every source can
 * be taken for that destination, and no more. Ports that are quarantined must have come back.
 */
export async function expectAllBack(connector: Connector, to: ConnectOptions): Promise<void> {
  await until(() => connector.metrics().held === 0, "every port given back");
  const { waiting, picks, released, held } = connector.metrics();
  expect({ waiting, held, out: picks - released }).toEqual({ waiting: 0, held: 0, out: 0 });
  const { perDestination } = connector.capacity(1, to.host?.includes(":") ? 6 : 4);
  const sockets = await openMany(connector, to, perDestination);
  const ends = new Set(sockets.map((one) => `${one.localAddress} ${one.localPort}`));
  expect(ends.size).toBe(perDestination);
  expect(connector.metrics().held).toBe(perDestination);
  await reset(...sockets);
  expect(connector.metrics().held).toBe(0);
}
