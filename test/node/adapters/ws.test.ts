// ws: WebSockets through the agents, and through connectionFor.

import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import {
  ConnectorError,
  connectionFor,
  HttpPortAgent,
  HttpsPortAgent,
} from "../../../bindings/node/index.ts";
import { until } from "../../support/connectors.ts";
import { CERTIFICATE } from "./certificate.ts";
import {
  atEnd,
  connect,
  DEAD_PORT,
  expectOurs,
  type Fixture,
  fixtureOf,
  RANGE,
  SOURCES,
  TLS_SERVER,
} from "./fixture.ts";

/** A server that sends back what it gets. */
async function echo(isSecure = false): Promise<Fixture> {
  const server = isSecure ? createSecureServer(TLS_SERVER) : createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", (data) => socket.send(data.toString()));
  });
  const fixture = await fixtureOf(server);
  atEnd(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
  return fixture;
}

/** Says something, and answers what came back. */
function say(socket: WebSocket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.on("open", () => socket.send(text));
    socket.on("message", (data) => resolve(data.toString()));
    socket.on("error", reject);
  });
}

test("WebSockets come from picked sources and ports, as many as there are", async () => {
  const { port, came } = await echo();
  const connector = connect();
  const agent = new HttpPortAgent(connector);
  const url = `ws://portwarden.test:${port}/`;
  const sockets = Array.from({ length: 40 }, () => new WebSocket(url, { agent }));
  atEnd(() => {
    for (const socket of sockets) socket.terminate();
  });
  const texts = sockets.map((socket, index) => say(socket, `hello ${index}`));
  expect(await Promise.all(texts)).toEqual(sockets.map((_, index) => `hello ${index}`));
  expect(came).toHaveLength(40);
  expectOurs(came);
  expect(connector.metrics().held).toBe(40);
  for (const socket of sockets) socket.close();
  await until(() => connector.metrics().held === 0);
});

test("secure WebSockets come from picked ports, with certificates checked", async () => {
  const { port, came } = await echo(true);
  const connector = connect();
  const agent = new HttpsPortAgent(connector, { ca: CERTIFICATE });
  const socket = new WebSocket(`wss://portwarden.test:${port}/`, { agent });
  expect(await say(socket, "hello")).toBe("hello");
  socket.close();
  const createConnection = connectionFor(connector, { secure: true });
  const options = { createConnection, ca: CERTIFICATE };
  const other = new WebSocket(`wss://portwarden.test:${port}/`, options);
  expect(await say(other, "hello")).toBe("hello");
  other.close();
  expectOurs(came);
  expect(came).toHaveLength(2);
  for (const wrong of [{ agent }, options]) {
    const refused = new WebSocket(`wss://example.test:${port}/`, wrong);
    await expect(say(refused, "hello")).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
  }
});

test("connectionFor needs no agent", async () => {
  const { port, came } = await echo();
  const connector = connect();
  const options = { createConnection: connectionFor(connector) };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/some/path`, options);
  expect(await say(socket, "hello")).toBe("hello");
  expectOurs(came);
  socket.terminate();
  const refused = new WebSocket(`ws://127.0.0.1:${DEAD_PORT}/`, options);
  await expect(say(refused, "hello")).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a WebSocket without a port fails, and one that is terminated leaves the queue", async () => {
  const { port } = await echo();
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange });
  const waiting = connect({ sources: SOURCES[1], portRange, wait: true });
  const url = `ws://127.0.0.1:${port}/`;
  const agent = new HttpPortAgent(connector);
  const first = new WebSocket(url, { agent });
  await say(first, "hello");
  const second = say(new WebSocket(url, { agent }), "hello");
  await expect(second).rejects.toBeInstanceOf(ConnectorError);
  first.terminate();

  const holder = await waiting.connect({ host: "127.0.0.1", port });
  const third = new WebSocket(url, { agent: new HttpPortAgent(waiting) });
  const failed = new Promise((resolve) => third.on("error", resolve));
  expect(waiting.metrics().waiting).toBe(1);
  third.terminate();
  expect(waiting.metrics().waiting).toBe(0);
  await failed;
  holder.destroy();
});

test("handshakeTimeout ends a handshake without an answer", async () => {
  const server = createServer();
  server.on("upgrade", () => {}); // and no answer
  const { port } = await fixtureOf(server);
  const agent = new HttpPortAgent(connect());
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { agent, handshakeTimeout: 50 });
  await expect(say(socket, "hello")).rejects.toThrow("timed out");
});
