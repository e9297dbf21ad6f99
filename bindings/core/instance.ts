// Instance: makes the instances of the package's modules with the WebAssembly of the host: it loads
// no other code and adds nothing to a global. A release module imports only memory, and
// cooldown.wasm functions of the core. A debug build imports `abort` as well; debug-instance.ts,
// which is loaded only for it, reads its messages.

/** Makes an instance of a debug build. @returns its exports. */
type MakeInstance = (module: WebAssembly.Module, imports: WebAssembly.Imports) => object;

let makeDebugInstance: MakeInstance | undefined;

/** From now on instances of debug builds are made by that function. */
export function setMakeDebugInstance(make: MakeInstance): void {
  makeDebugInstance = make;
}

/** The exports of a new instance, over the memory of a core unless it is one itself. */
export function instantiate<Exports>(
  module: WebAssembly.Module,
  core?: { readonly memory: WebAssembly.Memory },
): Exports {
  const imports: WebAssembly.Imports =
    core === undefined ? { env: {} } : { env: { memory: core.memory }, core: { ...core } };
  if (makeDebugInstance !== undefined && importsAbort(module)) {
    return makeDebugInstance(module, imports) as Exports;
  }
  return new WebAssembly.Instance(module, imports).exports as Exports;
}

function importsAbort(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ name }) => name === "abort");
}
