// Modules: core.wasm and its overlays as they come with the package (text, or what a Worker's host
// has compiled), or compiled by a host and passed in.

import { invalid, notCompiled, PortError, show, wrongType } from "../errors.ts";

export type ModuleFile = "core.wasm" | "linux.wasm" | "cooldown.wasm";

/** An export of each part, by which a module of another version is recognized. */
const NEEDED: Readonly<Record<ModuleFile, readonly string[]>> = {
  "core.wasm": [
    ...["memory", "openManager", "openPool", "openTree", "openReserved", "openSelector"],
    "moveGroupUse",
  ],
  "linux.wasm": ["env.memory", "open2632", "connectByHash2632", "open618", "connect618"],
  "cooldown.wasm": ["env.memory", "openCooldown", "oldestCooling", "openFifo", "takeInOrder"],
};
const FILES = Object.keys(NEEDED) as ModuleFile[];

/**
 * Checks a module that a caller gives as an option.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function checkModule(option: string, file: ModuleFile, module: unknown): WebAssembly.Module {
  const exported = exportsOf(module);
  if (exported === undefined) throw wrongType(option, "a WebAssembly.Module", module);
  const imported = WebAssembly.Module.imports(module as WebAssembly.Module).map(
    ({ module, name }) => `${module}.${name}`,
  );
  const names = new Set([...exported, ...imported]);
  const found = FILES.find((known) => NEEDED[known].every((name) => names.has(name)));
  if (found === file) return module as WebAssembly.Module;
  const some = show(exported.slice(0, 3).join(", "));
  const what = found ?? `one with ${exported.length} exports (${some})`;
  const message = `${option} must be portwarden's ${file}, got ${what}`;
  throw invalid("ERR_INVALID_ARG_VALUE", message);
}

/**
 * The names that a module of any realm exports; `undefined`: it is no module, which `exports`
 * checks itself.
 */
function exportsOf(module: unknown): string[] | undefined {
  if (typeof WebAssembly === "undefined") return undefined;
  try {
    return WebAssembly.Module.exports(module as WebAssembly.Module).map(({ name }) => name);
  } catch {
    return undefined;
  }
}

/** Base64 of other builds than the package's own. */
let replacements: Readonly<Record<ModuleFile, string>> | undefined;
let hasCompiled = false;

/**
 * From now on the package compiles these instead of its own.
 * @throws PortError `EBUSY`: one of its own has been compiled before.
 */
export function replaceModules(texts: Readonly<Record<ModuleFile, string>>): void {
  if (hasCompiled) {
    const message = "portwarden/debug must be imported before anything of portwarden is opened";
    throw new PortError("EBUSY", "busy", message);
  }
  replacements = texts;
}

/**
 * A module that comes with the package: from its base64, or as the host has compiled it.
 * @param option by which a host can pass its own instead.
 * @throws PortError `ERR_WEBASSEMBLY_NOT_SUPPORTED`: the host does not let the package compile it.
 */
export function compile(
  option: string,
  file: ModuleFile,
  wasm: string | WebAssembly.Module,
): WebAssembly.Module {
  const chosen = replacements?.[file] ?? wasm;
  hasCompiled = true;
  if (typeof chosen !== "string") return chosen;
  try {
    return new WebAssembly.Module(decode(chosen));
  } catch (error) {
    throw notCompiled(option, file, error);
  }
}

/** The base64 decoders of some hosts. */
interface Decoders {
  readonly Uint8Array: { fromBase64?(text: string): Uint8Array<ArrayBuffer> };
  readonly Buffer?: { from(text: string, encoding: "base64"): Uint8Array<ArrayBuffer> };
}

/**
 * By the host's own decoder where it has one: the loop takes some milliseconds in a cold process.
 */
function decode(text: string): Uint8Array<ArrayBuffer> {
  const { Uint8Array: array, Buffer: buffer } = globalThis as unknown as Decoders;
  if (array.fromBase64 !== undefined) return array.fromBase64(text);
  if (buffer !== undefined) return buffer.from(text, "base64");
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}
