// One of the two that the fuzzer compares, a manager with its pools. Both
// answer in the same terms: a port or a refusal of `assembly/abi`; what a tester throws comes out.

import type { Ask } from "../../support/ask.ts";

export type Tester = (port: number) => boolean;

export type Mode = "bind" | "connect";

/** `undefined` as offset means that the system draws one; both draw the same. */
export interface System {
  reserve(ask: Ask, port: number, test?: Tester): number;
  search(ask: Ask, offset: number | undefined, test?: Tester): number;
  tuple(ask: Ask, port: number): number;
  release(ask: Ask, port: number): boolean;
  isAvailable(ask: Ask, port: number): boolean;
  /** By the reservation that was made `ago` reservations ago. */
  giveBack(ago: number): boolean;

  pick(offset: number | undefined, test: Tester): number;
  pickStable(offset: number, test: Tester): number;

  setRange(first: number, last: number): void;
  range(): { first: number; last: number };
  /** All that is held, or what is held at a port: one line each, sorted. */
  list(port: number | undefined): string[];
  /** Releases all that is held at an address, in a network or in all; how many references. */
  releaseAll(address: string, network: number | undefined): number;

  stats(): { descriptors: number; counters: number; references: number };
  /** Frees what is kept and not needed, and changes nothing else. */
  snapshot(): void;

  open(ask: Ask, mode: Mode, unique: boolean): void;
  take(pool: number, offset: number | undefined): number;
  takeAt(pool: number, port: number): number;
  free(pool: number, port: number): boolean;
  has(pool: number, port: number): boolean;
  held(pool: number): number;
  ports(pool: number): number[];
  takeMany(pool: number, count: number): number[];
  freeMany(pool: number, ports: readonly number[]): number;
  close(pool: number): void;
}

/** What testers of the fuzzer throw; nothing else does. */
export class TesterFailure extends Error {
  override readonly name = "TesterFailure";
}
