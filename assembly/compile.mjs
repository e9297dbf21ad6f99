// Compile: a thread of build.mjs. It compiles some targets of asconfig.json, one after the other, which costs
// less than a thread for each: the compiler has to warm up. A failure is thrown with what the compiler says.

import { workerData } from "node:worker_threads";
import asc from "assemblyscript/asc";

for (const [target, entry] of workerData) {
  const { error, stderr } = await asc.main([entry, "--target", target]);
  const messages = stderr.toString();
  if (error || /WARNING|ERROR/.test(messages)) throw messages || `${error}`;
}
