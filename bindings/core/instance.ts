// Instance: makes the instances of the package's modules with what every host has: no TextDecoder, and
// nothing is added to a global. A release module imports nothing but memory; a debug build imports
// `abort` as well, and calls it with a message, a file, a line and a column before it traps.

/** Where AssemblyScript keeps the byte length of a text: in front of its UTF-16 units. */
const LENGTH_BEFORE = 4;

/** The exports of a new instance. */
export function instantiate<Exports>(
  module: WebAssembly.Module,
  shared?: WebAssembly.Memory,
): Exports {
  let memory = shared;
  const abort = (message: number, file: number, line: number, column: number): never => {
    const [what, where] = [message, file].map((at) => textAt(memory, at));
    throw new Error(`${what} in ${where}:${line}:${column}`);
  };
  const env = shared === undefined ? { abort } : { abort, memory: shared };
  const { exports } = new WebAssembly.Instance(module, { env });
  memory ??= exports.memory as WebAssembly.Memory;
  return exports as Exports;
}

/** A text of the module; 0 is none. */
function textAt(memory: WebAssembly.Memory | undefined, at: number): string {
  if (memory === undefined || at === 0) return "abort";
  const [length = 0] = new Uint32Array(memory.buffer, at - LENGTH_BEFORE, 1);
  return String.fromCharCode(...new Uint16Array(memory.buffer, at, length >> 1));
}
