// Crowds: very many pools of one system, so that one of them can be measured in the company of the
// others. Each system holds the same ports for the same pools, opened in the same order.
//
//   local addresses   every pool has an address of its own, and no destination
//   destinations      all pools have one address; each goes to another destination and may take a
//                     port that others hold

import { IPV4, PortManager, type PortPool, type PortRange, TCP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import type { System } from "../harness/setup.ts";
import { COUNT, FIRST, LAST, shuffledPorts } from "../harness/workloads.ts";

export type Kind = "local addresses" | "destinations";

/** Who is there, and who holds what. */
export interface Population {
  readonly kind: Kind;
  readonly range: PortRange;
  /** The ports that each pool holds, in the order in which pools are opened. */
  readonly held: readonly Uint16Array[];
}

export interface Crowd {
  readonly system: System;
  take(pool: number, offset: number): number;
  free(pool: number, port: number): void;
  /** Work: one pool takes and frees a port for each offset. */
  one(pool: number, offsets: Uint32Array): () => void;
  /** Work: the pools named in `order` take and free a port for each offset. */
  each(order: Uint32Array, offsets: Uint32Array): () => void;
  close(): void;
}

/** A crowd of `count` pools; the one at `chosen` holds half the range, all others `few` ports. */
export function population(
  kind: Kind,
  count: number,
  chosen: number,
  few: number,
  smoke: boolean,
): Population {
  const range = { first: FIRST, last: smoke ? FIRST + 399 : LAST };
  const order = shuffledPorts().filter((port) => port <= range.last);
  // Twice, so that a share may begin anywhere.
  const ports = Uint16Array.from([...order, ...order]);
  const half = ports.subarray(0, order.length >> 1);
  const held = Array.from({ length: count }, (_, pool) => {
    const start = (pool * few) % order.length;
    return pool === chosen ? half : ports.subarray(start, start + few);
  });
  return { kind, range, held };
}

/** The pools' numbers in a random order, again and again. */
export function ordered(count: number, length: number): Uint32Array {
  const order = shuffledPorts().filter((port) => port < FIRST + count);
  if (count > COUNT) throw new RangeError("more pools than the order has numbers");
  return Uint32Array.from({ length }, (_, at) => (order[at % count] as number) - FIRST);
}

// ── Handles ───────────────────────────────────────────────────────────────────────────────

export function handles({ kind, range, held }: Population): Crowd {
  const manager = PortManager.open({ portRange: range });
  const pools = held.map((ports, index) => {
    const { address, destination } = endsOf(kind, index);
    const key = { networks: [IPV4], transport: TCP, address };
    const pool = manager.pool(kind === "destinations" ? { ...key, destination } : key);
    for (const port of ports) checkTaken(port, pool.takeAt(port));
    return pool;
  });
  return {
    system: "handles",
    take: (pool, offset) => (pools[pool] as PortPool).take(offset),
    free: (pool, port) => (pools[pool] as PortPool).free(port),
    one: (pool, offsets) => () => oneHandle(pools[pool] as PortPool, offsets),
    each: (order, offsets) => () => eachHandle(pools, order, offsets),
    close: () => manager.close(),
  };
}

function oneHandle(pool: PortPool, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) pool.free(pool.take(offsets[at] as number));
}

function eachHandle(pools: readonly PortPool[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const pool = pools[order[at] as number] as PortPool;
    pool.free(pool.take(offsets[at] as number));
  }
}

// ── A JS bitmap for each pool ─────────────────────────────────────────────────────────────

export function bitmaps({ range, held }: Population): Crowd {
  const pools = held.map((ports) => {
    const pool = new JsBitmap(range.first, range.last);
    for (const port of ports) checkTaken(port, pool.takeAt(port));
    return pool;
  });
  return {
    system: "js-bitmap",
    take: (pool, offset) => (pools[pool] as JsBitmap).take(offset),
    free: (pool, port) => (pools[pool] as JsBitmap).free(port),
    one: (pool, offsets) => () => oneBitmap(pools[pool] as JsBitmap, offsets),
    each: (order, offsets) => () => eachBitmap(pools, order, offsets),
    close: () => void pools.splice(0),
  };
}

function oneBitmap(pool: JsBitmap, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) pool.free(pool.take(offsets[at] as number));
}

function eachBitmap(pools: readonly JsBitmap[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const pool = pools[order[at] as number] as JsBitmap;
    pool.free(pool.take(offsets[at] as number));
  }
}

// ── A JS set for each pool ────────────────────────────────────────────────────────────────

export function sets({ range, held }: Population): Crowd {
  const pools = held.map((ports) => {
    const pool = new JsSet(range.first, range.last);
    for (const port of ports) checkTaken(port, pool.takeAt(port));
    return pool;
  });
  return {
    system: "js-set",
    take: (pool, offset) => (pools[pool] as JsSet).take(offset),
    free: (pool, port) => (pools[pool] as JsSet).free(port),
    one: (pool, offsets) => () => oneSet(pools[pool] as JsSet, offsets),
    each: (order, offsets) => () => eachSet(pools, order, offsets),
    close: () => void pools.splice(0),
  };
}

function oneSet(pool: JsSet, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) pool.free(pool.take(offsets[at] as number));
}

function eachSet(pools: readonly JsSet[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const pool = pools[order[at] as number] as JsSet;
    pool.free(pool.take(offsets[at] as number));
  }
}

// ── The reference model ────────────────────────────────────────────────────────────────────────

export function reference({ kind, range, held }: Population): Crowd {
  const manager = new ReferencePortManager();
  manager.setPortRange(range.first, range.last);
  const keys = held.map((ports, index) => {
    const ends = endsOf(kind, index);
    const destination = kind === "destinations" ? ends.destination : { address: "", port: 0 };
    const key = {
      networks: [4],
      transport: 6,
      address: ends.address,
      port: 0,
      flags: 0,
      device: 0,
    };
    for (const port of ports) {
      checkTaken(port, manager.reservePort({ ...key, destination, port }, 0));
    }
    return { ...key, destination };
  });
  const connects = kind === "destinations";
  const take = (pool: number, offset: number): number => {
    const key = keys[pool] as ReferenceRequest;
    return connects ? manager.connect(key, offset) : manager.reservePort(key, offset);
  };
  const free = (pool: number, port: number): void => {
    manager.releasePort({ ...(keys[pool] as ReferenceRequest), port });
  };
  return {
    system: "reference",
    take,
    free,
    one: (pool, offsets) => () => {
      for (let at = 0; at < offsets.length; at++) free(pool, take(pool, offsets[at] as number));
    },
    each: (order, offsets) => () => {
      for (let at = 0; at < offsets.length; at++) {
        const pool = order[at] as number;
        free(pool, take(pool, offsets[at] as number));
      }
    },
    close: () => void keys.splice(0),
  };
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

interface Ends {
  readonly address: string;
  readonly destination: { readonly address: string; readonly port: number };
}

function endsOf(kind: Kind, index: number): Ends {
  const isLocal = kind === "local addresses";
  const low = `${index >> 8}.${index & 255}`;
  return {
    address: isLocal ? `10.1.${low}` : "10.0.0.1",
    destination: { address: `93.0.${low}`, port: 443 },
  };
}

function checkTaken(port: number, answer: number): void {
  if (answer !== port) throw new Error(`port ${port} could not be taken: ${answer}`);
}
