// The option `module`, which every word that opens something has.

import { type Core, coreOf } from "./core.ts";
import { wrongType } from "./errors.ts";

/**
 * The core of the module that a caller gives, or of the one inside the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function coreFrom(module: WebAssembly.Module | undefined): Core {
  if (module === undefined || module instanceof WebAssembly.Module) return coreOf(module);
  throw wrongType("module", "a WebAssembly.Module", module);
}
