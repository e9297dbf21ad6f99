// autocannonSetup: autocannon's connections from several sources, on ports that portwarden picks.

import type { ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import autocannon from "autocannon";
import { expect, test } from "vitest";
import { shareOf } from "../../../bindings/node/adapters/autocannon-workers.ts";
import { autocannonSetup, autocannonWorkers, memoryBlocks } from "../../../bindings/node/index.ts";
import {
  connect,
  DEAD_PORT,
  expectOurs,
  fixtureOf,
  httpFixture,
  httpsFixture,
  RANGE,
  SOURCES,
} from "./fixture.ts";

test("requests come from all sources, over connections that are kept", async () => {
  const { port, came } = await httpFixture();
  const connector = connect();
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 10,
    amount: 500,
    sampleInt: 100,
    setupClient: autocannonSetup(connector),
  });
  expect(result).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0, "2xx": 500 });
  expect(came).toHaveLength(10);
  expectOurs(came);
  expect(new Set(came.map(({ address }) => address))).toEqual(new Set(SOURCES));
  expect(new Set(came.map(({ address, port }) => `${address}:${port}`)).size).toBe(10);
});

test("autocannon's requests work with TLS, pipelining and a name", async () => {
  const { port, came } = await httpsFixture();
  const result = await autocannon({
    url: `https://portwarden.test:${port}`,
    connections: 4,
    pipelining: 3,
    amount: 120,
    sampleInt: 100,
    setupClient: autocannonSetup(connect()),
  });
  expect(result).toMatchObject({ errors: 0, non2xx: 0 });
  expect(result["2xx"]).toBeGreaterThanOrEqual(110);
  expect(came).toHaveLength(4);
  expectOurs(came);
});

test("servers that close connections are connected to again, and what was lost is forgotten", async () => {
  const { port, came } = await httpFixture((_, response) => {
    response.setHeader("connection", "close").end("done");
  });
  const setup = autocannonSetup(connect());
  let most = 0;
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 2,
    amount: 100,
    sampleInt: 100,
    setupClient: (client) => {
      setup(client);
      const { pipelinedRequests } = client as unknown as { pipelinedRequests: { size(): number } };
      client.on("response", () => {
        most = Math.max(most, pipelinedRequests.size());
      });
    },
  });
  expect(result.errors).toBe(0);
  expect(came.length).toBeGreaterThan(20);
  expectOurs(came);
  // Or an answer would be taken for that to an older request, and its latency with it.
  expect(most).toBeLessThanOrEqual(1);
});

test("reconnectRate takes a new port each time", async () => {
  const { port, came } = await httpFixture();
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 1,
    amount: 40,
    reconnectRate: 4,
    sampleInt: 100,
    setupClient: autocannonSetup(connect()),
  });
  expect(result.errors).toBe(0);
  expect(came.length).toBeGreaterThanOrEqual(10);
  expectOurs(came);
});

test("with sticky sources clients with one key come from one source", async () => {
  const { port, came } = await httpFixture();
  const keys: string[] = [];
  await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 8,
    amount: 160,
    reconnectRate: 5,
    sampleInt: 100,
    setupClient: autocannonSetup(connect({ spread: "sticky" }), {
      stickyKey: (index) => {
        keys.push(`user ${index}`);
        return "all the same";
      },
    }),
  });
  expect(keys).toEqual(Array.from({ length: 8 }, (_, index) => `user ${index}`));
  expect(came.length).toBeGreaterThan(16);
  expect(new Set(came.map(({ address }) => address)).size).toBe(1);
});

// ── Failures ──────────────────────────────────────────────────────────────────────────────

test("failures are counted, bounded, and never a busy loop", async () => {
  const connector = connect();
  const result = await autocannon({
    url: `http://127.0.0.1:${DEAD_PORT}`,
    connections: 2,
    duration: 1,
    sampleInt: 100,
    setupClient: autocannonSetup(connector),
  });
  const { failed } = connector.metrics();
  expect(result["2xx"]).toBe(0);
  // 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000 milliseconds between them.
  expect(failed).toBeGreaterThanOrEqual(8);
  expect(failed).toBeLessThanOrEqual(24);
  expect(result.errors).toBeGreaterThanOrEqual(failed - 2);
  expect(result.errors).toBeLessThanOrEqual(failed);
});

test("autocannon counts as errors connections without a port, and connections that are cut", async () => {
  const { port } = await httpFixture();
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange });
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 3,
    duration: 1,
    sampleInt: 100,
    setupClient: autocannonSetup(connector),
  });
  expect(result["2xx"]).toBeGreaterThan(10);
  expect(result.errors).toBeGreaterThanOrEqual(10);
  expect(connector.metrics().refused).toBeLessThanOrEqual(2 * 12);

  const cutting = await fixtureOf(createServer((socket) => socket.resetAndDestroy()));
  const cut = await autocannon({
    url: `http://127.0.0.1:${cutting.port}`,
    connections: 2,
    duration: 1,
    sampleInt: 100,
    setupClient: autocannonSetup(connect()),
  });
  expect(cut.errors).toBeGreaterThan(5);
  expect(cutting.came.length).toBeLessThanOrEqual(24);
});

test("bailout and amount end a run that fails", async () => {
  const options = { url: `http://127.0.0.1:${DEAD_PORT}`, connections: 1, sampleInt: 100 };
  const setup = { setupClient: autocannonSetup(connect()) };
  const bailed = await autocannon({ ...options, ...setup, duration: 30, bailout: 3 });
  expect(bailed.errors).toBeGreaterThanOrEqual(3);
  expect(bailed.duration).toBeLessThan(5);
  const limited = await autocannon({ ...options, ...setup, amount: 5 });
  expect(limited.errors).toBeLessThanOrEqual(5);
});

test("a client that times out while it waits for a port gives up its place", async () => {
  const { port } = await httpFixture();
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange, wait: true });
  const holder = await connector.connect({ host: "127.0.0.1", port });
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 1,
    duration: 2,
    timeout: 1,
    sampleInt: 100,
    setupClient: autocannonSetup(connector),
  });
  expect(result.timeouts).toBeGreaterThanOrEqual(1);
  expect(connector.metrics()).toMatchObject({ held: 1, waiting: 0 });
  holder.destroy();
});

test.each([
  ["no two of them use the same ports", false],
  ["with leased blocks each has blocks of its own", true],
])("workers come from all sources, and %s", async (_name, leases) => {
  // Workers load what has been built: they are threads without the test's own loader.
  const built = createRequire(import.meta.url).resolve("portwarden/node");
  const { autocannonWorkers, hostBlocks } = await import(built);
  // No client is answered before all have come: a worker that has ended leaves its blocks to the
  // other.
  const held: ServerResponse[] = [];
  const { port, came } = await httpFixture((_request, response) => {
    held.push(response);
    if (came.length === 8) for (const one of held.splice(0)) one.end();
  });
  const blocks = leases && { blocks: hostBlocks() };
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 8,
    amount: 80,
    sampleInt: 100,
    ...autocannonWorkers(2, { sources: SOURCES, portRange: RANGE, cooldown: "none", ...blocks }),
  });
  expect(result).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0, "2xx": 80 });
  expectOurs(came);
  expect(came).toHaveLength(8);
  expect(new Set(came.map(({ address }) => address))).toEqual(new Set(SOURCES));
  const middle = (RANGE.first + RANGE.last + 1) / 2;
  const counts = new Map<unknown, number>();
  for (const { address, port } of came) {
    const part = leases ? `${address} ${port >> 6}` : port < middle;
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  expect([...counts.values()]).toEqual(leases ? [2, 2, 2, 2] : [4, 4]);
});

test("the shares of workers are the range, without a gap, whatever divides it", () => {
  for (const workers of [1, 2, 3, 7, 64]) {
    const { portwarden } = autocannonWorkers(workers, { sources: "127.0.0.1", portRange: RANGE });
    let next = RANGE.first;
    for (let worker = 0; worker < workers; worker++) {
      const { index, options } = shareOf(portwarden);
      expect(index).toBe(worker);
      expect(options.portRange.first).toBe(next);
      next = options.portRange.last + 1;
    }
    expect(next).toBe(RANGE.last + 1);
    expect(shareOf(portwarden).index).toBe(0);
  }
});

test.each([
  [0, {}, "ERR_OUT_OF_RANGE", "workers"],
  [1.5, {}, "ERR_OUT_OF_RANGE", "workers"],
  ["2", {}, "ERR_INVALID_ARG_TYPE", "workers"],
  [65, {}, "ERR_INVALID_ARG_VALUE", "a range of at least 65 ports"],
  [2, { lookup: () => {} }, "ERR_INVALID_ARG_VALUE", "lookup"],
  [2, { sources: "10.0.0" }, "ERR_INVALID_IP_ADDRESS", "sources"],
  [2, { blocks: memoryBlocks() }, "ERR_INVALID_ARG_VALUE", "hostBlocks()"],
  [2, { source: "10.0.0.1" }, "ERR_INVALID_ARG_VALUE", "source"],
])("%s workers with %o are refused: %s", (workers, options, code, words) => {
  const given = { sources: "127.0.0.1", portRange: RANGE, ...options };
  const make = (): object => autocannonWorkers(workers as number, given as { sources: string });
  expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(words) }));
});
