// undiciConnect: undici's Agent, Pool and Client on ports that portwarden picks.

import http2 from "node:http2";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { Agent, Client, errors, Pool, request } from "undici";
import { expect, test } from "vitest";
import { PortError } from "../../../bindings/index.ts";
import { type Connector, ConnectorError, undiciConnect } from "../../../bindings/node/index.ts";
import { until } from "../../support/connectors.ts";
import { CERTIFICATE } from "./certificate.ts";
import {
  atEnd,
  connect,
  DEAD_PORT,
  expectOurs,
  fixtureOf,
  httpFixture,
  httpsFixture,
  listenAt,
  ONE,
  oneHeld,
  RANGE,
  SOURCES,
  TLS_SERVER,
} from "./fixture.ts";

async function get(url: string, dispatcher: Agent | Pool | Client): Promise<string> {
  const { body } = await request(url, { dispatcher });
  return body.text();
}

type Options = Parameters<typeof undiciConnect>[1];

/** An Agent on a connector, destroyed at the end. */
function agentOn(connector: Connector, options: Options = {}, own: Agent.Options = {}): Agent {
  const agent = new Agent({ connect: undiciConnect(connector, options), ...own });
  atEnd(() => agent.destroy());
  return agent;
}

test("an Agent's requests come from picked sources and ports, and its pool keeps them", async () => {
  const { port, came } = await httpFixture();
  const connector = connect();
  const agent = agentOn(connector, {}, { connections: 10 });
  const url = `http://127.0.0.1:${port}/`;
  for (let round = 0; round < 3; round++) {
    const ports = await Promise.all(Array.from({ length: 10 }, () => get(url, agent)));
    expect(new Set(ports).size).toBe(10);
  }
  expect(came).toHaveLength(10);
  expectOurs(came);
  expect(new Set(came.map(({ address }) => address))).toEqual(new Set(SOURCES));
  expect(connector.metrics().held).toBe(10);
  await agent.close();
  await until(() => connector.metrics().held === 0);
});

test("a Pool's and a Client's requests come from picked ports of a localAddress", async () => {
  const { port, came } = await httpFixture();
  const connector = connect();
  const origin = `http://127.0.0.1:${port}`;
  const pool = new Pool(origin, { connect: undiciConnect(connector), connections: 2 });
  const localAddress = SOURCES[1];
  const client = new Client(origin, { connect: undiciConnect(connector), localAddress });
  atEnd(() => pool.destroy());
  atEnd(() => client.destroy());
  await get(origin, pool);
  await get(origin, client);
  expectOurs(came);
  expect(came[1]?.address).toBe(localAddress);
  const strange = new Client(origin, {
    connect: undiciConnect(connector),
    localAddress: "127.0.0.99",
  });
  atEnd(() => strange.destroy());
  await expect(get(origin, strange)).rejects.toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
});

test("names are resolved by the connector, and keys stick to a source", async () => {
  const { port, came } = await httpFixture();
  const connector = connect({ spread: "sticky" });
  const agent = agentOn(connector, { stickyKey: "a" });
  const url = `http://portwarden.test:${port}/`;
  await Promise.all(Array.from({ length: 6 }, () => get(url, agent)));
  expect(new Set(came.map(({ address }) => address)).size).toBe(1);
});

// ── Failures ──────────────────────────────────────────────────────────────────────────────

test("a connection that is refused, or has no port, is the request's error", async () => {
  const { port } = await httpFixture((_, response) => setTimeout(() => response.end("done"), 50));
  const connector = connect(ONE);
  const agent = agentOn(connector);
  const refused = get(`http://127.0.0.1:${DEAD_PORT}/`, agent);
  await expect(refused).rejects.toMatchObject({ code: "ECONNREFUSED" });
  const unknown = get("http://nowhere.invalid/", agent);
  await expect(unknown).rejects.toMatchObject({ code: "ENOTFOUND" });
  const url = `http://127.0.0.1:${port}/`;
  const results = await Promise.allSettled([get(url, agent), get(url, agent)]);
  const failures = results.filter((one) => one.status === "rejected").map(({ reason }) => reason);
  expect(failures).toHaveLength(1);
  expect(failures[0]).toBeInstanceOf(ConnectorError);
  expect(failures[0]).toMatchObject({ code: "EADDRNOTAVAIL", exhausted: "source" });
  await expect.poll(() => get(url, agent).catch(({ code }) => code)).toBe("done");
});

test("a closed connector is the request's error, too", async () => {
  const connector = connect();
  const agent = agentOn(connector);
  connector.close();
  await expect(get("http://127.0.0.1:8080/", agent)).rejects.toMatchObject({ code: "EBADF" });
});

test("connecting for too long is undici's ConnectTimeoutError", async () => {
  const fixture = await fixtureOf(createServer(() => {}));
  const connector = connect();
  const options = { timeout: 60, ca: CERTIFICATE };
  const agent = agentOn(connector, options);
  // The server accepts, and says nothing: the connection is never secure.
  const late = get(`https://127.0.0.1:${fixture.port}/`, agent);
  const error = await late.catch((reason) => reason);
  expect(error).toBeInstanceOf(errors.ConnectTimeoutError);
  expect(error).toBeInstanceOf(errors.UndiciError);
  expect(error).toMatchObject({ name: "ConnectTimeoutError", code: "UND_ERR_CONNECT_TIMEOUT" });
  await until(() => connector.metrics().held === 0);
});

test("ports held by another program are passed over", async () => {
  const { port, came } = await httpFixture();
  const [source] = SOURCES;
  const portRange = { first: RANGE.first, last: RANGE.first + 3 };
  for (let taken = portRange.first; taken < portRange.last; taken++) await listenAt(source, taken);
  const connector = connect({ sources: source, portRange, skipUsed: false });
  const agent = agentOn(connector);
  await get(`http://127.0.0.1:${port}/`, agent);
  expect(came).toEqual([{ address: source, port: portRange.last }]);
});

test("aborts and a server that cuts connections give ports back", async () => {
  const cutting = await fixtureOf(createServer((socket) => socket.resetAndDestroy()));
  const silent = await httpFixture(() => {});
  const connector = connect();
  const agent = agentOn(connector);
  await expect(get(`http://127.0.0.1:${cutting.port}/`, agent)).rejects.toThrow();
  const controller = new AbortController();
  const options = { dispatcher: agent, signal: controller.signal };
  const before = request(`http://127.0.0.1:${silent.port}/`, options);
  controller.abort();
  await expect(before).rejects.toMatchObject({ name: "AbortError" });
  const during = request(`http://127.0.0.1:${silent.port}/`, {
    dispatcher: agent,
    signal: AbortSignal.timeout(50),
  });
  await expect(during).rejects.toThrow();
  await agent.destroy();
  await until(() => connector.metrics().held === 0);
});

test("destroying the agent while its connections are under way leaves nothing", async () => {
  const { port } = await httpFixture();
  const connector = connect();
  const agent = new Agent({ connect: undiciConnect(connector), connections: 8 });
  const url = `http://127.0.0.1:${port}/`;
  const outcomes = Array.from({ length: 8 }, () => get(url, agent));
  const settled = Promise.allSettled(outcomes);
  await agent.destroy();
  const results = await settled;
  expect(results.filter(({ status }) => status === "rejected")).toHaveLength(8);
});

test.for([
  ["Agent", (_origin: string, options: Agent.Options) => new Agent(options)],
  ["Pool", (origin: string, options: Pool.Options) => new Pool(origin, options)],
  ["Client", (origin: string, options: Client.Options) => new Client(origin, options)],
] as const)(
  "a destroyed %s gives up its place in the queue, and opens nothing later",
  async ([, make]) => {
    const { port } = await httpFixture();
    const connector = connect({ ...ONE, wait: true });
    const holder = await connector.connect({ host: "127.0.0.1", port });
    const origin = `http://127.0.0.1:${port}`;
    const dispatcher = make(origin, { connect: undiciConnect(connector) });
    const outcome = get(origin, dispatcher).catch((error) => error);
    await until(() => connector.metrics().waiting === 1);
    await dispatcher.destroy();
    expect(connector.metrics().waiting).toBe(0);
    expect(await outcome).toBeInstanceOf(errors.ClientDestroyedError);
    holder.destroy();
    // The next request is served: none waits before it.
    (await connector.connect({ host: "127.0.0.1", port })).destroy();
    expect(connector.metrics().connected).toBe(2);
  },
);

test("a destroyed Agent takes no place in the queue from another one of the same origin", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const shared = undiciConnect(connector);
  const [gone, first, second] = [shared, shared, undiciConnect(connector)].map(
    (connect) => new Agent({ connect }),
  ) as [Agent, Agent, Agent];
  for (const agent of [first, second]) atEnd(() => agent.destroy());
  const lost = get(url, gone).catch((error) => error.code);
  const order: string[] = [];
  const served = [first, second].map(async (agent, index) => {
    order.push(`${index} ${await get(url, agent)}`);
    await agent.close();
  });
  await until(() => connector.metrics().waiting === 3);
  await gone.destroy();
  expect(await lost).toBe("UND_ERR_DESTROYED");
  expect(connector.metrics().waiting).toBe(2);
  holder.destroy();
  await Promise.all(served);
  const from = `${SOURCES[0]}:${RANGE.first}`;
  expect(order).toEqual([`0 ${from}`, `1 ${from}`]);
  // The holder, and one for each that was served.
  expect(connector.metrics().connected).toBe(3);
});

test("a request that was aborted before its Client is destroyed leaves no connection behind", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const agent = new Agent({ connect: undiciConnect(connector) });
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = request(url, { dispatcher: agent, signal }).catch(() => "failed");
  await until(() => connector.metrics().waiting === 1);
  controller.abort();
  await agent.destroy();
  expect(await aborted).toBe("failed");
  expect(connector.metrics().waiting).toBe(0);
  holder.destroy();
});

test("a signal that is aborted ends connections that are open", async () => {
  const silent = await httpFixture(() => {});
  const connector = connect();
  const controller = new AbortController();
  const agent = agentOn(connector, { signal: controller.signal });
  const outcome = get(`http://127.0.0.1:${silent.port}/`, agent);
  await until(() => silent.open.size === 1);
  controller.abort(new Error("enough"));
  await expect(outcome).rejects.toThrow("enough");
});

test("a signal whose reason is no error ends a request with one", async () => {
  const connector = connect();
  for (const reason of [null, 0, ""]) {
    const signal = AbortSignal.abort(reason);
    const agent = new Agent({ connect: undiciConnect(connector, { signal }) });
    const failed = request(`http://127.0.0.1:${DEAD_PORT}`, { dispatcher: agent });
    await expect(failed).rejects.toMatchObject({ name: "AbortError", cause: reason });
    await agent.close();
  }
  const wrong = { signal: {} as AbortSignal };
  expect(() => undiciConnect(connector, wrong)).toThrow(/signal must be an AbortSignal/);
});

test("a signal ends requests that wait for a port", async () => {
  const { connector, holder, url } = await oneHeld(await httpFixture());
  const controller = new AbortController();
  const agent = agentOn(connector, { signal: controller.signal });
  const outcome = get(url, agent);
  await until(() => connector.metrics().waiting === 1);
  controller.abort(new Error("enough"));
  await expect(outcome).rejects.toThrow("enough");
  holder.destroy();
});

test("bad options are refused", () => {
  const connector = connect();
  expect(() => undiciConnect(connector, { timeout: -1 })).toThrow(PortError);
  expect(() => undiciConnect(connector, { maxCachedSessions: 0.5 })).toThrow(PortError);
});

// ── TLS ───────────────────────────────────────────────────────────────────────────────────

test("certificates are checked by the server's name", async () => {
  const { port, came } = await httpsFixture();
  const connector = connect();
  const agent = agentOn(connector, { ca: CERTIFICATE });
  await get(`https://portwarden.test:${port}/`, agent);
  await get(`https://127.0.0.1:${port}/`, agent);
  expectOurs(came);
  const wrong = get(`https://example.test:${port}/`, agent);
  await expect(wrong).rejects.toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  const strict = agentOn(connector);
  await expect(get(`https://127.0.0.1:${port}/`, strict)).rejects.toMatchObject({
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  const lax = agentOn(connector, { rejectUnauthorized: false });
  await get(`https://example.test:${port}/`, lax);
});

test.for([
  { maxCachedSessions: 100, reused: [false, true, true] },
  { maxCachedSessions: 0, reused: [false, false, false] },
])(
  "TLS sessions, $maxCachedSessions kept, are used again",
  async ({ maxCachedSessions, reused }) => {
    const seen: boolean[] = [];
    const { port } = await httpsFixture(({ socket }, response) => {
      seen.push((socket as TLSSocket).isSessionReused());
      response.setHeader("connection", "close").end();
    });
    const options = { ca: CERTIFICATE, maxCachedSessions };
    const agent = agentOn(connect(), options);
    for (let round = 0; round < 3; round++) {
      await get(`https://portwarden.test:${port}/`, agent);
      await pause(10);
    }
    expect(seen).toEqual(reused);
  },
);

test("HTTP/2 is spoken where it is allowed", async () => {
  const server = http2.createSecureServer(
    { ...TLS_SERVER, allowHTTP1: true },
    (message, response) => response.end(message.httpVersion),
  );
  const { port, came } = await fixtureOf(server as unknown as ReturnType<typeof createServer>);
  const connector = connect();
  const both = agentOn(connector, { ca: CERTIFICATE }, { allowH2: true });
  const one = agentOn(connector, { ca: CERTIFICATE }, { allowH2: false });
  expect(await get(`https://127.0.0.1:${port}/`, both)).toBe("2.0");
  expect(await get(`https://127.0.0.1:${port}/`, one)).toBe("1.1");
  expectOurs(came);
});
