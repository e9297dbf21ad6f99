// Tally: what happened while connections were opened and closed, and the words for it.

import { Refusal } from "../index.ts";
import type { Sighting } from "./loopback.ts";

/**
 * Why a connection that was wanted did not come to be: no port left; too many of the picked ports
 * belong to other programs; the system has no room for one more; anything else.
 */
export type Miss = "refused" | "foreign" | "limit" | "failed";

/** The flows of this program have no cooldown. */
export type RefusalName = Exclude<keyof typeof Refusal, "RESTING">;

/** What has happened so far. */
export interface Tally {
  /** Connections that came to be, as their servers saw them. */
  readonly opened: Sighting[];
  /** The most that were open at the same time. */
  openAtOnce: number;
  /** Connections that broke before they were to be closed. */
  lost: number;
  readonly missed: Record<Miss, number>;
  /** Portwarden's refusals while opening. */
  readonly refused: Record<RefusalName, number>;
  /** Portwarden's refusals when asked for what it must refuse. */
  readonly refusedOnPurpose: Record<RefusalName, number>;
  /** The system's refusals by system call and code, such as `bind EADDRINUSE`. */
  readonly systemRefused: Map<string, number>;
  /** Picked ports that other programs turned out to have. */
  foreignCount: number;
  /** Ports by which the range was widened to make up for those. */
  widenedBy: number;
  /** Milliseconds of each pick. */
  readonly pickMs: number[];
  /** Milliseconds from connect() to an open connection, summed. */
  connectMs: number;
  /** Milliseconds from the first pick to the last open connection. */
  phaseMs: number;
  /** Ports that portwarden did not know as held when they were given back: must stay 0. */
  strayFrees: number;
}

const NONE_REFUSED = { EXHAUSTED: 0, IN_USE: 0, OUTSIDE: 0, NO_RANGE: 0, NO_MEMORY: 0 };
const FOREIGN_CODES = ["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"];
const LIMIT_CODES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

export function newTally(): Tally {
  return {
    opened: [],
    openAtOnce: 0,
    lost: 0,
    missed: { refused: 0, foreign: 0, limit: 0, failed: 0 },
    refused: { ...NONE_REFUSED },
    refusedOnPurpose: { ...NONE_REFUSED },
    systemRefused: new Map(),
    foreignCount: 0,
    widenedBy: 0,
    pickMs: [],
    connectMs: 0,
    phaseMs: 0,
    strayFrees: 0,
  };
}

/** Does the system refuse the port because another program has it, or something like that? */
export function isForeign(reason: string): boolean {
  return FOREIGN_CODES.some((code) => reason.endsWith(code));
}

/** Is it the system that has no room for more, of whatever kind? */
export function isLimit(reason: string): boolean {
  return LIMIT_CODES.some((code) => reason.endsWith(code));
}

export function refusalName(refusal: number): RefusalName {
  if (refusal === Refusal.EXHAUSTED) return "EXHAUSTED";
  return refusal === Refusal.IN_USE ? "IN_USE" : "NO_MEMORY";
}
