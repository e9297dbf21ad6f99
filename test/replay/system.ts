// What stories, replays and the fuzzer play on: a manager's reservations, its pools, or the
// reference model, behind one face.
//
// A refusal is one of the negative numbers of `assembly/abi`. What a tester throws comes out.

import type { Ask } from "../support/ask.ts";

export type Tester = (port: number) => boolean;

export interface Stats {
  readonly descriptors: number;
  readonly counters: number;
  readonly references: number;
}

export interface System {
  /** A port that is named: the port, or `IN_USE`. */
  reserve(ask: Ask, port: number, test?: Tester): number;
  /** Any port, as bind() with port 0 asks for it: the port, or `EXHAUSTED`. */
  search(ask: Ask, offset: number, test?: Tester): number;
  /** Any port, as connect() asks for it: each is judged as if it had been named. */
  connect(ask: Ask, offset: number): number;
  tuple(ask: Ask, port: number): number;
  /** False: the port was not held in that way. */
  release(ask: Ask, port: number): boolean;
  isAvailable(ask: Ask, port: number): boolean;

  pick(offset: number, test: Tester): number;
  pickStable(offset: number, test: Tester): number;

  /** False: there is no such range. */
  setRange(first: number, last: number): boolean;
  range(): { first: number; last: number };
  stats(): Stats;

  /** Traps, on the debug build, when an invariant does not hold. */
  verify(): void;
  /** Closes the system; the bytes that it still uses beyond those in use when it was opened. */
  close(): number;
}
