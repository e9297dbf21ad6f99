// Fill takers: the systems that fill a range with ports of one description. Each has loops of its
// own, so that what one is given does not slow down another.

import { IPV4, IPV6, PortManager, type Reservation, TCP, UDP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { DualJsBitmap, DualJsSet } from "../baselines/dual.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import { FIRST } from "../harness/workloads.ts";
import type { Taker } from "./takers.ts";

/** What the ports are taken for. */
export interface Kind {
  readonly name: string;
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: string;
}

export const KINDS: readonly Kind[] = [
  { name: "tcp-v4", networks: [IPV4], transport: TCP, address: "10.0.0.1" },
  { name: "udp-v4", networks: [IPV4], transport: UDP, address: "10.0.0.1" },
  { name: "tcp-dual-any", networks: [IPV4, IPV6], transport: TCP, address: "" },
];

const BATCH = 256;

/** All but the reference one. The range has as many ports as there are offsets. */
export function fastTakers(kind: Kind, offsets: Uint32Array): Taker[] {
  const last = FIRST + offsets.length - 1;
  const isDual = kind.networks.length > 1;
  const bitmap = (): Bitmap => new (isDual ? DualJsBitmap : JsBitmap)(FIRST, last);
  return [
    handles(kind, offsets, last),
    batch(kind, offsets, last),
    words(kind, offsets, last),
    jsSet(new (isDual ? DualJsSet : JsSet)(FIRST, last), offsets),
    jsBitmap(bitmap(), offsets),
    jsBitmapBatch(bitmap(), offsets),
  ];
}

type Bitmap = Pick<JsBitmap, "take" | "free" | "takeMany" | "freeMany">;

// ── portwarden ────────────────────────────────────────────────────────────────────────────

function handles(request: Kind, offsets: Uint32Array, last: number): Taker {
  const manager = PortManager.open({ portRange: { first: FIRST, last } });
  const pool = manager.pool(withoutName(request));
  const picks = new Uint16Array(offsets.length);
  return {
    system: "handles",
    take(first, end) {
      for (let at = first; at < end; at++) picks[at] = pool.take(offsets[at] as number);
    },
    free(first, end) {
      let freed = 0;
      for (let at = first; at < end; at++) if (pool.free(picks[at] as number)) freed++;
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => manager.close(),
  };
}

function batch(request: Kind, offsets: Uint32Array, last: number): Taker {
  const manager = PortManager.open({ portRange: { first: FIRST, last } });
  const pool = manager.pool(withoutName(request));
  const { picks, chunksOf } = chunked(offsets);
  return {
    system: "batch",
    take(first, end) {
      for (const { ports, from } of chunksOf(first, end)) pool.takeMany(ports, from);
    },
    free(first, end) {
      let freed = 0;
      for (const { ports } of chunksOf(first, end)) freed += pool.freeMany(ports);
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => manager.close(),
  };
}

function words({ networks, transport, address }: Kind, offsets: Uint32Array, last: number): Taker {
  const manager = PortManager.open({ portRange: { first: FIRST, last } });
  const held = new Array<Reservation | undefined>(offsets.length).fill(undefined);
  return {
    system: "words",
    take(first, end) {
      for (let at = first; at < end; at++) {
        const offset = offsets[at] as number;
        held[at] = manager.reservePort({ networks, transport, address, offset });
      }
    },
    free(first, end) {
      let freed = 0;
      for (let at = first; at < end; at++) if (held[at]?.release()) freed++;
      return freed;
    },
    portAt: (place) => held[place]?.port ?? 0,
    close: () => manager.close(),
  };
}

function withoutName({ networks, transport, address }: Kind): Omit<Kind, "name"> {
  return { networks, transport, address };
}

// ── Baselines ─────────────────────────────────────────────────────────────────────────────

/** Looks at some eight million ports to fill the range: seconds. */
export function reference(kind: Kind, offsets: Uint32Array): Taker {
  const manager = new ReferencePortManager();
  manager.setPortRange(FIRST, FIRST + offsets.length - 1);
  const request = (port: number): ReferenceRequest => ({
    ...withoutName(kind),
    port,
    flags: 0,
    device: 0,
    destination: { address: "", port: 0 },
  });
  const any = request(0);
  const picks = new Uint16Array(offsets.length);
  return {
    system: "reference",
    take(first, end) {
      for (let at = first; at < end; at++) {
        picks[at] = manager.reservePort(any, offsets[at] as number);
      }
    },
    free(first, end) {
      let freed = 0;
      for (let at = first; at < end; at++) {
        if (manager.releasePort(request(picks[at] as number))) freed++;
      }
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

function jsSet(held: Pick<JsSet, "take" | "free">, offsets: Uint32Array): Taker {
  const picks = new Uint16Array(offsets.length);
  return {
    system: "js-set",
    take(first, end) {
      for (let at = first; at < end; at++) picks[at] = held.take(offsets[at] as number);
    },
    free(first, end) {
      let freed = 0;
      for (let at = first; at < end; at++) if (held.free(picks[at] as number)) freed++;
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

function jsBitmap(held: Bitmap, offsets: Uint32Array): Taker {
  const picks = new Uint16Array(offsets.length);
  return {
    system: "js-bitmap",
    take(first, end) {
      for (let at = first; at < end; at++) picks[at] = held.take(offsets[at] as number);
    },
    free(first, end) {
      let freed = 0;
      for (let at = first; at < end; at++) if (held.free(picks[at] as number)) freed++;
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

function jsBitmapBatch(held: Bitmap, offsets: Uint32Array): Taker {
  const { picks, chunksOf } = chunked(offsets);
  return {
    system: "js-bitmap batch",
    take(first, end) {
      for (const { ports, from } of chunksOf(first, end)) held.takeMany(ports, from);
    },
    free(first, end) {
      let freed = 0;
      for (const { ports } of chunksOf(first, end)) freed += held.freeMany(ports);
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────

interface Chunk {
  readonly ports: Uint16Array;
  readonly from: Uint32Array;
}

interface Chunked {
  readonly picks: Uint16Array;
  chunksOf(first: number, end: number): readonly Chunk[];
}

/** The stretches of an order in batches, made when a stretch is met for the first time. */
function chunked(offsets: Uint32Array): Chunked {
  const picks = new Uint16Array(offsets.length);
  const made = new Map<string, Chunk[]>();
  const chunksOf = (first: number, end: number): Chunk[] => {
    const chunks: Chunk[] = [];
    for (let start = first; start < end; start += BATCH) {
      const stop = Math.min(start + BATCH, end);
      chunks.push({ ports: picks.subarray(start, stop), from: offsets.subarray(start, stop) });
    }
    return chunks;
  };
  return {
    picks,
    chunksOf(first, end) {
      const name = `${first} ${end}`;
      const chunks = made.get(name) ?? chunksOf(first, end);
      made.set(name, chunks);
      return chunks;
    },
  };
}
