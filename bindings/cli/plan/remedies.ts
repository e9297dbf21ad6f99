// Remedies: changes that would make a load fit, or how much more would fit, found by simulating
// again. Each changes one thing; the least sufficient value is searched for, starting from an
// estimate by arithmetic.

import { PORT_MAX } from "../../../assembly/abi.ts";
import type { PortRange } from "../../index.ts";
import {
  COOLDOWN_MOST,
  type Lifetime,
  type Load,
  meanOf,
  portsOf,
  settledAfter,
  stretch,
  withoutHeadroom,
} from "./load.ts";
import { type Forecast, simulate } from "./simulation.ts";

/** One thing changed, after which the load fits, as simulated. */
export type Remedy = { readonly forecast: Forecast } & (
  | { readonly change: "sources"; readonly value: number }
  | { readonly change: "rate"; readonly value: number }
  | { readonly change: "lifetime"; readonly value: Lifetime }
  | { readonly change: "range"; readonly value: PortRange }
  | { readonly change: "cooldown"; readonly value: number }
  | { readonly change: "files"; readonly value: number }
  | { readonly change: "headroom"; readonly value: 0 }
);

const UNPRIVILEGED_FIRST = 1024;
const SOURCES_MAX = 65_536;
// A rate, a lifetime or a cooldown is changed in steps of a thousandth.
const STEPS = 1000;
const RATE_TIMES_MAX = 1000;
// For a step of a search, and for what it has found.
const SEARCH_ARRIVALS = 20_000;
const FOUND_ARRIVALS = 100_000;
// Where part of the load shows too little, a step further, and so on.
const AGAIN_MAX = 8;

/**
 * The changes that would make a load fit that does not. More ports are searched for as if there
 * were enough files; a program that opens more connections needs as many files as the forecast
 * says. Between two, other work may be done.
 */
export async function* remediesFor(load: Load): AsyncGenerator<Remedy> {
  const unlimited = { ...load, files: Number.POSITIVE_INFINITY };
  const needsPorts = !simulate(unlimited, FOUND_ARRIVALS, true).fits;
  const morePorts = needsPorts ? [bySources, byHeadroom, byRange, byCooldown] : [];
  const searches = [
    ...morePorts.map((remedy) => () => remedy(unlimited)),
    ...[byLifetime, byRate, byFiles].map((remedy) => () => remedy(load)),
  ];
  for (const remedy of searches) {
    const found = remedy();
    if (found !== undefined) yield found;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/**
 * The highest rate, in thousandths of the load's own, that fits as well; `undefined` if it is far
 * above.
 */
export function highestRate(load: Load): { rate: number; forecast: Forecast } | undefined {
  const at = (step: number): Load => withRate(load, (load.rate * step) / STEPS);
  const guess = Math.floor((STEPS * room(load)) / needed(load));
  const most = RATE_TIMES_MAX * STEPS;
  const found = greatest(at, guess, 1, most);
  if (found === undefined || found.value === most) return undefined;
  return { rate: (load.rate * found.value) / STEPS, forecast: found.forecast };
}

function bySources(load: Load): Remedy | undefined {
  const at = (sources: number): Load => ({ ...load, sources });
  const guess = Math.ceil((load.sources * needed(load)) / room(load));
  const found = least(at, guess, load.sources + 1, SOURCES_MAX);
  return found && { change: "sources", ...found };
}

function byRange(load: Load): Remedy | undefined {
  const { range } = load;
  const count = range.last - range.first + 1;
  const at = (more: number): Load => ({ ...load, range: widened(range, more) });
  const guess = Math.ceil(count * (needed(load) / room(load) - 1));
  const most = PORT_MAX - Math.min(UNPRIVILEGED_FIRST, range.first) + 1 - count;
  const found = least(at, guess, 1, most);
  return found && { change: "range", value: at(found.value).range, forecast: found.forecast };
}

function byHeadroom(load: Load): Remedy | undefined {
  if (load.keptFree.length === 0) return undefined;
  const forecast = simulate(withoutHeadroom(load), FOUND_ARRIVALS);
  return forecast.fits ? { change: "headroom", value: 0, forecast } : undefined;
}

function byCooldown(load: Load): Remedy | undefined {
  if (load.cooldown === 0) return undefined;
  const at = (step: number): Load => withTime(load, { cooldown: (load.cooldown * step) / STEPS });
  const found = greatest(at, STEPS / 2, 0, STEPS - 1);
  return found && { change: "cooldown", value: at(found.value).cooldown, forecast: found.forecast };
}

function byLifetime(load: Load): Remedy | undefined {
  const at = (step: number): Load =>
    withTime(load, { lifetime: stretch(load.lifetime, step / STEPS) });
  const found = greatest(at, STEPS / 2, 1, STEPS - 1);
  return found && { change: "lifetime", value: at(found.value).lifetime, forecast: found.forecast };
}

function byRate(load: Load): Remedy | undefined {
  const at = (step: number): Load => withRate(load, (load.rate * step) / STEPS);
  const found = greatest(at, Math.floor((STEPS * room(load)) / needed(load)), 1, STEPS - 1);
  return found && { change: "rate", value: at(found.value).rate, forecast: found.forecast };
}

/** As many files as there are connections where there is no limit: nothing to search. */
function byFiles(load: Load): Remedy | undefined {
  if (load.files === Number.POSITIVE_INFINITY) return undefined;
  const unlimited = simulate({ ...load, files: Number.POSITIVE_INFINITY });
  if (!unlimited.fits || unlimited.open.peak <= load.files) return undefined;
  const at = (files: number): Load => ({ ...load, files });
  const found = least(at, unlimited.open.peak, load.files + 1, unlimited.open.peak * 2);
  return found && { change: "files", ...found };
}

// ── Changes ───────────────────────────────────────────────────────────────────────────────

/** Wider by so many ports: upwards first, since fewer services live there, then downwards. */
export function widened({ first, last }: PortRange, more: number): PortRange {
  const up = Math.min(more, PORT_MAX - last);
  return { first: first - (more - up), last: last + up };
}

function withRate(load: Load, rate: number): Load {
  return { ...load, rate };
}

/** Lasting as long as it takes to settle, if the load does. */
function withTime(load: Load, change: Partial<Pick<Load, "lifetime" | "cooldown">>): Load {
  const changed = { ...load, ...change };
  return { ...changed, seconds: Math.min(load.seconds, 2 * settledAfter(changed)) };
}

// ── Searching ─────────────────────────────────────────────────────────────────────────────

interface Found {
  readonly value: number;
  readonly forecast: Forecast;
}

/** Ports that are in use at once, on average, where there is no limit. */
function needed({ rate, lifetime, cooldown }: Load): number {
  return rate * (meanOf(lifetime) + cooldown * COOLDOWN_MOST);
}

/** Ports that there are. */
function room(load: Load): number {
  return load.sources * load.destinations * portsOf(load);
}

/** The least value in low..high whose load fits: fitting loads lie above. */
function least(at: (value: number) => Load, guess: number, low: number, high: number) {
  return search(at, guess, low, high, 1);
}

/** The greatest value in low..high whose load fits: fitting loads lie below. */
function greatest(at: (value: number) => Load, guess: number, low: number, high: number) {
  return search((value) => at(-value), -guess, -high, -low, -1);
}

/**
 * The least value in low..high that fits, from a guess on in doubling steps, then by halves. What
 * is found is simulated thoroughly, and while that does not fit, somewhat more.
 */
function search(
  at: (value: number) => Load,
  guess: number,
  low: number,
  high: number,
  sign: 1 | -1,
): Found | undefined {
  if (high < low) return undefined;
  const fits = (value: number): boolean => simulate(at(value), SEARCH_ARRIVALS, true).fits;
  let yes = Math.min(high, Math.max(low, guess));
  let no = low - 1;
  for (let step = 1; !fits(yes); step *= 2) {
    no = yes;
    if (yes === high) return undefined;
    yes = Math.min(high, yes + step);
  }
  for (let step = 1; yes - step > no; step *= 2) {
    if (fits(yes - step)) yes -= step;
    else no = yes - step;
  }
  while (yes - no > 1) {
    const middle = Math.floor((yes + no) / 2);
    if (fits(middle)) yes = middle;
    else no = middle;
  }
  return thorough(at, yes, high, sign);
}

function thorough(
  at: (value: number) => Load,
  from: number,
  high: number,
  sign: 1 | -1,
): Found | undefined {
  let value = from;
  for (let again = 0; again < AGAIN_MAX && value <= high; again++) {
    const forecast = simulate(at(value), FOUND_ARRIVALS);
    if (forecast.fits) return { value: sign * value, forecast };
    value += Math.max(1, Math.round((Math.abs(from) / 500) * 2 ** again));
  }
  return undefined;
}
