// Limits: errors say which one was met, in words and figures; capacity says how many connections
// fit; refresh() reads which ports other programs have.

import { setMaxListeners } from "node:events";
import { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type Explanation, type PortGroup, PortGroups } from "../../bindings/index.ts";
import type { Exhausted } from "../../bindings/node/index.ts";
import {
  connectorWith,
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

function groupOf(first: number, last: number): PortGroup {
  const groups = PortGroups.open();
  onTestFinished(() => groups.close());
  return groups.create("/load", { connectPortRange: { first, last } });
}

async function expectRefused(
  promise: Promise<unknown>,
  exhausted: Exhausted,
  code: string,
  ...words: string[]
): Promise<void> {
  const error = await errorOf(promise);
  expect(error).toMatchObject({ name: "ConnectorError", exhausted, code });
  for (const word of words) expect(error.message).toContain(word);
}

test("a refusal says whether one source's ports to the destination are used up, or all sources'", async () => {
  const [one, two] = freshSources(2) as [string, string];
  const connector = connectorWith({ sources: [one, two] });
  const { to } = await serve();
  const open = await openMany(connector, { ...to, localAddress: one }, 8);
  await expectRefused(
    connector.connect({ ...to, localAddress: one }),
    "source",
    "EADDRNOTAVAIL",
    "of 23000..23007 from 1 source, 8 held",
    "the one source can carry 8 to each destination",
  );
  open.push(...(await openMany(connector, to, 8)));
  await expectRefused(
    connector.connect(to),
    "destination",
    "EADDRNOTAVAIL",
    "from 2 sources, 16 held",
    "the 2 sources can carry 16 to each destination",
  );
  await reset(...open);
  await expectAllBack(connector, to);
});

test("a connector's refusal explains where the ports of all its sources are, as things are now", async () => {
  const sources = freshSources(2) as [string, string];
  const { to } = await serve();
  const group = groupOf(23_000, 23_006);
  const connector = connectorWith({ sources, reserved: "23003", group });
  const open = await openMany(connector, to, 12);
  const error = await errorOf(connector.connect(to));
  const sumOf = (): number => {
    const { because, free = 0, searched } = error.explain() as Explanation;
    expect(searched).toEqual({ first: 23_000, last: 23_007 });
    return because.reduce((sum, { ports = 0 }) => sum + ports, free);
  };
  const parts = (): unknown => error.explain()?.because.map(({ rule, ports }) => [rule, ports]);
  expect(error.explain()).toMatchObject({ allowed: false, port: 0, free: 0 });
  expect(parts()).toEqual([
    ["outside-group", 2],
    ["reserved", 2],
    ["held", 12],
  ]);
  expect(error.explain()?.because.at(-1)?.text).toBe(
    "12 ports of 2 sources are held by connections",
  );
  expect(sumOf()).toBe(16);
  await reset(...open.splice(0, 5));
  expect(sumOf()).toBe(16);
  expect(error.explain()).toMatchObject({ allowed: true, free: 5 });
  await reset(...open);
  await expectAllBack(connector, to);
});

test("an error of a source that cannot be bound names it", async () => {
  const connector = connectorWith({ sources: ["192.0.2.77"] });
  const { to } = await serve();
  const error = await errorOf(connector.connect(to));
  const { allowed, because } = error.explain() as Explanation;
  expect(allowed).toBe(false);
  expect(because).toMatchObject([{ rule: "source", text: expect.stringContaining("192.0.2.77") }]);
});

test("a refusal says that nothing of the range is left", async () => {
  const connector = connectorWith({ reserved: "23000-23006,23007" });
  const { to } = await serve();
  expect(connector.capacity(1)).toMatchObject({ connections: 0, perPair: 0 });
  await expectRefused(connector.connect(to), "range", "EADDRNOTAVAIL", "0 held");
  expect(connector.metrics()).toMatchObject({ picks: 0, refused: 1, held: 0 });
});

test("a refusal says that the group leaves nothing of the range, or that what it leaves is held", async () => {
  const { to } = await serve();
  const none = connectorWith({ group: groupOf(40_000, 40_001) });
  await expectRefused(none.connect(to), "group", "EACCES", "the group leaves nothing of the range");
  expect(none.capacity(5)).toMatchObject({ connections: 0, perPair: 0, perDestination: 0 });
  const group = groupOf(23_004, 23_020);
  const some = connectorWith({ group });
  expect(some.capacity(5)).toMatchObject({ connections: 20, perPair: 4 });
  const open = await openMany(some, to, 4);
  expect(open.map(({ localPort }) => localPort).sort()).toEqual([23_004, 23_005, 23_006, 23_007]);
  await expectRefused(
    some.connect(to),
    "group",
    "EADDRNOTAVAIL",
    "of 23004..23007, all that the group allows",
  );
  await reset(...open);
  await expectAllBack(some, to);
});

test("idle destinations give way at the limit of memory, and then a connection is refused", async () => {
  const connector = connectorWith({ memoryLimit: 6000, sources: freshSources(8) });
  const hostAt = (index: number): string => `127.8.${index >> 8}.${index & 255}`;
  for (let index = 1; index < 200; index++) {
    const error = await errorOf(connector.connect({ host: hostAt(index), port: 9 }));
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  }
  expect(connector.metrics()).toMatchObject({ held: 0, refused: 0, picks: 199 });
  let refusal: Error | null = null;
  const abortion = new AbortController();
  setMaxListeners(0, abortion.signal);
  for (let index = 1; index < 200 && refusal === null; index++) {
    const where = { host: hostAt(index), port: 9, signal: abortion.signal };
    const opened = (error: Error | null): void => {
      refusal ??= error;
    };
    connector.dial(where, () => new Socket(), opened);
    await setImmediate();
  }
  expect(refusal).toMatchObject({ name: "ConnectorError", exhausted: "memory", code: "ENOBUFS" });
  expect(String(refusal)).toContain("the memory limit allows no more records");
  expect(connector.metrics().refusals).toEqual({ memory: 1 });
  abortion.abort();
  await until(() => connector.metrics().held === 0, "all ports");
  const { picks, released } = connector.metrics();
  expect(picks).toBe(released);
});

test("a connection is refused where the tree of the connector's group has been closed", async () => {
  const groups = PortGroups.open();
  const connector = connectorWith({ group: groups.create("/load"), wait: true });
  groups.close();
  const { port } = await serve();
  for (const host of ["127.0.0.1", "localhost"]) {
    const error = await errorOf(connector.connect({ host, port, family: 4 }));
    expect(error).toMatchObject({ name: "PortError", code: "EBADF" });
  }
  expect(connector.metrics()).toMatchObject({ held: 0, picks: 0, waiting: 0 });
});

test("capacity is ports x sources x destinations, without what is reserved", () => {
  const plain = connectorWith({ sources: freshSources(3) });
  expect(plain.capacity()).toEqual({
    connections: 24,
    perDestination: 24,
    perPair: 8,
    headroom: 0,
    sources: 3,
    limitedBy: "ports",
  });
  expect(plain.capacity(0).connections).toBe(0);
  expect(plain.capacity(10).connections).toBe(240);
  const reserved = connectorWith({ reserved: "1-100,23001,23003-23004,30000" });
  expect(reserved.capacity(10)).toMatchObject({ perPair: 5, connections: 50 });
  expect(plain.capacity(10, 6)).toMatchObject({ sources: 0, connections: 0 });
  const both = connectorWith({ reserved: "23001", group: groupOf(23_000, 23_003) });
  expect(both.capacity(10)).toMatchObject({ perPair: 3 });
});

test("capacity is at most the files that the process may open, where that is known", (context) => {
  const connector = connectorWith({
    portRange: { first: 1024, last: 65_535 },
    headroom: 0,
    sources: "127.0.0.0/20",
  });
  const capacity = connector.capacity(1_000_000);
  if (connector.refresh().fileLimits === undefined) {
    console.warn("not asserted: the limit of open files is not known here");
    return context.annotate("no limit of open files is known");
  }
  expect(capacity.limitedBy).toBe("files");
  expect(capacity.connections).toBeLessThanOrEqual(connector.refresh().fileLimits?.soft ?? 0);
  expect(capacity.perDestination).toBe(64_512 * 4094);
});

// ── The machine ───────────────────────────────────────────────────────────────────────────

test("ports that other programs listen on are quarantined from the start, and after refresh()", async (context) => {
  const [one, two] = freshSources(2) as [string, string];
  await occupy(one, RANGE.first);
  const connector = connectorWith({ sources: [one, two], skipUsed: true, quarantine: 1000 });
  if (connector.refresh().tcp === undefined) {
    console.warn("not run: the sockets of this machine are not known");
    return context.annotate("the sockets of this machine are not known");
  }
  const { to } = await serve();
  const open = await openMany(connector, to, 15);
  expect(connector.metrics()).toMatchObject({ conflicts: 0, held: 15 });
  await reset(...open);
  const late = await occupy(two, RANGE.last);
  connector.refresh();
  const again = await openMany(connector, to, 14);
  expect(connector.metrics()).toMatchObject({ conflicts: 0, held: 14 });
  await reset(...again);
  await new Promise((done) => late.close(done));
  await new Promise((done) => setTimeout(done, 1050));
  const after = await openMany(connector, to, 15);
  // The listener on the first source is still there, and is met once.
  expect(connector.metrics().conflicts).toBeLessThanOrEqual(1);
  await reset(...after);
  expect(connector.metrics().held).toBe(0);
});

test("refresh() does not take our own connections for another program's", async () => {
  const connector = connectorWith({ skipUsed: true });
  const [one, two] = [await serve(), await serve()];
  const toOne = { host: "127.0.0.1", port: one.port };
  const toTwo = { host: "127.0.0.1", port: two.port };
  const open = await openMany(connector, toOne, 8);
  connector.refresh();
  open.push(...(await openMany(connector, toTwo, 8)));
  expect(connector.metrics()).toMatchObject({ held: 16, conflicts: 0, quarantined: 0 });
  await reset(...open);
  await expectAllBack(connector, toOne);
  await expectAllBack(connector, toTwo);
});

test("connectTimeout counts the wait for a port, and the error names the destination", async () => {
  const connector = connectorWith({ wait: true, connectTimeout: 60 });
  const { port, to } = await serve();
  const open = await openMany(connector, { ...to, connectTimeout: 0 }, 8);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
  expect(connector.metrics().waiting).toBe(0);
  const hurried = connectorWith({ wait: { limit: 1, timeout: 20 } });
  const held = await openMany(hurried, to, 8);
  const late = await errorOf(hurried.connect(to));
  expect(late).toMatchObject({ exhausted: "time", destination: { address: "127.0.0.1", port } });
  expect(hurried.metrics().bySource[hurried.sources[0] as string]?.refused).toBe(1);
  await reset(...open, ...held);
  await expectAllBack(connector, to);
});
