// Stores of the processes and threads of a chaos run.

import { createClient } from "redis";
import { type BlockStore, etcdBlocks, hostBlocks, redisBlocks } from "../../bindings/node/index.ts";
import type { StoreAssignment } from "./plan.ts";

const RETRY_MS = 50;

export async function openStore(assigned: StoreAssignment): Promise<BlockStore> {
  const { store, storePort, ttl, rest } = assigned;
  if (store === "host") return hostBlocks();
  if (store === "etcd") return etcdBlocks({ url: `http://127.0.0.1:${storePort}`, ttl });
  const client = await connectedTo(storePort);
  client.unref();
  return redisBlocks({ command: (words) => client.sendCommand(words), ttl, rest });
}

/** A server that fails over just now ends the first connection, and the next, too. */
async function connectedTo(port: number) {
  for (;;) {
    const client = createClient({ socket: { port, host: "127.0.0.1" } });
    client.on("error", () => {});
    try {
      await client.connect();
      return client;
    } catch {
      client.destroy();
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}
