// Linux core: the WebAssembly instance of the kernel's pickers, over the memory of a core. Only
// LinuxPorts and its sockets load it.

import { wasm } from "#linux-wasm";
import type { Core } from "../core/core.ts";
import { Overlay, type OverlayInstance } from "../core/overlay.ts";

/**
 * The exports of the linux module for all rules. Addresses, counts and ports are numbers, as in the
 * core.
 */
export type SharedExports = {
  closeSystem(system: number): void;
  portRange(system: number): number;
  setPortRange(system: number, first: number, last: number): void;
  start(system: number): number;
  setStart(system: number, port: number): void;
  setNow(system: number, now: number): void;
  currentTime(system: number): number;
  expire(system: number): number;
  count(system: number, what: number): number;
  used(system: number): number;
  fastreuse(system: number, port: number): number;
  owners(system: number, port: number, areTimeWaits: number): number;
  port(socket: number): number;
  moveSocket(socket: number, group: number): void;
  nextRecord(system: number, record: number): number;
  firstWait(system: number): number;
  readRecord(system: number, record: number): void;
  restoreRecord(system: number): number;

  /** Debug build only: traps when an invariant is broken. */
  verify?(system: number): void;
};

/** The rules, by the suffix of their names in the module. */
type Rules = "2632" | "618";

const systems = new Overlay<Record<string, unknown>>("linuxModule", "linux.wasm", wasm);
const known = new WeakMap<object, Map<Rules, SharedExports>>();

/**
 * The instance over a core of the module that a caller gives, or of the one inside the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function linuxCoreOf(
  core: Core,
  module?: WebAssembly.Module,
): OverlayInstance<Record<string, unknown>> {
  return systems.over(core, module);
}

/** The exports of that instance for some rules. Throws as `linuxCoreOf`. */
export function linuxOver<Exports extends SharedExports>(
  core: Core,
  module: WebAssembly.Module | undefined,
  rules: Rules,
): Exports {
  const { exports } = linuxCoreOf(core, module);
  const byRules = known.get(exports) ?? new Map<Rules, SharedExports>();
  known.set(exports, byRules);
  const found = byRules.get(rules) ?? (namedWithout(rules, exports) as SharedExports);
  byRules.set(rules, found);
  return found as Exports;
}

function namedWithout(rules: Rules, exports: Record<string, unknown>): unknown {
  const names = Object.keys(exports).filter((name) => name.endsWith(rules));
  return Object.fromEntries(names.map((name) => [name.slice(0, -rules.length), exports[name]]));
}
