// Waiting, as it can be seen: how long, on events, sockets and metrics; one number for all events
// of a connection; and how many connections fit, and are left.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, Socket } from "node:net";
import client from "prom-client";
import { expect, onTestFinished, test } from "vitest";
import {
  CHANNELS,
  connectionInfo,
  type PortEvent,
  prometheusMetrics,
} from "../../bindings/node/index.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  freshSources,
  openMany,
  reset,
  serve,
} from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_300, last: 23_300 } };
const WAIT_MS = 30;

/** All events to a destination, from now on. */
function eventsTo(port: number): [channel: string, event: PortEvent][] {
  const seen: [string, PortEvent][] = [];
  for (const [name, channel] of Object.entries(CHANNELS)) {
    const note = (message: unknown): void => {
      const event = message as PortEvent;
      if (event.destination.endsWith(`:${port}`)) seen.push([name, event]);
    };
    subscribe(channel, note);
    onTestFinished(() => void unsubscribe(channel, note));
  }
  return seen;
}

test("the events of a connection have one number, and say how long it has waited", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { port, to } = await serve();
  const seen = eventsTo(port);
  const first = await connector.connect(to);
  const began = performance.now();
  const second = connector.connect(to);
  const asked = performance.now() - began;
  await new Promise((done) => setTimeout(done, WAIT_MS));
  await reset(first);
  const socket = await second;
  const waited = performance.now() - began;
  await reset(socket);
  const ids = [...new Set(seen.map(([, { id }]) => id))];
  expect(ids).toHaveLength(2);
  const namesOf = (id: number | undefined): string[] =>
    seen.filter(([, event]) => event.id === id).map(([name]) => name);
  expect(namesOf(ids[0])).toEqual(["pick", "connected", "released"]);
  expect(namesOf(ids[1])).toEqual(["waiting", "pick", "connected", "released"]);
  const waitsOf = (id: number | undefined): number[] =>
    seen.filter(([, event]) => event.id === id).map(([, { waitedMs }]) => waitedMs);
  expect(waitsOf(ids[0])).toEqual([0, 0, 0]);
  const [atFirst, ...later] = waitsOf(ids[1]);
  expect(atFirst).toBeLessThanOrEqual(asked);
  for (const each of later) expect(each).toBeGreaterThanOrEqual(WAIT_MS - 2);
  const [info, other] = [connectionInfo(socket), connectionInfo(first)];
  expect(info).toMatchObject({ id: ids[1], destination: `127.0.0.1:${port}`, port: 23_300 });
  expect(info?.source).toBe(connector.sources[0]);
  expect(info?.waitedMs).toBeGreaterThanOrEqual(WAIT_MS - 2);
  expect(info?.waitedMs).toBeLessThanOrEqual(waited);
  expect(other).toMatchObject({ id: ids[0], waitedMs: 0 });
  expect(connectionInfo(new Socket())).toBeUndefined();
  expect(connectionInfo(undefined as never)).toBeUndefined();
});

test("all attempts of a connection have its number", async () => {
  const connector = connectorWith();
  const { port, to } = await serve();
  const seen = eventsTo(port);
  let tries = 0;
  const socket = await dialled(connector, to, (ends) => {
    if (tries++ < 3) throw Object.assign(new Error("taken"), { code: "EADDRINUSE" });
    return connect(ends);
  });
  expect(seen.filter(([name]) => name === "conflict")).toHaveLength(3);
  expect(new Set(seen.map(([, { id }]) => id))).toEqual(new Set([connectionInfo(socket)?.id]));
  await reset(socket);
});

test("waits are counted in buckets, those in vain as well, and shown as a histogram", async () => {
  const registry = new client.Registry();
  const connector = connectorWith({ ...ONE_PORT, wait: { timeout: WAIT_MS } });
  const { to } = await serve();
  prometheusMetrics(connector, client, { registry, labels: { service: "a" } });
  const first = await connector.connect(to);
  expect(await errorOf(connector.connect(to))).toMatchObject({ exhausted: "time" });
  const { count, sumMs, buckets } = connector.metrics().waits;
  expect(count).toBe(2);
  expect(sumMs).toBeGreaterThanOrEqual(WAIT_MS - 2);
  expect(buckets[0]).toEqual({ atMostMs: 1, count: 1 });
  expect(buckets.at(-1)).toEqual({ atMostMs: Number.POSITIVE_INFINITY, count: 2 });
  const text = await registry.metrics();
  expect(text).toContain("# TYPE portwarden_wait_seconds histogram");
  expect(text).toContain('portwarden_wait_seconds_bucket{le="0.001",service="a"} 1');
  expect(text).toContain('portwarden_wait_seconds_bucket{le="+Inf",service="a"} 2');
  expect(text).toContain('portwarden_wait_seconds_count{service="a"} 2');
  expect(text).toMatch(/portwarden_wait_seconds_sum\{service="a"\} 0\.\d+/);
  registry.resetMetrics();
  expect(await registry.getMetricsAsJSON()).toHaveLength(registry.getMetricsAsArray().length);
  await reset(first);
});

test("metrics say how many connections fit, and how many are left, by source and destination", async () => {
  const sources = freshSources(2);
  const connector = connectorWith({ sources, cooldown: 60_000 });
  const [one, two] = [await serve(), await serve()];
  expect(connector.metrics()).toMatchObject({ capacity: 16, left: 16 });
  const toOne = await openMany(connector, { host: "127.0.0.1", port: one.port }, 6);
  const toTwo = await openMany(connector, { host: "127.0.0.1", port: two.port }, 2);
  const { capacity, left, bySource, byDestination } = connector.metrics();
  expect({ capacity, left }).toEqual({ capacity: 16, left: 10 });
  for (const source of sources) expect(bySource[source]).toMatchObject({ capacity: 8, left: 5 });
  expect(byDestination[`127.0.0.1:${one.port}`]).toMatchObject({ capacity: 16, left: 10 });
  expect(byDestination[`127.0.0.1:${two.port}`]).toMatchObject({ capacity: 16, left: 14 });
  const closed = new Promise((done) => toTwo[0]?.once("close", done));
  toTwo[0]?.destroy();
  await closed;
  // It cools down.
  expect(connector.metrics().byDestination[`127.0.0.1:${two.port}`]).toMatchObject({ left: 14 });
  await reset(...toOne, ...toTwo);
});

test("an absent source is no part of a destination's capacity", async () => {
  const [absent, present] = freshSources(2) as [string, string];
  const connector = connectorWith({ sources: [absent, present] });
  const { port, to } = await serve();
  const socket = await dialled(connector, to, (ends) => {
    if (ends.localAddress === present) return connect(ends);
    throw Object.assign(new Error("bind"), { code: "EADDRNOTAVAIL", syscall: "bind" });
  });
  const { capacity, left, byDestination } = connector.metrics();
  expect({ capacity, left }).toEqual({ capacity: 8, left: 7 });
  expect(byDestination[`127.0.0.1:${port}`]).toMatchObject({ capacity: 8, left: 7 });
  await reset(socket);
});
