// Connectors on leased blocks: where ports come from, what is asked for and when, what goes back,
// and what becomes of connections whose block is lost.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import {
  BLOCKS_CHANNEL,
  type BlockEvent,
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  type Connector,
  type ConnectorOptions,
  type HeldBlocks,
  memoryBlocks,
  type Renewal,
} from "../../../bindings/node/index.ts";
import {
  connectorWith,
  errorOf,
  expectAllBack,
  freshSources,
  openMany,
  reset,
  serve,
  until,
} from "../../support/connectors.ts";

/** Four blocks. */
const FOUR = { first: 23_040, last: 23_295 };
/** Two blocks, of which the second has 16 ports in the range. */
const PARTS = { first: 23_040, last: 23_119 };

function leasing(blocks: BlockStore, options: Partial<ConnectorOptions> = {}): Connector {
  return connectorWith({ portRange: FOUR, spill: false, blocks, ...options });
}

function blocksOf(sockets: readonly Socket[]): Set<number> {
  return new Set(sockets.map(({ localPort = 0 }) => localPort >> 6));
}

/** A store between machines, which grants at most so many blocks, and waits before it answers. */
class RemoteStore implements BlockStore {
  readonly name = "remote";
  readonly ttl: number;
  readonly calls = { acquire: 0, renew: 0, release: 0 };
  most = 1024;
  delayMs = 5;
  isDown = false;
  takenAway: readonly number[] = [];
  readonly held: Map<number, string> = new Map();
  #grants = 0;

  constructor(ttl = 60_000) {
    this.ttl = ttl;
  }

  async acquire(_: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    this.calls.acquire++;
    await this.#answer();
    const grant = `${++this.#grants}`;
    const blocks: number[] = [];
    for (let block = first; block <= last && blocks.length < want; block++) {
      if (this.held.has(block) || this.held.size >= this.most) continue;
      this.held.set(block, grant);
      blocks.push(block);
    }
    return { blocks, grant, retryAfter: 50, holders: ["web-7", "web-9"] };
  }

  async renew(_: BlockScope, held: HeldBlocks): Promise<Renewal> {
    this.calls.renew++;
    await this.#answer();
    return { lost: [...held.keys()].filter((block) => this.takenAway.includes(block)) };
  }

  async release(_: BlockScope, held: HeldBlocks): Promise<void> {
    this.calls.release++;
    await this.#answer();
    for (const block of held.keys()) this.held.delete(block);
  }

  async close(): Promise<void> {}

  async #answer(): Promise<void> {
    await new Promise((done) => setTimeout(done, this.delayMs));
    if (this.isDown) throw new Error("the store is away");
  }
}

test("in turn, a pair goes on behind its last port in the blocks that are leased", async () => {
  const connector = leasing(memoryBlocks(), { sources: freshSources(1), selection: "sequential" });
  const { to } = await serve();
  const open = await openMany(connector, to, 12);
  const ports = open.map(({ localPort = 0 }) => localPort);
  expect(blocksOf(open).size).toBe(1);
  const from = (ports[0] as number) & ~63;
  expect(ports).toEqual(ports.map((_, turn) => from + ((((ports[0] as number) & 63) + turn) % 64)));
  await reset(...open);
  await expectAllBack(connector, to);
});

test("two connectors on one address never pick the same port, and together have all", async () => {
  const [source] = freshSources(1) as [string];
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const both = [memoryBlocks(), memoryBlocks()].map((blocks) =>
    leasing(blocks, { sources: source, wait: true }),
  ) as [Connector, Connector];
  const opened = await Promise.all(both.map((one) => openMany(one, to, 128)));
  const ports = opened.flat().map(({ localPort }) => localPort);
  expect(new Set(ports).size).toBe(256);
  expect(both.map((one) => one.metrics().conflicts)).toEqual([0, 0]);
  await reset(...opened.flat());
  for (const one of both) one.close();
});

test("ports come from leased blocks alone, within the range and not reserved", async () => {
  const store = new RemoteStore();
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store, { portRange: PARTS, reserved: "23050-23059,23110" });
  const sockets = await openMany(connector, to, 69);
  const ports = sockets.map(({ localPort = 0 }) => localPort);
  expect(Math.min(...ports)).toBeGreaterThanOrEqual(PARTS.first);
  expect(Math.max(...ports)).toBeLessThanOrEqual(PARTS.last);
  expect(ports.filter((port) => (port >= 23_050 && port < 23_060) || port === 23_110)).toEqual([]);
  expect([...blocksOf(sockets)].every((block) => store.held.has(block))).toBe(true);
  expect(await errorOf(connector.connect(to))).toMatchObject({ exhausted: "source" });
  expect(connector.capacity()).toMatchObject({ perPair: 69, leased: 69 });
  await reset(...sockets);
  await expectAllBack(connector, to);
});

test("ports of a block are picked at random, and the same ones by the same seed", async () => {
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const runs: number[][] = [];
  for (const seed of [1, 1, 2]) {
    const store = new RemoteStore();
    using connector = leasing(store, { seed });
    const sockets: Socket[] = [];
    for (let count = 0; count < 12; count++) sockets.push(await connector.connect(to));
    runs.push(sockets.map(({ localPort = 0 }) => localPort));
    await reset(...sockets);
  }
  expect(runs[1]).toEqual(runs[0]);
  expect(runs[2]).not.toEqual(runs[0]);
  expect(runs[0]).not.toEqual([...(runs[0] ?? [])].sort());
});

test("a thousand connections that come and go ask the store a few times, and not on the way", async () => {
  const store = new RemoteStore();
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  for (let round = 0; round < 50; round++) await reset(...(await openMany(connector, to, 20)));
  expect(connector.metrics().connected).toBe(1000);
  expect(store.calls.acquire + store.calls.release).toBeLessThan(10);
});

test("the next block is asked for before the last one is full, so that nothing waits for it", async () => {
  const store = new RemoteStore();
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  const sockets: Socket[] = [await connector.connect(to)];
  store.delayMs = 0;
  for (let count = 1; count < 200; count++) sockets.push(await connector.connect(to));
  expect(store.held.size).toBe(4);
  expect(connector.metrics().waits.buckets.at(-1)).toMatchObject({ count: 200 });
  expect(connector.metrics().waits.sumMs).toBeLessThan(store.calls.acquire * 1000);
  await reset(...sockets);
});

test("a refusal says that blocks were exhausted, and which holders might have them", async () => {
  const store = new RemoteStore();
  store.most = 1;
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  const sockets = await openMany(connector, to, 64);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({ code: "EADDRNOTAVAIL", exhausted: "blocks" });
  expect(error.message).toContain(
    "1 block of 64 ports leased (remote), and no other to be had now; held by web-7, web-9",
  );
  expect(connector.metrics().refusals).toEqual({ blocks: 1 });
  await reset(...sockets);
});

test("a refusal for want of the store says what is wrong with it", async () => {
  const store = new RemoteStore();
  store.isDown = true;
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({ exhausted: "blocks", cause: { message: "the store is away" } });
  expect(error.message).toContain("the store could not be asked: the store is away");
  expect(connector.metrics().blocks).toMatchObject({ storeErrors: 1, refused: 1, held: 0 });
});

test("with wait a connection waits for a block, also while the store is away", async () => {
  const store = new RemoteStore();
  store.isDown = true;
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store, { wait: true });
  const waiting = openMany(connector, to, 70);
  await until(() => store.calls.acquire > 1, "asked again");
  expect(connector.metrics().waiting).toBe(70);
  store.isDown = false;
  const sockets = await waiting;
  expect(blocksOf(sockets).size).toBe(2);
  await reset(...sockets);
});

test("a block that is not needed runs dry and goes back; one in use to a destination stays", async () => {
  const store = new RemoteStore();
  const [one, two] = [await serve(), await serve()];
  const connector = leasing(store);
  const to = { host: "127.0.0.1", port: one.port };
  const sockets = await openMany(connector, to, 256);
  const [kept] = sockets.splice(7, 1) as [Socket];
  await reset(...sockets);
  await until(() => store.held.size < 4, "blocks given back");
  await until(() => connector.metrics().blocks?.draining !== 0 || store.held.size <= 2, "few left");
  expect(store.held.has((kept.localPort ?? 0) >> 6)).toBe(true);
  const other = await connector.connect({ ...to, port: two.port });
  expect(store.held.has((other.localPort ?? 0) >> 6)).toBe(true);
  await reset(kept, other);
});

test("an idle connector gives its block to one that needs it", async () => {
  const [source] = freshSources(1) as [string];
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const options = { sources: source, portRange: { first: 23_040, last: 23_103 } };
  const [idle, busy] = [leasing(memoryBlocks(), options), leasing(memoryBlocks(), options)];
  await reset(await idle.connect(to));
  expect(idle.metrics().blocks?.held).toBe(1);
  const socket = await busy.connect(to);
  expect(idle.metrics().blocks).toMatchObject({ held: 0, returned: 1 });
  expect(await errorOf(idle.connect(to))).toMatchObject({ exhausted: "blocks" });
  await reset(socket);
  // It has just been refused, and asks again a little later.
  await new Promise((done) => setTimeout(done, 50));
  await reset(await idle.connect(to));
});

test("ports of others' blocks are used where no block is to be had, and the kernel judges", async () => {
  const [source] = freshSources(1) as [string];
  const to = { host: "127.0.0.1", port: (await serve({ backlog: 2048 })).port };
  const options = { sources: source, portRange: FOUR, spill: true };
  const one = leasing(memoryBlocks(), options);
  const other = leasing(memoryBlocks(), { ...options, wait: true });
  const first = await openMany(one, to, 140);
  const second = await openMany(other, to, 100);
  expect(one.metrics().blocks?.held).toBe(3);
  expect(other.metrics().blocks?.held).toBe(1);
  expect(other.metrics().blocks?.spilled).toBeGreaterThanOrEqual(36);
  const ports = [...first, ...second].map(({ localPort }) => localPort);
  expect(new Set(ports).size).toBe(240);
  await reset(...first, ...second);
});

for (const [policy, isOpen] of [
  ["drain", true],
  ["destroy", false],
] as const) {
  test(`a lost block gives no more ports, and under "${policy}" its connections are ${
    isOpen ? "kept" : "reset"
  }`, async () => {
    const store = new RemoteStore(1500);
    const to = { host: "127.0.0.1", port: (await serve()).port };
    const connector = leasing(store, { blocksLost: policy });
    const socket = await connector.connect(to);
    const block = (socket.localPort ?? 0) >> 6;
    store.takenAway = [block];
    await until(() => connector.metrics().blocks?.lost === 1, "the loss told");
    if (!isOpen) await until(() => socket.closed, "the connection reset");
    expect(socket.destroyed).toBe(!isOpen);
    store.takenAway = [];
    const next = await connector.connect(to);
    expect((next.localPort ?? 0) >> 6).not.toBe(block);
    await reset(socket, next);
  });
}

test("when the term ends without a renewal, nothing is picked from the blocks, whatever comes later", async () => {
  const store = new RemoteStore(1500);
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  const socket = await connector.connect(to);
  store.isDown = true;
  const end = performance.now() + 1500;
  // The loop stands still beyond the term, as a process that is stopped does.
  while (performance.now() < end);
  const error = await errorOf(connector.connect(to));
  expect(error).toMatchObject({ exhausted: "blocks" });
  expect(connector.metrics().blocks).toMatchObject({ held: 0, lost: 1 });
  store.isDown = false;
  await reset(socket);
});

test("closing a connector gives its blocks back when the last connection has closed", async () => {
  const store = new RemoteStore();
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const connector = leasing(store);
  const socket = await connector.connect(to);
  connector.close();
  expect(store.held.size).toBe(1);
  const closed = once(socket, "close");
  socket.resetAndDestroy();
  await closed;
  await until(() => store.held.size === 0, "the block given back");
});

test("what happens to blocks is published, and a store serves one connector", async () => {
  const events: BlockEvent[] = [];
  const listen = (event: unknown): void => void events.push(event as BlockEvent);
  subscribe(BLOCKS_CHANNEL, listen);
  onTestFinished(() => void unsubscribe(BLOCKS_CHANNEL, listen));
  const [source] = freshSources(1) as [string];
  const to = { host: "127.0.0.1", port: (await serve()).port };
  const blocks = memoryBlocks();
  const connector = leasing(blocks, { sources: source });
  await reset(await connector.connect(to));
  connector.close();
  const ours = events.filter((event) => event.source === source);
  expect(ours).toEqual([
    expect.objectContaining({ kind: "acquired", store: "memory", transport: 6 }),
  ]);
  expect(() => leasing(blocks)).toThrow("blocks must be a store of its own for each connector");
});
