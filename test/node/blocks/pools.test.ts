// Pools on leased blocks: they take ports from blocks of their own, give blocks back when no port
// of them is in use, and look at no clock.

import { performance } from "node:perf_hooks";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { IPV4, PortManager, type PortPool, Refusal, TCP } from "../../../bindings/index.ts";
import { PairUse } from "../../../bindings/node/blocks/pair-use.ts";
import {
  type BlockStore,
  etcdBlocks,
  hostBlocks,
  memoryBlocks,
  redisBlocks,
  sliceBlocks,
} from "../../../bindings/node/index.ts";
import { collectUntil } from "../../support/collecting.ts";
import { connectorWith } from "../../support/connectors.ts";

const RANGE = { first: 40_960, last: 40_960 + 4 * 64 - 1 };
let lastAddress = 0;

function freshAddress(): string {
  return `10.77.${++lastAddress >> 8}.${lastAddress & 255}`;
}

interface Opened {
  readonly manager: PortManager;
  readonly store: BlockStore;
  open(port?: number, more?: object): PortPool;
}

function managerOn(address: string, store: BlockStore = memoryBlocks()): Opened {
  const manager = PortManager.open({ portRange: RANGE });
  onTestFinished(() => manager.close());
  const open = (port = 80, more = {}): PortPool =>
    manager.pool({
      ...{ networks: [IPV4], transport: TCP, address, blocks: store },
      ...{ destination: { address: "10.9.0.1", port }, ...more },
    });
  return { manager, store, open };
}

function takeAll(pool: PortPool): number[] {
  const ports: number[] = [];
  for (let port = pool.take(); port > 0; port = pool.take()) ports.push(port);
  return ports;
}

const blocksOf = (ports: readonly number[]): Set<number> => new Set(ports.map((port) => port >> 6));

test.each([
  ["memory", memoryBlocks],
  ["host", hostBlocks],
] as const)(
  "two managers share no block of %s, and one gets what the other had",
  async (name, make) => {
    if (name === "host" && process.platform !== "linux") return;
    const address = freshAddress();
    const [one, other] = [managerOn(address, make()), managerOn(address, make())];
    const [a, b, c] = [one.open(80), one.open(81), other.open(80)];
    const few = Array.from({ length: 65 }, () => a.take());
    // Another destination has the same ports once more.
    const more = new Uint16Array(70);
    expect(b.takeMany(more)).toBe(70);
    expect(blocksOf([...more])).toEqual(blocksOf(few));
    const rest = takeAll(c);
    expect(rest).toHaveLength(128);
    expect([...blocksOf(rest)].filter((block) => blocksOf(few).has(block))).toEqual([]);
    expect(a.takeAt(rest[0] as number)).toBe(Refusal.IN_USE);
    expect(a.takeAt(RANGE.first - 1)).toBe(Refusal.IN_USE);
    expect(a.free(few[0] as number)).toBe(true);
    expect(a.takeAt(few[0] as number)).toBe(few[0]);
    one.manager.close();
    await vi.waitFor(() => expect(takeAll(c)).not.toHaveLength(0));
    await vi.waitFor(() => expect(c.held + takeAll(c).length).toBe(256));
  },
);

test("a slice is all that its pool has", () => {
  const { open } = managerOn(freshAddress(), sliceBlocks({ index: 1, of: 4 }));
  const ports = takeAll(open());
  expect(ports.map((port) => (port >> 6) % 4)).toEqual(Array(64).fill(1));
});

const STEPS = fc.array(
  fc.record({
    pool: fc.nat({ max: 2 }),
    what: fc.constantFrom("take", "take", "take", "free", "coolDown", "expire", "tidy"),
    pick: fc.nat(),
  }),
  { minLength: 50, maxLength: 400 },
);

/** Runs steps, frees all, and answers how many blocks went back. */
const run = (steps: readonly { pool: number; what: string; pick: number }[]): number => {
  let returned = 0;
  const address = freshAddress();
  const store = memoryBlocks();
  const { manager, open } = managerOn(address, store);
  const held = new Map<number, string>();
  const tryAcquire = store.tryAcquire?.bind(store) as NonNullable<BlockStore["tryAcquire"]>;
  store.tryAcquire = (...asked) => {
    const grant = tryAcquire(...asked);
    for (const block of grant?.blocks ?? []) held.set(block, grant?.grant ?? "");
    return grant;
  };
  store.release = async (_scope, blocks) => {
    for (const block of blocks.keys()) held.delete(block);
    returned += blocks.size;
  };
  const pools = [0, 1, 2].map((index) => open(80 + index, { cooldown: 100 }));
  const used = pools.map(() => new Map<number, number>());
  let now = 1000;
  for (const { pool: index, what, pick } of steps) {
    const [pool, ports] = [pools[index] as PortPool, used[index] as Map<number, number>];
    now += pick % 40;
    const port = [...ports.keys()].filter((one) => ports.get(one) === 0)[pick % 8] ?? 0;
    const taken = what === "take" ? pool.take() : 0;
    if (taken > 0) ports.set(taken, 0);
    if (what === "free" && port > 0 && pool.free(port)) ports.delete(port);
    if (what === "coolDown" && port > 0 && pool.coolDown(port, now)) ports.set(port, now);
    if (what === "expire") {
      pool.expire(now);
      for (const [one, at] of ports) if (at > 0 && now - at >= 102) ports.delete(one);
    }
    // The signal of another holder makes a holder give back idle blocks.
    if (what === "tidy") store.onWanted?.({ source: address, transport: TCP }, 0);
    for (const block of blocksOf(used.flatMap((one) => [...one.keys()]))) {
      expect(held.has(block)).toBe(true);
    }
  }
  for (const [index, pool] of pools.entries()) {
    for (const port of used[index]?.keys() ?? []) pool.free(port);
    pool.expire(now + 1000);
  }
  store.onWanted?.({ source: address, transport: TCP }, 0);
  const onTheWay = returned;
  manager.close();
  return onTheWay;
};

test("no block goes back while a port of it is held or cools down", () => {
  let returned = 0;
  const check = (steps: readonly { pool: number; what: string; pick: number }[]): void => {
    returned += run(steps);
  };
  fc.assert(fc.property(STEPS, check), { numRuns: 25 });
  expect(returned).toBeGreaterThan(0);
});

test("control: pools that do not count their ports give back blocks in use, and it is found", () => {
  const broken = vi.spyOn(PairUse.prototype, "add").mockImplementation(() => {});
  onTestFinished(() => broken.mockRestore());
  expect(fc.check(fc.property(STEPS, (steps) => void run(steps))).failed).toBe(true);
});

test("1,000 takes of a pool ask the store once for each block, and no clock", () => {
  const { store, open } = managerOn(freshAddress());
  const pool = open();
  const asked = vi.spyOn(store, "tryAcquire");
  const clocks = [vi.spyOn(performance, "now"), vi.spyOn(Date, "now")];
  const ports = Array.from({ length: 100 }, () => pool.take());
  for (let round = 0; round < 9; round++) {
    for (const port of ports) pool.free(port);
    for (let at = 0; at < 100; at++) ports[at] = pool.take();
  }
  const calls = clocks.map((clock) => clock.mock.calls.length);
  for (const clock of clocks) clock.mockRestore();
  expect(asked).toHaveBeenCalledTimes(2);
  // Each request for a block asks whether it is time.
  expect(calls[0]).toBeLessThanOrEqual(2);
  expect(calls[1]).toBe(0);
});

const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;

test.each<[string, () => unknown]>([
  ["redisBlocks", () => redisBlocks({ command: async () => [] })],
  ["etcdBlocks", () => etcdBlocks({ url: "http://127.0.0.1:1" })],
  ["one's own", () => ({ name: "own", ttl: Number.POSITIVE_INFINITY })],
  ["no store", () => 5],
  ["null", () => null],
])("a pool refuses blocks of %s", (_name, make) => {
  const manager = PortManager.open();
  onTestFinished(() => manager.close());
  const open = (): PortPool => manager.pool({ ...KEY, blocks: make() as BlockStore });
  const message = expect.stringContaining("hostBlocks(), sliceBlocks() or memoryBlocks()");
  expect(open).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE", message }));
});

test("a pool refuses a store of another manager or connector, the wildcard, and other reserved ports", () => {
  const { manager, store, open } = managerOn(freshAddress());
  open();
  const refused = expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" });
  expect(() => managerOn(freshAddress(), store).open()).toThrow(refused);
  expect(() => connectorWith({ blocks: store })).toThrow(refused);
  const taken = memoryBlocks();
  connectorWith({ blocks: taken });
  expect(() => managerOn(freshAddress(), taken).open()).toThrow(refused);
  const wildcard = { ...KEY, address: "", blocks: store };
  expect(() => manager.pool(wildcard)).toThrow(refused);
});

test("a manager that is forgotten gives its blocks back", async () => {
  const store = memoryBlocks();
  const close = vi.spyOn(store, "close");
  const forgotten = (() => {
    const manager = PortManager.open({ portRange: RANGE });
    const at = { networks: [IPV4], transport: TCP, address: freshAddress(), blocks: store };
    expect(manager.pool(at).take()).toBeGreaterThan(0);
    return new WeakRef(manager);
  })();
  await collectUntil(() => close.mock.calls.length > 0);
  expect(forgotten.deref()).toBeUndefined();
  expect(close).toHaveBeenCalledOnce();
});

test("a store that answers no grant at once is refused, and nothing is taken", () => {
  for (const answer of [{}, Promise.resolve(), "blocks", null]) {
    const store = Object.assign(memoryBlocks(), { tryAcquire: () => answer as never });
    const pool = managerOn(freshAddress(), store).open();
    expect(() => pool.take()).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_RETURN_VALUE" }),
    );
    expect(pool.held).toBe(0);
  }
});
