// The exports of linux.debug.wasm: all of linux.wasm, and the check of its invariants. It runs over
// the memory of core.debug.wasm, and only there: its texts lie where a release core has its heap.

import { COOLDOWN_TEXTS_AT } from "../memory/layout";

assert(
  __heap_base <= COOLDOWN_TEXTS_AT,
  "The texts of linux.debug.wasm run into those of cooldown.debug",
);

export { verifyLinux as verify2632 } from "../linux/rules/2.6.32/verify";
export { verify618 } from "../linux/rules/6.18/verify";
export * from "./linux";
