// HttpPortAgent and HttpsPortAgent: what users of Node's agents expect, from ports that portwarden
// picks.

import http from "node:http";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
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
  fixtureOf,
  get,
  httpFixture,
  httpsFixture,
  listenAt,
  ONE,
  oneHeld,
  RANGE,
  SOURCES,
} from "./fixture.ts";

/** So many at the same time. */
function getMany(count: number, port: number, agent: http.Agent): Promise<string>[] {
  const url = `http${agent instanceof HttpsPortAgent ? "s" : ""}://127.0.0.1:${port}/`;
  return Array.from({ length: count }, () => get(url, { agent }));
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

// ── Pooling ───────────────────────────────────────────────────────────────────────────────

test("requests come from picked sources and ports", async () => {
  const { port, came } = await httpFixture();
  const connector = connect();
  const agent = new HttpPortAgent(connector);
  const ports = await Promise.all(getMany(20, port, agent));
  expect(new Set(ports).size).toBe(20);
  expectOurs(came);
  expect(new Set(came.map(({ address }) => address))).toEqual(new Set(SOURCES));
  expect(connector.metrics().connected).toBe(20);
});

test("a pooled connection is used again, and keeps its port", async () => {
  const { port, came } = await httpFixture();
  const connector = connect();
  const agent = new HttpPortAgent(connector, { keepAlive: true });
  atEnd(() => agent.destroy());
  const first = await get(`http://127.0.0.1:${port}/`, { agent });
  for (let again = 0; again < 5; again++) {
    await pause(1);
    expect(await get(`http://127.0.0.1:${port}/`, { agent })).toBe(first);
  }
  expect(came).toHaveLength(1);
  expect(Object.values(agent.freeSockets)[0]).toHaveLength(1);
  expect(connector.metrics().held).toBe(1);
});

test("a destroyed agent leaves no port behind", async () => {
  const { port } = await httpFixture();
  const connector = connect();
  const agent = new HttpPortAgent(connector, { keepAlive: true });
  await Promise.all(getMany(10, port, agent));
  expect(connector.metrics().held).toBe(10);
  agent.destroy();
  await until(() => connector.metrics().held === 0);
});

test("there are never more connections than maxSockets", async () => {
  const { port, came, open } = await httpFixture();
  const connector = connect();
  const agent = new HttpPortAgent(connector, { keepAlive: true, maxSockets: 3 });
  atEnd(() => agent.destroy());
  let most = 0;
  const urls = Array.from({ length: 30 }, () => `http://127.0.0.1:${port}/`);
  await Promise.all(
    urls.map(async (url) => {
      const body = await get(url, { agent });
      most = Math.max(most, open.size, connector.metrics().held);
      return body;
    }),
  );
  expect(most).toBe(3);
  expect(came).toHaveLength(3);
  expect((agent as unknown as { totalSocketCount: number }).totalSocketCount).toBe(3);
});

test("connections to several servers are never more than maxTotalSockets", async () => {
  const fixtures = await Promise.all([httpFixture(), httpFixture(), httpFixture()]);
  const connector = connect();
  const agent = new HttpPortAgent(connector, { maxTotalSockets: 2 });
  let most = 0;
  await Promise.all(
    Array.from({ length: 18 }, async (_, index) => {
      const body = await get(`http://127.0.0.1:${fixtures[index % 3]?.port}/`, { agent });
      most = Math.max(most, connector.metrics().held);
      return body;
    }),
  );
  expect(most).toBeLessThanOrEqual(2);
  expect((agent as unknown as { totalSocketCount: number }).totalSocketCount).toBeLessThanOrEqual(
    2,
  );
});

test("names are resolved by the connector, and localAddress picks the source", async () => {
  const { port, came } = await httpFixture();
  const agent = new HttpPortAgent(connect());
  await get(`http://portwarden.test:${port}/`, { agent });
  await get(`http://127.0.0.1:${port}/`, { agent, localAddress: SOURCES[1] });
  expectOurs(came);
  expect(came[1]?.address).toBe(SOURCES[1]);
  const elsewhere = get(`http://127.0.0.1:${port}/`, { agent, localAddress: "127.0.0.99" });
  await expect(elsewhere).rejects.toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
});

test("with a sticky key all connections come from one source", async () => {
  const { port, came } = await httpFixture();
  const connector = connect({ spread: "sticky" });
  for (const stickyKey of ["a", "b", "c"]) {
    const agent = new HttpPortAgent(connector, { stickyKey });
    await Promise.all(getMany(4, port, agent));
    expect(new Set(came.slice(-4).map(({ address }) => address)).size).toBe(1);
  }
});

// ── Failures ──────────────────────────────────────────────────────────────────────────────

test("a refused connection is the request's error, with Node's code", async () => {
  const agent = new HttpPortAgent(connect());
  const refused = get(`http://127.0.0.1:${DEAD_PORT}/`, { agent });
  await expect(refused).rejects.toMatchObject({ code: "ECONNREFUSED", syscall: "connect" });
  const unknown = get("http://nowhere.invalid/", { agent });
  await expect(unknown).rejects.toMatchObject({ code: "ENOTFOUND" });
  expect(agent.sockets).toEqual({});
});

test("requests of an agent fail without a port, and the agent goes on", async () => {
  const { port } = await httpFixture((_, response) => setTimeout(() => response.end("done"), 50));
  const connector = connect(ONE);
  const agent = new HttpPortAgent(connector);
  const results = await Promise.allSettled(getMany(5, port, agent));
  const failures = results.filter((one) => one.status === "rejected").map(({ reason }) => reason);
  expect(failures).toHaveLength(4);
  for (const failure of failures) expect(failure).toBeInstanceOf(ConnectorError);
  expect(failures[0]).toMatchObject({ code: "EADDRNOTAVAIL", exhausted: "source" });
  await until(() => connector.metrics().held === 0);
  expect(await get(`http://127.0.0.1:${port}/`, { agent })).toBe("done");
});

test("each of the queued requests fails once when no connection can be made", async () => {
  const agent = new HttpPortAgent(connect(), { maxSockets: 2 });
  let errors = 0;
  const outcomes = Array.from(
    { length: 12 },
    () =>
      new Promise((resolve) => {
        http
          .get(`http://127.0.0.1:${DEAD_PORT}/`, { agent })
          .on("error", () => errors++)
          .on("close", resolve);
      }),
  );
  await Promise.all(outcomes);
  await pause(20);
  expect(errors).toBe(12);
  expect({ ...agent.requests }).toEqual({});
  expect({ ...agent.sockets }).toEqual({});
  expect((agent as unknown as { totalSocketCount: number }).totalSocketCount).toBe(0);
});

test("requests of an agent fail when the connector is closed", async () => {
  const connector = connect();
  const agent = new HttpPortAgent(connector, { maxSockets: 1 });
  connector.close();
  const results = await Promise.allSettled(getMany(5, 8080, agent));
  expect(results.map((one) => one.status === "rejected" && codeOf(one.reason))).toEqual(
    Array(5).fill("EBADF"),
  );
});

test("ports held by another program are passed over", async () => {
  const { port, came } = await httpFixture();
  const [source] = SOURCES;
  const portRange = { first: RANGE.first, last: RANGE.first + 3 };
  for (let taken = portRange.first; taken < portRange.last; taken++) await listenAt(source, taken);
  const connector = connect({ sources: source, portRange, skipUsed: false });
  const agent = new HttpPortAgent(connector);
  await get(`http://127.0.0.1:${port}/`, { agent });
  expect(came).toEqual([{ address: source, port: portRange.last }]);
});

// ── Giving up ─────────────────────────────────────────────────────────────────────────────

test("a request that is destroyed while it waits for a port leaves the queue at once", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const agent = new HttpPortAgent(connector);
  const request = http.get(url, { agent });
  const failed = new Promise<Error>((resolve) => request.on("error", resolve));
  expect(connector.metrics().waiting).toBe(1);
  request.destroy(new Error("changed my mind"));
  expect(connector.metrics().waiting).toBe(0);
  expect((await failed).message).toBe("changed my mind");
  holder.destroy();
});

test("a request whose signal is aborted ends at once, also in the agent's own queue", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const agent = new HttpPortAgent(connector, { maxSockets: 1 });
  const controller = new AbortController();
  const outcomes = [0, 1, 2].map((index) => {
    const signal = index < 2 ? { signal: controller.signal } : {};
    return get(url, { agent, ...signal });
  });
  controller.abort();
  const aborted = await Promise.allSettled(outcomes.slice(0, 2));
  expect(aborted.map((one) => one.status === "rejected" && codeOf(one.reason))).toEqual([
    "ABORT_ERR",
    "ABORT_ERR",
  ]);
  expect(connector.metrics().waiting).toBe(1);
  holder.destroy();
  expect(await outcomes[2]).toBe(`${SOURCES[0]}:${RANGE.first}`);
});

test("a request that is destroyed in the agent's own queue ends at once", async () => {
  const silent = await httpFixture(() => {});
  const other = await httpFixture();
  const agent = new HttpPortAgent(connect(), { maxTotalSockets: 1 });
  const first = http.get(`http://127.0.0.1:${silent.port}/`, { agent }).on("error", () => {});
  // The first one keeps the only connection, so that the turn of these never comes.
  const queued = [silent, other, other].map(({ port }) => {
    const events: string[] = [];
    const request = http.get(`http://127.0.0.1:${port}/`, { agent }, (response) => {
      events.push("answer");
      response.resume();
    });
    request
      .on("error", ({ message }) => events.push(message))
      .on("close", () => events.push("close"));
    return { request, events };
  });
  await until(() => silent.open.size === 1);
  queued[0]?.request.destroy();
  queued[1]?.request.destroy(new Error("changed my mind"));
  await until(() => queued[1]?.events.length === 2);
  expect(queued.map(({ events }) => events)).toEqual([
    ["socket hang up", "close"],
    ["changed my mind", "close"],
    [],
  ]);
  expect(Object.values(agent.requests).map((requests) => requests?.length)).toEqual([1]);
  first.destroy();
  await until(() => queued[2]?.events.length === 2);
  expect(queued[2]?.events).toEqual(["answer", "close"]);
});

test("a request that waits for a port takes a connection that becomes idle", async () => {
  const { port, came } = await httpFixture((_, response) =>
    setTimeout(() => response.end("x"), 20),
  );
  const connector = connect({ ...ONE, wait: true });
  const agent = new HttpPortAgent(connector, { keepAlive: true });
  atEnd(() => agent.destroy());
  // The connection would stay open, idle, and keep the only port.
  expect(await Promise.all(getMany(3, port, agent))).toEqual(["x", "x", "x"]);
  expect(came).toHaveLength(1);
  expect(connector.metrics()).toMatchObject({ waiting: 0, held: 1 });
  expect((agent as unknown as { totalSocketCount: number }).totalSocketCount).toBe(1);
  expect(Object.values(agent.freeSockets)[0]).toHaveLength(1);
});

test("agent.destroy() ends connections under way", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const agent = new HttpPortAgent(connector);
  const outcome = get(url, { agent });
  agent.destroy();
  await expect(outcome).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(connector.metrics().waiting).toBe(0);
  holder.destroy();
});

test("the timeout of a request counts while it waits for a port", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const agent = new HttpPortAgent(connector);
  const request = http.get(url, { agent, timeout: 30 });
  const failed = new Promise<Error>((resolve) => request.on("error", resolve));
  request.on("timeout", () => request.destroy());
  expect(codeOf(await failed)).toBe("ECONNRESET");
  holder.destroy();
});

test("a request that waits for an answer ends at once when it is destroyed", async () => {
  const { port } = await httpFixture(() => {});
  const agent = new HttpPortAgent(connect());
  const request = http.get(`http://127.0.0.1:${port}/`, { agent, timeout: 30 });
  const failed = new Promise<Error>((resolve) => request.on("error", resolve));
  request.on("timeout", () => request.destroy());
  expect(codeOf(await failed)).toBe("ECONNRESET");
});

test("a server that cuts the connection gives its port back", async () => {
  const fixture = await fixtureOf(createServer((socket) => socket.resetAndDestroy()));
  const agent = new HttpPortAgent(connect(), { keepAlive: true });
  const cut = get(`http://127.0.0.1:${fixture.port}/`, { agent });
  await expect(cut).rejects.toMatchObject({ code: "ECONNRESET" });
});

// ── TLS ───────────────────────────────────────────────────────────────────────────────────

test("https checks certificates by the server's name", async () => {
  const { port, came } = await httpsFixture();
  const connector = connect();
  const agent = new HttpsPortAgent(connector, { ca: CERTIFICATE });
  await get(`https://portwarden.test:${port}/`, { agent });
  await get(`https://127.0.0.1:${port}/`, { agent });
  await get(`https://127.0.0.1:${port}/`, { agent, servername: "a.portwarden.test" });
  expectOurs(came);
  const wrong = get(`https://example.test:${port}/`, { agent });
  await expect(wrong).rejects.toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  const strict = get(`https://127.0.0.1:${port}/`, { agent: new HttpsPortAgent(connector) });
  await expect(strict).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  const lax = new HttpsPortAgent(connector, { rejectUnauthorized: false });
  await get(`https://example.test:${port}/`, { agent: lax });
});

test("TLS sessions are used again, whatever the source", async () => {
  const seen: (boolean | string | false)[] = [];
  const { port, came } = await httpsFixture(({ socket }, response) => {
    const secure = socket as TLSSocket & { servername?: string };
    seen.push(secure.isSessionReused(), secure.servername ?? false);
    response.end();
  });
  const agent = new HttpsPortAgent(connect(), { ca: CERTIFICATE });
  for (let again = 0; again < 3; again++) {
    await get(`https://portwarden.test:${port}/`, { agent });
    await pause(10);
  }
  expect(seen).toEqual([
    false,
    "portwarden.test",
    true,
    "portwarden.test",
    true,
    "portwarden.test",
  ]);
  expect(new Set(came.map(({ address }) => address)).size).toBe(2);
});

test("https keeps connections alive, and gives them up with the agent", async () => {
  const { port, came } = await httpsFixture();
  const connector = connect();
  const agent = new HttpsPortAgent(connector, { ca: CERTIFICATE, keepAlive: true, maxSockets: 2 });
  await Promise.all(getMany(10, port, agent));
  expect(came).toHaveLength(2);
  expect(connector.metrics().held).toBe(2);
  agent.destroy();
});

// ── Without an agent ──────────────────────────────────────────────────────────────────────

test("connectionFor serves requests without an agent", async () => {
  const plain = await httpFixture();
  const secure = await httpsFixture();
  const connector = connect();
  const createConnection = connectionFor(connector);
  await get(`http://portwarden.test:${plain.port}/some/path`, { createConnection });
  const secureConnection = connectionFor(connector, { secure: true });
  const options = { createConnection: secureConnection, ca: CERTIFICATE };
  await get(`https://portwarden.test:${secure.port}/some/path`, options);
  expectOurs([...plain.came, ...secure.came]);
  expect(connector.metrics().connected).toBe(2);
  const refused = get(`http://127.0.0.1:${DEAD_PORT}/`, { createConnection });
  await expect(refused).rejects.toMatchObject({ code: "ECONNREFUSED" });
  const wrong = get(`https://example.test:${secure.port}/`, options);
  await expect(wrong).rejects.toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
});

test("a request without an agent whose connection fails is closed, as every request is in the end", async () => {
  const connector = connect();
  const createConnection = connectionFor(connector);
  const events: string[] = [];
  const request = http.get(`http://127.0.0.1:${DEAD_PORT}/`, { createConnection });
  request.on("error", ({ message }) => events.push(message));
  await new Promise((resolve) => request.once("close", resolve));
  expect(events).toEqual([expect.stringContaining("ECONNREFUSED")]);
  expect(request.destroyed).toBe(true);
  // Given up before it fails: no request is left for the error of the connection.
  const gone = http.get(`http://127.0.0.1:${DEAD_PORT}/`, { createConnection });
  gone.on("error", ({ message }) => events.push(message)).destroy();
  await until(() => connector.metrics().failed === 2 && connector.metrics().held === 0);
  expect(events).toHaveLength(2);
});
