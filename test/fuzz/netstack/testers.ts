// Testers: what they answer, and what else they do to the manager that is waiting for their verdict.

import fc from "fast-check";
import type { Tester } from "../../replay/system.ts";
import { show } from "../../support/ask.ts";
import { LISTS } from "./groups.ts";
import {
  type AskDraw,
  askDraw,
  askOf,
  draw,
  firstOf,
  type LimitDraw,
  limitDraw,
  limitOf,
  portOf,
  rangeOf,
  reservedOf,
  type Setup,
} from "./setup.ts";
import { type System, TesterFailure } from "./system.ts";

export interface TesterDraw {
  readonly mood: number;
  readonly salt: number;
  readonly ask: AskDraw;
  readonly port: number;
  readonly limit: LimitDraw;
}

export const tester: fc.Arbitrary<TesterDraw> = fc.record({
  ...{ mood: fc.nat(11), salt: draw, ask: askDraw, port: draw, limit: limitDraw },
});

/** Asks `system` with a tester of that mood; the answer, and all that the tester saw. */
export function tested(
  system: System,
  setup: Setup,
  drawn: TesterDraw,
  call: (test: Tester | undefined) => unknown,
  group = 0,
): unknown {
  const { mood, salt } = drawn;
  if (mood <= 5 || isTight(setup)) return call(undefined);
  const seen: unknown[] = [];
  const test = (offered: number): boolean => {
    seen.push(offered);
    if (seen.length === 1 && mood >= 8) seen.push(meddle(system, setup, drawn));
    if (seen.length === 1 && changesLimits(setup, drawn)) limit(system, setup, drawn, group);
    if (mood === 7 && seen.length > salt % 4) throw new TesterFailure();
    return (offered * 7 + salt) % 5 > 2;
  };
  try {
    return { got: call(test), seen };
  } catch (error) {
    if (error instanceof TesterFailure) return { threw: true, seen };
    throw error;
  }
}

export function tell(setup: Setup, drawn: TesterDraw): string {
  if (drawn.mood <= 5 || isTight(setup)) return "";
  return `${tellMood(setup, drawn)}${changesLimits(setup, drawn) ? " and changes limits" : ""}`;
}

function tellMood(setup: Setup, { mood, ask, port: drawn }: TesterDraw): string {
  if (mood === 6) return ", if a tester likes it";
  if (mood === 7) return ", until a tester throws";
  const port = portOf(setup, drawn);
  const asked = askOf(setup, ask);
  if (mood === 8) return `, with a tester that reserves ${show(asked, port)}`;
  if (mood === 9) return `, with a tester that releases ${show(asked, port)}`;
  if (mood === 10) return `, with a tester that reserves ${show(asked, `any from ${drawn}`)}`;
  return ", with a tester that sets the range";
}

/** What a tester does to the manager that is waiting for its verdict. */
function meddle(
  system: System,
  setup: Setup,
  { mood, ask: asked, port: drawn }: TesterDraw,
): unknown {
  const ask = askOf(setup, asked);
  const port = portOf(setup, drawn);
  if (mood === 8) return system.reserve(ask, port);
  if (mood === 9) return system.release(ask, port);
  if (mood === 10) return system.search(ask, drawn);
  const { first, last } = rangeOf(firstOf(setup, drawn), 1 + (drawn % 64));
  return system.setRange(first, last);
}

function changesLimits({ groups }: Setup, { salt }: TesterDraw): boolean {
  return groups !== undefined && salt % 2 === 0;
}

/** What a tester does to the group in which it is asked, and to a list. */
function limit({ groups }: System, setup: Setup, { salt, limit }: TesterDraw, group: number): void {
  if (salt % 3 === 0) groups.setReserved(salt % LISTS, reservedOf(setup, limit));
  else
    for (const kind of ["bind", "connect"] as const) {
      groups.setRange(group, kind, limitOf(setup, limit));
    }
}

/**
 * Where memory is short the model does not know what will be refused for that, so it follows, and
 * is only asked what is refused or granted as a whole: no testers, no batches, no drawn offsets.
 */
export function isTight(setup: Setup): boolean {
  return setup.limit !== undefined;
}
