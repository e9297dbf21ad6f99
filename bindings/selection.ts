// Selection: the policies by which an ephemeral port is picked: the five algorithms of RFC 6056 §
// 3.3, the sequential one that they replace, and "fifo", which is for pools alone (cooling.ts).
//
//                   linear                          drawn
//   start()   where one search of the     draw()    the one port to try next,
//             range begins                          again and again
//   settle()  the port has been found
//
// Both give 32-bit offsets: the port meant is `first + offset % count`, reduced once, so that a
// search meets each port once although sums wrap at 2^32. Keys and counters lie in the core
// (assembly/selection/selector.ts), which reads the tuple from the request block.

import { typedArrayName } from "./core/brands.ts";
import { registerCleanup } from "./core/cleanup.ts";
import type { Core } from "./core/core.ts";
import { CryptoRandom, type Random } from "./core/random.ts";
import { closed, invalid, noMemory, show, unknownOption, wrongType, wrongValue } from "./errors.ts";
import { checkInteger, checkUint32, readOptions } from "./requests/checks.ts";
import type { PortRange } from "./requests/range.ts";

/**
 * How an ephemeral port is picked. Linear policies search the range once, round from where they
 * start, and find a port if there is one. Drawn ones try ports one by one, as many as the range
 * has, and may miss a port that is free: a single one more often than every third time.
 *
 * A manager takes all of these but `"fifo"`, which is for pools; a pool takes `"fifo"`, or leaves
 * the choice to its manager.
 *
 * - `"random"`, the default: linear, from a random start (RFC 6056 § 3.3.1, algorithm 1). A port
 *   behind a run of taken ones is likelier than others.
 * - `"random-retry"`: drawn, each time independently (§ 3.3.2, algorithm 2). All free ports are
 *   equally likely. Of `n` ports, `k` free, it misses all with probability `(1 - k/n) ** n`, and a
 *   search that fails has tried `n` times.
 * - `"hash"`: linear, from a keyed hash of the tuple plus one counter (§ 3.3.3, algorithm 3). The
 *   ports of one destination ascend, so that they come back late. An observer of one can guess the
 *   next, and one destination can count by them how many connections go to all others.
 * - `"double-hash"`: the same, with a counter for each of many groups of tuples, chosen by a second
 *   hash (§ 3.3.4, algorithm 4). A destination can only count connections that share its
 *   counter. An observer with many destinations can still find which of them share one, and
 *   recognize the host by that; the larger the table, the harder (Kol, Klein, Gilad 2023, on the 256
 *   slots of Linux).
 * - `"random-increments"`: drawn, each a random step behind the last (§ 3.3.5, algorithm 5). The
 *   next port lies at most `increment` above the last, unless those are taken.
 * - `"sequential"`: linear, from behind the port that the same pool, or the same description of
 *   reservations, got last. Each port reveals the next: for tests and trusted networks.
 * - `"fifo"`, of pools: the port that the pool has not used for the longest time.
 *
 * All are predictable where the random numbers come from a `seed`, and those with a hash where the
 * secret is known.
 */
export type SelectionName =
  | "random"
  | "random-retry"
  | "hash"
  | "double-hash"
  | "random-increments"
  | "sequential"
  | "fifo";

/** The selections of a manager. */
export type PolicyName = Exclude<SelectionName, "fifo">;

/** The selections that a pool can have of its own. */
export type PoolSelection = Extract<SelectionName, "fifo">;

/** All policies of managers, in the order in which snapshots count them. */
export const POLICIES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash", "double-hash"] as const),
  ...(["random-increments", "sequential"] as const),
];

/** A policy with its parameters. A parameter that the policy does not use is refused. */
export interface SelectionOptions {
  /** Which policy. */
  algorithm: PolicyName;
  /**
   * `hash`, `double-hash`: 32 bytes, the keys of the first and of the second hash (SipHash-2-4).
   * They are copied. By default they are drawn as random offsets are: from the host's cryptographic
   * source, or from the `seed` if there is one. They reveal where searches start.
   */
  secret?: Uint8Array | undefined;
  /**
   * `double-hash`: how many counters, 1..65536, at 4 bytes each; 256 by default. RFC 6056 finds 10
   * useful already; the more there are, the less a destination learns about the others.
   */
  slots?: number | undefined;
  /**
   * `random-increments`: the largest step, 1..65535; 500 by default, the example of RFC 6056. Small
   * ones let ports come back late, large ones make the next port hard to guess.
   */
  increment?: number | undefined;
  /**
   * `hash`, `double-hash`, `random-increments`, `sequential`: where the counters begin,
   * 0..4294967295. Random by default, each for itself. For `sequential` it is the index of a port
   * in the range, by default random for each pool and description; 0, the first port, for
   * `Linux2632Ports` and where there is a `seed`.
   */
  from?: number | undefined;
}

/** A policy whose parameters have been checked. */
export interface CheckedSelection {
  readonly algorithm: PolicyName;
  /** Eight words of four bytes, or undefined: to be drawn. */
  readonly secret: readonly number[] | undefined;
  readonly slots: number;
  readonly increment: number;
  /** Where the counters begin; undefined: the policy's default. */
  readonly from: number | undefined;
}

const PARAMETERS: Readonly<Record<PolicyName, readonly string[]>> = {
  random: [],
  "random-retry": [],
  hash: ["secret", "from"],
  "double-hash": ["secret", "slots", "from"],
  "random-increments": ["increment", "from"],
  sequential: ["from"],
};
const OPTION_NAMES = ["algorithm", "secret", "slots", "increment", "from"];

const SECRET_BYTES = 32;
const SECRET_WORDS = 8;
const SLOTS_DEFAULT = 256;
const SLOTS_MAX = 65536;
const INCREMENT_DEFAULT = 500;
const INCREMENT_MAX = 65535;

/**
 * Checks the option `selection`: a name, an object, or nothing for `"random"`.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 */
export function checkSelection(selection: unknown, name = "selection"): CheckedSelection {
  if (selection === undefined) return checkOptions({ algorithm: "random" });
  if (typeof selection === "string") {
    return checkOptions({ algorithm: checkName(name, selection) });
  }
  if (typeof selection !== "object") {
    throw wrongType(name, "a name or an object with a name as algorithm", selection);
  }
  return checkOptions(readOptions(name, selection as SelectionOptions, OPTION_NAMES));
}

/**
 * Checks the option `selection` of a pool: does the pool offer ports in the order of their release?
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
 */
export function checkPoolSelection(value: unknown): boolean {
  if (value === undefined) return false;
  if (value === "fifo") return true;
  const valid = '"fifo" for a pool, or absent for the selection of its manager';
  throw typeof value === "string"
    ? wrongValue("selection", valid, value)
    : wrongType("selection", valid, value);
}

function checkOptions(options: SelectionOptions): CheckedSelection {
  const { secret, slots, increment, from } = options;
  const algorithm = checkName("selection.algorithm", options.algorithm);
  for (const [option, value] of Object.entries({ secret, slots, increment, from })) {
    if (value === undefined || PARAMETERS[algorithm].includes(option)) continue;
    throw unused(algorithm, option);
  }
  return {
    algorithm,
    secret: secret === undefined ? undefined : checkSecret(secret),
    slots: checkCount("slots", slots, SLOTS_DEFAULT, SLOTS_MAX),
    increment: checkInteger(
      "selection.increment",
      increment ?? INCREMENT_DEFAULT,
      1,
      INCREMENT_MAX,
    ),
    from: from === undefined ? undefined : checkUint32("selection.from", from),
  };
}

function checkName(where: string, name: unknown): PolicyName {
  if (typeof name !== "string") throw wrongType(where, "a string", name);
  if (Object.hasOwn(PARAMETERS, name)) return name as PolicyName;
  const names = Object.keys(PARAMETERS).map((known) => `"${known}"`);
  const shown = name === "fifo" ? '"fifo", which is for pools' : show(name);
  throw wrongValue(where, `one of ${names.join(", ")}`, name, shown);
}

function unused(algorithm: PolicyName, option: string): Error {
  const used = PARAMETERS[algorithm];
  if (used.length > 0) return unknownOption(`selection "${algorithm}"`, option, used);
  const message = `selection "${algorithm}" has no options, got ${option}`;
  return invalid("ERR_INVALID_ARG_VALUE", message);
}

function checkCount(name: string, value: unknown, byDefault: number, max: number): number {
  return value === undefined ? byDefault : checkInteger(`selection.${name}`, value, 1, max);
}

/** The bytes as little-endian words. */
function checkSecret(secret: unknown): readonly number[] {
  if (typedArrayName(secret) !== "Uint8Array") {
    throw wrongType("selection.secret", `a Uint8Array of ${SECRET_BYTES} bytes`, secret);
  }
  const { length } = secret as Uint8Array; // 0: detached
  if (length !== SECRET_BYTES) {
    const message = `selection.secret must have ${SECRET_BYTES} bytes, got ${length}`;
    throw invalid("ERR_INVALID_ARG_VALUE", message);
  }
  const bytes = Uint8Array.from(secret as Uint8Array);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: SECRET_WORDS }, (_, word) => view.getUint32(word * 4, true));
}

// Frees the memory of a selection that has become garbage.
const cleanup = registerCleanup<{ core: Core; selector: number }>(({ core, selector }) =>
  core.exports.closeSelector(selector),
);

const NONE = 0;

/** What a policy remembers of one description of reservations. */
export interface Place {
  /** Where `sequential` goes on: the index of a port in its range. */
  index: number;
}

/** The hash of a tuple, and which of the counters it uses. */
export interface HashedTuple {
  readonly slot: number;
  readonly hash: number;
}

/**
 * One policy at work: it tells a port manager where to search. Before a search by one that
 * {@link isKeyed}, the tuple must be in the request block.
 */
export class Selection {
  /** Which policy. */
  readonly algorithm: PolicyName;
  /** Whether each search begins at a random offset and tries all ports from there on. */
  readonly isRandom: boolean;
  /** Whether ports are tried one by one, by {@link draw}; if not, by {@link start}. */
  readonly isDrawn: boolean;
  /** Whether {@link start} reads the request block. */
  readonly isKeyed: boolean;
  /** The policy's parameters, without its secret. */
  readonly settings: Omit<CheckedSelection, "secret">;
  readonly #core: Core;
  readonly #random: Random;
  readonly #hasTable: boolean;
  /** Where `sequential` goes on for callers that have a single place. */
  readonly place: Place;
  /** Where the core keeps keys and counters; 0 when it keeps none. */
  #selector = NONE;
  #slot = 0;
  #slots = 0;

  /**
   * @param random draws offsets, steps, and what keys and counters begin with, in this order: eight
   * words of keys, then the counters.
   * @throws PortError `ENOBUFS`.
   */
  constructor(core: Core, random: Random, options: CheckedSelection) {
    const { secret: _, ...settings } = options;
    const { algorithm } = settings;
    this.settings = settings;
    this.algorithm = algorithm;
    this.isRandom = algorithm === "random";
    this.isDrawn = algorithm === "random-retry" || algorithm === "random-increments";
    this.isKeyed = algorithm === "hash" || algorithm === "double-hash";
    this.#core = core;
    this.#random = random;
    this.#hasTable = algorithm === "double-hash";
    this.place = { index: options.from ?? 0 };
    if (this.isKeyed || algorithm === "random-increments") this.#remember(options);
  }

  /** How many counters the core keeps for the policy. */
  get slots(): number {
    return this.#slots;
  }

  /** A place where `sequential` begins. */
  newPlace(): Place {
    if (this.algorithm !== "sequential") return { index: 0 };
    return {
      index: this.settings.from ?? (this.#random instanceof CryptoRandom ? this.#random.next() : 0),
    };
  }

  /**
   * Linear policies: where the next search begins, 0..4294967295. Changes no counter: a search
   * that fails leaves them as they were.
   * @param place that of the description.
   * @throws PortError `EBADF` (closed).
   */
  start(place: Place): number {
    if (this.isRandom) return this.next();
    if (this.algorithm === "sequential") return place.index;
    const { slot, hash } = this.hashTuple();
    this.#slot = slot;
    return (this.#core.exports.counterAt(this.#open(), slot) + hash) >>> 0;
  }

  /** `random`: where the next search begins. */
  next(): number {
    return this.#random.next();
  }

  /**
   * Keyed policies: the hashes of the tuple in the request block.
   * @throws PortError `EBADF` (closed).
   */
  hashTuple(): HashedTuple {
    const { exports } = this.#core;
    const selector = this.#open();
    const slot = this.#hasTable ? exports.slotOf(selector) : 0;
    return { slot, hash: exports.tupleHash(selector) };
  }

  /** Which counter the search uses that {@link start} has just begun. */
  get slot(): number {
    return this.#slot;
  }

  /**
   * Linear policies: a search of first..last that began at `offset` and uses `slot`, as {@link
   * start} and {@link slot} gave them, has found `port`, and the port has been taken. A hash's
   * counter moves by the number of ports that were tried, as in RFC 6056; `sequential` goes on
   * behind the port. Does nothing once the selection has been closed.
   */
  settle(
    place: Place,
    slot: number,
    offset: number,
    port: number,
    { first, last }: PortRange,
  ): void {
    place.index = port - first + 1;
    const selector = this.#selector;
    if (!this.isKeyed || selector === NONE) return;
    const count = last - first + 1;
    const tries = ((port - first - (offset % count) + count) % count) + 1;
    this.#core.exports.advance(selector, slot, tries);
  }

  /**
   * Drawn policies: the port to try next, 0..4294967295, modulo the range's count. To be called at
   * most as often as the range has ports. The counter of `random-increments` moves with each draw,
   * even if the port is taken.
   * @throws PortError `EBADF` (closed).
   */
  draw(): number {
    if (this.algorithm === "random-retry") return this.#random.next();
    const { exports } = this.#core;
    const selector = this.#open();
    exports.advance(selector, 0, 1 + (this.#random.next() % this.settings.increment));
    return exports.counterAt(selector, 0) >>> 0;
  }

  /**
   * Where the core keeps keys and counters.
   * @throws PortError `EBADF` (closed, or the policy has none).
   */
  get selector(): number {
    return this.#open();
  }

  /** Gives back the memory. A second call does nothing. */
  close(): void {
    if (this.#selector === NONE) return;
    cleanup.unregister(this);
    this.#core.exports.closeSelector(this.#selector);
    this.#selector = NONE;
  }

  /** Makes the keys and counters. */
  #remember(options: CheckedSelection): void {
    const slots = this.#hasTable ? options.slots : 1;
    const { exports } = this.#core;
    const selector = exports.openSelector(slots) >>> 0;
    if (selector === NONE) throw noMemory(`selection "${this.algorithm}", ${slots} counters`);
    this.#selector = selector;
    this.#slots = slots;
    cleanup.register(this, { core: this.#core, selector }, this);

    for (let index = 0; this.isKeyed && index < SECRET_WORDS; index++) {
      exports.secretWord(selector, index, options.secret?.[index] ?? this.#random.next());
    }
    for (let slot = 0; slot < slots; slot++) {
      exports.setCounter(selector, slot, options.from ?? this.#random.next());
    }
  }

  #open(): number {
    if (this.#selector === NONE) throw closed("selection");
    return this.#selector;
  }
}
