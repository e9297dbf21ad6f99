// Waiting: first come, first served, for ports and files that come back; how long and how many may
// wait, and connections that give up.

import { execFileSync } from "node:child_process";
import { createServer, connect as netConnect, Socket } from "node:net";
import { expect, test, vi } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  expectAllBack,
  freshSources,
  openMany,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_100, last: 23_100 } };

/**
 * A dial whose ports are held by another program so many times. `afterwards`: when the waiter has
 * left the queue for it.
 */
function heldByAnother(times: number, throws: boolean, afterwards = (): void => {}): Dial {
  let left = times;
  return (ends) => {
    if (left-- <= 0) return netConnect(ends);
    const error = Object.assign(new Error("held by another program"), { code: "EADDRINUSE" });
    process.nextTick(afterwards);
    if (throws) throw error;
    return new Socket().destroy(error);
  };
}

test("connections that wait are served in the order in which they came", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { to } = await serve();
  const order: number[] = [];
  const waiters = Array.from({ length: 20 }, async (_, index) => {
    const socket = await connector.connect(to);
    order.push(index);
    await reset(socket);
  });
  expect(connector.metrics()).toMatchObject({ held: 1, waiting: 19, refused: 0 });
  await Promise.all(waiters);
  expect(order).toEqual(order.map((_, index) => index));
  expect(connector.metrics()).toMatchObject({ picks: 20, connected: 20, released: 20 });
  await expectAllBack(connector, to);
});

test("a connection that comes later does not overtake those that wait", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { to } = await serve();
  const order: string[] = [];
  const note = (name: string) => (socket: Socket) => {
    order.push(name);
    return reset(socket);
  };
  const first = await connector.connect(to);
  const waiting = connector.connect(to).then(note("waiting"));
  let late: Promise<void> | undefined;
  // Right when the port has come back, and before the waiter has its socket.
  first.once("close", () => {
    late = connector.connect(to).then(note("late"));
  });
  await reset(first);
  await Promise.all([waiting, late]);
  expect(order).toEqual(["waiting", "late"]);
  await expectAllBack(connector, to);
});

test.each([
  ["when the dial throws", true],
  ["when the socket fails", false],
])("a waiter whose port another program holds keeps its place: %s", async (_, throws) => {
  const connector = connectorWith({ ...ONE_PORT, wait: true, quarantine: 40 });
  const { to } = await serve();
  const first = await connector.connect(to);
  const order: string[] = [];
  const dial = heldByAnother(2, throws);
  const names = ["a", "b", "c"];
  const served = names.map(
    (name) =>
      new Promise<void>((resolve) => {
        connector.dial(to, dial, (error, socket) => {
          order.push(error?.message ?? name);
          if (socket !== null) void reset(socket).then(resolve);
        });
      }),
  );
  await reset(first);
  await until(() => connector.metrics().conflicts > 0, "the first conflict");
  const late = connector.connect(to).then((socket) => {
    order.push("late");
    return reset(socket);
  });
  await Promise.all([...served, late]);
  expect(order).toEqual([...names, "late"]);
  expect(connector.metrics()).toMatchObject({ conflicts: 2, waiting: 0, refused: 0 });
  await expectAllBack(connector, to);
});

test("a port of one destination serves only connections that wait for that one", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const [one, two] = [await serve(), await serve()];
  const [toOne, toTwo] = [one, two].map(({ port }) => ({ host: "127.0.0.1", port })) as [
    { host: string; port: number },
    { host: string; port: number },
  ];
  const [heldOne, heldTwo] = [await connector.connect(toOne), await connector.connect(toTwo)];
  const waitingOne = connector.connect(toOne);
  const waitingTwo = connector.connect(toTwo);
  await reset(heldTwo);
  const servedTwo = await waitingTwo;
  const { byDestination } = connector.metrics();
  expect(byDestination[`127.0.0.1:${one.port}`]).toMatchObject({ waiting: 1, held: 1 });
  expect(byDestination[`127.0.0.1:${two.port}`]).toMatchObject({ waiting: 0, held: 1 });
  await reset(heldOne);
  await reset(await waitingOne, servedTwo);
  await expectAllBack(connector, toOne);
  await expectAllBack(connector, toTwo);
});

test("a connection that insists on a source waits for that one", async () => {
  const [one, two] = freshSources(2) as [string, string];
  const connector = connectorWith({ ...ONE_PORT, sources: [one, two], wait: true });
  const { to } = await serve();
  const open = await openMany(connector, to, 2);
  const fromTwo = connector.connect({ ...to, localAddress: two });
  const fromAny = connector.connect(to);
  await reset(...open.filter(({ localAddress }) => localAddress === one));
  expect((await fromAny).localAddress).toBe(one);
  expect(connector.metrics().waiting).toBe(1);
  await reset(...open);
  expect((await fromTwo).localAddress).toBe(two);
  await reset(await fromAny, await fromTwo);
  await expectAllBack(connector, to);
});

test("a wait may time out, and the next one is served all the same", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: { timeout: 400 } });
  const { to } = await serve();
  const held = await connector.connect(to);
  const began = performance.now();
  const error = await errorOf(connector.connect(to));
  expect(performance.now() - began).toBeGreaterThan(390);
  expect(error).toMatchObject({ name: "ConnectorError", code: "ETIMEDOUT", exhausted: "time" });
  expect(error.message).toContain("nothing came free within 400 ms");
  const next = connector.connect(to);
  await reset(held);
  await reset(await next);
  expect(connector.metrics()).toMatchObject({ waiting: 0, refusals: { time: 1 }, refused: 1 });
  await expectAllBack(connector, to);
});

test("no more may wait than the limit says", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: { limit: 2 } });
  const { to } = await serve();
  const held = await connector.connect(to);
  const waiters = [connector.connect(to), connector.connect(to)];
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({ code: "EAGAIN", exhausted: "waiters" });
  expect(error.message).toContain("2 wait already, and no more may");
  expect(connector.metrics()).toMatchObject({ waiting: 2, refusals: { waiters: 1 } });
  await reset(held);
  for (const waiter of waiters) await reset(await waiter);
  await expectAllBack(connector, to);
});

test.each([
  ["when the dial throws", true],
  ["when the socket fails", false],
])("a waiter that comes back into a full queue is not refused: %s", async (_, throws) => {
  const connector = connectorWith({ ...ONE_PORT, wait: { limit: 1 }, quarantine: 20 });
  const { to } = await serve();
  const held = await connector.connect(to);
  // A connection that has left the line has given its place up, as far as its limit is concerned.
  let late: Promise<Socket> | undefined;
  const dial = heldByAnother(3, throws, () => {
    if (!throws) late ??= connector.connect(to);
  });
  const served = dialled(connector, to, dial);
  await reset(held);
  await reset(await served);
  await Promise.all([late?.then(reset)]);
  expect(connector.metrics()).toMatchObject({ conflicts: 3, waiting: 0, refused: 0 });
  await expectAllBack(connector, to);
});

test("a waiter that comes back is not refused because another port cools down", async () => {
  const connector = connectorWith({
    ...{ portRange: { first: 23_110, last: 23_111 }, wait: true, quarantine: 20 },
    ...{ cooldown: 60_000, whenCooling: "refuse" },
  });
  const { to } = await serve();
  const [one, two] = (await openMany(connector, to, 2)) as [Socket, Socket];
  const served = dialled(connector, to, heldByAnother(1, true));
  const closed = new Promise((done) => one.once("close", done));
  one.resume().end();
  await closed;
  expect(connector.metrics()).toMatchObject({ cooling: 1, waiting: 1 });
  await reset(two);
  await reset(await served);
  expect(connector.metrics()).toMatchObject({ conflicts: 1, waiting: 0, refused: 0 });
});

test("without waiting, the error says how many are held, and how many could be", async () => {
  const connector = connectorWith({ sources: freshSources(2) });
  const { port, to } = await serve();
  const held = await openMany(connector, to, 16);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({
    code: "EADDRNOTAVAIL",
    exhausted: "destination",
    reason: "no-port-available",
    searched: { first: 23_000, last: 23_007 },
    capacity: { connections: 16, perDestination: 16, perPair: 8, sources: 2 },
  });
  expect(error.message).toContain(`no local port for a connection to 127.0.0.1:${port}`);
  expect(error.message).toContain("of 23000..23007 from 2 sources, 16 held, 0 cooling");
  await reset(...held);
  await expectAllBack(connector, to);
});

test("a signal that is aborted before, while waiting or while connecting gives everything back", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const { to } = await serve();
  const reason = new Error("changed my mind");

  const before = connector.connect({ ...to, signal: AbortSignal.abort(reason) });
  expect(await errorOf(before)).toBe(reason);
  expect(connector.metrics().picks).toBe(0);

  const held = await connector.connect(to);
  const abortion = new AbortController();
  const waiting = connector.connect({ ...to, signal: abortion.signal });
  const next = connector.connect(to);
  expect(connector.metrics().waiting).toBe(2);
  abortion.abort(reason);
  expect(await errorOf(waiting)).toBe(reason);
  expect(connector.metrics()).toMatchObject({ waiting: 1, held: 1 });
  await reset(held);
  await reset(await next);

  const during = new AbortController();
  const connecting = connector.connect({ ...to, signal: during.signal });
  expect(connector.metrics().held).toBe(1);
  during.abort(reason);
  expect(await errorOf(connecting)).toBe(reason);

  expect(connector.metrics().refused).toBe(0);
  await expectAllBack(connector, to);
});

test("a signal counts as long as the socket lives, and its listeners go with the socket", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const abortion = new AbortController();
  const added = vi.spyOn(abortion.signal, "addEventListener");
  const removed = vi.spyOn(abortion.signal, "removeEventListener");
  const [one, two] = await openMany(connector, { ...to, signal: abortion.signal }, 2);
  const error = new Promise((done) => two?.once("error", done));
  await reset(one as Socket);
  const reason = new Error("enough");
  abortion.abort(reason);
  expect(await error).toBe(reason);
  await until(() => connector.metrics().held === 0, "the port of an aborted socket");
  expect(added).toHaveBeenCalledTimes(2);
  expect(removed.mock.calls.length).toBeGreaterThanOrEqual(2);
  await expectAllBack(connector, to);
});

test("closing refuses connections that wait or connect; open sockets live on", async () => {
  const connector = connectorWith({ ...ONE_PORT, wait: true });
  const [one, two] = [await serve(), await serve()];
  const open = await connector.connect({ host: "127.0.0.1", port: one.port });
  const waiting = connector.connect({ host: "127.0.0.1", port: one.port });
  const connecting = connector.connect({ host: "127.0.0.1", port: two.port });
  connector.close();
  connector.close();
  expect(await errorOf(waiting)).toMatchObject({ name: "PortError", code: "EBADF" });
  expect(await errorOf(connecting)).toMatchObject({ name: "PortError", code: "EBADF" });
  expect(await errorOf(connector.connect({ port: one.port }))).toMatchObject({ code: "EBADF" });
  expect(() => connector.refresh()).toThrow(expect.objectContaining({ code: "EBADF" }));
  await until(() => connector.metrics().held === 1, "the port of the socket that was connecting");
  open.write("still here");
  expect(String(await new Promise((done) => open.once("data", done)))).toBe("still here");
  await reset(open);
  expect(connector.metrics()).toMatchObject({ held: 0, waiting: 0, picks: 2, released: 2 });
});

test("a waiter gets a port that another program had, when its quarantine is over", async () => {
  const sources = freshSources(1);
  const connector = connectorWith({ ...ONE_PORT, sources, wait: true, quarantine: 800 });
  const { to } = await serve();
  const foreign = createServer().listen(ONE_PORT.portRange.first, sources[0]);
  await new Promise((done) => foreign.once("listening", done));
  const waiting = connector.connect(to);
  await until(() => connector.metrics().waiting === 1, "a conflict, and a wait");
  expect(connector.metrics()).toMatchObject({ conflicts: 1, quarantined: 1, held: 0, cooling: 0 });
  await new Promise((done) => foreign.close(done));
  await reset(await waiting);
  expect(connector.metrics().quarantined).toBe(0);
  await expectAllBack(connector, to);
});

test("where no more files may be opened, a waiter is served when one is closed", async (context) => {
  if (process.platform === "win32") {
    console.warn("not run: there is no ulimit here");
    return context.annotate("there is no ulimit");
  }
  const module = new URL("../../build/lib/node.js", import.meta.url).href;
  const source = freshSources(1)[0];
  const { port } = await serve();
  const script = `
    import { createConnector } from ${JSON.stringify(module)};
    import { closeSync, openSync } from "node:fs";
    import "node:net";
    const options = { sources: "${source}", portRange: { first: 23200, last: 23299 }, cooldown: "none", reserved: "" };
    const failing = createConnector(options);
    const waiting = createConnector({ ...options, wait: true });
    const to = { host: "127.0.0.1", port: ${port} };
    const first = await failing.connect(to);
    const files = [];
    try { for (;;) files.push(openSync("/dev/null")); } catch {}
    const error = await failing.connect(to).catch((error) => error);
    const promise = waiting.connect(to);
    await new Promise((done) => setTimeout(done, 50));
    const { waiting: count, held } = waiting.metrics();
    for (const file of files.splice(0, 3)) closeSync(file);
    const socket = await promise;
    files.forEach((file) => closeSync(file));
    socket.resetAndDestroy(); first.resetAndDestroy();
    await new Promise((done) => setTimeout(done, 50));
    console.log(JSON.stringify({ name: error.name, code: error.code, exhausted: error.exhausted, message: error.message,
      cause: error.cause?.code, count, held, after: [failing.metrics().held, waiting.metrics().held],
      refusals: failing.metrics().refusals,
      limitedBy: failing.capacity(1).limitedBy, connections: failing.capacity(1).connections }));`;
  const command = 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"';
  const seen = JSON.parse(
    execFileSync("sh", ["-c", command, process.execPath, script], { encoding: "utf8" }),
  );
  expect(seen).toMatchObject({
    name: "ConnectorError",
    code: "EMFILE",
    exhausted: "files",
    cause: "EMFILE",
    count: 1,
    held: 0,
    after: [0, 0],
    refusals: { files: 1 },
  });
  expect(seen.message).toContain("no more files may be opened (ulimit -n)");
  if (process.platform === "linux") {
    expect(seen.limitedBy).toBe("files");
    expect(seen.connections).toBeLessThan(64);
  }
});
