// The baselines that the benchmarks measure against: whatever they cost, they answer right.

import { describe, expect, test } from "vitest";
import { JsBitmap } from "../../bench/baselines/js-bitmap.ts";
import { JsSet } from "../../bench/baselines/js-set.ts";
import { plainMember, referenceRequest } from "../../bench/harness/allocators.ts";
import { SeededRandom } from "../../bindings/core/random.ts";
import { ReferencePortManager, type ReferenceRequest } from "../models/reference-manager.ts";

const NONE = -1;

/** First and last port: one alone, and both sides of the edges of words and summaries. */
const RANGES: readonly (readonly [first: number, last: number])[] = [
  [1, 1],
  [3, 5],
  [40, 50],
  [31, 32],
  [32, 32],
  [63, 63],
  [63, 65],
  [64, 64],
  [1, 63],
  [1, 64],
  [1, 65],
  [65, 127],
  [4095, 4096],
  [4000, 4200],
  [1000, 2100],
  [32760, 32775],
  [65472, 65535],
  [65535, 65535],
];

describe.each(RANGES)("range %i..%i", (first, last) => {
  test.each([
    ["JsBitmap", JsBitmap],
    ["JsSet", JsSet],
  ])("%s takes and frees what the reference model does", (_name, Ports) => {
    const random = new SeededRandom(first * 65536 + last);
    const ports = new Ports(first, last);
    const model = new Model(first, last);
    // Long ranges are nearly full from the start.
    for (let port = first; port <= last - 100; port++) {
      if (random.next() % 50 !== 0) expect(ports.takeAt(port)).toBe(model.takeAt(port));
    }
    for (let step = 0; step < 500; step++) {
      const what = random.next() % 16;
      const port = near(random, first, last);
      // First the range fills, then it empties.
      if (what < (step < 250 ? 10 : 3)) {
        const offset = random.next();
        expect(ports.take(offset)).toBe(model.take(offset));
      } else if (what < 12) expect(ports.free(port)).toBe(model.free(port));
      else if (what < 14) expect(ports.takeAt(port)).toBe(model.takeAt(port));
      else expect(ports.has(port)).toBe(model.has(port));
      if (step % 20 === 0) expect(heldOf(ports, first, last)).toBe(model.held);
    }
  });

  test("JsBitmap takes and frees batches as it does one by one", () => {
    const random = new SeededRandom(first + last);
    const one = new JsBitmap(first, last);
    const many = new JsBitmap(first, last);
    for (let step = 0; step < 20; step++) {
      const length = random.next() % (last - first + 3);
      const offsets = Uint32Array.from({ length }, () => random.next());
      const expected = [...offsets]
        .map((offset) => one.take(offset))
        .filter((port) => port !== NONE);
      const ports = new Uint16Array(length);
      const taken = ports.subarray(0, many.takeMany(ports, offsets));
      expect([...taken]).toEqual(expected);

      const freed = Uint16Array.from([0, ...taken.filter(() => random.next() % 2 === 0), first]);
      const held = [...freed].filter((port) => port !== 0 && one.free(port)).length;
      expect(many.freeMany(freed)).toBe(held);
      expect(heldOf(many, first, last)).toBe(heldOf(one, first, last));
    }
  });
});

test("JsBitmap and JsSet hold all ports there are, to the last one", () => {
  const bitmap = new JsBitmap(1, 65535);
  const set = new JsSet(1, 65535);
  const random = new SeededRandom(7);
  for (let port = 1; port <= 65535; port++) {
    bitmap.takeAt(port);
    set.takeAt(port);
  }
  expect([heldOf(bitmap, 1, 65535), bitmap.take(0)]).toEqual([65535, NONE]);
  expect([heldOf(set, 1, 65535), set.take(0)]).toEqual([65535, NONE]);
  for (const port of [1, 63, 64, 65, 1023, 1024, 4095, 4096, 32767, 32768, 65535]) {
    expect([bitmap.free(port), set.free(port)]).toEqual([true, true]);
  }
  for (let step = 0; step < 12; step++) {
    const offset = random.next();
    const port = set.take(offset);
    expect(bitmap.take(offset)).toBe(port);
    if (port !== NONE) expect([bitmap.has(port), set.has(port)]).toEqual([true, true]);
  }
});

test.each([
  ["JsBitmap", JsBitmap],
  ["JsSet", JsSet],
])("%s refuses what is no offset and what is no port", (_name, Ports) => {
  const ports = new Ports(1, 100);
  for (const offset of [-1, 0.5, Number.NaN, 2 ** 32]) {
    expect(() => ports.take(offset)).toThrow(RangeError);
  }
  for (const port of [0, -1, 1.5, Number.NaN, 65536]) {
    expect(() => ports.takeAt(port)).toThrow(RangeError);
    expect(() => ports.free(port)).toThrow(RangeError);
    expect(() => ports.has(port)).toThrow(RangeError);
  }
  expect(heldOf(ports, 1, 100)).toBe(0);
});

/** How many ports of a range, and next to it, are held. */
function heldOf(ports: Pick<JsSet, "has">, first: number, last: number): number {
  const [from, to] = [Math.max(first - 2, 1), Math.min(last + 2, 65535)];
  let held = 0;
  for (let port = from; port <= to; port++) if (ports.has(port)) held++;
  return held;
}

/** A port of the range or next to it. */
function near(random: SeededRandom, first: number, last: number): number {
  const port = first - 2 + (random.next() % (last - first + 5));
  return Math.min(Math.max(port, 1), 65535);
}

/** The reference model as one pool. */
class Model {
  readonly #manager = new ReferencePortManager();

  constructor(first: number, last: number) {
    this.#manager.setPortRange(first, last);
  }

  take(offset: number): number {
    return Math.max(this.#manager.reservePort(requestFor(0), offset), NONE);
  }

  takeAt(port: number): number {
    return Math.max(this.#manager.reservePort(requestFor(port), 0), NONE);
  }

  free(port: number): boolean {
    return this.#manager.releasePort(requestFor(port));
  }

  has(port: number): boolean {
    return !this.#manager.isAvailable(requestFor(port));
  }

  get held(): number {
    return this.#manager.stats().references;
  }
}

function requestFor(port: number): ReferenceRequest {
  return { ...referenceRequest(plainMember([])), port };
}
