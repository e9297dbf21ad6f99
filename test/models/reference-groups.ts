// Model: what managers in groups answer, read off port by port. Who is in whose way is the
// reference model's business, where a policy goes that of the plain RFC 6056; what is added here
// are groups, reserved ports, and who uses a group.

import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../assembly/abi.ts";
import { SeededRandom } from "../../bindings/core/random.ts";
import type { PortRange } from "../../bindings/index.ts";
import type { SelectionOptions } from "../../bindings/selection.ts";
import { type Ask, toModel } from "../support/ask.ts";
import { PLAIN, plainTable, type Tuple } from "../support/rfc6056.ts";
import { ReferencePortManager } from "./reference-manager.ts";

export type Kind = "bind" | "connect";

/** Anything from 0 to 1 is no port; so no range is met by all. */
const ALL: PortRange = { first: 1, last: 65535 };

export class GroupModel {
  readonly path: string;
  readonly parent: GroupModel | undefined;
  readonly own: Record<Kind, PortRange> = { bind: ALL, connect: ALL };
  uses = 0;

  constructor(path: string, parent: GroupModel | undefined) {
    this.path = path;
    this.parent = parent;
  }

  allows(kind: Kind, port: number): boolean {
    const { first, last } = this.own[kind];
    return first <= port && port <= last && (this.parent?.allows(kind, port) ?? true);
  }

  /** What is left of a range, if anything is. */
  within({ first, last }: PortRange, kind: Kind): PortRange | undefined {
    const own = this.own[kind];
    const left = { first: Math.max(first, own.first), last: Math.min(last, own.last) };
    if (left.first > left.last) return undefined;
    return this.parent === undefined ? left : this.parent.within(left, kind);
  }
}

/** In whose name a port is asked for, and which are passed over. */
export interface Place {
  readonly group: GroupModel | undefined;
  readonly kind: Kind;
  readonly reserved: ReadonlySet<number>;
  /** As bind() with port 0: an ephemeral TCP port is not shared. */
  readonly isStrict: boolean;
  /** A tuple is never held twice. */
  readonly isUnique: boolean;
}

type Accepts = (port: number) => boolean;

const ANYONE: Accepts = () => true;

export class ManagerModel {
  readonly #model = new ReferencePortManager();
  readonly #options: SelectionOptions;
  readonly #random: SeededRandom;
  readonly #table: number[];
  /** Where `sequential` goes on: a table for each pool, and for each description in its group. */
  readonly #places = new Map<object | undefined, Map<string, number[]>>();
  /** How often each key is held. */
  readonly #held = new Map<string, number>();
  range: PortRange;

  constructor(seed: number, options: SelectionOptions, range: PortRange) {
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#table = plainTable(options, () => this.#random.next());
    this.range = range;
  }

  get isRandom(): boolean {
    return this.#options.algorithm === "random";
  }

  draw(): number {
    return this.#random.next();
  }

  at(ask: Ask, place: Place, port: number, accepts: Accepts = ANYONE): number {
    if (place.group?.allows(place.kind, port) === false) return OUTSIDE_GROUP;
    if (!this.#isFree(ask, place, port, true) || !accepts(port)) return IN_USE;
    return this.#hold(ask, port);
  }

  isAvailable(ask: Ask, place: Place, port: number): boolean {
    return place.group?.allows(place.kind, port) !== false && this.#isFree(ask, place, port, true);
  }

  /** The first port from an offset on. */
  from(ask: Ask, place: Place, offset: number, accepts: Accepts = ANYONE): number {
    return this.#search(ask, place, accepts, ({ first, last }, isOpen) => {
      const count = last - first + 1;
      for (let tried = 0; tried < count; tried++) {
        const port = first + (((offset % count) + tried) % count);
        if (isOpen(port)) return port;
      }
      return undefined;
    });
  }

  /** The port that the manager's policy finds, for a pool or for a reservation. */
  byPolicy(ask: Ask, place: Place, accepts: Accepts = ANYONE, pool?: object): number {
    return this.#search(ask, place, accepts, ({ first, last }, isFree) =>
      PLAIN[this.#options.algorithm]({
        first,
        count: last - first + 1,
        isFree,
        tuple: tupleOf(ask),
        options: this.#options,
        table: this.#tableOf(ask, pool ?? place.group, pool === undefined),
        random: () => this.#random.next(),
      }),
    );
  }

  #tableOf(ask: Ask, owner: object | undefined, isReservation: boolean): number[] {
    if (this.#options.algorithm !== "sequential") return this.#table;
    const tables = this.#places.get(owner) ?? new Map<string, number[]>();
    this.#places.set(owner, tables);
    const name = isReservation ? keysOf(ask, 0).join() : "";
    const table = tables.get(name) ?? plainTable(this.#options, () => this.#random.next());
    tables.set(name, table);
    return table;
  }

  release(ask: Ask, port: number): boolean {
    const isHeld = this.#model.releasePort(toModel(ask, port));
    if (isHeld) for (const key of keysOf(ask, port)) this.#count(key, -1);
    return isHeld;
  }

  stats(): { descriptors: number; counters: number; references: number } {
    return this.#model.stats();
  }

  #search(
    ask: Ask,
    place: Place,
    accepts: Accepts,
    search: (range: PortRange, isOpen: (port: number) => boolean) => number | undefined,
  ): number {
    const { group, kind, reserved, isStrict } = place;
    const range = group === undefined ? this.range : group.within(this.range, kind);
    if (range === undefined) return EMPTY_RANGE;
    const port = search(range, (port) => {
      if (reserved.has(port) || group?.allows(kind, port) === false) return false;
      return this.#isFree(ask, place, port, !isStrict) && accepts(port);
    });
    return port === undefined ? EXHAUSTED : this.#hold(ask, port);
  }

  #isFree(ask: Ask, { isUnique }: Place, port: number, isNamed: boolean): boolean {
    if (isUnique && keysOf(ask, port).some((key) => this.#held.has(key))) return false;
    return this.#model.isAvailable(toModel(ask, port), isNamed);
  }

  #hold(ask: Ask, port: number): number {
    for (const key of keysOf(ask, port)) this.#count(key, 1);
    if (this.#model.reservePort(toModel(ask, port), 0) !== port) throw new Error("not free at all");
    return port;
  }

  #count(key: string, by: number): void {
    const count = (this.#held.get(key) ?? 0) + by;
    if (count === 0) this.#held.delete(key);
    else this.#held.set(key, count);
  }
}

function keysOf(ask: Ask, port: number): string[] {
  const { networks, transport, address, device, destination } = ask;
  const rest = [transport, address, device, destination.address, destination.port, port].join(" ");
  return networks.map((network) => `${network} ${rest}`);
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
