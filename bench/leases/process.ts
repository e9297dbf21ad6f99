// Process of the comparison: its threads share the number of connections that it is to have open.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Counts, Job } from "./job.ts";

const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));
const [given = "{}"] = process.argv.slice(2);
const { threads: count, range, isLeased } = JSON.parse(given) as Job;
const own = Math.floor((range.last - range.first + 1) / count);

const threads = Array.from({ length: count }, (_, index) => {
  // Divided by hand, each thread has a part, too; undivided and leased all have the whole.
  const job = JSON.parse(given) as Job;
  if (!isLeased && job.isDivided) {
    const first = range.first + index * own;
    job.range = { first, last: first + own - 1 };
  }
  return new Worker(WORKER, { argv: [JSON.stringify(job)] });
});

process.on("message", async (message: { target?: number; tell?: boolean }) => {
  if (message.tell) {
    process.send?.(await Promise.all(threads.map(tell)));
    return;
  }
  const { target = 0 } = message;
  for (const [index, thread] of threads.entries()) {
    const part = Math.floor((target + index) / count);
    thread.postMessage({ ...message, ...(message.target !== undefined && { target: part }) });
  }
});
process.on("disconnect", () => process.exit());

async function tell(thread: Worker): Promise<Counts> {
  const told = once(thread, "message");
  thread.postMessage({ tell: true });
  return (await told)[0] as Counts;
}
