// Worker: passes the page's requests on, in order, once the WebAssembly modules are unpacked.
// The page starts this file twice: the second one measures what a port costs, so that neither waits
// for the other.

import type { ToWorker } from "./protocol.ts";

// Messages that come meanwhile would be lost if this file itself waited.
const loaded = import("./answers.ts");

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  loaded.then(({ receive }) => receive(data)).catch(report);
});

/** As an error of the worker, so that the page shows it. */
function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
