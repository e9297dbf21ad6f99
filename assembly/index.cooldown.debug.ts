// What cooldown.debug.wasm exports: all of cooldown.wasm, and the checks of its invariants. It runs over
// the memory of core.debug.wasm, and only there: its texts lie where a release core has its heap.

import { HEAP_AT } from "./memory/layout";

assert(__heap_base <= HEAP_AT, "The texts of cooldown.debug.wasm run into the heap");

export * from "./index.cooldown";
export { verifyCooldown } from "./ports/cooldown";
export { verifyOrder } from "./ports/order";
