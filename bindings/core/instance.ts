// Instance: makes the instances of the package's modules with what every host has: nothing is
// loaded for it, and nothing is added to a global. A release module imports nothing but memory. A
// debug build imports `abort` as well; what reads its messages is loaded by whoever wants them
// (debug-instance.ts).

/** Makes an instance of a debug build. @returns its exports. */
type MakeInstance = (module: WebAssembly.Module, env: Record<string, WebAssembly.Memory>) => object;

let makeDebugInstance: MakeInstance | undefined;

/** From now on instances of debug builds are made by that function. */
export function setMakeDebugInstance(make: MakeInstance): void {
  makeDebugInstance = make;
}

/** The exports of a new instance. */
export function instantiate<Exports>(
  module: WebAssembly.Module,
  memory?: WebAssembly.Memory,
): Exports {
  const env: Record<string, WebAssembly.Memory> = memory === undefined ? {} : { memory };
  if (makeDebugInstance !== undefined && importsAbort(module)) {
    return makeDebugInstance(module, env) as Exports;
  }
  return new WebAssembly.Instance(module, { env }).exports as Exports;
}

function importsAbort(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ name }) => name === "abort");
}
