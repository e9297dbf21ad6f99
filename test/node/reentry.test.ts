// Reentry: callers that call a connector again in the middle of its work for others.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, Socket } from "node:net";
import { expect, test } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import { CHANNELS, type ConnectOptions } from "../../bindings/node/index.ts";
import { connectorWith, dialled, expectAllBack, reset, serve } from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_300, last: 23_300 } };

/**
 * A dial whose sockets fail at once, as `net.BoundSocket` does where the port is held by another
 * program.
 */
function refusing(code: string, syscall: string): Dial {
  return () => {
    throw Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
  };
}

test("a caller that tries again in the callback of a wait in vain is served in turn", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true, maxAttempts: 1, quarantine: 50 });
  const { to } = await serve();
  const first = await connector.connect(to);
  let second: Promise<Socket> | undefined;
  connector.dial(to, refusing("EADDRNOTAVAIL", "connect"), () => {
    second = dialled(connector, to, (ends) => connect(ends));
  });
  await reset(first);
  await expect.poll(() => second !== undefined).toBe(true);
  const socket = await second;
  await reset(socket as Awaited<typeof first>);
  await expectAllBack(connector, to);
});

test("a callback that throws keeps no other callback from its call, and no connector from closing", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { to } = await serve();
  const socket = await connector.connect(to);
  const told: number[] = [];
  for (const index of [0, 1, 2]) {
    connector.open(to, () => {
      told.push(index);
      if (index === 0) throw new Error("the caller's own");
    });
  }
  const thrown = await uncaught(() => connector.close());
  expect(thrown).toMatchObject({ message: "the caller's own" });
  expect(told).toEqual([0, 1, 2]);
  await reset(socket);
  expect(connector.metrics()).toMatchObject({ held: 0, waiting: 0, byDestination: {} });
});

test("a connection that is given up while it is dialled is ended at once", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const abort = new AbortController();
  const sockets: Socket[] = [];
  const errors: (Error | null)[] = [];
  const dial: Dial = (ends) => {
    abort.abort();
    const socket = connect(ends);
    sockets.push(socket);
    return socket;
  };
  connector.dial({ ...to, signal: abort.signal }, dial, (error) => errors.push(error));
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
  await expect.poll(() => errors).toMatchObject([{ name: "AbortError" }]);
  await expectAllBack(connector, to);
});

test("a connection that is given up when it is said to wait waits no longer", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: { timeout: 60_000 } });
  const { to } = await serve();
  const socket = await connector.connect(to);
  const abort = new AbortController();
  const giveUp = (): void => abort.abort();
  subscribe(CHANNELS.waiting, giveUp);
  const timers = process.getActiveResourcesInfo().filter((one) => one === "Timeout").length;
  await expect(connector.connect({ ...to, signal: abort.signal })).rejects.toThrow("aborted");
  unsubscribe(CHANNELS.waiting, giveUp);
  expect(process.getActiveResourcesInfo().filter((one) => one === "Timeout").length).toBe(timers);
  expect(connector.metrics().waiting).toBe(0);
  await reset(socket);
});

test("a callback that tries again at once, thousands of times, overflows no stack", async () => {
  const connector = connectorWith({ ...ONE_PORT, reserved: String(ONE_PORT.portRange.first) });
  let tries = 0;
  let isInOpen = false;
  const wasCalledInOpen = await new Promise<boolean>((resolve) => {
    const tryAgain = (): void => {
      if (isInOpen || ++tries === 5000) {
        resolve(isInOpen);
        return;
      }
      isInOpen = true;
      connector.open({ host: "127.0.0.1", port: 9 }, tryAgain);
      isInOpen = false;
    };
    tryAgain();
  });
  expect({ wasCalledInOpen, tries }).toEqual({ wasCalledInOpen: false, tries: 5000 });
});

test.each<[string, Partial<ConnectOptions>]>([
  ["there is no port", {}],
  ["the signal has been aborted before", { signal: AbortSignal.abort() }],
  ["the resolver throws", { host: "thrown.test" }],
  ["the resolver answers at once", { host: "empty.test" }],
])("open never calls back before it returns: %s", async (_, options) => {
  const connector = connectorWith({
    ...{ ...ONE_PORT, reserved: String(ONE_PORT.portRange.first) },
    lookup(host, _options, answer) {
      if (host === "thrown.test") throw new Error("the resolver's own");
      answer(null, []);
    },
  });
  let hasReturned = false;
  const returnedFirst = new Promise((resolve) => {
    connector.open({ host: "127.0.0.1", port: 9, ...options }, () => resolve(hasReturned));
  });
  hasReturned = true;
  expect(await returnedFirst).toBe(true);
});

test("dial calls back after it has returned where the dial throws, and where the connector closes", async () => {
  const connector = connectorWith();
  const calls: string[] = [];
  const to = { host: "127.0.0.1", port: 9 };
  connector.dial(to, refusing("ECONNREFUSED", "connect"), () => calls.push("dial"));
  connector.dial(
    to,
    () => new Socket(),
    () => calls.push("close"),
  );
  connector.close();
  calls.push("returned");
  await expect.poll(() => calls).toEqual(["returned", "dial", "close"]);
});

/** What a call leaves to the process to handle. */
async function uncaught(call: () => void): Promise<unknown> {
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  try {
    return await new Promise((resolve) => {
      process.once("uncaughtException", resolve);
      call();
    });
  } finally {
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
}
