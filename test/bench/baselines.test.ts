// The baselines that the benchmarks measure against: whatever they cost, they answer right.

import { describe, expect, test } from "vitest";
import { MOST_RECENT, TRANSPORT_TCP, TUPLE_ONLY } from "../../assembly/abi.ts";
import { JsBitmap } from "../../bench/baselines/js-bitmap.ts";
import { JsSet } from "../../bench/baselines/js-set.ts";
import { JsTcpSharing, JsUdpSharing } from "../../bench/baselines/js-sharing.ts";
import { JsTable, type TableRequest } from "../../bench/baselines/js-table.ts";
import { referenceRequest } from "../../bench/harness/requests.ts";
import { SeededRandom } from "../../bindings/core/random.ts";
import { ReferencePortManager, type ReferenceRequest } from "../models/reference-manager.ts";

const UDP = 17;
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
      if (step % 20 === 0) expect(ports.held).toBe(model.held);
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
        .map((offset) => {
          const next = one.find(offset);
          expect(one.take(offset)).toBe(next);
          return next;
        })
        .filter((port) => port !== NONE);
      const ports = new Uint16Array(length);
      const taken = ports.subarray(0, many.takeMany(ports, offsets));
      expect([...taken]).toEqual(expected);

      const freed = Uint16Array.from([0, ...taken.filter(() => random.next() % 2 === 0), first]);
      const held = [...freed].filter((port) => port !== 0 && one.free(port)).length;
      expect(many.freeMany(freed)).toBe(held);
      expect(many.held).toBe(one.held);
    }
  });
});

test("all ports there are, to the last one", () => {
  const bitmap = new JsBitmap(1, 65535);
  const set = new JsSet(1, 65535);
  const random = new SeededRandom(7);
  for (let port = 1; port <= 65535; port++) {
    bitmap.takeAt(port);
    set.takeAt(port);
  }
  expect([bitmap.held, bitmap.take(0)]).toEqual([65535, NONE]);
  expect([set.held, set.take(0)]).toEqual([65535, NONE]);
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
  expect(ports.held).toBe(0);
});

describe.each([
  ["TCP", JsTcpSharing, TRANSPORT_TCP, TUPLE_ONLY],
  ["UDP", JsUdpSharing, UDP, MOST_RECENT],
])("a %s pool with SO_REUSEADDR beside plain holders", (_name, Sharing, transport, flags) => {
  test.each(RANGES)("in %i..%i", (first, last) => {
    const random = new SeededRandom(first * 17 + last);
    const ports = new Sharing(first, last);
    const plain = new Model(first, last, { transport });
    const model = new Model(first, last, { transport, flags }, plain.manager);
    const own: number[] = [];
    for (let step = 0; step < 200; step++) {
      const what = random.next() % 8;
      if (what === 0) {
        const port = near(random, first, last);
        const answer = plain.takeAt(port);
        expect(ports.takePlain(port)).toBe(answer);
        if (answer !== NONE) expect(ports.free(port)).toBe(false);
      } else if (what < 5) {
        const offset = random.next();
        const port = model.take(offset);
        expect(ports.take(offset)).toBe(port);
        if (port !== NONE) own.push(port);
      } else if (own.length > 0) {
        // gVisor lets a pool free what others hold; the baselines do not, so that is not asked.
        const port = own.splice(random.next() % own.length, 1)[0] as number;
        expect([ports.free(port), model.free(port)]).toEqual([true, true]);
      }
    }
    const offsets = Uint32Array.from({ length: 40 }, () => random.next());
    const taken = new Uint16Array(40);
    const count = ports.takeMany(taken, offsets);
    const expected = [...offsets].map((offset) => model.take(offset));
    expect([...taken.subarray(0, count)]).toEqual(expected.filter((port) => port !== NONE));
    own.push(...taken.subarray(0, count));
    expect(ports.freeMany(Uint16Array.from(own))).toBe(own.length);
    expect(ports.freeMany(Uint16Array.from(own))).toBe(0);
  });
});

describe("JsTable", () => {
  test("serves pools of several addresses and transports as the reference model does", () => {
    const random = new SeededRandom(11);
    const table = new JsTable(100, 163);
    const model = new ReferencePortManager();
    model.setPortRange(100, 163);
    for (let step = 0; step < 2000; step++) {
      const address = `10.0.0.${random.next() % 3}`;
      const transport = random.next() % 2 === 0 ? TRANSPORT_TCP : UDP;
      const port = random.next() % 3 === 0 ? 0 : 98 + (random.next() % 68);
      const ours: TableRequest = { network: 4, transport, address, port };
      const theirs = referenceRequest(port, { transport, address });
      if (port === 0 || random.next() % 2 === 0) {
        const offset = random.next();
        const answer = Math.max(model.reservePort(theirs, offset), NONE);
        expect(table.reserve(ours, offset)).toBe(answer);
      } else expect(table.release(ours)).toBe(model.releasePort(theirs));
    }
  });

  test("holds a tuple once, and has nothing when all is released", () => {
    const table = new JsTable(100, 163);
    const model = new ReferencePortManager();
    const random = new SeededRandom(12);
    const held: TableRequest[] = [];
    for (let step = 0; step < 300; step++) {
      const destination = { address: "10.9.0.1", port: 1 + (random.next() % 60) };
      const ours = { network: 4, transport: 6, address: "10.0.0.1", port: 443, destination };
      const isHeld = !model.reserveTuple(referenceRequest(443, { destination }));
      expect(table.reserve(ours)).toBe(isHeld ? NONE : 443);
      if (!isHeld) held.push(ours);
    }
    expect(table.size).toBe(held.length);
    for (const tuple of held) expect(table.release(tuple)).toBe(true);
    for (const tuple of held) expect(table.release(tuple)).toBe(false);
    expect(table.size).toBe(0);
  });

  test("keeps a pool as long as a handle is open or a port is held", () => {
    const table = new JsTable(100, 163);
    const request: TableRequest = { network: 4, transport: 6, address: "10.0.0.1", port: 120 };
    const pool = table.pool(request);
    expect([table.reserve(request), pool.has(120), table.release(request)]).toEqual([
      120,
      true,
      true,
    ]);
    expect([table.size, pool.takeAt(121)]).toEqual([1, 121]);
    table.closePool(request);
    expect([table.size, table.release({ ...request, port: 121 }), table.size]).toEqual([
      1,
      true,
      0,
    ]);
  });
});

/** A port of the range or next to it. */
function near(random: SeededRandom, first: number, last: number): number {
  const port = first - 2 + (random.next() % (last - first + 5));
  return Math.min(Math.max(port, 1), 65535);
}

/** The reference model as one pool. */
class Model {
  readonly manager: ReferencePortManager;
  readonly #request: Partial<ReferenceRequest>;

  constructor(
    first: number,
    last: number,
    request: Partial<ReferenceRequest> = {},
    manager: ReferencePortManager = new ReferencePortManager(),
  ) {
    this.manager = manager;
    this.#request = request;
    manager.setPortRange(first, last);
  }

  take(offset: number): number {
    return Math.max(this.manager.reservePort(this.#of(0), offset), NONE);
  }

  takeAt(port: number): number {
    return Math.max(this.manager.reservePort(this.#of(port), 0), NONE);
  }

  free(port: number): boolean {
    return this.manager.releasePort(this.#of(port));
  }

  has(port: number): boolean {
    return !this.manager.isAvailable(this.#of(port));
  }

  get held(): number {
    return this.manager.stats().references;
  }

  #of(port: number): ReferenceRequest {
    return referenceRequest(port, this.#request);
  }
}
