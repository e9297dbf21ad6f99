// IPv6 blocks as sources: an address for each connection, made on demand and forgotten when idle.

import { Socket } from "node:net";
import { expect, test } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import { type Connector, createConnector } from "../../bindings/node/index.ts";
import { PrefixSources } from "../../bindings/node/sources/prefix-sources.ts";
import { parseSourcesAndBlocks } from "../../bindings/node/sources/sources.ts";
import { connectorWith, dialled, errorOf } from "../support/connectors.ts";

const BLOCK = "2001:db8::/64";
const TO = { host: "2001:db8:1::1", port: 443 };

/** A socket that is connected at once, without a system. */
const connects: Dial = () => {
  const socket = new Socket();
  process.nextTick(() => socket.emit("connect"));
  return socket;
};

interface Opened {
  readonly socket: Socket;
  readonly address: string;
}

async function open(connector: Connector, more: object = {}): Promise<Opened> {
  let address = "";
  const socket = await dialled(connector, { ...TO, ...more }, (ends) => {
    address = ends.localAddress;
    return connects(ends);
  });
  return { socket, address };
}

async function closed({ socket }: Opened): Promise<void> {
  await new Promise((done) => socket.once("close", done).destroy());
}

test("thousands of connections come from as many addresses, and nothing of them is kept", async () => {
  const connector = connectorWith({ sources: BLOCK, seed: 7 });
  const addresses = new Set<string>();
  for (let round = 0; round < 3000; round++) {
    const one = await open(connector);
    addresses.add(one.address);
    await closed(one);
  }
  expect(addresses.size).toBe(3000);
  expect([...addresses].filter((address) => !address.startsWith("2001:db8:"))).toEqual([]);
  const { held, bySource, capacity } = connector.metrics();
  expect(held).toBe(0);
  expect(Object.keys(bySource)).toEqual([BLOCK]);
  expect(bySource[BLOCK]).toMatchObject({ held: 0, picks: 3000, released: 3000 });
  expect(capacity).toBe(8 * 2 ** 64);
  expect(connector.sources).toEqual([BLOCK]);
  const again = await open(connectorWith({ sources: BLOCK, seed: 7 }));
  expect(again.address).toBe([...addresses][0]);
});

test("sources that are idle take at most 1,024 places, and those in use keep theirs", () => {
  const { blocks } = parseSourcesAndBlocks([BLOCK, "2001:db8:0:1::/96"]);
  const sources = new PrefixSources(blocks, 3, 1);
  const [used] = sources.order(0);
  if (used === undefined) throw new Error("no source");
  used.heldCount = 1;
  sources.onUse(used);
  let most = 0;
  for (let round = 0; round < 5000; round++) {
    for (const source of sources.order(0)) most = Math.max(most, source.index);
  }
  expect(most).toBeGreaterThan(1000);
  expect(most).toBeLessThanOrEqual(3 + 1025);
  expect(used.index).toBe(3);
  used.heldCount = 0;
  sources.onUse(used);
  for (let round = 0; round < 1000; round++) for (const _ of sources.order(0));
  expect(used.index).toBe(-1);
  const [prefix] = sources.prefixes;
  const [revived] = sources.revived(used, used.prefix ?? (prefix as never), 0);
  expect(revived).toMatchObject({ address: used.address });
  expect(revived?.index).toBeGreaterThanOrEqual(3);
});

test("a key has one address of the block, whatever connector asks for it", async () => {
  const [one, other] = [1, 2].map((seed) =>
    connectorWith({ sources: BLOCK, spread: "sticky", seed }),
  ) as [Connector, Connector];
  const keys = Array.from({ length: 50 }, (_, index) => `user ${index}`);
  const first = await Promise.all(keys.map((key) => open(one, { key })));
  const second = await Promise.all(keys.map((key) => open(other, { key })));
  const addresses = first.map(({ address }) => address);
  expect(second.map(({ address }) => address)).toEqual(addresses);
  expect(new Set(addresses).size).toBe(50);
  await Promise.all([...first, ...second].map(closed));
});

test("a connection that waits for the address of its key gets it, however many come between", async () => {
  const connector = connectorWith({
    ...{ sources: BLOCK, spread: "sticky", wait: true },
    portRange: { first: 23_000, last: 23_000 },
  });
  const holder = await open(connector, { key: "a" });
  const waiting = open(connector, { key: "a" });
  for (let round = 0; round < 1500; round++) await closed(await open(connector));
  expect(connector.metrics().waiting).toBe(1);
  await closed(holder);
  const served = await waiting;
  expect(served.address).toBe(holder.address);
  await closed(served);
});

test("an address of the block may be asked for, and no other", async () => {
  const connector = connectorWith({ sources: ["10.0.0.1", BLOCK] });
  const one = await open(connector, { localAddress: "2001:DB8:0::42" });
  expect(one.address).toBe("2001:db8::42");
  await closed(one);
  const error = await errorOf(connector.connect({ ...TO, localAddress: "2001:db8:0:1::42" }));
  expect(error).toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
});

test("a block that the system does not route is tried once, and left out for a while", async () => {
  const connector = connectorWith({ sources: BLOCK, quarantine: 86_400_000 });
  let tries = 0;
  const absent: Dial = ({ localAddress }) => {
    tries++;
    const error = new Error(`bind EADDRNOTAVAIL ${localAddress}`);
    throw Object.assign(error, { code: "EADDRNOTAVAIL", syscall: "bind" });
  };
  for (const _ of [1, 2, 3]) {
    const error = await errorOf(dialled(connector, TO, absent));
    expect(error).toMatchObject({ exhausted: "sources", code: "EADDRNOTAVAIL" });
    expect(error.message).toContain("no address of the block can be bound");
  }
  expect(tries).toBe(1);
  expect(connector.metrics().sourcesDown).toBe(1);
  expect(connector.capacity()).toMatchObject({ sources: 0, limitedBy: "sources" });
  connector.refresh();
  await closed(await open(connector));
});

test.each<[sources: string | string[], code: string, words: string]>([
  ["2001:db8::/63", "ERR_OUT_OF_RANGE", "an IPv6 block of /64 at most"],
  ["::/0", "ERR_OUT_OF_RANGE", "/64 at most"],
  [[BLOCK, "2001:db8:5::1"], "ERR_INVALID_ARG_VALUE", "or other IPv6 sources"],
  ["10.0.0.0/8", "ERR_OUT_OF_RANGE", "at most 65536 addresses"],
])("%s as sources are refused", (sources, code, words) => {
  expect(() => createConnector({ sources })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(words) }),
  );
});

test("a block of few addresses is listed, and one of many is named by its first", () => {
  const listed = parseSourcesAndBlocks("2001:db8::/126");
  expect(listed).toMatchObject({ blocks: [], addresses: { length: 4 } });
  const { addresses, blocks } = parseSourcesAndBlocks("2001:DB8::77/64, 2001:db8::/111");
  expect(addresses).toEqual([]);
  expect(blocks.map(({ text, size }) => [text, size])).toEqual([
    ["2001:db8::/64", 2n ** 64n],
    ["2001:db8::/111", 2n ** 17n],
  ]);
});
