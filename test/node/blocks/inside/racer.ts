// Racers: threads that lease and give back a few blocks as fast as they can, and note in shared
// memory which they hold: a block that another thread has noted is held twice.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { blockScope, hostBlocks, sliceBlocks } from "../../../../bindings/node/index.ts";

const THREADS = 4;
const ROUNDS = 600;
const [FIRST, LAST] = [640, 645];

interface Race {
  readonly kind: string;
  readonly source: string;
  readonly owners: Int32Array;
  readonly number: number;
}

if (isMainThread) await main();
else await race(workerData as Race);

async function main(): Promise<void> {
  const [kind = "host", source = ""] = process.argv.slice(2);
  const owners = new Int32Array(new SharedArrayBuffer(4 * 1024));
  const threads = Array.from({ length: THREADS }, (_, index) => {
    const data: Race = { kind, source, owners, number: index + 1 };
    return new Worker(fileURLToPath(import.meta.url), { workerData: data });
  });
  const results = await Promise.all(
    threads.map(async (thread) => (await once(thread, "message"))[0]),
  );
  const sum = (name: string): number => results.reduce((total, one) => total + one[name], 0);
  console.log(JSON.stringify({ acquired: sum("acquired"), twice: sum("twice") }));
}

async function race({ kind, source, owners, number }: Race): Promise<void> {
  const scope = blockScope(source);
  // Slices of one index hold the same blocks: the race must see it.
  const store = kind === "host" ? hostBlocks() : sliceBlocks({ index: 0, of: 1 });
  let [acquired, twice] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const grant = store.tryAcquire?.(scope, FIRST, LAST);
    const [block] = grant?.blocks ?? [];
    if (grant !== undefined && block !== undefined) {
      acquired++;
      if (Atomics.compareExchange(owners, block, 0, number) !== 0) twice++;
      for (let spin = 0; spin < 2000; spin++) Math.sqrt(spin);
      Atomics.compareExchange(owners, block, number, 0);
      await store.release(scope, new Map([[block, grant.grant]]));
    }
    if (round % 16 === 0) await new Promise((done) => setImmediate(done));
  }
  parentPort?.postMessage({ acquired, twice });
}
