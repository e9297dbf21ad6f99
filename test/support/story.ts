// Story: a few steps on a fresh manager, written in the present tense, and played on every system.
//
//   story("any address blocks a later specific one", [
//     holds({ port: 80 }),
//     refuses({ port: 80, address: "10.0.0.1" }),
//   ]);
//
// After each step the invariants are checked, where the build can. At the end all that the story
// took is released: nothing may be counted then, and no byte be in use.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../../assembly/abi.ts";
import type { Stats, System } from "../replay/system.ts";
import { type Ask, show } from "./ask.ts";
import { FIXTURES } from "./fixture.ts";

export const TCP = 6;
export const UDP = 17;

/** A request for a port. By default IPv4, TCP, any address, no device, any destination. */
export interface Who {
  readonly port?: number;
  readonly networks?: readonly number[];
  readonly transport?: number;
  readonly address?: string;
  readonly device?: number;
  /** `9.9.9.9:443`; `:80` is the wildcard with a port. */
  readonly to?: string;
  readonly flags?: number;
}

export interface Step {
  readonly says: string;
  plays(system: System, taken: Taken): void;
}

/** Every key and port that the story took at some time. */
type Taken = Map<string, { readonly ask: Ask; readonly port: number }>;

export function story(name: string, steps: readonly Step[]): void {
  describe(name, () => {
    test.each(FIXTURES)("%s", (_name, open) => {
      play(open(), steps);
    });
  });
}

function play(system: System, steps: readonly Step[]): void {
  const taken: Taken = new Map();
  for (const step of steps) {
    step.plays(system, taken);
    system.verify();
  }
  for (const { ask, port } of taken.values()) {
    while (system.release(ask, port)) system.verify();
  }
  expect(system.stats(), "after all is released").toEqual(counted(0, 0, 0));
  expect(system.close(), "bytes in use after all is released").toBe(0);
}

// ── Explicit ports ───────────────────────────────────────────────────────────────────────────

export function holds(who: Who): Step {
  return named("holds", who, (system, ask, port) => {
    expect(system.isAvailable(ask, port)).toBe(true);
    return expect(system.reserve(ask, port)).toBe(port);
  });
}

export function refuses(who: Who): Step {
  return named("refuses", who, (system, ask, port) => {
    const before = system.stats();
    expect(system.isAvailable(ask, port)).toBe(false);
    expect(system.reserve(ask, port)).toBe(IN_USE);
    expect(system.stats()).toEqual(before);
  });
}

export function holdsTuple(who: Who): Step {
  return named("holds tuple", who, (system, ask, port) => {
    expect(system.tuple(ask, port)).toBe(port);
  });
}

export function refusesTuple(who: Who): Step {
  return named("refuses tuple", who, (system, ask, port) => {
    const before = system.stats();
    expect(system.tuple(ask, port)).toBe(IN_USE);
    expect(system.stats()).toEqual(before);
  });
}

export function releases(who: Who): Step {
  return named("releases", who, (system, ask, port) => {
    expect(system.release(ask, port)).toBe(true);
  });
}

/** There is nothing under that description to be released. */
export function releasesNothing(who: Who): Step {
  return named("releases nothing at", who, (system, ask, port) => {
    const before = system.stats();
    expect(system.release(ask, port)).toBe(false);
    expect(system.stats()).toEqual(before);
  });
}

function named(
  verb: string,
  who: Who,
  act: (system: System, ask: Ask, port: number) => void,
): Step {
  const ask = askOf(who);
  const { port } = who;
  if (port === undefined) throw new TypeError(`${verb}: which port?`);
  return step(`${verb} ${show(ask, port)}`, (system, taken) => {
    taken.set(show(ask, port), { ask, port });
    act(system, ask, port);
  });
}

// ── Any port ──────────────────────────────────────────────────────────────────────────────

/** As bind() with port 0, from that offset on. */
export function binds(who: Who, offset: number, port: number): Step {
  return found("binds", who, offset, port, (system, ask) => system.search(ask, offset));
}

/** As connect(), from that offset on. */
export function connects(who: Who, offset: number, port: number): Step {
  return found("connects", who, offset, port, (system, ask) => system.connect(ask, offset));
}

export function cannotBind(who: Who): Step {
  const ask = askOf(who);
  return step(`cannot bind ${show(ask, "any")}`, (system) => {
    for (const offset of OFFSETS) expect(system.search(ask, offset)).toBe(EXHAUSTED);
  });
}

export function cannotConnect(who: Who): Step {
  const ask = askOf(who);
  return step(`cannot connect ${show(ask, "any")}`, (system) => {
    for (const offset of OFFSETS) expect(system.connect(ask, offset)).toBe(EXHAUSTED);
  });
}

const OFFSETS = [0, 1, 63, 64, 65535, 65536, 0xffffffff];

function found(
  verb: string,
  who: Who,
  offset: number,
  port: number,
  act: (system: System, ask: Ask) => number,
): Step {
  const ask = askOf(who);
  return step(`${verb} ${show(ask, `any from ${offset}`)}`, (system, taken) => {
    taken.set(show(ask, port), { ask, port });
    expect(act(system, ask)).toBe(port);
  });
}

// ── The rest ──────────────────────────────────────────────────────────────────────────────

export function range(first: number, last: number): Step {
  return step(`the range is ${first}..${last}`, (system) => system.setRange(first, last));
}

export function counts(descriptors: number, counters: number, references: number): Step {
  return step(`counts ${descriptors}, ${counters}, ${references}`, (system) => {
    expect(system.stats()).toEqual(counted(descriptors, counters, references));
  });
}

export function askOf(who: Who): Ask {
  const { networks = [4], transport = TCP, address = "", device = 0, flags = 0 } = who;
  return { networks, transport, address, device, destination: endOf(who.to), flags };
}

function endOf(text = ":0"): Ask["destination"] {
  const colon = text.lastIndexOf(":");
  return { address: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function counted(descriptors: number, counters: number, references: number): Stats {
  return { descriptors, counters, references };
}

/** Whatever fails in a step says which step it was. */
function step(says: string, plays: Step["plays"]): Step {
  return {
    says,
    plays(system, taken) {
      try {
        plays(system, taken);
      } catch (error) {
        if (error instanceof Error) error.message = `${says}: ${error.message}`;
        throw error;
      }
    },
  };
}
