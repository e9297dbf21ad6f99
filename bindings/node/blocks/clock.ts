// Clock: the time as a holder of blocks sees it. Two clocks, since each has its faults: the
// monotonic one may stand still while the machine sleeps, and the wall clock may be set back.

import { performance } from "node:perf_hooks";

/** A timer that has been set. */
export interface ClockTimer {
  /** Whether the process stays alive for it. */
  keepAlive(isKept: boolean): void;
  cancel(): void;
}

export interface Clock {
  /** Milliseconds that only grow. */
  monotonic(): number;
  /** Milliseconds of the day. */
  wall(): number;
  /** Calls back once, after so many milliseconds. */
  after(ms: number, call: () => void): ClockTimer;
}

export const SYSTEM_CLOCK: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms).unref();
    return {
      keepAlive: (isKept) => void (isKept ? timer.ref() : timer.unref()),
      cancel: () => clearTimeout(timer),
    };
  },
};

/** A moment after which something is over, on either clock. */
export interface Deadline {
  readonly monotonic: number;
  readonly wall: number;
}

export function deadlineIn(clock: Clock, ms: number): Deadline {
  return { monotonic: clock.monotonic() + ms, wall: clock.wall() + ms };
}

/** Is it over, as either clock has it? */
export function hasPassed(clock: Clock, { monotonic, wall }: Deadline): boolean {
  return clock.monotonic() >= monotonic || clock.wall() >= wall;
}

/** The earlier of two moments, clock by clock. */
export function soonerOf(one: Deadline, other: Deadline): Deadline {
  return {
    monotonic: Math.min(one.monotonic, other.monotonic),
    wall: Math.min(one.wall, other.wall),
  };
}
