// Cooldown core: the WebAssembly instance that keeps cooling ports and the order of release, over
// the memory of a core. It is made when the first pool needs it.

import { wasm } from "#cooldown-wasm";
import type { Core } from "./core.ts";
import { Overlay, type OverlayInstance } from "./overlay.ts";

/** The exports of the cooldown module. Addresses, counts and ports are numbers, as in the core. */
export type CooldownExports = {
  openCooldown(manager: number, period: number): number;
  closeCooldown(cooldown: number): void;
  settleCooldown(cooldown: number): void;
  coolDown(cooldown: number, port: number, now: number): number;
  isCooling(cooldown: number, port: number): number;
  coolingCount(cooldown: number): number;
  expire(cooldown: number, now: number, most: number): number;
  cooldownClock(cooldown: number): number;
  coolingAt(cooldown: number, place: number): number;
  dueOf(cooldown: number, port: number): number;
  nextExpiry(cooldown: number): number;
  oldestCooling(cooldown: number, range: number, reserved: number): number;
  endCooldown(cooldown: number, port: number): number;

  openFifo(manager: number): number;
  closeFifo(order: number): void;
  settleFifo(order: number): void;
  queuedAt(order: number, place: number): number;
  nextOffered(order: number, port: number): number;
  release(order: number, port: number): void;
  releaseBatch(order: number, count: number): void;
  claim(order: number, port: number): void;

  takeCooled(cooldown: number, pool: number, offset: number): number;
  coolDownHeld(cooldown: number, pool: number, port: number, now: number): number;
  freeDue(cooldown: number, pool: number, order: number, now: number): number;
  takeInOrder(
    order: number,
    pool: number,
    offset: number,
    reserved: number,
    hasFlags: number,
  ): number;
  freeInOrder(order: number, pool: number, port: number): number;

  /** Debug build only: trap when an invariant is broken. */
  verifyCooldown?(cooldown: number): void;
  verifyFifo?(order: number): void;
};

const cooldowns = new Overlay<CooldownExports>("cooldownModule", "cooldown.wasm", wasm);

/**
 * The instance over a core of the module that a caller gives, or of the one inside the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function cooldownCoreOf(
  core: Core,
  module?: WebAssembly.Module,
): OverlayInstance<CooldownExports> {
  return cooldowns.over(core, module);
}
