// What cooldown.debug.wasm exports: all of cooldown.wasm, and the checks of its invariants. It runs over
// the memory of core.debug.wasm, and only there: its texts lie where a release core has its heap.

import { HEAP_AT } from "../memory/layout";

assert(__heap_base <= HEAP_AT, "The texts of cooldown.debug.wasm run into the heap");

export { verifyCooldown } from "../cooldown/cooldown";
export { verifyOrder } from "../cooldown/fifo";
export * from "./cooldown";
