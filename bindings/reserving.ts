// Reserving: one request for a port, from the checked description to a held port or a refusal.
//
//   explicit port   ask the core once                ┐
//   any port        the selection tells where to     ├─ then the tester, whose "no" undoes it
//                   search, the core searches        ┘

import { EMPTY_RANGE, IN_USE } from "../assembly/abi.ts";
import type { Core } from "./core/core.ts";
import { Counts } from "./counts.ts";
import { closed, invalid, noMemory, show } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import type { Stats } from "./open.ts";
import { type Outcome, refused } from "./refusals.ts";
import { groupAt, liveGroupAt, writeHeldKey, writeKey } from "./requests/block.ts";
import { type Asked, type Key, withGroup } from "./requests/parsing.ts";
import { type PortRange, unpackRange } from "./requests/range.ts";
import { searchBy } from "./search.ts";
import type { Place, Selection } from "./selection.ts";
import { Purges } from "./state/release-all.ts";

/**
 * Says whether a port suits the caller. In `reservePort` it is called after the port has been
 * reserved, which is undone when it answers `false` or throws (gVisor `ports.PortTester`). It may
 * use the manager.
 */
export type PortTester = (port: number) => boolean;

/** How many descriptions `sequential` remembers a place for. */
const PLACES_MAX = 1024;

/** Where `sequential` goes on for a description, in a group. */
export interface PlaceInGroup extends Place {
  readonly group: PortGroup | undefined;
}

/** The reservations of one manager. */
export class Reserving {
  readonly core: Core;
  readonly limit: number;
  readonly selection: Selection;
  readonly counts: Counts = new Counts();
  /** Where the core keeps the manager; 0 when it is closed. */
  address: number;
  /** The manager's releases by filter. */
  purges: Purges = new Purges();
  /** Where `sequential` goes on, by description. */
  readonly places: Map<string, PlaceInGroup> = new Map();

  constructor(core: Core, address: number, limit: number, selection: Selection) {
    this.core = core;
    this.address = address;
    this.limit = limit;
    this.selection = selection;
  }

  /** @throws PortError `EBADF`. */
  open(): number {
    if (this.address === 0) throw closed("manager");
    return this.address;
  }

  /**
   * Reserves the explicit port, or any. A refusal is an answer.
   * @param known what {@link reserveOnce} has answered, if it has been called and is no port.
   * @throws PortError `EBADF`; what the tester throws.
   */
  reserve(asked: Asked, test: PortTester | undefined, known = 0): Outcome {
    const { key, port, offset } = asked;
    const once =
      known !== 0 || (test !== undefined && port === 0) ? known : this.reserveOnce(asked);
    if (once === 0) return this.#reserveAny(key, offset, test);
    const since = this.purges.epoch;
    if (once > 0 && test !== undefined && !this.#passes(test, key, port)) {
      return { answer: IN_USE, key, port, refusedByTester: 1 };
    }
    if (once > 0) return { answer: once, key: this.keyLeft(key, port, since), port, since };
    if (port !== 0) return { answer: once, key, port };
    const searched = once === EMPTY_RANGE ? this.range() : this.#rangeFor(key);
    return { answer: once, key, port, searched };
  }

  /**
   * Reserves the explicit port, or searches from the offset or a random one: the hot way, which makes
   * no objects. Returns the port, a refusal, or 0: the policy needs more than one call.
   * @throws PortError `EBADF`.
   */
  reserveOnce({ key, port, offset }: Asked): number {
    const manager = this.open();
    const { exports } = this.core;
    if (port !== 0) {
      writeKey(this.core, key);
      return exports.reservePort(manager, port);
    }
    if (offset === undefined && !this.selection.isRandom) return 0;
    // Only a group's range may be empty; then no random number is drawn.
    if (key.group !== undefined && this.#rangeFor(key) === undefined) return EMPTY_RANGE;
    writeKey(this.core, key);
    return exports.reserveAny(manager, offset ?? this.selection.next());
  }

  /** Releases a port by its description. */
  release(key: Key, port: number): boolean {
    const manager = this.open();
    writeHeldKey(this.core, key);
    const answer = this.core.exports.releasePort(manager, port);
    if (answer < 0) throw refused({ answer, key, port }, this.limit);
    return answer > 0;
  }

  /**
   * Gives back a port that a tester refuses, which does not count as taken. A port that a filter
   * has released since the tester was asked is not released again, because others may have it.
   */
  undo(key: Key, port: number, since: number): void {
    const left = this.purges.restOf(this.keyLeft(key, port, since), port, since);
    if (left === undefined || this.release(left, port)) this.counts.taken -= key.networks.length;
  }

  /** The description, without its group if a filter has released all of it since then. */
  keyLeft(key: Key, port: number, since: number): Key {
    if (key.group === undefined || this.purges.restOf(key, port, since) !== undefined) return key;
    this.core.exports.moveGroupUse(this.open(), liveGroupAt(this.core, key.group), 0);
    return withGroup(key, undefined);
  }

  /** The port range of a manager. */
  range(): PortRange {
    return unpackRange(this.core.exports.range(this.open())) as PortRange;
  }

  /** Live figures of a manager. */
  stats(): Stats {
    const manager = this.open();
    const { exports } = this.core;
    const descriptors = exports.descriptorCount(manager);
    if (descriptors < 0) throw this.noMemory("stats");
    return {
      descriptors,
      counters: exports.counterCount(manager) >>> 0,
      references: exports.referenceCount(manager) >>> 0,
      memory: {
        used: exports.usedBytes(manager) >>> 0,
        taken: exports.memory.buffer.byteLength,
        limit: this.limit,
      },
      totals: {
        peak: exports.peakCount(manager) >>> 0,
        taken: exports.takenCount(manager) + this.counts.taken,
        refused: this.counts.refused(),
      },
    };
  }

  noMemory(what: string): Error {
    return noMemory(`${what}, limit ${this.limit} bytes`);
  }

  #reserveAny(key: Key, offset: number | undefined, test: PortTester | undefined): Outcome {
    const searched = this.#rangeFor(key);
    if (searched === undefined) {
      return { answer: EMPTY_RANGE, key, port: 0, searched: this.range() };
    }
    let refusedByTester = 0;
    let since = this.purges.epoch;
    const asked =
      test &&
      ((port: number): boolean => {
        since = this.purges.epoch;
        const verdict = test(port);
        if (verdict === false) refusedByTester++;
        return verdict;
      });
    const search = (first: number, last: number, start: number): number =>
      this.#search(key, first, last, start, asked);
    const { selection } = this;
    const answer =
      offset === undefined
        ? searchBy(selection, this.#placeOf(key), searched, search)
        : search(searched.first, searched.last, offset);
    const isDrawn = offset === undefined && selection.isDrawn;
    const left = answer > 0 ? this.keyLeft(key, answer, since) : key;
    return { answer, key: left, port: 0, searched, isDrawn, refusedByTester, since };
  }

  /** The range as it is now, before a tester may change it, as far as the group allows. */
  #rangeFor(key: Key): PortRange | undefined {
    const { exports } = this.core;
    const range = exports.range(this.open());
    writeKey(this.core, key);
    return unpackRange(key.group === undefined ? range : exports.clampToRequest(range));
  }

  /** Reserves the first port of first..last, from an offset on, that the tester accepts. */
  #search(
    key: Key,
    first: number,
    last: number,
    offset: number,
    test: PortTester | undefined,
  ): number {
    const { exports } = this.core;
    const count = last - first + 1;
    const start = offset % count;
    let skip = 0;
    for (;;) {
      writeKey(this.core, key);
      const port = exports.reserveEphemeral(this.open(), first, last, offset, skip);
      if (port < 0 || test === undefined || this.#passes(test, key, port)) return port;
      skip = ((port - first - start + count) % count) + 1;
    }
  }

  /**
   * Asks a tester about a port that has just been reserved, and gives the port back unless it
   * agrees.
   * @throws PortError `EBADF`: it has closed the manager.
   */
  #passes(test: PortTester, key: Key, port: number): boolean {
    const since = this.purges.epoch;
    let passed = false;
    try {
      passed = checkVerdict(test(port));
    } finally {
      if (!passed && this.address !== 0) this.undo(key, port, since);
    }
    this.open();
    return passed;
  }

  /** Where `sequential` goes on for a description, in its group. */
  #placeOf(key: Key): Place {
    if (this.selection.algorithm !== "sequential") return this.selection.place;
    const { transport, device, networks, address, destination, destinationPort } = key;
    const { group } = key;
    const name = [transport, device, networks, address.words, destination.words, destinationPort]
      .concat(groupAt(this.core, group))
      .join(" ");
    const known = this.places.get(name);
    // A new group may have the address of one that is gone; it must get a place of its own.
    if (known !== undefined && known.group === group) return known;
    const place = { ...this.selection.newPlace(), group };
    if (known === undefined && this.places.size === PLACES_MAX) {
      this.places.delete(this.places.keys().next().value as string);
    }
    this.places.set(name, place);
    return place;
  }
}

/** @throws PortError `ERR_INVALID_RETURN_VALUE`: it is no boolean. */
export function checkVerdict(verdict: unknown): boolean {
  if (typeof verdict === "boolean") return verdict;
  const message = `test must answer true or false, synchronously, got ${show(verdict)}`;
  throw invalid("ERR_INVALID_RETURN_VALUE", message);
}
