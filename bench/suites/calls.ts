// Calls: what one call costs before it does anything.
//
// A handle's take is a method call and a call into WebAssembly. V8 compiles small JavaScript
// methods into their callers, but not what WebAssembly exports: where the work itself takes a few
// nanoseconds, a single call cannot be faster than the same algorithm in JavaScript.

import { readFileSync } from "node:fs";
import { instantiateSync } from "@assemblyscript/loader";
import { IPV4, PortManager, type PortPool, TCP } from "../../bindings/index.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { measureInTurn, type Work } from "../harness/measure.ts";
import type { Contender, Stage, System } from "../harness/setup.ts";
import { digestOf, FIRST, LAST, offsetsOf } from "../harness/workloads.ts";

const CALLS = 100000;
const PAIRS = 10000;
const TURNS = { rounds: 200, milliseconds: 100 };
/** Powers of two, so that an index is reduced by one `&`. */
const KEYS = 1024;

/** `(func (export "same") (param i32) (result i32) local.get 0)`. */
const SAME = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x08, 0x01, 0x04, 0x73, 0x61, 0x6d, 0x65, 0x00, 0x00],
  ...[0x0a, 0x06, 0x01, 0x04, 0x00, 0x20, 0x00, 0x0b],
]);

type Unary = (value: number) => number;

/** Calls something so many times and adds up what it answers. */
interface Calling {
  readonly system: System;
  readonly row: string;
  readonly each: number;
  loop(calls: number): number;
}

export const callsBenchmark: Benchmark = {
  title: "calls: what one call costs, before it does anything",
  run(stage) {
    const manager = PortManager.open();
    const pool = manager.pool({ networks: [IPV4], transport: TCP, address: "10.0.0.1" });
    for (let port = FIRST; port < FIRST + KEYS; port++) pool.takeAt(port);
    const bitmap = new JsBitmap(FIRST, LAST);
    for (let port = FIRST; port < FIRST + KEYS; port++) bitmap.takeAt(port);
    sample(stage, [...plain(), ...maps(), ...webAssembly(), held(pool)]);
    pairs(stage, pool, bitmap);
    manager.close();
  },
};

// ── One call ──────────────────────────────────────────────────────────────────────────────

function plain(): Calling[] {
  const plainOne = new Plain();
  return [
    { system: "js", row: "empty loop", each: 1, loop: emptyLoop },
    { system: "js", row: "method call", each: 1, loop: (calls) => callMethod(plainOne, calls) },
  ];
}

/** Its method reads and writes a number, so that V8 cannot take it out of a loop. */
class Plain {
  #calls = 0;

  call(): number {
    this.#calls = (this.#calls + 1) & (KEYS - 1);
    return 1;
  }
}

function emptyLoop(calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum++;
  return sum;
}

function callMethod(plainOne: Plain, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum += plainOne.call();
  return sum;
}

function maps(): Calling[] {
  const numbers = new Map(Array.from({ length: KEYS }, (_, index) => [FIRST + index, 1]));
  // As a port manager in JavaScript makes its keys; here they have been made beforehand.
  const texts = Array.from({ length: KEYS }, (_, index) => `4/6/${FIRST + index}`);
  const byText = new Map(texts.map((text) => [text, 1]));
  return [
    { system: "js", row: "Map.get, number", each: 1, loop: (calls) => getNumbers(numbers, calls) },
    {
      system: "js",
      row: "Map.get, string",
      each: 1,
      loop: (calls) => getTexts(byText, texts, calls),
    },
    { system: "js", row: "Map.get, new string", each: 1, loop: (calls) => getNew(byText, calls) },
  ];
}

function getNumbers(map: ReadonlyMap<number, number>, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) {
    sum += map.get(FIRST + (call & (KEYS - 1))) as number;
  }
  return sum;
}

function getTexts(
  map: ReadonlyMap<string, number>,
  texts: readonly string[],
  calls: number,
): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) {
    sum += map.get(texts[call & (KEYS - 1)] as string) as number;
  }
  return sum;
}

function getNew(map: ReadonlyMap<string, number>, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) {
    sum += map.get(`4/6/${FIRST + (call & (KEYS - 1))}`) as number;
  }
  return sum;
}

function webAssembly(): Calling[] {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(SAME));
  const same = exports.same as Unary;
  // An instance apart, which leaves the calls of the facade as they are.
  const bytes = readFileSync(new URL("../../core.wasm", import.meta.url));
  const core = instantiateSync<Record<string, unknown>>(bytes);
  const direct = core.instance.exports.hint as Unary;
  const wrapped = core.exports.hint as Unary;
  const open = core.instance.exports.openManager as (...numbers: number[]) => number;
  const advance = core.instance.exports.advanceHint as Unary;
  const manager = open(1, 2, 0xffffffff);
  advance(manager);
  return [
    {
      system: "wasm",
      row: "export that does nothing",
      each: 1,
      loop: (calls) => callSame(same, calls),
    },
    {
      system: "wasm",
      row: "core's hint, called directly",
      each: 1,
      loop: (calls) => callDirect(direct, manager, calls),
    },
    {
      system: "wasm",
      row: "core's hint, by the loader's wrapper",
      each: 1,
      loop: (calls) => callWrapped(wrapped, manager, calls),
    },
  ];
}

function callSame(same: Unary, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum += same(1);
  return sum;
}

function callDirect(hint: Unary, manager: number, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum += hint(manager);
  return sum;
}

function callWrapped(hint: Unary, manager: number, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum += hint(manager);
  return sum;
}

function held(pool: PortPool): Calling {
  return {
    system: "handles",
    row: "pool.held",
    each: KEYS,
    loop: (calls) => heldByPool(pool, calls),
  };
}

function heldByPool(pool: PortPool, calls: number): number {
  let sum = 0;
  for (let call = 0; call < calls; call++) sum += pool.held;
  return sum;
}

function sample(stage: Stage, callings: readonly Calling[]): void {
  const operations = stage.smoke ? 100 : CALLS;
  const works = callings.map(({ row, each, loop }): Work => {
    const run = (): void => {
      const sum = loop(operations);
      if (sum !== each * operations) throw new Error(`${row}: ${sum}`);
    };
    return { operations, run };
  });
  const measured = measureInTurn(stage.smoke ? { rounds: 1 } : TURNS, works);
  for (const [index, { row, system }] of callings.entries()) {
    const figure = measured.figure(works[index] as Work);
    stage.keep({ bench: "calls", row, system, operations, ...figure });
  }
}

// ── Two calls, and the work ───────────────────────────────────────────────────────────────

/** The shortest work: take and free, next to nothing held. */
function pairs(stage: Stage, pool: PortPool, bitmap: JsBitmap): void {
  const operations = stage.smoke ? 100 : PAIRS;
  const offsets = offsetsOf(2, operations);
  const contenders: readonly Contender[] = [
    {
      system: "handles",
      operations,
      digest: () => digestOf(picked(pool, offsets)),
      run: () => takeByPool(pool, offsets),
    },
    {
      system: "js-bitmap",
      operations,
      digest: () => digestOf(picked(bitmap, offsets)),
      run: () => takeByBitmap(bitmap, offsets),
    },
  ];
  const measured = stage.compare({ bench: "calls", row: "take + free" }, contenders);
  const [ours, bitmaps] = contenders as readonly [Contender, Contender];
  const place = { bench: "calls", row: "take + free over js-bitmap" };
  stage.keepOne(place, "handles", measured.ratio(ours, bitmaps), { unit: "ratio" });
}

function picked(from: PortPool | JsBitmap, offsets: Uint32Array): number[] {
  return Array.from(offsets, (offset) => {
    const port = from.take(offset);
    from.free(port);
    return port;
  });
}

function takeByPool(pool: PortPool, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) pool.free(pool.take(offsets[at] as number));
}

function takeByBitmap(bitmap: JsBitmap, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) bitmap.free(bitmap.take(offsets[at] as number));
}
