// The exports of cooldown.debug.wasm: all of cooldown.wasm, and the checks of its invariants. It
// works only with the memory of core.debug.wasm, because a release core has its heap where the
// texts of this module lie.

import { HEAP_AT } from "../memory/layout";

assert(__heap_base <= HEAP_AT, "The texts of cooldown.debug.wasm run into the heap");

export { verifyCooldown } from "../cooldown/cooldown";
export { verifyFifo } from "../cooldown/fifo";
export * from "./cooldown";
