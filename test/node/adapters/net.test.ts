// PortSocket: a socket at once, for libraries that take a function which returns one.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { connect as connectPlainly, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { createServer as createTlsServer, connect as tlsConnect } from "node:tls";
import { expect, test } from "vitest";
import {
  type Connector,
  ConnectorError,
  HttpPortAgent,
  PortSocket,
  undiciConnect,
} from "../../../bindings/node/index.ts";
import { firstLine } from "../../support/captured.ts";
import { until } from "../../support/connectors.ts";
import { CERTIFICATE } from "./certificate.ts";
import {
  atEnd,
  connect,
  DEAD_PORT,
  expectOurs,
  type Fixture,
  fixtureOf,
  listenAt,
  ONE,
  RANGE,
  SOURCES,
  TLS_SERVER,
} from "./fixture.ts";

function echo(): Promise<Fixture> {
  return fixtureOf(createServer((socket) => socket.pipe(socket)));
}

test("a PortSocket is connecting at once, and what is written goes out", async () => {
  const { port, came } = await echo();
  const connector = connect();
  const socket = new PortSocket(connector).connect(port, "127.0.0.1");
  expect(socket.connecting).toBe(true);
  socket.write("hello ");
  socket.end("again");
  let text = "";
  for await (const chunk of socket) text += chunk;
  expect(text).toBe("hello again");
  expectOurs(came);
});

test("every form of connect works, with names as well", async () => {
  const { port, came } = await echo();
  const connector = connect();
  const connected = new Promise<void>((resolve) => {
    const socket = new PortSocket(connector, { allowHalfOpen: true });
    socket.connect({ port, host: "portwarden.test", localAddress: SOURCES[1] }, () => {
      socket.destroy();
      resolve();
    });
  });
  const byPort = new PortSocket(connector).connect(port); // localhost
  const byName = new PortSocket(connector).connect(port, "portwarden.test");
  expect(byName.connecting).toBe(true);
  byName.write("hello");
  const [chunk] = await once(byName, "data");
  expect(String(chunk)).toBe("hello");
  await Promise.all([connected, byPort.connecting ? once(byPort, "connect") : undefined]);
  expect(came).toHaveLength(3);
  expectOurs(came);
  byPort.destroy();
  byName.destroy();
});

test("a failure is the socket's error, once", async () => {
  const connector = connect(ONE);
  for (const [host, code] of [
    ["127.0.0.1", "ECONNREFUSED"],
    ["nowhere.invalid", "ENOTFOUND"],
  ] as const) {
    const socket = new PortSocket(connector).connect(DEAD_PORT, host);
    const errors: NodeJS.ErrnoException[] = [];
    socket.on("error", (error) => errors.push(error));
    await new Promise((resolve) => socket.on("close", resolve));
    expect(errors.map((error) => error.code)).toEqual([code]);
  }
});

test("a PortSocket fails without a port; with waiting it connects later", async () => {
  const { port } = await echo();
  const connector = connect(ONE);
  const holder = await connector.connect({ host: "127.0.0.1", port });
  const refused = new PortSocket(connector).connect(port, "127.0.0.1");
  const [error] = await once(refused, "error");
  expect(error).toBeInstanceOf(ConnectorError);
  holder.destroy();

  const patient = connect({ ...ONE, sources: SOURCES[1], wait: true });
  const other = await patient.connect({ host: "127.0.0.1", port });
  const socket = new PortSocket(patient).connect(port, "127.0.0.1");
  socket.write("hello");
  other.resetAndDestroy();
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("hello");
  socket.destroy();
});

test("a PortSocket takes what behaves as a connector, and its signal tells that to give up", async () => {
  const signals: (AbortSignal | undefined)[] = [];
  const dial: Connector["dial"] = ({ signal }) => void signals.push(signal);
  const like = { dial } as Connector;
  const { signal: own } = new AbortController();
  const destroyed = [
    new PortSocket(like).connect(DEAD_PORT, "127.0.0.1"),
    get({ agent: new HttpPortAgent(like), host: "127.0.0.1", port: DEAD_PORT }),
  ];
  const to = { hostname: "127.0.0.1", protocol: "http:", port: `${DEAD_PORT}` };
  undiciConnect(like, { signal: own })(to, () => {});
  for (const one of destroyed) one.on("error", () => {}).destroy();
  await until(() => signals.length === 3 && signals.slice(0, 2).every((one) => one?.aborted));
  expect(signals.map((one) => one?.aborted)).toEqual([true, true, false]);
});

test("a PortSocket that is destroyed while it waits or connects leaves nothing behind", async () => {
  const { port } = await echo();
  const connector = connect({ ...ONE, wait: true });
  const connecting = new PortSocket(connector).connect(port, "127.0.0.1");
  const waiting = new PortSocket(connector).connect(port, "127.0.0.1");
  expect(connector.metrics()).toMatchObject({ held: 1, waiting: 1 });
  waiting.destroy();
  await once(waiting, "close");
  expect(connector.metrics().waiting).toBe(0);
  connecting.destroy();
  await until(() => connector.metrics().held === 0);
});

test("a port held by another program is quarantined, so that the next try gets another", async () => {
  const { port, came } = await echo();
  const portRange = { first: RANGE.first, last: RANGE.first + 1 };
  await listenAt(SOURCES[0], portRange.first);
  const connector = connect({
    sources: SOURCES[0],
    portRange,
    skipUsed: false,
    quarantine: 60_000,
    selection: "fifo",
  });
  const outcomes: string[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const socket = new PortSocket(connector).connect(port, "127.0.0.1");
    const outcome = await new Promise<string>((resolve) => {
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      socket.on("connect", () => resolve("connected"));
    });
    outcomes.push(outcome);
    socket.resetAndDestroy();
    await until(() => connector.metrics().held === 0);
  }
  expect(outcomes.filter((outcome) => outcome === "EADDRINUSE").length).toBeLessThanOrEqual(1);
  expect(outcomes.filter((outcome) => outcome === "connected").length).toBeGreaterThanOrEqual(2);
  expect(connector.metrics().conflicts).toBe(3 - came.length);
});

test("a PortSocket connects once, and refuses bad arguments at once", async () => {
  const { port } = await echo();
  const connector = connect();
  const socket = new PortSocket(connector);
  expect(() => socket.connect(0, "127.0.0.1")).toThrow("port must be an integer in 1..65535");
  expect(() => socket.connect({ port, localAddress: "127.0.0.99" })).toThrow("localAddress");
  expect(socket.connecting).toBe(false);
  socket.connect(port, "127.0.0.1");
  expect(() => socket.connect(port, "127.0.0.1")).toThrow("EISCONN");
  await once(socket, "connect");
  socket.destroy();
  connector.close();
  expect(() => new PortSocket(connector).connect(port)).toThrow("EBADF");
});

test("a PortSocket tries one of a host's addresses, however long that takes", async () => {
  const port = await deafPort();
  const fillers = Array.from({ length: 4 }, () => connectPlainly(port, "127.0.0.1"));
  atEnd(() => {
    for (const socket of fillers) socket.on("error", () => {}).destroy();
  });
  const connector = connect({
    attemptDelay: 10,
    lookup: (_host, _options, done) =>
      done(null, [
        { address: "127.0.0.1", family: 4 },
        { address: "127.0.0.2", family: 4 },
      ]),
  });
  await pause(50);
  const socket = new PortSocket(connector).connect(port, "portwarden.test");
  const errors: Error[] = [];
  socket.on("error", (error) => errors.push(error));
  await pause(100);
  expect(socket.connecting).toBe(true);
  expect(errors).toEqual([]);
  expect(connector.metrics().held).toBe(1);
  socket.destroy();
});

test("TLS goes over a PortSocket", async () => {
  const { port, came } = await fixtureOf(
    createTlsServer(TLS_SERVER, (socket) => {
      socket.on("error", () => {});
      socket.pipe(socket);
    }),
  );
  const connector = connect();
  for (const host of ["127.0.0.1", "portwarden.test"]) {
    const socket = tlsConnect({
      socket: new PortSocket(connector).connect(port, host),
      servername: "portwarden.test",
      ca: CERTIFICATE,
    });
    await once(socket, "secureConnect");
    socket.write("hello");
    const [chunk] = await once(socket, "data");
    expect(String(chunk)).toBe("hello");
    expect(connector.metrics().held).toBe(1);
    socket.destroy();
    await until(() => connector.metrics().held === 0);
  }
  const refused = tlsConnect({
    socket: new PortSocket(connector).connect(port, "127.0.0.1"),
    servername: "example.test",
    ca: CERTIFICATE,
  });
  const [error] = await once(refused, "error");
  expect(error.code).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  expectOurs(came);
});

test("a library connects a PortSocket itself, as pg does", async () => {
  const { port, came } = await echo();
  const connector = connect();
  const stream: () => PortSocket = () => new PortSocket(connector, { stickyKey: "user" });
  const socket = stream();
  atEnd(() => {
    socket.destroy();
  });
  socket.setNoDelay(true);
  socket.connect(port, "127.0.0.1");
  socket.once("connect", () => socket.write("hello"));
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("hello");
  expectOurs(came);
});

/**
 * A port of a process that does not run: the system queues one connection or two for it, and
 * answers no others.
 */
async function deafPort(): Promise<number> {
  const program = `
    const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      require("node:fs").writeSync(1, String(server.address().port) + "\\n");
      process.kill(process.pid, "SIGSTOP");
    });`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  atEnd(() => {
    child.kill("SIGKILL");
  });
  return Number(await firstLine(child.stdout));
}
