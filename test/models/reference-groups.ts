// Model: groups of port managers, each with two limits and a parent, and where a policy of selection
// goes, which is that of the plain RFC 6056.

import { SeededRandom } from "../../bindings/core/random.ts";
import type { PortRange } from "../../bindings/index.ts";
import type { SelectionOptions } from "../../bindings/selection.ts";
import { type Ask, show } from "../support/ask.ts";
import { type IsFree, PLAIN, plainTable, type Tuple } from "../support/rfc6056.ts";

export type Kind = "bind" | "connect";

/** Anything from 0 to 1 is no port; so no range is met by all. */
const ALL: PortRange = { first: 1, last: 65535 };

export class GroupModel {
  readonly parent: GroupModel | undefined;
  readonly #own: Record<Kind, PortRange> = { bind: ALL, connect: ALL };
  /** Reservations and open pools. */
  uses = 0;

  constructor(parent: GroupModel | undefined) {
    this.parent = parent;
  }

  limit(kind: Kind, range: PortRange = ALL): void {
    this.#own[kind] = range;
  }

  allows(kind: Kind, port: number): boolean {
    const { first, last } = this.#own[kind];
    return first <= port && port <= last && (this.parent?.allows(kind, port) ?? true);
  }

  /** What is left of a range, if anything is. */
  within({ first, last }: PortRange, kind: Kind): PortRange | undefined {
    const own = this.#own[kind];
    const left = { first: Math.max(first, own.first), last: Math.min(last, own.last) };
    if (left.first > left.last) return undefined;
    return this.parent === undefined ? left : this.parent.within(left, kind);
  }
}

/** The origin of a search: a pool, or a reservation in a group. */
export interface Searcher {
  readonly ask: Ask;
  readonly pool?: object;
  readonly group: GroupModel | undefined;
}

/** The policy of a manager that was opened with that seed. */
export class PolicyModel {
  readonly isRandom: boolean;
  readonly #options: SelectionOptions;
  readonly #random: SeededRandom;
  readonly #table: number[];
  /** Where `sequential` goes on: a table for each pool, and for each description in its group. */
  readonly #places = new Map<object | undefined, Map<string, number[]>>();

  constructor(seed: number, options: SelectionOptions) {
    this.isRandom = options.algorithm === "random";
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#table = plainTable(options, () => this.draw());
  }

  draw(): number {
    return this.#random.next();
  }

  /** The port that it finds in a range. */
  search(
    { first, last }: PortRange,
    { ask, pool, group }: Searcher,
    isFree: IsFree,
  ): number | undefined {
    return PLAIN[this.#options.algorithm]({
      ...{ first, count: last - first + 1, isFree, tuple: tupleOf(ask), options: this.#options },
      table: this.#tableOf(pool ?? group, pool === undefined ? show({ ...ask, flags: 0 }, 0) : ""),
      random: () => this.draw(),
    });
  }

  #tableOf(owner: object | undefined, name: string): number[] {
    if (this.#options.algorithm !== "sequential") return this.#table;
    const tables = this.#places.get(owner) ?? new Map<string, number[]>();
    this.#places.set(owner, tables);
    const table = tables.get(name) ?? plainTable(this.#options, () => this.draw());
    tables.set(name, table);
    return table;
  }
}

// ── Tuples ──────────────────────────────────────────────────────────────────────────────────

export function tupleOf({ address, destination }: Ask): Tuple {
  return { local: bytesOf(address), remote: bytesOf(destination.address), port: destination.port };
}

/** IPv4 as ::ffff:a.b.c.d, nothing for any, and IPv6 of the form 2001:db8::1. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (text.includes(":")) {
    const [head = "", tail = ""] = text.split("::");
    const put = (words: readonly string[], at: number): void => {
      for (const [index, word] of words.entries()) {
        const value = Number.parseInt(word, 16);
        bytes.set([value >> 8, value & 255], at + 2 * index);
      }
    };
    put(head.split(":"), 0);
    put(tail.split(":"), 16 - 2 * tail.split(":").length);
  } else if (text !== "") {
    bytes.set([255, 255, ...text.split(".").map(Number)], 10);
  }
  return bytes;
}
