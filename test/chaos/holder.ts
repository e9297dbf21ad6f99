// Holder: a thread or a process that leases and gives back blocks until it is ended.

import { parentPort } from "node:worker_threads";
import { blockScope } from "../../bindings/node/index.ts";
import type { StoreAssignment } from "./plan.ts";
import { openStore } from "./stores.ts";

const assigned = JSON.parse(process.argv[2] ?? "{}") as StoreAssignment;
const store = await openStore(assigned);
const scope = blockScope(assigned.source);
const { first, last } = assigned.blocks;
setInterval(() => {}, 1000);

let isTold = false;
for (;;) {
  const want = 1 + Math.floor(Math.random() * 4);
  const { blocks, grant } = await store.acquire(scope, want, first, last);
  if (blocks.length > 0 && !isTold) {
    isTold = true;
    if (parentPort === null) process.send?.("ready");
    else parentPort.postMessage("ready");
  }
  await new Promise((done) => setTimeout(done, Math.random() * 10));
  // Some stay leased until the end.
  const back = blocks.filter(() => Math.random() < 0.8).map((block) => [block, grant] as const);
  await store.release(scope, new Map(back));
}
