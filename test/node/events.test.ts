// Events: each channel of node:diagnostics_channel says what happens, when it happens, and the
// events add up.

import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { CHANNELS, type Connector, type PortEvent } from "../../bindings/node/index.ts";
import {
  connectorWith,
  errorOf,
  freshSources,
  openMany,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

type Seen = [what: keyof typeof CHANNELS, event: Omit<PortEvent, "id" | "waitedMs">];

const ONE_PORT = { portRange: { first: 23_400, last: 23_400 } };
const NAMES = Object.keys(CHANNELS) as (keyof typeof CHANNELS)[];

/** Listens to all channels until the test ends. */
function listen(): Seen[] {
  const events: Seen[] = [];
  for (const what of NAMES) {
    const listener = (event: unknown): void => {
      // Which connection it is of, and how long that has waited, is tested with the waits.
      const { id, waitedMs, ...rest } = event as PortEvent;
      expect(id).toBeGreaterThan(0);
      expect(waitedMs).toBeGreaterThanOrEqual(0);
      events.push([what, rest]);
    };
    subscribe(CHANNELS[what], listener);
    onTestFinished(() => {
      unsubscribe(CHANNELS[what], listener);
    });
  }
  return events;
}

function countsOf(events: readonly Seen[]): Record<keyof typeof CHANNELS, number> {
  const counts = Object.fromEntries(NAMES.map((name) => [name, 0]));
  for (const [what] of events) counts[what] = (counts[what] ?? 0) + 1;
  return counts as Record<keyof typeof CHANNELS, number>;
}

/** What events and counters must agree on, once nothing is held. */
function expectAddsUp(events: readonly Seen[], connector: Connector): void {
  const { pick, connected, released, conflict, failed, refused } = countsOf(events);
  const metrics = connector.metrics();
  expect({
    pick,
    connected,
    failed,
    conflict,
    refused,
    back: released + failed + conflict,
  }).toEqual({
    pick: metrics.picks,
    connected: metrics.connected,
    failed: metrics.failed,
    conflict: metrics.conflicts,
    refused: metrics.refused,
    back: metrics.released + metrics.held,
  });
  expect(released).toBe(connected - metrics.held);
  for (const by of [metrics.bySource, metrics.byDestination]) {
    const all = Object.values(by);
    const sum = (
      figure: "picks" | "connected" | "released" | "failed" | "conflicts" | "cooledDown",
    ): number => all.reduce((total, figures) => total + figures[figure], 0);
    expect(sum("picks")).toBe(metrics.picks);
    expect(sum("connected")).toBe(metrics.connected);
    expect(sum("released")).toBe(metrics.released);
    expect(sum("failed")).toBe(metrics.failed);
    expect(sum("conflicts")).toBe(metrics.conflicts);
    expect(sum("cooledDown")).toBe(metrics.cooledDown);
  }
  const reasons = Object.values(metrics.refusals).reduce((sum, count) => sum + count, 0);
  expect(reasons).toBe(metrics.refused);
}

test("a connection is picked, connected, and released", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ ...ONE_PORT, sources: source });
  const { port, to } = await serve();
  const events = listen();
  const promise = connector.connect(to);
  const event = { destination: `127.0.0.1:${port}`, source, port: 23_400, error: undefined };
  expect(events).toEqual([["pick", event]]);
  const socket = await promise;
  expect(events.slice(1)).toEqual([["connected", event]]);
  await reset(socket);
  expect(events.slice(2)).toEqual([["released", event]]);
  expectAddsUp(events, connector);
});

test("a connection that the other side refuses has failed, with the error that the caller gets", async () => {
  const connector = connectorWith();
  const { to, close } = await serve();
  await close();
  const events = listen();
  const error = await errorOf(connector.connect(to));
  expect(events.map(([what]) => what)).toEqual(["pick", "failed"]);
  expect(events[1]?.[1].error).toBe(error);
  expect(events[1]?.[1].port).toBe(events[0]?.[1].port);
  expectAddsUp(events, connector);
});

test("a port held by another program is a conflict", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ ...ONE_PORT, sources: source });
  const { port, to } = await serve();
  const foreign = createServer().listen(23_400, source);
  onTestFinished(() => {
    foreign.close();
  });
  await new Promise((done) => foreign.once("listening", done));
  const events = listen();
  const refusal = await errorOf(connector.connect(to));
  expect(events.map(([what]) => what)).toEqual(["pick", "conflict", "refused"]);
  expect(events[1]?.[1]).toMatchObject({
    source,
    port: 23_400,
    error: { code: "EADDRINUSE", syscall: "bind" },
  });
  expect(events[2]?.[1]).toEqual({
    destination: `127.0.0.1:${port}`,
    source: undefined,
    port: undefined,
    error: refusal,
  });
  expectAddsUp(events, connector);
});

test("a connection that finds no port waits if it may, else it is refused", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ ...ONE_PORT, sources: source, wait: { limit: 1 } });
  const { port } = await serve();
  const to = { host: "127.0.0.1", port, localAddress: source };
  const held = await connector.connect(to);
  const events = listen();
  const event = { destination: `127.0.0.1:${port}`, source, port: undefined };
  const waiting = connector.connect(to);
  expect(events).toEqual([["waiting", { ...event, error: undefined }]]);
  const error = await errorOf(connector.connect(to));
  expect(events.slice(1)).toEqual([["refused", { ...event, error }]]);
  await reset(held);
  await reset(await waiting);
  expect(events.slice(2).map(([what]) => what)).toEqual([
    "pick",
    "released",
    "connected",
    "released",
  ]);
});

test("over a storm of connections, events and counters agree", async () => {
  const sources = freshSources(2);
  const connector = connectorWith({ sources, wait: { limit: 30 }, quarantine: 50, cooldown: 30 });
  const events = listen();
  const [good, gone] = [await serve(), await serve()];
  await gone.close();
  const foreign = createServer().listen(23_003, sources[0]);
  await new Promise((done) => foreign.once("listening", done));
  const one = async (index: number): Promise<void> => {
    const { port } = index % 7 === 0 ? gone : good;
    const signal = index % 5 === 0 ? AbortSignal.timeout(1 + (index % 20)) : undefined;
    const socket = await connector
      .connect({ host: "127.0.0.1", port, signal })
      .catch(() => undefined);
    if (socket === undefined) return;
    socket.on("error", () => {});
    if (index % 3 === 0) socket.destroy();
    else if (index % 3 === 1) socket.resetAndDestroy();
    else socket.end().resume();
  };
  await Promise.all(Array.from({ length: 300 }, (_, index) => one(index)));
  await until(() => connector.metrics().held === 0, "all ports");
  await new Promise((done) => foreign.close(done));
  const { connected, failed, refused } = connector.metrics();
  expect(Math.min(connected, failed, refused)).toBeGreaterThan(0);
  expectAddsUp(events, connector);
});

test("without subscribers nothing is published, and no message is made", async () => {
  const published = NAMES.map((name) => vi.spyOn(channel(CHANNELS[name]), "publish"));
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { to } = await serve();
  // A message names its destination; the names are read for nothing else.
  const named = vi.fn();
  const { Destination } = await import("../../bindings/node/sources/destination.ts");
  const name = Object.getOwnPropertyDescriptor(Destination.prototype, "name");
  vi.spyOn(Destination.prototype, "name", "get").mockImplementation(function (this: object) {
    named();
    return name?.get?.call(this);
  });
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const first = await connector.connect(to);
  const second = connector.connect(to);
  await reset(first);
  await reset(await second);
  const failing = await openMany(connectorWith(), to, 8);
  await reset(...failing);
  for (const publish of published) {
    expect(publish).not.toHaveBeenCalled();
    publish.mockRestore();
  }
  // The one that waits has had the reason explained; no event has read a name.
  expect(named).toHaveBeenCalledTimes(1);
  const events = listen();
  await reset(await connector.connect(to));
  expect(events).toHaveLength(3);
  expect(named).toHaveBeenCalledTimes(1 + 3);
});
