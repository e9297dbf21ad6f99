// Waiting for a host of several addresses: a connection stands in the queue of each address that
// it has reached.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import type { ConnectorOptions, Lookup } from "../../bindings/node/index.ts";
import { CHANNELS } from "../../bindings/node/index.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  expectAllBack,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_300, last: 23_300 } };
const ADDRESSES = ["127.0.0.1", "127.0.0.21"];
const lookup: Lookup = (_name, _options, done) => {
  done(
    null,
    ADDRESSES.map((address) => ({ address, family: 4 })),
  );
};

/** Two addresses of one host, one port to each, which are held. */
async function fullHost(options: Partial<ConnectorOptions> = {}) {
  const connector = connectorWith({
    ...ONE_PORT,
    wait: true,
    attemptDelay: 10,
    lookup,
    ...options,
  });
  const { port } = await serve({ host: "0.0.0.0" });
  const host = { host: "service.test", port };
  const held = [];
  for (const address of ADDRESSES) held.push(await connector.connect({ host: address, port }));
  return { connector, port, host, held: held as [Socket, Socket] };
}

const waitingBy = (metrics: { byDestination: Record<string, { waiting: number }> }): number[] =>
  Object.values(metrics.byDestination).map(({ waiting }) => waiting);

test.each([0, 1])(
  "a waiter is served by the port of address %i, before newcomers",
  async (index) => {
    const { connector, port, host, held } = await fullHost();
    const order: string[] = [];
    const waiter = connector.connect(host).then((socket) => {
      order.push("waiter");
      return socket;
    });
    await until(() => waitingBy(connector.metrics()).join() === "1,1", "both queues");
    expect(connector.metrics().waiting).toBe(1);
    const newcomers = [1, 2, 3].map((number) =>
      connector.connect({ host: ADDRESSES[index] as string, port }).then((socket) => {
        order.push(`newcomer ${number}`);
        return reset(socket);
      }),
    );
    await reset(held[index] as Socket);
    const socket = await waiter;
    expect(socket.remoteAddress).toBe(ADDRESSES[index]);
    expect(connector.metrics().waiting).toBe(3);
    await reset(socket);
    await Promise.all(newcomers);
    expect(order).toEqual(["waiter", "newcomer 1", "newcomer 2", "newcomer 3"]);
    expect(waitingBy(connector.metrics())).toEqual([0, 0]);
    await reset(...held);
    await expectAllBack(connector, { host: ADDRESSES[0] as string, port });
  },
);

test("a connection that waits for two addresses counts once towards the limit", async () => {
  const { connector, host, held } = await fullHost({ wait: { limit: 2 } });
  const stop = new AbortController();
  const first = errorOf(connector.connect({ ...host, signal: stop.signal }));
  await until(() => waitingBy(connector.metrics()).join() === "1,1", "both queues");
  const second = errorOf(connector.connect({ ...host, signal: stop.signal }));
  await until(() => waitingBy(connector.metrics()).join() === "2,2", "both queues");
  expect(connector.metrics().waiting).toBe(2);
  const third = await errorOf(connector.connect(host));
  expect(third).toMatchObject({ code: "EAGAIN" });
  stop.abort("enough");
  expect([await first, await second]).toEqual(["enough", "enough"]);
  expect(connector.metrics().waiting).toBe(0);
  expect(waitingBy(connector.metrics())).toEqual([0, 0]);
  await reset(...held);
});

test("one time limit holds for all addresses that a connection waits for", async () => {
  const { connector, host, held } = await fullHost({ wait: { timeout: 60 } });
  const error = await errorOf(connector.connect(host));
  const { errors } = error as unknown as AggregateError;
  expect(errors).toMatchObject([{ exhausted: "time" }, { exhausted: "time" }]);
  expect(connector.metrics()).toMatchObject({ waiting: 0, refusals: { time: 2 } });
  await reset(...held);
});

test("a waiter whose attempt at one address fails waits on for the other, where it stood", async () => {
  const { connector, port, host, held } = await fullHost();
  const dialledTo: string[] = [];
  const waiter = dialled(connector, host, (ends) => {
    dialledTo.push(ends.host);
    if (ends.host === ADDRESSES[0]) {
      throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    }
    return connect(ends);
  });
  await until(() => waitingBy(connector.metrics()).join() === "1,1", "both queues");
  await reset(held[0]);
  await until(() => dialledTo.length === 1, "the first attempt");
  expect(waitingBy(connector.metrics())).toEqual([0, 1]);
  await reset(held[1]);
  expect((await waiter).remoteAddress).toBe(ADDRESSES[1]);
  await reset(await waiter);
  await expectAllBack(connector, { host: ADDRESSES[0] as string, port });
});

test("a connection says for each address that it waits", async () => {
  const seen: string[] = [];
  const note = (message: unknown): void => {
    seen.push((message as { destination: string }).destination.split(":")[0] as string);
  };
  subscribe(CHANNELS.waiting, note);
  const { connector, host, held } = await fullHost();
  const stop = new AbortController();
  const failed = errorOf(connector.connect({ ...host, signal: stop.signal }));
  await until(() => seen.length === 2, "two events");
  unsubscribe(CHANNELS.waiting, note);
  expect(seen).toEqual(ADDRESSES);
  stop.abort();
  await failed;
  await reset(...held);
});
