// The policies of port selection: their sequences of ports against a plain transcription of RFC
// 6056's algorithms, for any tuple, range and filling; and what they keep in memory.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { SeededRandom } from "../../../bindings/core/random.ts";
import { type OpenOptions, type PortPool, UDP } from "../../../bindings/index.ts";
import {
  checkSelection,
  type PolicyName,
  Selection,
  type SelectionOptions,
} from "../../../bindings/selection.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import {
  COUNTED,
  hashOf,
  LINEAR,
  optionsOf,
  Plain,
  POLICIES,
  SECRET,
  type Tuple,
} from "../../support/rfc6056.ts";
import { answerOf, instanceBytes, reservedOn } from "./fixture.ts";

/** Those that a search meets each port with once, from a place that is kept. */
const PLACED = LINEAR.filter((name) => name !== "random");
/** Those that keep something in the core. */
const STORED: readonly PolicyName[] = COUNTED.filter((algorithm) => algorithm !== "sequential");
const EVERY = { first: 1, last: 65_535 };
const OFTEN = Array.from({ length: 8 }, (_, number) => tupleNumber(number));
const COMMON = tupleNumber(1);

function tupleNumber(number: number): Tuple {
  const local = Uint8Array.from({ length: 16 }, (_, at) => at);
  return { local, remote: local.map((byte) => byte * number), port: 440 + number };
}

function requestFor({ local, remote, port }: Tuple) {
  const destination = { address: remote, port };
  return { networks: [6], transport: UDP, address: local, destination };
}

// ── Any search ────────────────────────────────────────────────────────────────────────────

const anyAddress = fc.uint8Array({ minLength: 16, maxLength: 16 });
const anyTuple: fc.Arbitrary<Tuple> = fc.record({
  local: anyAddress,
  remote: anyAddress,
  port: fc.integer({ min: 0, max: 65_535 }),
});
/** Counters begin low, around the sign, or just before they wrap. */
const anyFrom = fc.oneof(
  fc.constant(undefined),
  ...[0, 2 ** 31 - 25, 2 ** 32 - 51].map((min) => fc.integer({ min, max: min + 50 })),
);
const anyStep = fc.record({
  tuple: fc.oneof(fc.constantFrom(...OFTEN), anyTuple),
  first: fc.integer({ min: 1, max: 100 }),
  more: fc.integer({ min: 0, max: 20 }),
  /** How full the range is, and with what. */
  taken: fc.constantFrom(0, 0.3, 0.9, 1),
  salt: fc.nat(),
});

/** Of 128 ports, each with that probability. */
function somePorts(share: number, salt: number): number[] {
  const random = new SeededRandom(salt);
  const ports = Array.from({ length: 128 }, (_, port) => port);
  return ports.filter(() => random.next() / 2 ** 32 < share);
}

describe.each(BUILDS)("on the %s build", (build) => {
  const ways = POLICIES.flatMap((policy) => [
    [policy, "pools"] as const,
    [policy, "reservations"] as const,
  ]);

  test.each(ways)("%s gives the ports of RFC 6056, and moves its counters: %s", (policy, way) => {
    const size = fc.integer({ min: 1, max: 7 });
    const steps = fc.array(anyStep, { maxLength: 30 });
    fc.assert(
      fc.property(anyFrom, size, fc.nat({ max: 1e6 }), steps, (from, size, seed, steps) => {
        const selection = optionsOf(policy, size, from);
        using manager = openOn(build, { seed, selection });
        const plain = new Plain(seed, selection);
        const reserved = reservedOn(build);
        const requestTo = (tuple: Tuple) => ({ ...requestFor(tuple), reserved });
        // A pool of this policy has a place of its own, as has each description.
        const alone = policy === "sequential" ? manager.pool(requestTo(COMMON)) : undefined;
        for (const { tuple, first, more, taken, salt } of steps) {
          const full = somePorts(taken, salt);
          reserved.text = full.join();
          plain.reserved = new Set(full);
          plain.range = { first, last: first + more };
          manager.setPortRange(first, first + more);
          const request = requestTo(alone ? COMMON : tuple);
          const tester = salt % 2 ? () => true : undefined;
          using pool = alone ? undefined : manager.pool(request);
          const port =
            way === "pools"
              ? (pool ?? alone)?.take()
              : answerOf(() => manager.reservePort(request, tester));
          expect(port).toBe(plain.pick(tuple));
          manager.releaseAll();
          plain.taken.clear();
        }
      }),
      { numRuns: 150 },
    );
  });

  describe.each(PLACED)("%s", (algorithm) => {
    const poolOn = (options: OpenOptions, from?: number): PortPool => {
      const manager = openOn(build, { ...options, selection: optionsOf(algorithm, 3, from) });
      return manager.pool({ ...requestFor(COMMON), reserved });
    };
    const reserved = reservedOn(build);

    test("meets each port once, wherever its counter stands", () => {
      const around = [0, 2 ** 31, 2 ** 32 - 7].flatMap((from) => [from, from + 1, from + 6]);
      for (const from of [...around, 2 ** 31 - 1, 2 ** 32 - 3]) {
        const ports = new Uint16Array(7);
        poolOn({ portRange: { first: 500, last: 506 } }, from).takeMany(ports);
        expect([...ports].sort()).toEqual([500, 501, 502, 503, 504, 505, 506]);
      }
    });

    test("gives any port of a range that has but one", () => {
      for (const port of [1, 32_768, 65_535]) {
        reserved.text = "0-65535";
        reserved.delete(port, port);
        expect(poolOn({ portRange: EVERY }).take()).toBe(port);
      }
    });
  });

  test.each(["hash", "double-hash"] as const)("%s has another secret each time", (algorithm) => {
    const startOf = (options: object): number => {
      const selection = { algorithm, from: 0, ...options };
      using manager = openOn(build, { portRange: EVERY, selection });
      return manager.pool(requestFor(COMMON)).take();
    };
    const drawn = Array.from({ length: 4 }, () => startOf({}));
    expect(new Set(drawn).size).toBeGreaterThan(1);
    expect(startOf({ secret: SECRET })).toBe(1 + (hashOf(COMMON, 0) % 65_535));
  });

  // ── Memory ──────────────────────────────────────────────────────────────────────────────

  /** Bytes that a manager has beside those of one that needs no table. */
  function bytesOf(selection: SelectionOptions): number {
    const before = instanceBytes(build);
    using _plain = openOn(build);
    const between = instanceBytes(build);
    using _manager = openOn(build, { selection });
    return instanceBytes(build) - between - (between - before);
  }

  test.each(POLICIES)("%s takes memory if it has a table, and gives it back", (algorithm) => {
    const before = instanceBytes(build);
    expect(bytesOf({ algorithm }) > 0).toBe(STORED.includes(algorithm));
    expect(instanceBytes(build)).toBe(before);
  });

  test("a table of 65536 counters takes 256 KiB and a little", () => {
    const bytes = bytesOf({ algorithm: "double-hash", slots: 65_536 });
    expect(bytes).toBeGreaterThanOrEqual(4 * 65_536);
    expect(bytes).toBeLessThan(4 * 65_536 + 64);
  });
});

// ── Options ───────────────────────────────────────────────────────────────────────────────

test.each(STORED)("%s that has been closed says so", (algorithm) => {
  const checked = checkSelection(algorithm);
  const selection = new Selection(coreOf(undefined), new SeededRandom(1), checked);
  selection.close();
  const ask = () => (selection.isDrawn ? selection.draw() : selection.start(selection.place));
  for (const act of [ask, () => selection.selector]) {
    expect(act).toThrow(expect.objectContaining({ code: "EBADF", reason: "closed" }));
  }
});

test("nothing is random, and a name is the same as an object with it", () => {
  expect(checkSelection(undefined).algorithm).toBe("random");
  for (const algorithm of POLICIES) {
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
