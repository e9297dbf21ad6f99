// Patience: waiting where there are no files, where a source is gone for a while, and while
// another address is tried.

import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import type { Connector, ConnectorOptions } from "../../bindings/node/index.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  expectAllBack,
  freshSources,
  reset,
  serve,
} from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_400, last: 23_400 } };

function refusal(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}

// As net.BoundSocket fails, and as a socket does whose file could not be opened.
const FILELESS: [name: string, dial: (ends: { host: string }) => Socket][] = [
  [
    "a dial that throws EMFILE",
    () => {
      throw refusal("EMFILE", "bind");
    },
  ],
  ["sockets that fail with EMFILE", () => connectFailing(refusal("EMFILE", "bind"))],
];

function connectFailing(error: Error): Socket {
  const socket = connect({ port: 9, host: "127.0.0.1", localAddress: "127.0.0.1" });
  return socket.destroy(error);
}

test.each(FILELESS)(
  "%s: connections that wait for a file try now and then, and no longer than they would wait",
  async (_name, dial) => {
    const connector = connectorWith({ wait: { timeout: 350 } });
    const { to } = await serve();
    const errors = await Promise.all(
      Array.from({ length: 6 }, () => errorOf(dialled(connector, to, dial))),
    );
    expect(errors.map(({ exhausted }) => exhausted)).toEqual(Array(6).fill("time"));
    // One try each at first, and one every 100 ms: not one as soon as another has failed.
    expect(connector.metrics().picks).toBeLessThanOrEqual(6 * 5);
    expect(connector.metrics().waiting).toBe(0);
    await expectAllBack(connector, to);
  },
);

test("a connection that waits for a file and finds no port keeps no other waiting", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const [one, two] = [await serve(), await serve()];
  let isFull = true;
  const dial: Dial = (ends) => (isFull ? connectFailing(refusal("EMFILE", "bind")) : connect(ends));
  const toOne = { host: "127.0.0.1", port: one.port };
  const waitingOne = dialled(connector, toOne, dial);
  const waitingTwo = dialled(connector, { ...toOne, port: two.port }, dial);
  await expect.poll(() => connector.metrics().waiting).toBe(2);
  const newcomer = await connector.connect(toOne);
  isFull = false;
  await reset(await waitingTwo);
  expect(connector.metrics()).toMatchObject({ held: 1, waiting: 1 });
  await reset(newcomer);
  await reset(await waitingOne);
  await expectAllBack(connector, toOne);
});

test("a waiter is served when a source is tried again that was gone for a while", async () => {
  const [good, gone] = freshSources(2) as [string, string];
  const connector = connectorWith({
    ...ONE_PORT,
    sources: [good, gone],
    wait: true,
    quarantine: 200,
  });
  const { to } = await serve();
  let isGone = true;
  const dial: Dial = (ends) => {
    if (isGone && ends.localAddress === gone) throw refusal("EADDRNOTAVAIL", "bind");
    return connect(ends);
  };
  const first = await dialled(connector, to, dial);
  const waiting = dialled(connector, to, dial);
  await expect.poll(() => connector.metrics().waiting).toBe(1);
  isGone = false;
  const second = await waiting;
  expect([first.localAddress, second.localAddress]).toEqual([good, gone]);
  await reset(first, second);
});

function keepBusy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test.each(["it begins to wait", "its source is back", "it has waited for a while"])(
  "a waiter is served although the process was busy when %s",
  async (when) => {
    const { to } = await serve();
    for (const ms of [35, 38, 41, 44, 56, 59, 65, 74]) {
      const sources = freshSources(2) as [string, string];
      const connector = connectorWith({ ...ONE_PORT, sources, wait: true, quarantine: 60 });
      let isGone = true;
      const dial: Dial = (ends) => {
        if (isGone && ends.localAddress === sources[1]) throw refusal("EADDRNOTAVAIL", "bind");
        return connect(ends);
      };
      const first = await dialled(connector, to, dial);
      if (when === "it begins to wait") keepBusy(ms);
      const waiting = dialled(connector, to, dial);
      waiting.catch(() => {});
      if (when === "its source is back") keepBusy(ms);
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (when === "it has waited for a while") keepBusy(ms);
      isGone = false;
      await reset(first, await waiting);
    }
  },
);

/** A connector whose host has two addresses; there is no port left for the first. */
async function waitingForFirst(
  options: Partial<ConnectorOptions>,
): Promise<{ connector: Connector; held: Socket; where: { host: string; port: number } }> {
  const { port, to } = await serve({ host: "0.0.0.0" });
  const addresses = ["127.0.0.1", "127.0.0.9"].map((address) => ({ address, family: 4 }));
  const connector = connectorWith({
    ...ONE_PORT,
    attemptDelay: 20,
    lookup: (_host, _options, done) => done(null, addresses),
    ...options,
  });
  const held = await connector.connect(to);
  return { connector, held, where: { host: "service.test", port } };
}

test("a wait that takes too long does not end an attempt at another address", async () => {
  const { connector, held, where } = await waitingForFirst({ wait: { timeout: 100 } });
  const slow: Dial = (ends) => {
    const socket = connect(ends);
    socket.once("connect", () => setTimeout(() => socket.emit("secureConnect"), 300));
    return socket;
  };
  const socket = await dialled(connector, where, slow, "secureConnect");
  expect(socket.remoteAddress).toBe("127.0.0.9");
  await reset(socket, held);
  expect(connector.metrics()).toMatchObject({ held: 0, waiting: 0 });
});

test("connectTimeout counts for an address that is tried while an earlier one is waited for", async () => {
  const { connector, held, where } = await waitingForFirst({ wait: true });
  const never = dialled(connector, { ...where, connectTimeout: 100 }, (e) => connect(e), "never");
  await expect(never).rejects.toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
  await reset(held);
  await expect.poll(() => connector.metrics()).toMatchObject({ held: 0, waiting: 0 });
});
