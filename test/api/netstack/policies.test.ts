// The policies of port selection: their sequences of ports against a plain transcription of RFC
// 6056's algorithms, what each promises, and what a bad option gets to hear.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
} from "../../../assembly/abi.ts";
import { type Core, coreOf } from "../../../bindings/core/core.ts";
import { CryptoRandom, SeededRandom } from "../../../bindings/core/random.ts";
import { PortError } from "../../../bindings/index.ts";
import {
  checkSelection,
  type PolicyName,
  Selection,
  type SelectionOptions,
} from "../../../bindings/selection.ts";
import { BUILDS, optionsFor } from "../../support/builds.ts";
import {
  COUNTED,
  hashOf,
  type IsFree,
  PLAIN,
  plainTable,
  SECRET,
  type Tuple,
} from "../../support/rfc6056.ts";

const NAMES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash", "double-hash"] as const),
  ...(["random-increments", "sequential"] as const),
];
const CORES = BUILDS.map((build) => [build, coreOf(optionsFor(build).module)] as const);

/** The policies that keep something in the core. */
const STORED: readonly PolicyName[] = COUNTED.filter((algorithm) => algorithm !== "sequential");

interface Range {
  readonly first: number;
  readonly last: number;
}

// ── Tuples ────────────────────────────────────────────────────────────────────────────────

const anyAddress = fc.uint8Array({ minLength: 16, maxLength: 16 });
const anyPort = fc.integer({ min: 0, max: 65535 });
const anyTuple: fc.Arbitrary<Tuple> = fc.record({
  local: anyAddress,
  remote: anyAddress,
  port: anyPort,
});
const TUPLES = Array.from({ length: 8 }, (_, number) => tupleNumber(number));

function tupleNumber(number: number): Tuple {
  const local = Uint8Array.from({ length: 16 }, (_, at) => at);
  return { local, remote: local.map((byte) => byte * number), port: 440 + number };
}

function writeTuple(core: Core, tuple: Tuple): void {
  core.written = undefined;
  const { request } = core;
  const bytes = new Uint8Array(request.buffer, request.byteOffset, request.byteLength);
  bytes.set(tuple.local, REQUEST_ADDRESS);
  bytes.set(tuple.remote, REQUEST_DESTINATION);
  request[REQUEST_DESTINATION_PORT >> 2] = tuple.port;
}

// ── A caller ──────────────────────────────────────────────────────────────────────────────

function open(core: Core, selection: unknown, seed = 1): Selection {
  return new Selection(core, new SeededRandom(seed), checkSelection(selection));
}

/** A counter of a policy, wherever it is kept. */
function counterOf(core: Core, selection: Selection, slot: number): number {
  if (selection.algorithm === "sequential") return selection.place.index;
  return core.exports.counterAt(selection.selector, slot) >>> 0;
}

/** One search, as a holder of ports would do it. */
function pick(selection: Selection, { first, last }: Range, isFree: IsFree): number | undefined {
  const count = last - first + 1;
  if (selection.isDrawn) {
    for (let draws = 0; draws < count; draws++) {
      const port = first + (selection.draw() % count);
      if (isFree(port)) return port;
    }
    return undefined;
  }
  const { place } = selection;
  const offset = selection.start(place);
  const { slot } = selection;
  const start = offset % count;
  for (let tried = 0; tried < count; tried++) {
    const port = first + ((start + tried) % count);
    if (!isFree(port)) continue;
    selection.settle(place, slot, offset, port, { first, last });
    return port;
  }
  return undefined;
}

/** Picks and holds, until nothing is found. */
function fill(selection: Selection, range: Range): number[] {
  const taken = new Set<number>();
  for (;;) {
    const port = pick(selection, range, (port) => !taken.has(port));
    if (port === undefined) return [...taken];
    taken.add(port);
  }
}

function portsOf({ first, last }: Range): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function usedBytes(core: Core): number {
  const INSTANCE_ACCOUNT = 8;
  return new DataView(core.exports.memory.buffer).getUint32(INSTANCE_ACCOUNT, true);
}

// ── The policies ──────────────────────────────────────────────────────────────────────────

const anyFrom = fc.oneof(
  fc.constant(undefined),
  fc.integer({ min: 0, max: 50 }),
  fc.integer({ min: 2 ** 32 - 50, max: 2 ** 32 - 1 }),
);
const anyRange = fc
  .tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 20 }))
  .map(([first, more]) => ({ first, last: first + more }));
const anyStep = fc.record({
  tuple: fc.oneof(fc.constantFrom(...TUPLES), anyTuple),
  range: anyRange,
  /** How full the range is. */
  taken: fc.constantFrom(0, 0.3, 0.9, 1),
  salt: fc.nat(),
});

/** A set of ports in which each is with probability `share`. */
function someOf(share: number, salt: number): IsFree {
  const random = new SeededRandom(salt);
  const thresholds = Array.from({ length: 128 }, () => random.next() / 2 ** 32);
  return (port) => (thresholds[port % 128] as number) >= share;
}

function optionsOf(
  algorithm: PolicyName,
  from: number | undefined,
  size: number,
): SelectionOptions {
  return {
    algorithm,
    ...(COUNTED.includes(algorithm) && from !== undefined ? { from } : {}),
    ...(algorithm === "hash" || algorithm === "double-hash" ? { secret: SECRET } : {}),
    ...(algorithm === "double-hash" ? { slots: size } : {}),
    ...(algorithm === "random-increments" ? { increment: size } : {}),
  };
}

describe.each(CORES)("on the %s build", (_build, core) => {
  test("F and G are SipHash over addresses and port, with the halves of the secret", () => {
    const { exports } = core;
    const selector = exports.openSelector(1000) >>> 0;
    const view = new DataView(SECRET.buffer);
    for (let word = 0; word < 8; word++) {
      exports.secretWord(selector, word, view.getUint32(word * 4, true));
    }
    fc.assert(
      fc.property(anyTuple, (tuple) => {
        writeTuple(core, tuple);
        expect(exports.tupleHash(selector) >>> 0).toBe(hashOf(tuple, 0));
        expect(exports.slotOf(selector)).toBe(hashOf(tuple, 1) % 1000);
      }),
    );
    exports.closeSelector(selector);
  });

  test.each(NAMES)("%s gives the ports of RFC 6056, and leaves its counters", (algorithm) => {
    const size = fc.integer({ min: 1, max: 7 });
    const steps = fc.array(anyStep, { maxLength: 30 });
    fc.assert(
      fc.property(anyFrom, size, fc.nat(), steps, (from, size, seed, steps) => {
        const options = optionsOf(algorithm, from, size);
        const selection = open(core, options, seed);
        const source = new SeededRandom(seed);
        const random = (): number => source.next();
        const table = plainTable(options, random);
        for (const { tuple, range, taken, salt } of steps) {
          const { first, last } = range;
          const isFree = someOf(taken, salt);
          writeTuple(core, tuple);
          const count = last - first + 1;
          const search = { first, count, isFree, tuple, options, table, random };
          expect(pick(selection, range, isFree)).toBe(PLAIN[algorithm](search));
          expect(table.map((_, slot) => counterOf(core, selection, slot))).toEqual(table);
        }
        selection.close();
      }),
      { numRuns: 200 },
    );
  });

  describe.each(NAMES.filter((name) => !name.startsWith("random-")))("%s", (algorithm) => {
    test("meets each port once, wherever its counter stands", () => {
      const range = { first: 500, last: 506 };
      for (const from of [
        0,
        1,
        6,
        7,
        2 ** 31 - 1,
        2 ** 31,
        2 ** 32 - 7,
        2 ** 32 - 3,
        2 ** 32 - 1,
      ]) {
        const selection = open(core, optionsOf(algorithm, from, 3));
        writeTuple(core, TUPLES[1] as Tuple);
        expect(fill(selection, range).sort()).toEqual(portsOf(range));
        selection.close();
      }
    });

    test("gives any port of a range that has but one", () => {
      const selection = open(core, algorithm);
      for (const port of [1, 32_768, 65_535]) {
        expect(pick(selection, { first: 1, last: 65_535 }, (other) => other === port)).toBe(port);
      }
      selection.close();
    });
  });
});

// What follows is said of the facade, so one build is enough.
const [[, CORE]] = CORES as [(typeof CORES)[number]];
const TEN: Range = { first: 40_000, last: 40_009 };

test("sequential begins with the first port, and goes on behind the last one given", () => {
  const selection = open(CORE, "sequential");
  const free = new Set([40_000, 40_001, 40_004, 40_009]);
  const isFree: IsFree = (port) => free.has(port);
  const ports = Array.from({ length: 6 }, () => pick(selection, TEN, isFree));
  expect(ports).toEqual([40_000, 40_001, 40_004, 40_009, 40_000, 40_001]);
  selection.close();
});

test("sequential goes on behind the last port also where its counter was about to wrap", () => {
  const selection = open(CORE, { algorithm: "sequential", from: 0xffffffff });
  const start = 40_000 + (0xffffffff % 10);
  expect(pick(selection, TEN, () => true)).toBe(start);
  expect(pick(selection, TEN, () => true)).toBe(start + 1);
  selection.close();
});

test("sequential goes on behind the last port of a range that has grown", () => {
  const selection = open(CORE, "sequential");
  expect(fill(selection, TEN)).toEqual(portsOf(TEN));
  expect(pick(selection, { first: 40_000, last: 40_099 }, () => true)).toBe(40_010);
  selection.close();
});

test("hash tells a destination how many ports others got; double-hash only who shares its slot", () => {
  const [one, ...others] = TUPLES as [Tuple, ...Tuple[]];
  const range = { first: 1000, last: 1999 };
  const seen = (algorithm: PolicyName): number => {
    const selection = open(CORE, optionsOf(algorithm, 0, 65_536));
    writeTuple(CORE, one);
    const before = pick(selection, range, () => true) as number;
    for (const other of others) {
      writeTuple(CORE, other);
      pick(selection, range, () => true);
    }
    writeTuple(CORE, one);
    const after = pick(selection, range, () => true) as number;
    selection.close();
    return (after - before + 1000) % 1000;
  };
  expect(seen("hash")).toBe(8);
  expect(seen("double-hash")).toBe(1);
});

test("double-hash moves the counter of the tuple it began with, whoever searches in between", () => {
  const selection = open(CORE, optionsOf("double-hash", 0, 65_536));
  const [, one, other] = TUPLES as [Tuple, Tuple, Tuple];
  const slots = [one, other].map((tuple) => hashOf(tuple, 1) % 65_536);
  const counters = (): number[] => slots.map((slot) => counterOf(CORE, selection, slot));
  const begin = (tuple: Tuple): number => {
    writeTuple(CORE, tuple);
    return selection.start(selection.place);
  };
  const { first } = TEN;
  const settle = (slot: number, offset: number, port: number): void =>
    selection.settle(selection.place, slot, offset, port, TEN);

  const alone = begin(one);
  const slot = selection.slot;
  writeTuple(CORE, other); // as another search may do meanwhile
  settle(slot, alone, first + (alone % 10));
  expect(counters()).toEqual([1, 0]);

  const outer = begin(one);
  const inner = begin(other);
  settle(selection.slot, inner, first + ((inner + 1) % 10));
  settle(slot, outer, first + ((outer + 2) % 10));
  expect(counters()).toEqual([4, 2]);
  selection.close();
});

test("random-increments goes up by 1 to increment", () => {
  const selection = open(CORE, { algorithm: "random-increments", increment: 5, from: 0xfffffff0 });
  const steps = new Set<number>();
  for (let draws = 0, last = 0xfffffff0; draws < 500; draws++) {
    const next = selection.draw();
    steps.add((next - last + 2 ** 32) % 2 ** 32);
    last = next;
  }
  expect([...steps].sort()).toEqual([1, 2, 3, 4, 5]);
  selection.close();
});

test("random-retry gives all free ports equally often", () => {
  const free = [40_000, 40_001, 40_002, 40_007];
  const selection = open(CORE, "random-retry", 7);
  const counts = new Map(free.map((port) => [port, 0]));
  let found = 0;
  for (let picks = 0; picks < 40_000; picks++) {
    const port = pick(selection, TEN, (port) => counts.has(port));
    if (port === undefined) continue;
    counts.set(port, (counts.get(port) as number) + 1);
    found++;
  }
  // Chi-square with three degrees of freedom: 16.27 is passed by one in a thousand.
  const expected = found / free.length;
  const chi = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  expect(chi).toBeLessThan(16.27);
  selection.close();
});

test("random-retry misses a single free port of ten about as often as it should", () => {
  const selection = open(CORE, "random-retry", 8);
  let missed = 0;
  for (let picks = 0; picks < 10_000; picks++) {
    if (pick(selection, TEN, (port) => port === 40_003) === undefined) missed++;
  }
  expect(missed / 10_000).toBeCloseTo(0.9 ** 10, 1);
  selection.close();
});

test("a search that fails leaves the counters of linear policies as they were", () => {
  for (const algorithm of ["hash", "double-hash", "sequential"] as const) {
    const selection = open(CORE, optionsOf(algorithm, 123, 1));
    writeTuple(CORE, TUPLES[2] as Tuple);
    expect(pick(selection, TEN, () => false)).toBeUndefined();
    expect(counterOf(CORE, selection, 0)).toBe(123);
    selection.close();
  }
});

test("the same seed gives the same keys, counters and ports", () => {
  for (const algorithm of NAMES) {
    const [one, other] = [open(CORE, algorithm, 5), open(CORE, algorithm, 5)];
    writeTuple(CORE, TUPLES[1] as Tuple);
    expect(fill(one, TEN)).toEqual(fill(other, TEN));
    one.close();
    other.close();
  }
});

test("a secret is not the same twice, unless it is given", () => {
  const startOf = (options: SelectionOptions): number => {
    const selection = new Selection(CORE, new CryptoRandom(), checkSelection(options));
    writeTuple(CORE, TUPLES[1] as Tuple);
    const start = selection.start(selection.place);
    selection.close();
    return start;
  };
  for (const algorithm of ["hash", "double-hash"] as const) {
    const drawn = Array.from({ length: 4 }, () => startOf({ algorithm, from: 0 }));
    expect(new Set(drawn).size).toBeGreaterThan(1);
    const given = { algorithm, from: 0, secret: SECRET };
    expect(startOf(given)).toBe(hashOf(TUPLES[1] as Tuple, 0));
  }
});

// ── Life ──────────────────────────────────────────────────────────────────────────────────

test("close gives the memory back, and a second close does nothing", () => {
  for (const algorithm of NAMES) {
    const before = usedBytes(CORE);
    const selections = Array.from({ length: 20 }, () => open(CORE, algorithm));
    expect(usedBytes(CORE) > before).toBe(STORED.includes(algorithm));
    for (const selection of selections) selection.close();
    for (const selection of selections) selection.close();
    expect(usedBytes(CORE)).toBe(before);
  }
});

test("a table of 65536 counters takes 256 KiB and a little", () => {
  const before = usedBytes(CORE);
  const selection = open(CORE, { algorithm: "double-hash", slots: 65_536 });
  const used = usedBytes(CORE) - before;
  expect(used).toBeGreaterThanOrEqual(4 * 65_536);
  expect(used).toBeLessThan(4 * 65_536 + 64);
  expect(counterOf(CORE, selection, 65_535)).toBeLessThan(2 ** 32);
  selection.close();
  expect(usedBytes(CORE)).toBe(before);
});

test("a policy with counters that has been closed says so", () => {
  for (const algorithm of STORED) {
    const selection = open(CORE, algorithm);
    selection.close();
    const call = (): number =>
      selection.isDrawn ? selection.draw() : selection.start(selection.place);
    expect(call).toThrow(expect.objectContaining({ code: "EBADF", reason: "closed" }));
    expect(() => selection.selector).toThrow(expect.objectContaining({ code: "EBADF" }));
  }
});

// ── Options ───────────────────────────────────────────────────────────────────────────────

test("nothing is random, and a name is the same as an object with it", () => {
  expect(checkSelection(undefined).algorithm).toBe("random");
  for (const algorithm of NAMES) {
    expect(checkSelection(algorithm)).toEqual(checkSelection({ algorithm }));
    expect(checkSelection(algorithm)).toMatchObject({ algorithm, slots: 256, increment: 500 });
  }
});

test("a secret is copied", () => {
  const secret = Uint8Array.from(SECRET);
  const checked = checkSelection({ algorithm: "hash", secret });
  secret.fill(0);
  expect(checked).toEqual(checkSelection({ algorithm: "hash", secret: SECRET }));
});

const double = "double-hash";
const steps = "random-increments";
const BAD: readonly (readonly [string, unknown, string, RegExp])[] = [
  ["a number", 3, "ERR_INVALID_ARG_TYPE", /selection must be a name or an object.*got 3/],
  ["null", null, "ERR_INVALID_ARG_TYPE", /selection must be an object, got null/],
  ["a list", ["hash"], "ERR_INVALID_ARG_TYPE", /got an array of 1/],
  ["an unknown name", "hsah", "ERR_INVALID_ARG_VALUE", /"hash".*got "hsah"/],
  ["a name of Object", "toString", "ERR_INVALID_ARG_VALUE", /got "toString"/],
  ["no name", {}, "ERR_INVALID_ARG_TYPE", /selection.algorithm must be a string/],
  ["a bad name", { algorithm: "" }, "ERR_INVALID_ARG_VALUE", /selection.algorithm must be one of/],
  [
    "an unknown option",
    { algorithm: double, slot: 1 },
    "ERR_INVALID_ARG_VALUE",
    /known are algorithm, secret, slots, /,
  ],
  [
    "a useless option",
    { algorithm: "hash", slots: 1 },
    "ERR_INVALID_ARG_VALUE",
    /no option "slots"/,
  ],
  [
    "an option of none",
    { algorithm: "random", from: 1 },
    "ERR_INVALID_ARG_VALUE",
    /has no options/,
  ],
  ["no slots", { algorithm: double, slots: 0 }, "ERR_OUT_OF_RANGE", /in 1\.\.65536, got 0/],
  ["many slots", { algorithm: double, slots: 65_537 }, "ERR_OUT_OF_RANGE", /selection\.slots/],
  ["null slots", { algorithm: double, slots: null }, "ERR_INVALID_ARG_TYPE", /got null/],
  ["half a slot", { algorithm: double, slots: 1.5 }, "ERR_OUT_OF_RANGE", /got 1\.5/],
  ["no increment", { algorithm: steps, increment: 0 }, "ERR_OUT_OF_RANGE", /1\.\.65535, got 0/],
  ["a word", { algorithm: steps, increment: "5" }, "ERR_INVALID_ARG_TYPE", /selection\.increment/],
  ["a negative start", { algorithm: "sequential", from: -1 }, "ERR_OUT_OF_RANGE", /got -1/],
  [
    "a start of 33 bits",
    { algorithm: "hash", from: 2 ** 32 },
    "ERR_OUT_OF_RANGE",
    /selection\.from/,
  ],
  ["a text", { algorithm: "hash", secret: "s" }, "ERR_INVALID_ARG_TYPE", /Uint8Array of 32 bytes/],
  [
    "a short secret",
    { algorithm: "hash", secret: new Uint8Array(31) },
    "ERR_INVALID_ARG_VALUE",
    /must have 32 bytes, got 31/,
  ],
];

test.each(BAD)("%s as selection is refused", (_what, selection, code, message) => {
  let error: unknown;
  try {
    checkSelection(selection);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(PortError);
  expect(error).toMatchObject({ code, reason: "invalid-argument" });
  expect((error as PortError).message).toMatch(message);
});
