// Cost: the same takes and frees by portwarden, the JS bitmap and the reference model, in this
// browser.
//
// A browser's clock may tick as slowly as every tenth of a millisecond, so a batch has so many
// operations that it lasts some milliseconds: a thousand at least. At each occupancy all three hold
// the same ports, search from the same offsets, and must find the same ports before any of them is
// timed. Batches are timed by turns, another system first each time; what is shown is the median.

import { IPV4, PortManager, TCP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { offsetsOf, shuffledPorts } from "../harness/workloads.ts";
import type { Cost, System } from "./protocol.ts";

const FIRST = 32768;
const LAST = 60999;
const COUNT = LAST - FIRST + 1;
const ADDRESS = "10.0.0.1";

const OFFSETS = 65536;
const CHECKED = 100;
const OPERATIONS_MIN = 1000;
const OPERATIONS_MAX = 1 << 20;
const BATCH_MS = 5;
const LONG_MS = 200;
const BATCHES = 31;
const BATCHES_MIN = 3;
/** A system that has taken so long at one occupancy has as many batches as it gets. */
const PATIENCE_MS = 400;

interface Ports {
  take(offset: number): number;
  free(port: number): boolean;
}

interface Implementation {
  readonly system: System;
  readonly ports: Ports;
  /** Takes and frees. Each system has a loop of its own, which V8 compiles for it alone. */
  loop(offsets: Uint32Array, operations: number): void;
  close?(): void;
}

interface Runner {
  readonly implementation: Implementation;
  operations: number;
  readonly times: number[];
}

/** Yields after each batch, with what is known of one system by then. */
export function* measureCosts(occupancies: readonly number[], now: () => number): Generator<Cost> {
  const order = shuffledPorts().filter((port) => port >= FIRST && port <= LAST);
  const offsets = offsetsOf(2, OFFSETS);
  for (const occupancy of occupancies) {
    const held = order.slice(0, Math.round((COUNT * occupancy) / 100));
    const implementations = [portwarden(held), jsBitmap(held), referenceModel(held)];
    checkEqual(implementations, offsets);
    yield* runByTurns(implementations, occupancy, offsets, now);
    for (const { close } of implementations) close?.();
  }
}

function* runByTurns(
  implementations: readonly Implementation[],
  occupancy: number,
  offsets: Uint32Array,
  now: () => number,
): Generator<Cost> {
  const runners = implementations.map(
    (implementation): Runner => ({ implementation, operations: OPERATIONS_MIN, times: [] }),
  );
  for (const runner of runners) warmUp(runner, offsets, now);
  for (let round = 0; round < BATCHES; round++) {
    const first = round % runners.length;
    for (const runner of [...runners.slice(first), ...runners.slice(0, first)]) {
      if (isDone(runner)) continue;
      runner.times.push(timeOf(runner, offsets, now));
      yield costOf(runner, occupancy);
    }
  }
}

/**
 * Lets the engine compile the loop, and finds out how long a batch has to be. A hitch makes a batch
 * look long, so the shorter of two counts. A batch that is very long already is not made twice: it
 * is the first sample.
 */
function warmUp(runner: Runner, offsets: Uint32Array, now: () => number): void {
  for (;;) {
    const once = timeOf(runner, offsets, now);
    if (once >= LONG_MS) {
      runner.times.push(once);
      return;
    }
    const again = timeOf(runner, offsets, now);
    if (Math.min(once, again) >= BATCH_MS || runner.operations >= OPERATIONS_MAX) return;
    runner.operations *= 2;
  }
}

function isDone({ times }: Runner): boolean {
  const spent = times.reduce((sum, time) => sum + time, 0);
  return spent > PATIENCE_MS && times.length >= BATCHES_MIN;
}

/** Milliseconds of one batch. */
function timeOf(
  { implementation, operations }: Runner,
  offsets: Uint32Array,
  now: () => number,
): number {
  const start = now();
  implementation.loop(offsets, operations);
  return now() - start;
}

function costOf({ implementation, operations, times }: Runner, occupancy: number): Cost {
  const sorted = times.map((time) => (time * 1e6) / operations).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] as number;
  const { system } = implementation;
  const figures = { median: at(0.5), low: at(0.1), high: at(0.9), batches: sorted.length };
  return { kind: "cost", system, occupancy, operations, ...figures };
}

// ── The systems ───────────────────────────────────────────────────────────────────────────

function portwarden(held: readonly number[]): Implementation {
  const manager = PortManager.open({ portRange: { first: FIRST, last: LAST } });
  const ports = manager.pool({ networks: [IPV4], transport: TCP, address: ADDRESS });
  for (const port of held) ports.takeAt(port);
  const loop = (offsets: Uint32Array, operations: number): void => {
    for (let index = 0; index < operations; index++) {
      ports.free(ports.take(offsets[index & (OFFSETS - 1)] as number));
    }
  };
  return { system: "portwarden", ports, loop, close: () => manager.close() };
}

function jsBitmap(held: readonly number[]): Implementation {
  const ports = new JsBitmap(FIRST, LAST);
  for (const port of held) ports.takeAt(port);
  const loop = (offsets: Uint32Array, operations: number): void => {
    for (let index = 0; index < operations; index++) {
      ports.free(ports.take(offsets[index & (OFFSETS - 1)] as number));
    }
  };
  return { system: "JS bitmap", ports, loop };
}

function referenceModel(held: readonly number[]): Implementation {
  const model = new ReferencePortManager();
  model.setPortRange(FIRST, LAST);
  const request: ReferenceRequest = {
    networks: [IPV4],
    transport: TCP,
    address: ADDRESS,
    port: 0,
    flags: 0,
    device: 0,
    destination: { address: "", port: 0 },
  };
  const ports: Ports = {
    take(offset) {
      request.port = 0;
      return model.reservePort(request, offset);
    },
    free(port) {
      request.port = port;
      return model.releasePort(request);
    },
  };
  for (const port of held) model.reservePort({ ...request, port }, 0);
  const loop = (offsets: Uint32Array, operations: number): void => {
    for (let index = 0; index < operations; index++) {
      ports.free(ports.take(offsets[index & (OFFSETS - 1)] as number));
    }
  };
  return { system: "reference model", ports, loop };
}

function checkEqual(implementations: readonly Implementation[], offsets: Uint32Array): void {
  for (const offset of offsets.subarray(0, CHECKED)) {
    const found = implementations.map(({ ports }) => {
      const port = ports.take(offset);
      ports.free(port);
      return port;
    });
    if (new Set(found).size !== 1) {
      throw new Error(`from offset ${offset} the systems found different ports: ${found}`);
    }
  }
}
