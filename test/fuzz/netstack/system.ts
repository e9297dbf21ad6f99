// One of the two that the fuzzer compares: a system as replays play on, with pools by number.

import type { System as Played, Tester } from "../../replay/system.ts";
import type { Ask } from "../../support/ask.ts";

export type Mode = "bind" | "connect";

/** `undefined` as offset means that the system draws one; both draw the same. */
export interface System extends Played {
  search(ask: Ask, offset: number | undefined, test?: Tester): number;
  /** By the reservation that was made `ago` reservations ago. */
  giveBack(ago: number): boolean;

  pick(offset: number | undefined, test: Tester): number;

  /** All that is held, or what is held at a port: one line each, sorted. */
  list(port: number | undefined): string[];
  /** Releases all that is held at an address, in a network or in all; how many references. */
  releaseAll(address: string, network: number | undefined): number;

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
  closePool(pool: number): void;
}

/** What testers of the fuzzer throw; nothing else does. */
export class TesterFailure extends Error {
  override readonly name = "TesterFailure";
}
