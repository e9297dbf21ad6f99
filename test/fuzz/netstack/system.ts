// One of the two that the fuzzer compares: a system as replays play on, with pools by number.

import type { Kind } from "../../models/reference-groups.ts";
import type { System as Played, Tester } from "../../replay/system.ts";
import type { Ask } from "../../support/ask.ts";
import type { Groups } from "./groups.ts";

export type Mode = Kind;

/** What may be asked in a group, and with a list of reserved ports, both by number. */
export type GroupedAsk = Ask & { readonly group?: number; readonly reserved?: number };

/** `undefined` as offset means that the system draws one; both draw the same. */
export interface System extends Played {
  readonly groups: Groups;

  search(ask: Ask, offset: number | undefined, test?: Tester): number;
  /** By the reservation that was made `ago` reservations ago. */
  giveBack(ago: number): boolean;
  /** How many reservations ago that port was reserved last; -1: never. */
  agoOf(port: number): number;
  /** To another group, or out of all; in which it is then. */
  move(ago: number, group: number | undefined): number | undefined;

  pick(offset: number | undefined, test: Tester): number;

  /** All that is held, or what is held at a port: one line each, sorted. */
  list(port: number | undefined): string[];
  /** Releases all that is held at an address, in a network or in all; how many references. */
  releaseAll(address: string, network: number | undefined): number;

  /** Frees what is kept and not needed, and changes nothing else. */
  snapshot(): void;

  /** Without a mode the destination decides. */
  open(ask: GroupedAsk, mode: Mode | undefined, unique: boolean): void;
  readonly poolCount: number;
  movePool(pool: number, group: number | undefined): number | undefined;
  take(pool: number, offset: number | undefined): number;
  takeAt(pool: number, port: number): number;
  free(pool: number, port: number): boolean;
  has(pool: number, port: number): boolean;
  held(pool: number): number;
  ports(pool: number): number[];
  takeMany(pool: number, count: number, offsets?: readonly number[]): number[];
  freeMany(pool: number, ports: readonly number[]): number;
  closePool(pool: number): void;
}

/** What testers of the fuzzer throw; nothing else does. */
export class TesterFailure extends Error {
  override readonly name = "TesterFailure";
}
