// redisBlocks and etcdBlocks on real servers, where these are installed: through each client that
// the documents name, over restarts, and with calls that come late or twice.

import { Redis } from "ioredis";
import { Redis as Valkey } from "iovalkey";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BlockStore,
  blockScope,
  etcdBlocks,
  type RedisBlocksOptions,
  redisBlocks,
} from "../../../bindings/node/index.ts";
import { blockStoreChecks } from "../../../bindings/node/testing.ts";
import { connectorWith, freshSources, reset, serve } from "../../support/connectors.ts";
import { isInstalled, type StoreServer, startEtcd, startRedis } from "../../support/servers.ts";

const REDIS_MISSING = "no redis-server on this machine: Debian has it as redis-server";
const ETCD_MISSING = "no etcd on this machine: Debian has it as etcd-server";
const TTL = 600;
/** Longer than any machine is busy. */
const LONG_TTL = 300_000;
const [FIRST, LAST] = [640, 643];

type Command = RedisBlocksOptions["command"];

interface Client {
  readonly command: Command;
  close(): Promise<unknown>;
}

async function nodeRedis(port: number): Promise<Client> {
  const client = createClient({ socket: { port, host: "127.0.0.1" } });
  client.on("error", () => {});
  await client.connect();
  return { command: (words) => client.sendCommand(words), close: async () => client.destroy() };
}

function byCall(client: Redis | Valkey): Client {
  client.on("error", () => {});
  return {
    command: ([name = "", ...rest]) => client.call(name, ...rest),
    close: async () => client.disconnect(),
  };
}

const CLIENTS: readonly (readonly [name: string, make: (port: number) => Promise<Client>])[] = [
  ["node-redis", nodeRedis],
  ["ioredis", async (port) => byCall(new Redis(port, "127.0.0.1"))],
  ["iovalkey", async (port) => byCall(new Valkey(port, "127.0.0.1"))],
];

/** By rule of the script: a part of it, and what breaks the rule. */
const BROKEN = {
  none: ["local isPaused", "local isPaused"],
  B: ["local isPaused = pausedUntil > now", "local isPaused = false"],
  C: ["redis.call('ZADD', ended, now + longest, name)", "redis.call('ZADD', ended, now, name)"],
  E: ["then return {'overtaken'} end", "then number = number + 1 end"],
} as const;

if (!isInstalled("redis-server")) console.warn(`redisBlocks is not tested: ${REDIS_MISSING}`);
if (!isInstalled("etcd")) console.warn(`etcdBlocks is not tested: ${ETCD_MISSING}`);

describe.runIf(isInstalled("redis-server"))("redisBlocks", () => {
  let server: StoreServer;
  const clients = new Map<string, Client>();

  beforeAll(async () => {
    server = await startRedis();
    for (const [name, make] of CLIENTS) clients.set(name, await make(server.port));
  });
  afterAll(async () => {
    for (const client of clients.values()) await client.close();
    await server.kill();
  });

  function open(name: string): BlockStore {
    const { command } = clients.get(name) as Client;
    return redisBlocks({ command, ttl: TTL, rest: 0 });
  }

  describe.each(CLIENTS)("through %s", (name) => {
    for (const check of blockStoreChecks({ open: () => open(name) })) test(check.name, check.run);
  });

  /** A store whose calls go through that, with the whole script in each. */
  function openThrough(
    rewrite: (script: string) => string,
    ttl: number,
    sent: Parameters<Command>[],
  ): BlockStore {
    const { command } = clients.get("node-redis") as Client;
    const through: Command = async (words, key) => {
      const [name = "", script = "", ...rest] = words;
      if (name === "EVALSHA") throw new Error("NOSCRIPT");
      const call: Parameters<Command> = [[name, rewrite(script), ...rest], key];
      sent.push(call);
      return command(...call);
    };
    return redisBlocks({ command: through, ttl, rest: 0 });
  }

  /** The script with a rule of it broken: what the tests hold against stores must find that. */
  function broken(rule: keyof typeof BROKEN): (script: string) => string {
    const [whole, instead] = BROKEN[rule];
    return (script) => {
      expect(script).toContain(whole);
      return script.replace(whole, instead);
    };
  }

  /**
   * Stores with a server's clock that the test sets, and which is past the pause of a new server.
   */
  async function openOnClock(
    scope: ReturnType<typeof blockScope>,
    rule: keyof typeof BROKEN,
    sent: Parameters<Command>[] = [],
  ): Promise<{ stores: [BlockStore, BlockStore]; clock: { ms: number } }> {
    const clock = { ms: 0 };
    const rewrite = broken(rule);
    const open = (): BlockStore =>
      openThrough(
        (script) => rewrite(script).replace("local now =", `local now = ${clock.ms} +`),
        LONG_TTL,
        sent,
      );
    const stores: [BlockStore, BlockStore] = [open(), open()];
    await stores[0].acquire(scope, 1, FIRST, LAST);
    clock.ms += 2 * LONG_TTL;
    return { stores, clock };
  }

  test.each([
    ["a server that has lost its data grants nothing for a term, and holders go on", "none"],
    ["control: a server that grants at once after a restart grants a holder's blocks again", "B"],
  ] as const)("%s", async (_name, rule) => {
    const scope = freshScope();
    const { stores, clock } = await openOnClock(scope, rule);
    const [holder, other] = stores;
    const { blocks, grant } = await holder.acquire(scope, 2, FIRST, LAST);
    const held = new Map(blocks.map((block) => [block, grant]));
    await server.restart();
    const asked = await answered(() => other.acquire(scope, 4, FIRST, LAST));
    const isGranted = asked.blocks.some((block) => held.has(block));
    expect(isGranted).toBe(rule === "B");
    if (isGranted) return;
    expect(asked).toMatchObject({ blocks: [], retryAfter: expect.any(Number) });
    expect((await holder.renew(scope, held)).lost).toEqual([]);
    clock.ms += LONG_TTL + 2000;
    const later = await other.acquire(scope, 4, FIRST, LAST);
    expect(later.blocks).toHaveLength(2);
    expect(later.blocks.filter((block) => held.has(block))).toEqual([]);
    await Promise.all([holder.close(), other.close()]);
  });

  test("the blocks of a holder that is gone come back after its term and one more", async () => {
    const scope = freshScope();
    const { stores, clock } = await openOnClock(scope, "none");
    const [dead, other] = stores;
    const { blocks } = await dead.acquire(scope, 4, FIRST, LAST);
    expect(blocks).toHaveLength(4);
    const refused = await other.acquire(scope, 1, FIRST, LAST);
    expect(refused.holders?.[0]).toContain(`/${process.pid}/`);
    clock.ms += LONG_TTL;
    expect((await other.acquire(scope, 1, FIRST, LAST)).blocks).toEqual([]);
    clock.ms += LONG_TTL;
    expect((await other.acquire(scope, 4, FIRST, LAST)).blocks).toHaveLength(4);
    await other.close();
  });

  test.each([
    ["a holder that is late by the server's clock claims back what it holds", "none"],
    ["control: a holder that may not claim back what it holds has lost it when it is late", "C"],
  ] as const)("%s", async (_name, rule) => {
    const scope = freshScope();
    const { stores, clock } = await openOnClock(scope, rule);
    const [late, other] = stores;
    const { blocks, grant } = await late.acquire(scope, 4, FIRST, LAST);
    clock.ms += LONG_TTL;
    const asked = await other.acquire(scope, 1, FIRST, LAST);
    expect(asked.blocks).toHaveLength(rule === "C" ? 1 : 0);
    const held = new Map(blocks.map((block) => [block, grant]));
    const { lost } = await late.renew(scope, held);
    expect(lost.length > 0).toBe(rule === "C");
    await Promise.all([late.close(), other.close()]);
  });

  test("a server's clock that is set back makes no rest and no term longer", async () => {
    const scope = freshScope();
    const { stores, clock } = await openOnClock(scope, "none");
    const [one, other] = stores;
    const { blocks, grant } = await one.acquire(scope, 4, FIRST, LAST);
    clock.ms -= 2 * LONG_TTL - 1000;
    const held = new Map(blocks.map((block) => [block, grant]));
    await one.release(scope, held);
    clock.ms += LONG_TTL + 2000;
    expect((await other.acquire(scope, 4, FIRST, LAST)).blocks).toHaveLength(4);
    await Promise.all([one.close(), other.close()]);
  });

  test.each([
    ["a call that is sent twice, or comes after a later one, does nothing", "none"],
    ["control: without numbered calls a late renewal gives back what was granted after it", "E"],
  ] as const)("%s", async (_name, rule) => {
    const sent: Parameters<Command>[] = [];
    const scope = freshScope();
    const { stores } = await openOnClock(scope, rule, sent);
    const [store] = stores;
    const first = await store.acquire(scope, 1, FIRST, LAST);
    const renewal = new Map(first.blocks.map((block) => [block, first.grant]));
    await store.renew(scope, renewal);
    const late = sent.at(-1) as Parameters<Command>;
    const second = await store.acquire(scope, 1, FIRST, LAST);
    const all = new Map([
      ...renewal,
      ...second.blocks.map((block) => [block, second.grant] as const),
    ]);
    const again = (clients.get("node-redis") as Client).command(...late);
    expect(await again).toEqual(rule === "E" ? ["renewed", "0"] : ["overtaken"]);
    const { lost } = await store.renew(scope, all);
    expect(lost).toEqual(rule === "E" ? second.blocks : []);
    await store.close();
  });

  test("connectors on one address share its ports through a server, and wait for it", async () => {
    const [source] = freshSources(1) as [string];
    const to = { host: "127.0.0.1", port: (await serve()).port };
    const range = { first: 23_040, last: 23_295 };
    const both = [open("node-redis"), open("ioredis")].map((blocks) =>
      connectorWith({ sources: source, portRange: range, blocks, wait: true }),
    );
    const opened = await Promise.all(
      both.map((one) => Promise.all(Array.from({ length: 100 }, () => one.connect(to)))),
    );
    const ports = opened.flat().map(({ localPort }) => localPort);
    expect(new Set(ports).size).toBe(200);
    expect(both.map((one) => one.metrics().conflicts)).toEqual([0, 0]);
    await reset(...opened.flat());
    for (const one of both) one.close();
  });
});

describe.runIf(isInstalled("etcd"))("etcdBlocks", () => {
  let server: StoreServer;
  const open = (): BlockStore => etcdBlocks({ url: `http://127.0.0.1:${server.port}`, ttl: 2000 });

  beforeAll(async () => {
    server = await startEtcd();
    // It listens before it has a leader.
    await answered(() => open().renew(freshScope(), new Map()));
    await answered(() => open().acquire(freshScope(), 1, FIRST, LAST));
  });
  afterAll(() => server.kill());

  for (const check of blockStoreChecks({ open: () => open() })) test(check.name, check.run);

  test("a refused store is told which holders have blocks, and these are told to give back", async () => {
    const [scope, holder, other] = [freshScope(), open(), open()];
    const { blocks, grant } = await holder.acquire(scope, 4, FIRST, LAST);
    const held = new Map(blocks.map((block) => [block, grant]));
    expect(await holder.renew(scope, held)).toEqual({ lost: [], wanted: false });
    const refused = await other.acquire(scope, 1, FIRST, LAST);
    expect(refused.holders?.[0]).toContain(`/${process.pid}/`);
    expect(await holder.renew(scope, held)).toEqual({ lost: [], wanted: true });
    await Promise.all([holder.close(), other.close()]);
  });

  test("the blocks of a holder that is gone come back when its lease ends", async () => {
    const [scope, dead, other] = [freshScope(), open(), open()];
    await dead.acquire(scope, 4, FIRST, LAST);
    let found: readonly number[] = [];
    while (found.length === 0) found = (await other.acquire(scope, 4, FIRST, LAST)).blocks;
    expect(found).toHaveLength(4);
    await other.close();
  });
});

function freshScope(): ReturnType<typeof blockScope> {
  return blockScope(freshSources(1)[0] as string);
}

/** What a server answers that may not be ready yet. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 200) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}
