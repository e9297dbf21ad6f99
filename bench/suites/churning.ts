// Churning: ports of one pool that come and go at random for a long time, by any system.
//
// One operation frees a held port that is drawn at random, so that some ports stay for long and
// others do not, and takes another one from a random offset, which comes into its place. All
// systems draw the same numbers.

import { IPV4, PortManager, type PortPool, type Reservation, TCP } from "../../bindings/index.ts";
import { ReferencePortManager } from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import { type Churn, churnOf, type Lots, type Size } from "../harness/lots.ts";
import { shuffledPorts } from "../harness/workloads.ts";

const ADDRESS = "10.0.0.1";
const KEY = { networks: [IPV4], transport: TCP, address: ADDRESS } as const;

export function churnHandle(size: Size): Churn {
  const manager = PortManager.open({ portRange: size.range });
  const pool = manager.pool(KEY);
  const held = heldAtFirst(size);
  for (const port of held) pool.takeAt(port);
  const run = (lots: Lots): void => runHandle(pool, held, lots);
  return churnOf("handles", size, run, held, manager);
}

function runHandle(pool: PortPool, held: Uint16Array, { victims, offsets }: Lots): void {
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    pool.free(held[victim] as number);
    held[victim] = pool.take(offsets[at] as number);
  }
}

export function churnBitmap(size: Size): Churn {
  const pool = new JsBitmap(size.range.first, size.range.last);
  const held = heldAtFirst(size);
  for (const port of held) pool.takeAt(port);
  return churnOf("js-bitmap", size, (lots) => runBitmap(pool, held, lots), held);
}

function runBitmap(pool: JsBitmap, held: Uint16Array, { victims, offsets }: Lots): void {
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    pool.free(held[victim] as number);
    held[victim] = pool.take(offsets[at] as number);
  }
}

export function churnSet(size: Size): Churn {
  const pool = new JsSet(size.range.first, size.range.last);
  const held = heldAtFirst(size);
  for (const port of held) pool.takeAt(port);
  return churnOf("js-set", size, (lots) => runSet(pool, held, lots), held);
}

function runSet(pool: JsSet, held: Uint16Array, { victims, offsets }: Lots): void {
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    pool.free(held[victim] as number);
    held[victim] = pool.take(offsets[at] as number);
  }
}

/** The caller keeps reservations, as whoever uses words does. */
export function churnWords(size: Size): Churn {
  const manager = PortManager.open({ portRange: size.range });
  const held = Array.from(heldAtFirst(size), (port) => manager.reservePort({ ...KEY, port }));
  const run = (lots: Lots): void => runWords(manager, held, lots);
  return churnOf("words", size, run, portsOf(held), manager);
}

function runWords(manager: PortManager, held: Reservation[], { victims, offsets }: Lots): void {
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    held[victim]?.release();
    const offset = offsets[at] as number;
    held[victim] = manager.reservePort({
      networks: [IPV4],
      transport: TCP,
      address: ADDRESS,
      offset,
    });
  }
}

function portsOf(held: readonly Reservation[]): Iterable<number> {
  return {
    *[Symbol.iterator]() {
      for (const { port } of held) yield port;
    },
  };
}

export function churnReference(size: Size): Churn {
  const manager = new ReferencePortManager();
  manager.setPortRange(size.range.first, size.range.last);
  const held = heldAtFirst(size);
  for (const port of held) manager.reservePort(reference(port), 0);
  return churnOf("reference", size, (lots) => runReference(manager, held, lots), held);
}

function runReference(
  manager: ReferencePortManager,
  held: Uint16Array,
  { victims, offsets }: Lots,
): void {
  const any = reference(0);
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    manager.releasePort(reference(held[victim] as number));
    held[victim] = manager.reservePort(any, offsets[at] as number);
  }
}

function reference(port: number): Parameters<ReferencePortManager["reservePort"]>[0] {
  const destination = { address: "", port: 0 };
  return { networks: [4], transport: 6, address: ADDRESS, port, flags: 0, device: 0, destination };
}

/** The ports that are held before the first operation. */
function heldAtFirst({ range, live }: Size): Uint16Array {
  const inRange = shuffledPorts().filter((port) => port <= range.last);
  return Uint16Array.from(inRange.slice(0, live));
}
