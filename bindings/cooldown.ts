// Cooldown: what a caller says about ports that cool down after their release.

import { wrongType, wrongValue } from "./errors.ts";
import { checkInteger, readOptions } from "./requests/checks.ts";

/**
 * The policy for when only cooling ports are left: `"refuse"`, the default of pools, refuses;
 * `"oldest"` takes the one that has cooled down longest, as Linux' `tcp_tw_reuse` would; `"wait"`,
 * which only connectors know, waits for the next that has cooled down.
 */
export type WhenCooling = "refuse" | "wait" | "oldest";

/** How the ports of a pool cool down. */
export interface CooldownOptions {
  /** Milliseconds that a port cools down after `PortPool.coolDown`: 0..86400000; 0 is none. */
  period: number;
  /**
   * The policy of `take` when only cooling ports are left. With `"refuse"`, the default, it answers
   * `Refusal.COOLING`; `PortPool.nextExpiry` tells when to take again.
   */
  whenCooling?: Exclude<WhenCooling, "wait"> | undefined;
}

/** The cooldown of a pool, or the default of a manager's pools. */
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
  readonly whenCooling: Exclude<WhenCooling, "wait">;
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
  const options = readOptions("cooldown", value as CooldownOptions, ["period", "whenCooling"]);
  const { period, whenCooling = "refuse" } = options;
  if (whenCooling !== "refuse" && whenCooling !== "oldest") {
    throw wrongValue("cooldown.whenCooling", '"refuse" or "oldest" for a pool', whenCooling);
  }
  return { period: checkPeriod("cooldown.period", period), whenCooling };
}

function checkPeriod(name: string, value: unknown): number {
  return checkInteger(name, value, 0, PERIOD_MAX);
}
