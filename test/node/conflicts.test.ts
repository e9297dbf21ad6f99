// Conflicts: ports held by another program, which are quarantined and come back; ports that cool
// down, and those that do not.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { type PortPool, TCP } from "../../bindings/index.ts";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import { newCounts } from "../../bindings/node/metrics/counts.ts";
import { Destination } from "../../bindings/node/sources/destination.ts";
import { Pair } from "../../bindings/node/sources/pair.ts";
import type { PairTable } from "../../bindings/node/sources/pair-table.ts";
import { Source } from "../../bindings/node/sources/source.ts";
import { throwing } from "../invalid-input/fixture.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  expectAllBack,
  freshSources,
  occupy,
  openMany,
  RANGE,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const ONE_PORT = { portRange: { first: 23_300, last: 23_300 } };

test("a port that another program listens on is quarantined for all destinations, and comes back", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ sources: source, quarantine: 600 });
  const servers = [await serve(), await serve()];
  const others = [await occupy(source, 23_001), await occupy(source, 23_006)];
  for (const [index, { port }] of servers.entries()) {
    const open = await openMany(connector, { host: "127.0.0.1", port }, 6);
    expect(open.map(({ localPort }) => localPort).sort()).toEqual([
      23_000, 23_002, 23_003, 23_004, 23_005, 23_007,
    ]);
    // For the second destination it is known already, unless the time is over.
    if (index === 0) expect(connector.metrics().conflicts).toBeLessThanOrEqual(2);
    await reset(...open);
  }
  const { conflicts, failed, picks, connected } = connector.metrics();
  expect({ failed, tried: picks - connected - conflicts }).toEqual({ failed: 0, tried: 0 });
  for (const server of others) await new Promise((done) => server.close(done));
  await new Promise((done) => setTimeout(done, 650));
  for (const { port } of servers) await expectAllBack(connector, { host: "127.0.0.1", port });
  expect(connector.metrics().quarantined).toBe(0);
});

test("a tuple that is alive is quarantined for its destination alone", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ ...ONE_PORT, sources: source });
  const [one, two] = [await serve(), await serve()];
  const theirs = connect({
    host: "127.0.0.1",
    port: one.port,
    localAddress: source,
    localPort: 23_300,
  });
  await once(theirs, "connect");
  const toOne = { host: "127.0.0.1", port: one.port };
  const toTwo = { host: "127.0.0.1", port: two.port };
  const error = await errorOf(connector.connect(toOne));
  expect(error).toMatchObject({
    name: "ConnectorError",
    exhausted: "range",
    code: "EADDRNOTAVAIL",
  });
  expect(error.message).toContain("1 quarantined (held by another program");
  const { byDestination, held } = connector.metrics();
  expect(byDestination[`127.0.0.1:${one.port}`]).toMatchObject({ conflicts: 1, connected: 0 });
  expect(held).toBe(0);
  const other = await connector.connect(toTwo);
  expect(other.localPort).toBe(23_300);
  await reset(other, theirs);
  await until(() => connector.metrics().quarantined === 0, "the port");
  await expectAllBack(connector, toOne);
  await expectAllBack(connector, toTwo);
});

test("one connection runs into maxAttempts ports held by another program, and no more", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({ sources: source, maxAttempts: 3 });
  const { to } = await serve();
  for (let taken = RANGE.first; taken <= RANGE.last; taken++) await occupy(source, taken);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({
    code: "EADDRINUSE",
    exhausted: "attempts",
    cause: { code: "EADDRINUSE", syscall: "bind" },
  });
  expect(error.message).toContain("3 picked ports turned out to be held by another program");
  expect(connector.metrics()).toMatchObject({
    picks: 3,
    conflicts: 3,
    quarantined: 3,
    held: 0,
    refusals: { attempts: 1 },
  });
});

test("a dial that throws for a bind held by another program goes on in the same way, bounded", async () => {
  const connector = connectorWith({ maxAttempts: 5 });
  const tried: number[] = [];
  const inUse = Object.assign(new Error("bind EADDRINUSE"), {
    code: "EADDRINUSE",
    syscall: "bind",
  });
  const dial: Dial = ({ localPort }) => {
    tried.push(localPort);
    throw inUse;
  };
  const error = await errorOf(dialled(connector, { host: "127.0.0.1", port: 9 }, dial));
  expect(error).toMatchObject({ exhausted: "attempts", cause: inUse });
  expect(new Set(tried).size).toBe(5);
  expect(connector.metrics()).toMatchObject({
    picks: 5,
    conflicts: 5,
    released: 5,
    quarantined: 5,
    held: 0,
    failed: 0,
  });
});

test("a dial that throws for another reason fails the address, and gives the port back", async () => {
  const connector = connectorWith();
  const reason = new TypeError("no socket today");
  const dial: Dial = throwing(reason);
  const error = await errorOf(dialled(connector, { host: "127.0.0.1", port: 9 }, dial));
  expect(error).toBe(reason);
  expect(connector.metrics()).toMatchObject({
    picks: 1,
    failed: 1,
    released: 1,
    conflicts: 0,
    held: 0,
  });
});

test("a source that is no address of this machine is quarantined, and the others serve", async () => {
  const [source] = freshSources(1) as [string];
  // TEST-NET-3 (RFC 5737): no host has it.
  const connector = connectorWith({ sources: ["203.0.113.1", source] });
  const { to } = await serve();
  const open = await openMany(connector, to, 8);
  expect(new Set(open.map(({ localAddress }) => localAddress))).toEqual(new Set([source]));
  expect(connector.metrics().bySource["203.0.113.1"]).toMatchObject({
    held: 0,
    connected: 0,
    quarantined: 0,
  });
  expect(connector.metrics().sourcesDown).toBe(1);
  expect(connector.capacity(3)).toMatchObject({ sources: 1, perDestination: 8, connections: 24 });
  connector.refresh();
  expect(connector.metrics().sourcesDown).toBe(0);
  expect(connector.capacity(3)).toMatchObject({ sources: 2, perDestination: 16 });
  await reset(...open);
  const alone = connectorWith({ sources: "203.0.113.1-203.0.113.9", quarantine: 1 });
  const error = await errorOf(alone.connect(to));
  expect(error).toMatchObject({ exhausted: "sources", code: "EADDRNOTAVAIL" });
  expect(error.message).toContain("none of the sources is an address of this machine");
  expect(alone.metrics().held).toBe(0);
});

test("a connection that waits behind one that meets a conflict and fails is served", async () => {
  const [source] = freshSources(1) as [string];
  const connector = connectorWith({
    ...ONE_PORT,
    sources: source,
    wait: true,
    maxAttempts: 1,
    quarantine: 100,
  });
  const { to } = await serve();
  const others = await occupy(source, 23_300);
  const first = connector.connect(to);
  const second = connector.connect(to);
  expect(connector.metrics()).toMatchObject({ held: 1, waiting: 1 });
  expect(await errorOf(first)).toMatchObject({ exhausted: "attempts" });
  await new Promise((done) => others.close(done));
  await reset(await second);
  await expectAllBack(connector, to);
});

// ── Who closes first ──────────────────────────────────────────────────────────────────────

const ENDINGS: [
  name: string,
  coolingCount: number,
  close: (ours: Socket, theirs: Socket) => void,
][] = [
  ["we end first", 1, (ours) => ours.end()],
  ["we destroy first", 1, (ours) => ours.destroy()],
  ["the other side ends first", 0, (_ours, theirs) => theirs.end()],
  ["the other side resets", 0, (_ours, theirs) => theirs.resetAndDestroy()],
  ["we reset", 0, (ours) => ours.resetAndDestroy()],
];

test.each(ENDINGS)("where %s, %i port cools down", async (_name, coolingCount, close) => {
  const connector = connectorWith({ ...ONE_PORT, cooldown: 60_000 });
  const { to, sockets } = await serve();
  const ours = await connector.connect(to);
  ours.on("error", () => {}).resume();
  await until(() => sockets.size === 1, "the server's end");
  close(ours, [...sockets][0] as Socket);
  await until(() => connector.metrics().held === 0, "the port");
  expect(connector.metrics()).toMatchObject({
    cooling: coolingCount,
    cooledDown: coolingCount,
    released: 1,
  });
  if (coolingCount === 0) return expectAllBack(connector, to);
  expect(await errorOf(connector.connect(to))).toMatchObject({
    exhausted: "cooling",
    code: "EADDRNOTAVAIL",
  });
});

test("a connection that waits for a cooling port gets it when it has cooled down", async () => {
  for (const options of [{ whenCooling: "wait" }, { wait: true }] as const) {
    const connector = connectorWith({ ...ONE_PORT, cooldown: 120, ...options });
    const { to } = await serve();
    const first = await connector.connect(to);
    const early = "wait" in options ? connector.connect(to) : undefined;
    const began = performance.now();
    first.destroy();
    await once(first, "close");
    // On a busy machine it may have cooled down by now.
    expect(connector.metrics()).toMatchObject({ cooledDown: 1 });
    await reset(await (early ?? connector.connect(to)));
    expect(performance.now() - began).toBeGreaterThan(110);
    expect(connector.metrics()).toMatchObject({ cooling: 0, cooledDown: 1 });
    await expectAllBack(connector, to);
  }
});

test("a connection does not wait for cooling ports where these are to be refused", async () => {
  const options = { cooldown: 60_000, whenCooling: "refuse", wait: true } as const;
  const connector = connectorWith({ ...ONE_PORT, ...options });
  const { to } = await serve();
  const first = await connector.connect(to);
  const waiting = connector.connect(to);
  expect(connector.metrics().waiting).toBe(1);
  await reset(first);
  const second = await waiting;
  second.destroy();
  await once(second, "close");
  expect(await errorOf(connector.connect(to))).toMatchObject({ exhausted: "cooling" });
});

test("a tuple that is taken is tried again soon, then less and less often", async () => {
  const connector = connectorWith({
    ...ONE_PORT,
    wait: true,
    maxAttempts: 1000,
    quarantine: 60_000,
  });
  const { to } = await serve();
  const tries: number[] = [];
  const dial: Dial = (ends) => {
    tries.push(performance.now());
    if (tries.length > 4) return connect(ends);
    const [code, syscall] = ["EADDRNOTAVAIL", "connect"];
    throw Object.assign(new Error("taken"), { code, syscall });
  };
  const opened = new Promise<Socket>((resolve) => {
    connector.dial(to, dial, (_, socket) => resolve(socket as Socket));
  });
  await reset(await opened);
  // After 20, 40, 80 and 160 ms; timers are late, but not early.
  expect(tries).toHaveLength(5);
  for (const [index, least] of [18, 38, 78, 158].entries()) {
    expect((tries[index + 1] as number) - (tries[index] as number)).toBeGreaterThan(least);
  }
  expect(connector.metrics()).toMatchObject({ quarantined: 0, conflicts: 4, connected: 1 });
});

test("how long a taken tuple is quarantined doubles up to a second, until it connects", () => {
  const freed: number[] = [];
  const pool = { free: (port: number) => freed.push(port), nextExpiry: undefined };
  const destination = new Destination(TCP, "127.0.0.1", 80, newCounts());
  const pair = new Pair(
    {} as PairTable, // which is not asked
    new Source("127.0.0.2", 0),
    destination,
    pool as unknown as PortPool,
    60_000,
    0,
  );
  let now = 0;
  const expectPeriod = (ms: number): void => {
    pair.quarantineTuple(7, now);
    pair.expire(now + ms - 0.1);
    expect(freed).toEqual([]);
    pair.expire(now + ms);
    expect(freed.splice(0)).toEqual([7]);
    now += ms;
  };
  for (const ms of [20, 40, 80, 160, 320, 640, 1000, 1000]) expectPeriod(ms);
  pair.onConnected(7);
  for (const ms of [20, 40]) expectPeriod(ms);
});

test("a connection that waits for taken tuples waits on, however often each of them is tried", async () => {
  const connector = connectorWith({ wait: true, maxAttempts: 9 });
  const { to } = await serve();
  const tried: number[] = [];
  const dial: Dial = (ends) => {
    tried.push(ends.localPort);
    if (tried.length > 30) return connect(ends);
    throw Object.assign(new Error("taken"), { code: "EADDRNOTAVAIL", syscall: "connect" });
  };
  const socket = await new Promise<Socket | null>((resolve) => {
    connector.dial(to, dial, (_, opened) => resolve(opened));
  });
  expect(socket?.localPort).toBe(tried.at(-1));
  expect(new Set(tried).size).toBe(8);
  expect(connector.metrics()).toMatchObject({ conflicts: 30, connected: 1, refused: 0 });
  await reset(socket as Socket);
});

test("the oldest of the cooling ports is taken over where that is the policy", async () => {
  const connector = connectorWith({ cooldown: 60_000, whenCooling: "oldest" });
  const { to } = await serve();
  const open = await openMany(connector, to, 8);
  const order: (number | undefined)[] = [];
  for (const socket of open) {
    order.push(socket.localPort);
    socket.destroy();
    await once(socket, "close");
  }
  expect(connector.metrics()).toMatchObject({ held: 0, cooling: 8 });
  const again = [];
  for (const expected of order) {
    // The system lets a tuple in TIME_WAIT be taken over with timestamps only; without, it is a
    // conflict.
    const socket = await connector.connect(to);
    expect(socket.localPort).toBe(expected);
    again.push(socket);
  }
  await reset(...again);
});

test("a socket whose port has come back may be used again by its owner, for a connection of its own", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const [socket] = (await openMany(connector, to, 1)) as [Socket];
  await reset(socket);
  socket.connect(to);
  await once(socket, "connect");
  expect(socket.destroyed).toBe(false);
  expect(connector.metrics()).toMatchObject({ held: 0, picks: 1, released: 1 });
  await reset(socket);
  await expectAllBack(connector, to);
});
