// Failover: a Redis server, and a replica of it that takes over without its last writes.
//
//   clients ── proxy ──┬── server ── link ──▶ replica        the link is cut, then the replica is
//                      └── - - - - - - - - ─▶               promoted, and a new one follows it
//
// The link is a proxy: a replica that is merely stopped loses nothing, as the data waits for it.

import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "redis";
import { type StoreServer, startRedis } from "../support/servers.ts";
import { SlowProxy } from "./proxy.ts";

/** What the replica misses, and how long the old server goes on for some clients. */
const MISSED_MS = 500;
const SPLIT_MS = 2500;
const FOLLOW_MS_MAX = 60_000;

export class RedisPair {
  #server: StoreServer;
  #link: SlowProxy;
  #replica: StoreServer;
  readonly #settings: readonly string[];

  private constructor(
    settings: readonly string[],
    server: StoreServer,
    link: SlowProxy,
    replica: StoreServer,
  ) {
    this.#settings = settings;
    this.#server = server;
    this.#link = link;
    this.#replica = replica;
  }

  /** @param minReplicas a server with fewer refuses to write. */
  static async start(minReplicas: number): Promise<RedisPair> {
    const settings = [
      ...["--min-replicas-to-write", `${minReplicas}`, "--min-replicas-max-lag", "1"],
      // A replica that is new to a server is not kept waiting for others.
      ...["--repl-diskless-sync-delay", "0"],
    ];
    const server = await startRedis(settings);
    const { link, replica } = await follow(server, settings);
    return new RedisPair(settings, server, link, replica);
  }

  get port(): number {
    return this.#server.port;
  }

  async restart(): Promise<void> {
    await this.#server.restart();
  }

  async kill(): Promise<void> {
    this.#link.close();
    await Promise.all([this.#server.kill(), this.#replica.kill()]);
  }

  /**
   * The replica takes over.
   * @param clients where they come from.
   * @param isSplit half of the clients keep the old server for a while.
   */
  async failOver(clients: SlowProxy, isSplit: boolean): Promise<void> {
    const [old, next] = [this.#server, this.#replica];
    this.#link.freeze(MISSED_MS + SPLIT_MS);
    await pause(MISSED_MS);
    await command(next.port, ["REPLICAOF", "NO", "ONE"]);
    this.#link.close();
    this.#server = next;
    clients.turnTo(next.port, isSplit ? 0.5 : 1);
    if (!isSplit) await old.kill();
    const { link, replica } = await follow(next, this.#settings);
    this.#link = link;
    this.#replica = replica;
    if (!isSplit) return;
    await pause(SPLIT_MS);
    clients.turnTo(next.port);
    await old.kill();
  }
}

async function follow(
  server: StoreServer,
  settings: readonly string[],
): Promise<{ link: SlowProxy; replica: StoreServer }> {
  const link = await SlowProxy.to(server.port);
  const replica = await startRedis([...settings, "--replicaof", "127.0.0.1", `${link.port}`]);
  const end = performance.now() + FOLLOW_MS_MAX;
  while (!`${await command(replica.port, ["INFO", "replication"])}`.includes("link_status:up")) {
    if (performance.now() > end) throw new Error("the replica does not follow");
    await pause(20);
  }
  return { link, replica };
}

async function command(port: number, words: string[]): Promise<unknown> {
  const client = createClient({ socket: { port, host: "127.0.0.1" } });
  client.on("error", () => {});
  await client.connect();
  try {
    return await client.sendCommand(words);
  } finally {
    client.destroy();
  }
}
