// Kills: threads that are terminated and processes that are killed while they lease and give back
// blocks. After each batch of them every block can be had again: of `host` at once, of other stores
// within two terms.

import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { blockScope } from "../../bindings/node/index.ts";
import { type StoreServer, startEtcd, startRedis } from "../support/servers.ts";
import type { StoreAssignment, StoreName } from "./plan.ts";
import { openStore } from "./stores.ts";

/** So many at the same time. */
const BATCH = 8;
const BLOCKS = { first: 640, last: 671 };
const TTL_MS: Record<StoreName, number> = { host: 600, redis: 600, etcd: 2000 };
const REST_MS = 100;
const LIFE_MS = 60;
const PATIENCE_MS = 30_000;
/** For asking, on a busy machine. */
const SLACK_MS = 2000;
const HOLDER = fileURLToPath(new URL("./holder.js", import.meta.url));

type Kind = "threads" | "processes";

/** @param counts of threads, and of processes. */
export async function runKills(store: StoreName, counts: readonly number[]): Promise<void> {
  const server = store === "host" ? undefined : await startServer(store);
  const source = `127.88.${process.pid & 255}.${(process.pid >> 8) & 255}`;
  const assignment: StoreAssignment = {
    ...{ store, source, ttl: TTL_MS[store], rest: REST_MS, storePort: server?.port ?? 0 },
    blocks: BLOCKS,
  };
  // A fresh server grants nothing for a term.
  if (store === "redis") await pause(TTL_MS.redis + 1500);
  try {
    for (const [index, kind] of (["threads", "processes"] as const).entries()) {
      const waits: number[] = [];
      for (let left = counts[index] ?? 0; left > 0; left -= BATCH) {
        await kill(kind, Math.min(BATCH, left), JSON.stringify(assignment));
        waits.push(await timeUntilAllAreHad(assignment));
      }
      if (waits.length > 0) report(store, kind, counts[index] as number, waits);
    }
  } finally {
    await server?.kill();
  }
}

function startServer(store: StoreName): Promise<StoreServer> {
  return store === "redis" ? startRedis() : startEtcd();
}

/** Lets so many lease blocks for a moment, and ends them at random. */
async function kill(kind: Kind, count: number, assignment: string): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async () => {
      if (kind === "threads") {
        const thread = new Worker(HOLDER, { argv: [assignment] });
        await once(thread, "message");
        await pause(Math.random() * LIFE_MS);
        await thread.terminate();
        return;
      }
      const child = fork(HOLDER, [assignment]);
      await once(child, "message");
      await pause(Math.random() * LIFE_MS);
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }),
  );
}

async function timeUntilAllAreHad(assignment: StoreAssignment): Promise<number> {
  const store = await openStore(assignment);
  const scope = blockScope(assignment.source);
  const held = new Map<number, string>();
  const began = performance.now();
  for (;;) {
    const { first, last } = BLOCKS;
    const { blocks, grant } = await store.acquire(scope, last - first + 1, first, last);
    for (const block of blocks) held.set(block, grant);
    if (held.size === last - first + 1) break;
    if (performance.now() - began > PATIENCE_MS) {
      throw new Error(`${held.size} of ${last - first + 1} blocks can be had`);
    }
    if (blocks.length === 0) await pause(10);
    // Else the first of them would end while the last are waited for.
    else if (Number.isFinite(store.ttl)) await store.renew(scope, held);
  }
  const ms = performance.now() - began;
  await store.close();
  return ms;
}

function report(store: StoreName, kind: Kind, count: number, waits: number[]): void {
  const most = Math.max(...waits);
  const allowed = store === "host" ? 0 : 2 * TTL_MS[store] + REST_MS;
  const median = waits.sort((a, b) => a - b)[waits.length >> 1];
  const told = { medianMs: Math.round(median ?? 0), mostMs: Math.round(most), allowedMs: allowed };
  if (most > allowed + SLACK_MS) process.exitCode = 1;
  console.log(JSON.stringify({ store, ended: count, kind, rounds: waits.length, ...told }));
}
