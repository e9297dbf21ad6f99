// The exports of core.debug.wasm: all of core.wasm, and the check of its invariants. Its asserts
// are on, so that a programmer's error traps with a file and a line.

import { LINUX_TEXTS_AT } from "../memory/layout";

assert(__heap_base <= LINUX_TEXTS_AT, "The core's texts run into those of linux.debug.wasm");

export { verify } from "../netstack/verify";
export * from "./core";
