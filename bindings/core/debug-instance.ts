// Debug instances: made by @assemblyscript/loader, which reads the message, the file and the line
// of an assert that fails, and throws an error with them.

import { instantiateSync } from "@assemblyscript/loader";
import { setMakeDebugInstance } from "./instance.ts";

/** From now on debug builds can be used, and their asserts can be read. */
export function useLoader(): void {
  setMakeDebugInstance((module, imports) => instantiateSync(module, imports).exports);
}
