// Overlay: further WebAssembly instances over the memory of a core. Each such module belongs to a
// part of the facade, and only that part compiles it.
//
//        core.wasm             linux.wasm                      cooldown.wasm
//        managers, groups      sockets, records, TIME_WAIT     cooling ports, their order
//              │                     │                               │
//              └──────────────── one memory ─────────────────────────┘
//
// The core exports the memory, and all state is in it. All instances take from one heap and make it
// grow. cooldown.wasm calls the core, too, to take and free ports.

import type { Core } from "./core.ts";
import { instantiate } from "./instance.ts";
import { checkModule, compile, type ModuleFile } from "./module.ts";

/** One instance over the memory of one core. */
export interface OverlayInstance<Exports> {
  readonly exports: Exports;
}

/** The instances of one module file, one for each core and module that it is used with. */
export class Overlay<Exports extends Record<string, unknown>> {
  readonly #option: string;
  readonly #file: ModuleFile;
  readonly #wasm: string | WebAssembly.Module;
  readonly #ofCores = new WeakMap<Core, WeakMap<WebAssembly.Module, OverlayInstance<Exports>>>();
  #own: WebAssembly.Module | undefined;

  /**
   * @param option by which a host passes a module of its own.
   * @param wasm the module inside the package: its base64, or what the host has compiled.
   */
  constructor(option: string, file: ModuleFile, wasm: string | WebAssembly.Module) {
    this.#option = option;
    this.#file = file;
    this.#wasm = wasm;
  }

  /**
   * The instance over a core of the module that a caller gives, or of the one inside the package.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module);
   * `ERR_WEBASSEMBLY_NOT_SUPPORTED` (none given, and the host does not let the package compile).
   */
  over(core: Core, module: WebAssembly.Module = this.#ownModule()): OverlayInstance<Exports> {
    let ofCore = this.#ofCores.get(core);
    if (ofCore === undefined) {
      ofCore = new WeakMap();
      this.#ofCores.set(core, ofCore);
    }
    let overlay = ofCore.get(module);
    if (overlay === undefined) {
      checkModule(this.#option, this.#file, module);
      overlay = { exports: instantiate<Exports>(module, core.exports) };
      ofCore.set(module, overlay);
    }
    return overlay;
  }

  #ownModule(): WebAssembly.Module {
    this.#own ??= compile(this.#option, this.#file, this.#wasm);
    return this.#own;
  }
}
