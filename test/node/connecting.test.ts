// Connecting: TLS, half-open connections, what is passed on to Node, and the two ways to ask.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { type AddressInfo, connect as netConnect, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { createConnector, type Lookup } from "../../bindings/node/index.ts";
import {
  connectorWith,
  errorOf,
  expectAllBack,
  openMany,
  RANGE,
  reset,
  serve,
  until,
} from "../support/connectors.ts";
import { CERTIFICATE, PRIVATE_KEY } from "./adapters/certificate.ts";

const NAME = "portwarden.test";
const LOOKUP: { lookup: Lookup } = {
  lookup: (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
};

/** What a socket was given, as far as Node lets it be seen. */
function settingsOf(socket: Socket): object {
  const { allowHalfOpen, readableHighWaterMark, writableHighWaterMark, timeout } = socket;
  const hidden = Object.getOwnPropertySymbols(socket).filter(({ description }) =>
    description?.startsWith("kSet"),
  );
  expect(hidden.length).toBeGreaterThanOrEqual(3); // kSetNoDelay, kSetKeepAlive and kSetKeepAliveInitialDelay
  return {
    ...{ allowHalfOpen, readableHighWaterMark, writableHighWaterMark, timeout },
    ...Object.fromEntries(
      hidden.map((symbol) => [symbol.description, Reflect.get(socket, symbol)]),
    ),
  };
}

/** A TLS server that sends back what it gets. */
async function serveTls(options: TlsOptions = {}): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createTlsServer({ key: PRIVATE_KEY, cert: CERTIFICATE, ...options });
  server.on("connection", (socket) => sockets.add(socket).size);
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {}).on("data", (data) => socket.write(data));
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test("a TLS connection is secure when it is handed out, and checked against the host's name", async () => {
  const connector = connectorWith(LOOKUP);
  const port = await serveTls();
  const socket: TLSSocket = await connector.connect({ host: NAME, port, tls: { ca: CERTIFICATE } });
  expect(socket).toMatchObject({ authorized: true, encrypted: true, servername: NAME });
  expect(socket.localAddress).toBe(connector.sources[0]);
  expect(socket.localPort).toBeGreaterThanOrEqual(RANGE.first);
  expect(socket.localPort).toBeLessThanOrEqual(RANGE.last);
  socket.write("hello");
  expect(String((await once(socket, "data"))[0])).toBe("hello");
  expect(connector.metrics()).toMatchObject({ held: 1, connected: 1 });
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  expect(connector.metrics()).toMatchObject({ held: 0, released: 1, failed: 0 });
});

test("a certificate that does not fit gives the port back, whatever is wrong with it", async () => {
  // By turns: the server may not have closed its end of the last connection yet.
  const connector = connectorWith({ ...LOOKUP, selection: "fifo" });
  const port = await serveTls();
  const wrong: [object, string][] = [
    [{ host: NAME, port, tls: true }, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    [{ host: "other.test", port, tls: { ca: CERTIFICATE } }, "ERR_TLS_CERT_ALTNAME_INVALID"],
    [{ host: "127.0.0.2", port, tls: { ca: CERTIFICATE } }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ];
  for (const [options, code] of wrong) {
    expect(await errorOf(connector.connect(options as { port: number }))).toMatchObject({ code });
  }
  expect(connector.metrics()).toMatchObject({
    held: 0,
    picks: 3,
    failed: 3,
    released: 3,
    connected: 0,
  });
  // Five of eight, for the same reason.
  const allowed = { servername: NAME, ca: CERTIFICATE };
  const open = await openMany(connector, { host: "127.0.0.1", port, tls: allowed }, 5);
  for (const socket of open) socket.destroy();
  await until(() => connector.metrics().held === 0, "all ports");
});

test("a server that does not speak TLS, and one that says nothing, give the port back", async () => {
  const connector = connectorWith();
  const { port } = await serve();
  const mute = await serve({}, true);
  mute.server.removeAllListeners("connection").on("connection", (socket: Socket) => {
    mute.sockets.add(socket.on("error", () => {}));
  });
  const tls = { rejectUnauthorized: false };
  const spoken = await errorOf(connector.connect({ host: "127.0.0.1", port, tls }));
  expect((spoken as NodeJS.ErrnoException).code).toMatch(/^ERR_SSL_/);
  const silent = await errorOf(
    connector.connect({ host: "127.0.0.1", port: mute.port, tls, connectTimeout: 100 }),
  );
  expect(silent).toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
  await until(() => connector.metrics().held === 0, "both ports");
  expect(connector.metrics()).toMatchObject({ picks: 2, failed: 2, released: 2, conflicts: 0 });
});

test("connectTimeout of one connection overrides the connector's, and counts until it is secure", async () => {
  const connector = connectorWith({ connectTimeout: 60_000 });
  const { port } = await serve({}, true);
  const began = performance.now();
  const waits = { host: "127.0.0.1", port, tls: true, connectTimeout: 50 };
  const mute = await serve();
  mute.server.removeAllListeners("connection").on("connection", (socket: Socket) => {
    mute.sockets.add(socket.on("error", () => {}));
  });
  const error = await errorOf(connector.connect({ ...waits, port: mute.port }));
  expect(error).toMatchObject({ code: "ETIMEDOUT" });
  expect(performance.now() - began).toBeLessThan(10_000);
  await until(() => connector.metrics().held === 0, "the port");
  // And a connection in time is quarantined by it.
  const socket = await connector.connect({ host: "127.0.0.1", port, connectTimeout: 400 });
  await new Promise((done) => setTimeout(done, 600));
  expect(socket.destroyed).toBe(false);
  await reset(socket);
});

test("a half-open connection keeps its port until both sides have ended", async () => {
  const connector = connectorWith({ portRange: { first: 23_500, last: 23_500 }, cooldown: 60_000 });
  const { to, sockets } = await serve({}, true);
  const socket = await connector.connect({ ...to, allowHalfOpen: true });
  socket.resume();
  await until(() => sockets.size === 1, "the server's end");
  const [theirs] = [...sockets] as [Socket];
  theirs.resume().end();
  await once(socket, "end");
  expect(connector.metrics()).toMatchObject({ held: 1 });
  expect(await errorOf(connector.connect(to))).toMatchObject({ exhausted: "source" });
  socket.write("still");
  const closed = once(socket, "close");
  socket.end();
  await closed;
  expect(connector.metrics()).toMatchObject({ held: 0, cooling: 0, cooledDown: 0, released: 1 });
  await expectAllBack(connector, to);
});

test("options of net.connect reach the socket, and a port may be in digits; the ends are ours", async () => {
  const connector = connectorWith();
  const { port, to } = await serve();
  const options = {
    host: "127.0.0.1",
    port: `${port}`,
    noDelay: true,
    keepAlive: true,
    timeout: 40,
  };
  const socket = await connector.connect(options);
  expect(socket.timeout).toBe(40);
  expect(socket.localPort).toBeGreaterThanOrEqual(RANGE.first);
  await once(socket, "timeout");
  expect(connector.metrics().held).toBe(1);
  await reset(socket);
  await expectAllBack(connector, to);
});

test.each([
  ["none", {}],
  ["that are set later", { noDelay: true, keepAlive: true, timeout: 60_000 }],
  ["that a socket is made with", { allowHalfOpen: true, highWaterMark: 1234, noDelay: false }],
  ["that belong together", { keepAlive: true, keepAliveInitialDelay: 7000, noDelay: true }],
])("a socket is what net.connect makes of the same options: %s", async (_, options) => {
  const connector = connectorWith();
  const { port } = await serve();
  const to = { host: "127.0.0.1", port, ...options };
  const bare = netConnect(to);
  await once(bare, "connect");
  const ours = await connector.connect(Object.assign({ path: "/dev/null" }, to));
  expect(settingsOf(ours)).toEqual(settingsOf(bare));
  expect(ours.remotePort).toBe(port);
  await Promise.all([reset(ours), reset(bare)]);
});

test("a listener for new sockets hears of each, as often as from Node", async () => {
  const connector = connectorWith();
  const { port } = await serve();
  const to = { host: "127.0.0.1", port };
  const heard: Socket[] = [];
  const listen = (message: unknown): void => {
    heard.push((message as { socket: Socket }).socket);
  };
  subscribe("net.client.socket", listen);
  try {
    const bare = netConnect(to);
    await once(bare, "connect");
    const ours = await connector.connect(to);
    expect(heard).toEqual([bare, ours]);
    await Promise.all([reset(ours), reset(bare)]);
  } finally {
    unsubscribe("net.client.socket", listen);
  }
});

test("an open socket's errors are its owner's, and give the port back", async () => {
  const connector = connectorWith({ cooldown: 60_000 });
  const { to, sockets } = await serve();
  const [reached, destroyed] = (await openMany(connector, to, 2)) as [Socket, Socket];
  const reason = new Error("mine");
  const errors = [once(reached, "error"), once(destroyed, "error")];
  await until(() => sockets.size === 2, "the server's ends");
  for (const theirs of sockets)
    if (theirs.remotePort === reached.localPort) theirs.resetAndDestroy();
  destroyed.destroy(reason);
  expect((await errors[0])?.[0]).toMatchObject({ code: "ECONNRESET" });
  expect((await errors[1])?.[0]).toBe(reason);
  await until(() => connector.metrics().held === 0, "both ports");
  expect(connector.metrics()).toMatchObject({
    released: 2,
    failed: 0,
    cooledDown: 1,
    connected: 2,
  });
});

test("a callback is called once, with a socket or an error", async () => {
  const connector = connectorWith();
  const { port } = await serve();
  const calls: unknown[] = [];
  const open = (to: number): Promise<Socket | null> =>
    new Promise((done) => {
      connector.open({ host: "127.0.0.1", port: to }, (error, socket) => {
        calls.push(error?.name ?? null);
        done(socket);
      });
    });
  await reset((await open(port)) as Socket);
  expect(await open(9)).toBeNull();
  await new Promise((done) => setTimeout(done, 20));
  expect(calls).toEqual([null, "Error"]);
});

test("thousands of connections, with aborts, resets and refusals, leave nothing behind", async () => {
  const connector = connectorWith({ portRange: { first: 23_600, last: 23_663 }, wait: true });
  const { to } = await serve();
  let index = 0;
  const worker = async (): Promise<void> => {
    while (index < 3000) {
      const number = index++;
      const abortion = new AbortController();
      if (number % 11 === 0) setImmediate(() => abortion.abort(new Error("enough")));
      const target = number % 13 === 0 ? { ...to, port: 9 } : to;
      const socket = await connector
        .connect({ ...target, signal: abortion.signal })
        .catch(() => undefined);
      if (socket === undefined) continue;
      socket.on("error", () => {});
      await reset(socket);
    }
  };
  await Promise.all(Array.from({ length: 100 }, worker));
  await until(() => connector.metrics().held === 0, "all ports");
  expect(connector.metrics().connected).toBeGreaterThan(2000);
  expect(connector.metrics().waiting).toBe(0);
  await expectAllBack(connector, to);
});

test("`using` closes the connector", () => {
  const connector = createConnector({ sources: "127.0.0.1", skipUsed: false });
  connector[Symbol.dispose]();
  expect(() => connector.refresh()).toThrow(expect.objectContaining({ code: "EBADF" }));
});
