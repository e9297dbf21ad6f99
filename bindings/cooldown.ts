// Cooldown: what a caller says about ports that rest after their release, and in what order ports come back.

import { wrongType, wrongValue } from "./errors.ts";
import { checkInteger, checkNames, checkObject } from "./requests/checks.ts";

/**
 * What `take` does when only cooling ports are left. `"refuse"`, the default, answers
 * `Refusal.COOLING`; who would rather wait takes again at `PortPool.nextExpiry`. `"oldest"` takes the one that
 * has cooled down longest, as Linux' `tcp_tw_reuse` would.
 */
export type WhenCooling = "refuse" | "oldest";

/** How the ports of a pool rest. */
export interface CooldownOptions {
  /** Milliseconds that a port cools down after `PortPool.coolDown`, up to an eighth more: 0..86400000; 0 is none. */
  period: number;
  /** What `take` does when only cooling ports are left. */
  whenCooling?: WhenCooling;
}

/** How a pool cools, as it says, or else its manager. */
export interface CooldownOption {
  /**
   * Milliseconds that a port cools down after `PortPool.coolDown`, 0..86400000; an object to say
   * more. 0, the default, is none.
   */
  cooldown?: number | CooldownOptions | undefined;
}

/** A cooldown that has been checked; period 0: none. */
export interface CheckedCooldown {
  readonly period: number;
  readonly whenCooling: WhenCooling;
}

const PERIOD_MAX = 86_400_000;
export const NO_COOLDOWN: CheckedCooldown = { period: 0, whenCooling: "refuse" };

/**
 * Checks the option `cooldown`.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 */
export function checkCooldown(value: unknown, byDefault: CheckedCooldown): CheckedCooldown {
  if (value === undefined) return byDefault;
  if (typeof value === "number") return { ...NO_COOLDOWN, period: checkPeriod("cooldown", value) };
  if (typeof value !== "object") {
    throw wrongType("cooldown", "milliseconds, or an object, { period, whenCooling }", value);
  }
  checkObject("cooldown", value);
  const options = value as CooldownOptions;
  checkNames("cooldown", options, ["period", "whenCooling"]);
  const { period, whenCooling = "refuse" } = options;
  if (whenCooling !== "refuse" && whenCooling !== "oldest") {
    throw wrongValue("cooldown.whenCooling", '"refuse" or "oldest"', whenCooling);
  }
  return { period: checkPeriod("cooldown.period", period), whenCooling };
}

/**
 * Checks the option `selection` of a pool: does it offer ports in the order of their release?
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
 */
export function checkOrder(value: unknown): boolean {
  if (value === undefined) return false;
  if (value === "fifo") return true;
  const valid = '"fifo", or absent for the selection of the manager';
  throw typeof value === "string"
    ? wrongValue("selection", valid, value)
    : wrongType("selection", valid, value);
}

function checkPeriod(name: string, value: unknown): number {
  return checkInteger(name, value, 0, PERIOD_MAX);
}
