// Stores of the processes and threads of a chaos run.

import { once } from "node:events";
import { type BlockStore, etcdBlocks, hostBlocks, redisBlocks } from "../../bindings/node/index.ts";
import type { StoreAssignment } from "./plan.ts";

export async function openStore(assigned: StoreAssignment): Promise<BlockStore> {
  const { store, storePort, ttl, rest } = assigned;
  if (store === "host") return hostBlocks();
  if (store === "etcd") return etcdBlocks({ url: `http://127.0.0.1:${storePort}`, ttl });
  const { createClient } = await import("redis");
  const client = createClient({ socket: { port: storePort, host: "127.0.0.1" } });
  client.on("error", () => {});
  void client.connect();
  await once(client, "ready");
  client.unref();
  return redisBlocks({ command: (words) => client.sendCommand(words), ttl, rest });
}
