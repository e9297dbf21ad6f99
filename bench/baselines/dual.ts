// Dual: the JS baselines for a socket in two networks. Each network has ports of its own, and a
// port has to be free in both.

import { JsBitmap } from "./js-bitmap.ts";

export class DualJsSet {
  readonly #first: number;
  readonly #count: number;
  readonly #v4 = new Set<number>();
  readonly #v6 = new Set<number>();

  constructor(first: number, last: number) {
    this.#first = first;
    this.#count = last - first + 1;
  }

  take(offset: number): number {
    const start = (offset >>> 0) % (this.#count >>> 0);
    for (let step = 0; step < this.#count; step++) {
      const port = this.#first + ((start + step) % this.#count);
      if (!this.#v4.has(port) && !this.#v6.has(port)) {
        this.#v4.add(port);
        this.#v6.add(port);
        return port;
      }
    }
    return -1;
  }

  free(port: number): boolean {
    const wasHeld = this.#v4.delete(port);
    return this.#v6.delete(port) && wasHeld;
  }
}

export class DualJsBitmap {
  readonly #first: number;
  readonly #count: number;
  readonly #v4: JsBitmap;
  readonly #v6: JsBitmap;

  constructor(first: number, last: number) {
    this.#first = first;
    this.#count = last - first + 1;
    this.#v4 = new JsBitmap(first, last);
    this.#v6 = new JsBitmap(first, last);
  }

  take(offset: number): number {
    let from = offset;
    for (let step = 0; step < this.#count; step++) {
      const port = this.#v4.take(from);
      if (port < 0 || this.#v6.takeAt(port) === port) return port;
      // Held in the other network alone: the search goes on behind it.
      this.#v4.free(port);
      from = port + 1 - this.#first;
    }
    return -1;
  }

  free(port: number): boolean {
    const wasHeld = this.#v4.free(port);
    return this.#v6.free(port) && wasHeld;
  }

  takeMany(ports: Uint16Array, offsets: Uint32Array): number {
    for (let index = 0; index < ports.length; index++) {
      const port = this.take(offsets[index] as number);
      if (port < 0) return index;
      ports[index] = port;
    }
    return ports.length;
  }

  freeMany(ports: Uint16Array): number {
    let freed = 0;
    for (let index = 0; index < ports.length; index++) {
      if (this.free(ports[index] as number)) freed++;
    }
    return freed;
  }
}
