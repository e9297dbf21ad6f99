// Holder: a process or thread of the tests that leases all it can get, says so, and then stays,
// spins, ends, or runs out of files; or that borrows ports, and says how many.

import { open } from "node:fs/promises";
import { parentPort } from "node:worker_threads";
import { hostName } from "../../../../bindings/node/blocks/host-blocks.ts";
import { askHolder } from "../../../../bindings/node/blocks/host-loans.ts";
import { blockScope, hostBlocks } from "../../../../bindings/node/index.ts";

const [source = "", mode = "idle"] = process.argv.slice(2);
const scope = blockScope(source);
const store = hostBlocks();

if (mode === "files") {
  console.log(await failureWithoutFiles());
} else if (mode === "borrow") {
  const request = { address: "127.0.0.1", port: 80, want: 9, first: 1, last: 65_535 };
  const { loan } = await askHolder(hostName(scope, 640), request, () => {});
  console.log(loan?.ports.length);
  setInterval(() => {}, 1000);
} else {
  await store.acquire(scope, 16, 640, 655);
  if (parentPort === null) console.log("held");
  else parentPort.postMessage("held");
  if (mode === "spin") for (;;);
  if (mode === "idle") setInterval(() => {}, 1000);
}

/** Opens files until there are no more. */
async function failureWithoutFiles(): Promise<unknown> {
  const files: unknown[] = [];
  try {
    for (;;) files.push(await open("/dev/null"));
  } catch {
    const failure = await store.acquire(scope, 1, 640, 655).catch((error) => error);
    return failure.code ?? `no error, with ${files.length} files`;
  }
}
