// The JS table: what a good engineer puts on top of the JS bitmap to serve words. A Map from who
// asks, as text, to the bitmap of that pool; a bitmap is made when a pool takes its first port, and
// dropped with its last one.
//
// What it does NOT answer, and portwarden's words do:
//
// - any address against the specific ones of the same port, in both directions;
// - a destination against no destination: each is a pool of its own here;
// - reuse flags: whatever is held is held alone;
// - devices, and several networks at once, all or nothing.
//
// So two requests meet here only if they say the very same. Where a workload has no others, and those
// of gVisor with specific addresses or whole tuples have none, the answers are equal.

import { JsBitmap } from "./js-bitmap.ts";

/** Who asks. Port 0 means "pick one". */
export interface TableRequest {
  readonly network: number;
  readonly transport: number;
  readonly address: string;
  readonly port: number;
  readonly destination?: { readonly address: string; readonly port: number };
}

/** The ports of one pool. */
interface Holder {
  readonly ports: JsBitmap;
  /** What words hold. Without open handles that is all: the bitmap itself does not count. */
  held: number;
  /** Handles that are open, past which nobody counts. */
  handles: number;
}

/** Bitmaps without a port, kept so that one is not made and thrown away with each single port. */
const SPARE_MAX = 16;

export class JsTable {
  readonly #first: number = 0;
  readonly #last: number = 0;
  readonly #holders: Map<string, Holder> = new Map();
  readonly #spare: JsBitmap[] = [];

  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
  }

  /** Reserves the port that is named, or the first free one from an offset on; -1 if there is none. */
  reserve(request: TableRequest, offset = 0): number {
    const key = keyOf(request);
    const holder = this.#holders.get(key) ?? this.#add(key);
    const { ports } = holder;
    // A pool that is new is never refused, so none is left without a port.
    const port = request.port === 0 ? ports.take(offset) : ports.takeAt(request.port);
    if (port > 0) holder.held++;
    return port;
  }

  /** Releases the port that is named; whether it was held. */
  release(request: TableRequest): boolean {
    const key = keyOf(request);
    const holder = this.#holders.get(key);
    if (holder === undefined || !holder.ports.free(request.port)) return false;
    holder.held--;
    this.#dropUnused(key, holder);
    return true;
  }

  /** The bitmap itself, for many ports of one kind: a handle, until it is closed. */
  pool(request: TableRequest): JsBitmap {
    const key = keyOf(request);
    const holder = this.#holders.get(key) ?? this.#add(key);
    holder.handles++;
    return holder.ports;
  }

  /** Closes a handle. Ports that it has taken stay held. */
  closePool(request: TableRequest): void {
    const key = keyOf(request);
    const holder = this.#holders.get(key);
    if (holder === undefined) return;
    holder.handles--;
    holder.held = holder.ports.held;
    this.#dropUnused(key, holder);
  }

  /** How many pools there are. */
  get size(): number {
    return this.#holders.size;
  }

  #add(key: string): Holder {
    const ports = this.#spare.pop() ?? new JsBitmap(this.#first, this.#last);
    const holder = { ports, held: 0, handles: 0 };
    this.#holders.set(key, holder);
    return holder;
  }

  #dropUnused(key: string, { ports, held, handles }: Holder): void {
    if (held !== 0 || handles !== 0) return;
    this.#holders.delete(key);
    if (this.#spare.length < SPARE_MAX) this.#spare.push(ports);
  }
}

function keyOf({ network, transport, address, destination }: TableRequest): string {
  const pool = `${network}/${transport}/${address}`;
  return destination === undefined ? pool : `${pool}/${destination.address}/${destination.port}`;
}
