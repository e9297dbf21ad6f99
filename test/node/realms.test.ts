// Realms: errors, signals and sockets whose classes are of another realm, as in Jest and in
// vitest's vmThreads, and reasons that are no errors at all.

import { connect, Socket } from "node:net";
import { createContext, runInContext } from "node:vm";
import { expect, test } from "vitest";
import { connectorWith, dialled, errorOf, reset, serve } from "../support/connectors.ts";

const other = createContext({ AbortController });
const STOP = runInContext("Object.assign(new Error('stop'), { code: 'STOP' })", other);

const REASONS: [what: string, reason: unknown][] = [
  ["an error of another realm", STOP],
  ["an object", { code: "STOP" }],
  ["a string", "stop"],
  ["a symbol", Symbol("stop")],
  ["null", null],
  ["zero", 0],
  ["an object without a prototype", Object.create(null)],
];

test.each(REASONS)("a connection fails with the signal's very reason: %s", async (_, reason) => {
  const connector = connectorWith();
  const before = { host: "127.0.0.1", port: 9, signal: AbortSignal.abort(reason) };
  expect(await errorOf(connector.connect(before))).toBe(reason);
  const controller = new AbortController();
  const to = { host: "127.0.0.1", port: 9, signal: controller.signal };
  const failed = errorOf(dialled(connector, to, () => new Socket()));
  controller.abort(reason);
  expect(await failed).toBe(reason);
  await expect.poll(() => connector.metrics().held).toBe(0);
});

test.each(REASONS)("a connection whose resolver fails has its error: %s", async (_, reason) => {
  if (!reason) return; // to a resolver's callback these say that it has not failed
  const connector = connectorWith({
    lookup: (_name, _options, done) => done(reason as Error, []),
  });
  expect(await errorOf(connector.connect({ host: "service.test", port: 9 }))).toBe(reason);
});

test("an error of another realm says what stands in the way, as any error does", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const taken = runInContext("Object.assign(new Error('taken'), { code: 'EADDRINUSE' })", other);
  let tries = 0;
  const socket = await dialled(connector, to, (ends) => {
    if (tries++ === 0) throw taken;
    return connect(ends);
  });
  expect(connector.metrics()).toMatchObject({ conflicts: 1, quarantined: 1, connected: 1 });
  await reset(socket);
});

test("a signal of a class that only behaves as AbortSignal ends a connection", async () => {
  const connector = connectorWith();
  const { port } = await serve();
  class Signal extends EventTarget {
    aborted = false;
    reason: unknown = undefined;
  }
  const signal = new Signal();
  const to = { host: "127.0.0.1", port, signal: signal as unknown as AbortSignal };
  const socket = await connector.connect(to);
  const closed = new Promise((done) => socket.on("error", () => {}).once("close", done));
  signal.aborted = true;
  signal.reason = STOP;
  signal.dispatchEvent(new Event("abort"));
  await closed;
  expect(socket.errored).toBe(STOP);
  await expect.poll(() => connector.metrics().held).toBe(0);
});
