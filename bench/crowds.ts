// Crowds: very many flows of one system, so that one of them can be measured in the company of the
// others. Each system holds the same ports for the same flows, opened in the same order.
//
//   local addresses   every flow has an address of its own, and no destination
//   destinations      all flows have one address; each goes to another destination and may take a
//                     port that others hold

import { type Flow, IPV4, PortManager, type PortRange, TCP } from "../bindings/index.ts";
import { JsBitmap } from "./baselines/js-bitmap.ts";
import { JsSet } from "./baselines/js-set.ts";
import { NaivePortManager, type NaiveRequest } from "./baselines/naive.ts";
import type { System } from "./stage.ts";
import { COUNT, FIRST, LAST, shuffledPorts } from "./workloads.ts";

export type Kind = "local addresses" | "destinations";

/** Who is there, and who holds what. */
export interface Population {
  readonly kind: Kind;
  readonly range: PortRange;
  /** The ports that each flow holds, in the order in which flows are opened. */
  readonly held: readonly Uint16Array[];
}

export interface Crowd {
  readonly system: System;
  take(flow: number, offset: number): number;
  free(flow: number, port: number): void;
  /** Work: one flow takes and frees a port for each offset. */
  one(flow: number, offsets: Uint32Array): () => void;
  /** Work: the flows named in `order` take and free a port for each offset. */
  each(order: Uint32Array, offsets: Uint32Array): () => void;
  close(): void;
}

/** A crowd of `count` flows; the one at `chosen` holds half the range, all others `few` ports. */
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
  const held = Array.from({ length: count }, (_, flow) => {
    const start = (flow * few) % order.length;
    return flow === chosen ? half : ports.subarray(start, start + few);
  });
  return { kind, range, held };
}

/** The flows' numbers in a random order, again and again. */
export function ordered(count: number, length: number): Uint32Array {
  const order = shuffledPorts().filter((port) => port < FIRST + count);
  if (count > COUNT) throw new RangeError("more flows than the order has numbers");
  return Uint32Array.from({ length }, (_, at) => (order[at % count] as number) - FIRST);
}

// ── Handles ───────────────────────────────────────────────────────────────────────────────

export function handles({ kind, range, held }: Population): Crowd {
  const manager = PortManager.open({ portRange: range });
  const flows = held.map((ports, index) => {
    const { address, destination } = endsOf(kind, index);
    const key = { networks: [IPV4], transport: TCP, address };
    const flow = manager.flow(kind === "destinations" ? { ...key, destination } : key);
    for (const port of ports) checkTaken(port, flow.takeAt(port));
    return flow;
  });
  return {
    system: "handles",
    take: (flow, offset) => (flows[flow] as Flow).take(offset),
    free: (flow, port) => (flows[flow] as Flow).free(port),
    one: (flow, offsets) => () => oneHandle(flows[flow] as Flow, offsets),
    each: (order, offsets) => () => eachHandle(flows, order, offsets),
    close: () => manager.close(),
  };
}

function oneHandle(flow: Flow, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) flow.free(flow.take(offsets[at] as number));
}

function eachHandle(flows: readonly Flow[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const flow = flows[order[at] as number] as Flow;
    flow.free(flow.take(offsets[at] as number));
  }
}

// ── A JS bitmap for each flow ─────────────────────────────────────────────────────────────

export function bitmaps({ range, held }: Population): Crowd {
  const flows = held.map((ports) => {
    const flow = new JsBitmap(range.first, range.last);
    for (const port of ports) checkTaken(port, flow.takeAt(port));
    return flow;
  });
  return {
    system: "js-bitmap",
    take: (flow, offset) => (flows[flow] as JsBitmap).take(offset),
    free: (flow, port) => (flows[flow] as JsBitmap).free(port),
    one: (flow, offsets) => () => oneBitmap(flows[flow] as JsBitmap, offsets),
    each: (order, offsets) => () => eachBitmap(flows, order, offsets),
    close: () => void flows.splice(0),
  };
}

function oneBitmap(flow: JsBitmap, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) flow.free(flow.take(offsets[at] as number));
}

function eachBitmap(flows: readonly JsBitmap[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const flow = flows[order[at] as number] as JsBitmap;
    flow.free(flow.take(offsets[at] as number));
  }
}

// ── A JS set for each flow ────────────────────────────────────────────────────────────────

export function sets({ range, held }: Population): Crowd {
  const flows = held.map((ports) => {
    const flow = new JsSet(range.first, range.last);
    for (const port of ports) checkTaken(port, flow.takeAt(port));
    return flow;
  });
  return {
    system: "js-set",
    take: (flow, offset) => (flows[flow] as JsSet).take(offset),
    free: (flow, port) => (flows[flow] as JsSet).free(port),
    one: (flow, offsets) => () => oneSet(flows[flow] as JsSet, offsets),
    each: (order, offsets) => () => eachSet(flows, order, offsets),
    close: () => void flows.splice(0),
  };
}

function oneSet(flow: JsSet, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) flow.free(flow.take(offsets[at] as number));
}

function eachSet(flows: readonly JsSet[], order: Uint32Array, offsets: Uint32Array): void {
  for (let at = 0; at < offsets.length; at++) {
    const flow = flows[order[at] as number] as JsSet;
    flow.free(flow.take(offsets[at] as number));
  }
}

// ── The naive twin ────────────────────────────────────────────────────────────────────────

export function naive({ kind, range, held }: Population): Crowd {
  const manager = new NaivePortManager();
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
  const take = (flow: number, offset: number): number => {
    const key = keys[flow] as NaiveRequest;
    return connects ? manager.connect(key, offset) : manager.reservePort(key, offset);
  };
  const free = (flow: number, port: number): void => {
    manager.releasePort({ ...(keys[flow] as NaiveRequest), port });
  };
  return {
    system: "naive",
    take,
    free,
    one: (flow, offsets) => () => {
      for (let at = 0; at < offsets.length; at++) free(flow, take(flow, offsets[at] as number));
    },
    each: (order, offsets) => () => {
      for (let at = 0; at < offsets.length; at++) {
        const flow = order[at] as number;
        free(flow, take(flow, offsets[at] as number));
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
