// Sources and spreading: which texts name which addresses, and which of them a connection comes
// from.

import { execFileSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import type { Connector } from "../../bindings/node/index.ts";
import { parseSources } from "../../bindings/node/index.ts";
import {
  connectorWith,
  expectAllBack,
  freshSources,
  openMany,
  RANGE,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const TEXTS: [text: string | string[], addresses: string[]][] = [
  ["127.0.0.2", ["127.0.0.2"]],
  [" 127.0.0.2 , 127.0.0.4 ", ["127.0.0.2", "127.0.0.4"]],
  ["127.0.0.254-127.0.1.1", ["127.0.0.254", "127.0.0.255", "127.0.1.0", "127.0.1.1"]],
  ["127.0.0.2 - 127.0.0.2", ["127.0.0.2"]],
  ["127.0.0.8/30", ["127.0.0.9", "127.0.0.10"]],
  ["127.0.0.10/30", ["127.0.0.9", "127.0.0.10"]],
  ["127.0.0.8/31", ["127.0.0.8", "127.0.0.9"]],
  ["127.0.0.8/32", ["127.0.0.8"]],
  ["::1", ["::1"]],
  [
    "2001:db8::fffe-2001:db8::1:1",
    ["2001:db8::fffe", "2001:db8::ffff", "2001:db8::1:0", "2001:db8::1:1"],
  ],
  ["2001:DB8::/127", ["2001:db8::", "2001:db8::1"]],
  [
    ["127.0.0.3", "::1", "127.0.0.2-127.0.0.3"],
    ["127.0.0.3", "::1", "127.0.0.2"],
  ],
];

test("the name of an interface stands for its addresses, and a wildcard and a zone for themselves", () => {
  const { lo = [] } = networkInterfaces();
  const expected = lo.map(({ address }) => address).filter((one) => !one.startsWith("fe80:"));
  expect(parseSources("lo")).toEqual(expected);
  expect(parseSources(["::", "0.0.0.0", "FE80:0::1%eth0", "fe80::1%eth1"])).toEqual([
    ...["::", "0.0.0.0", "fe80::1%eth0", "fe80::1%eth1"],
  ]);
});

test("a wildcard source shares its ports among destinations, and may be asked for by name", async () => {
  // Ports of its own: at all addresses, other tests have some of theirs.
  const portRange = { first: 23_320, last: 23_327 };
  const connector = connectorWith({ sources: ["0.0.0.0", "::"], portRange });
  const [one, two] = [await serve(), await serve()];
  const open = [];
  for (const { port } of [one, two]) {
    open.push(...(await openMany(connector, { host: "127.0.0.1", port }, 8)));
  }
  expect(new Set(open.map(({ localAddress }) => localAddress))).toEqual(new Set(["127.0.0.1"]));
  expect(heldBySource(connector)).toEqual([16, 0]);
  await reset(...open);
  const to = { host: "127.0.0.1", port: one.port };
  await reset(await connector.connect({ ...to, localAddress: "0.0.0.0" }));
  await expectAllBack(connector, to);
});

test.each(TEXTS)("%j names %j", (text, addresses) => {
  expect(parseSources(text)).toEqual(addresses);
  expect(connectorWith({ sources: text }).sources).toEqual(addresses);
});

test('"round-robin" gives each source the same number of connections, for each destination', async () => {
  const sources = freshSources(3);
  const connector = connectorWith({ sources });
  const servers = [await serve(), await serve()];
  const open = [];
  for (const { port } of servers) {
    open.push(...(await openMany(connector, { host: "127.0.0.1", port }, 9)));
    expect(heldBySource(connector)).toEqual(sources.map(() => open.length / 3));
  }
  for (const source of sources) {
    expect(open.filter(({ localAddress }) => localAddress === source)).toHaveLength(6);
  }
  await reset(...open);
  for (const { port } of servers) await expectAllBack(connector, { host: "127.0.0.1", port });
});

test('"round-robin" passes over a full source', async () => {
  const [full, other] = freshSources(2) as [string, string];
  const connector = connectorWith({ sources: [full, other] });
  const { to } = await serve();
  const first = await openMany(connector, { ...to, localAddress: full }, 8);
  const rest = await openMany(connector, to, 8);
  expect(new Set(rest.map(({ localAddress }) => localAddress))).toEqual(new Set([other]));
  await reset(...first, ...rest);
  await expectAllBack(connector, to);
});

test('"least-used" takes the source with the fewest connections, to whatever destination', async () => {
  const sources = freshSources(3) as [string, string, string];
  const connector = connectorWith({ sources, spread: "least-used" });
  const [one, two] = [await serve(), await serve()];
  const onOne = await openMany(
    connector,
    { host: "127.0.0.1", port: one.port, localAddress: sources[0] },
    5,
  );
  const onTwo = await openMany(
    connector,
    { host: "127.0.0.1", port: two.port, localAddress: sources[1] },
    3,
  );
  const more = await openMany(connector, { host: "127.0.0.1", port: two.port }, 7);
  expect(heldBySource(connector)).toEqual([5, 5, 5]);
  await reset(...onOne);
  const again = await openMany(connector, { host: "127.0.0.1", port: one.port }, 5);
  expect(new Set(again.map(({ localAddress }) => localAddress))).toEqual(new Set([sources[0]]));
  await reset(...onTwo, ...more, ...again);
  await expectAllBack(connector, { host: "127.0.0.1", port: two.port });
});

test('"sequential" goes on behind each pair\'s last port, from any port on, or the first with a seed', async () => {
  const servers = [await serve(), await serve()] as const;
  const first: number[] = [];
  for (const seed of [undefined, 7, undefined, undefined, undefined]) {
    const [source] = freshSources(1);
    const connector = connectorWith({ sources: source as string, selection: "sequential", seed });
    for (const { to } of servers) {
      const ports = [];
      for (let turn = 0; turn < 9; turn++) {
        const socket = await connector.connect(to);
        ports.push(socket.localPort as number);
        await reset(socket);
        await until(() => connector.metrics().held === 0, "the port");
      }
      const from = (ports[0] as number) - RANGE.first;
      expect(ports).toEqual(ports.map((_, turn) => RANGE.first + ((from + turn) % 8)));
      if (seed !== undefined) expect(from).toBe(0);
      else first.push(from);
    }
  }
  // Eight places of eight: all the same in one of two million runs.
  expect(new Set(first).size).toBeGreaterThan(1);
});

test('"sticky": a key keeps its source, and is refused where that is full', async () => {
  const sources = freshSources(5);
  const connector = connectorWith({ sources, spread: "sticky" });
  const { to } = await serve();
  const mine = await openMany(connector, { ...to, key: "customer 7" }, 8);
  expect(new Set(mine.map(({ localAddress }) => localAddress)).size).toBe(1);
  await expect(connector.connect({ ...to, key: "customer 7" })).rejects.toMatchObject({
    code: "EADDRNOTAVAIL",
    exhausted: "source",
    address: mine[0]?.localAddress,
  });
  const keys = Array.from({ length: 24 }, (_, index) => `customer ${100 + index}`);
  const others = await Promise.all(
    keys.map((key) => connector.connect({ ...to, key }).catch(() => undefined)),
  );
  const sourcesUsed = new Set(others.map((socket) => socket?.localAddress));
  expect(sourcesUsed.size).toBeGreaterThan(3);
  await reset(...mine, ...others.filter((socket) => socket !== undefined));
  const keyless = await openMany(connector, to, 5);
  expect(heldBySource(connector)).toEqual([1, 1, 1, 1, 1]);
  await reset(...keyless);
  await expectAllBack(connector, to);
});

test('"sticky": a key gets the same source in another process', async () => {
  const module = new URL("../../build/bindings/node/sources/spread.js", import.meta.url).href;
  const script = `
    import { sourceOfKey } from ${JSON.stringify(module)};
    const sources = Array.from({ length: 16 }, (_, index) => ({ address: String(index) }));
    const keys = ["", "a", "customer 7", "Zürich", "\u{1F6A2}"];
    console.log(keys.map((key) => sourceOfKey(sources, key).address).join());`;
  const run = (): string =>
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  // FNV-1a over UTF-16 units, computed apart from this code.
  expect(run().trim()).toBe(
    ["", "a", "customer 7", "Zürich", "\u{1F6A2}"].map((key) => Number(fnv(key) % 16n)).join(),
  );
});

test("IPv4 and IPv6 sources each serve their own kind", async (context) => {
  const sources = [...freshSources(2), "::1"];
  const connector = connectorWith({ sources: [sources[0], sources[2], sources[1]] as string[] });
  const four = await serve();
  const six = await serve({ host: "::1" }).catch((error: Error) => error);
  if (six instanceof Error) {
    console.warn(`not run, as there is no IPv6 loopback here: ${six.message}`);
    return context.annotate(six.message);
  }
  const toSix = { host: "::1", port: six.port };
  const toFour = { host: "127.0.0.1", port: four.port };
  const onFour = await openMany(connector, toFour, 4);
  const onSix = await openMany(connector, toSix, 8);
  expect(connector.metrics().bySource).toMatchObject({
    [sources[0] as string]: { held: 2 },
    [sources[1] as string]: { held: 2 },
    "::1": { held: 8 },
  });
  expect(connector.capacity(3, 6)).toMatchObject({
    sources: 1,
    perDestination: 8,
    connections: 24,
  });
  expect(connector.capacity(3, 4)).toMatchObject({
    sources: 2,
    perDestination: 16,
    connections: 48,
  });
  await expect(connector.connect(toSix)).rejects.toMatchObject({ exhausted: "source" });
  await reset(...onFour, ...onSix);
  await expectAllBack(connector, toFour);
  await expectAllBack(connector, toSix);
});

test("a destination of another kind than all sources is refused", async () => {
  const connector = connectorWith();
  await expect(connector.connect({ host: "::1", port: 9 })).rejects.toMatchObject({
    name: "ConnectorError",
    code: "EADDRNOTAVAIL",
    exhausted: "sources",
    message: expect.stringContaining("no source is an IPv6 address"),
  });
  expect(connector.metrics()).toMatchObject({
    held: 0,
    picks: 0,
    refused: 1,
    refusals: { sources: 1 },
  });
});

function heldBySource(connector: Connector): number[] {
  return Object.values(connector.metrics().bySource).map(({ held }) => held);
}

function fnv(text: string): bigint {
  let hash = 0x811c9dc5n;
  for (let index = 0; index < text.length; index++) {
    hash = ((hash ^ BigInt(text.charCodeAt(index))) * 0x01000193n) & 0xffffffffn;
  }
  return hash;
}
