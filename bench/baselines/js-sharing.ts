// The JS bitmaps of one address that a pool with SO_REUSEADDR shares with plain holders.
//
// Plain holders and the pool name the same address, without device or destination; the rules are
// gVisor's for picks with port 0, and TCP and UDP differ in them:
//
// - TCP: such a pick never shares a port, so it has to miss what anybody holds. One bitmap has all
//   of that, and is all that a search looks at; flat bits say which of it is the pool's own.
// - UDP: the newest holder gets the traffic, so the pool shares with itself, however often, and only
//   the plain holders are in its way. It counts its holds by port.
//
// Left out: named picks of the pool, other flag sets, other addresses, and what gVisor does when
// somebody releases what he does not hold.

import { JsBitmap } from "./js-bitmap.ts";

const NONE = -1;

/** A TCP pool with SO_REUSEADDR beside plain holders. */
export class JsTcpSharing {
  readonly #held: JsBitmap;
  /** Bit p of word w: the pool holds port 32 w + p. */
  readonly #own: Int32Array = new Int32Array(2048);

  constructor(first: number, last: number) {
    this.#held = new JsBitmap(first, last);
  }

  /** A plain holder takes a port that is named; -1 if it is held. */
  takePlain(port: number): number {
    return this.#held.takeAt(port);
  }

  /** The pool takes the first port from an offset on that it may have; -1 when there is none. */
  take(offset: number): number {
    const port = this.#held.take(offset);
    if (port === NONE) return NONE;
    const own = this.#own;
    own[port >>> 5] = (own[port >>> 5] as number) | (1 << port);
    return port;
  }

  /** The pool frees a port; whether it held it. */
  free(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    const own = this.#own;
    const bits = own[port >>> 5] as number;
    const bit = 1 << port;
    if ((bits & bit) === 0) return false;
    own[port >>> 5] = bits ^ bit;
    return this.#held.free(port);
  }

  /** A port for each place of `ports`, from the offsets; how many places were filled. */
  takeMany(ports: Uint16Array, offsets: Uint32Array): number {
    const taken = this.#held.takeMany(ports, offsets);
    const own = this.#own;
    for (let index = 0; index < taken; index++) {
      const port = ports[index] as number;
      own[port >>> 5] = (own[port >>> 5] as number) | (1 << port);
    }
    return taken;
  }

  /** The pool frees all of them; how many it held. */
  freeMany(ports: Uint16Array): number {
    let freed = 0;
    for (let index = 0; index < ports.length; index++) {
      if (this.free(ports[index] as number)) freed++;
    }
    return freed;
  }
}

/** A UDP pool with SO_REUSEADDR beside plain holders. */
export class JsUdpSharing {
  readonly #plain: JsBitmap;
  /** How often the pool holds each port. */
  readonly #own: Uint32Array = new Uint32Array(65536);

  constructor(first: number, last: number) {
    this.#plain = new JsBitmap(first, last);
  }

  /** A plain holder takes a port that is named; -1 if it is held. */
  takePlain(port: number): number {
    return this.#own[port] === 0 ? this.#plain.takeAt(port) : NONE;
  }

  /** The pool takes the first port from an offset on that it may have; -1 when there is none. */
  take(offset: number): number {
    const port = this.#plain.find(offset);
    if (port !== NONE) this.#own[port] = (this.#own[port] as number) + 1;
    return port;
  }

  /** The pool frees a port once; whether it held it. */
  free(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    const holds = this.#own[port] as number;
    if (holds === 0) return false;
    this.#own[port] = holds - 1;
    return true;
  }

  /** A port for each place of `ports`, from the offsets; how many places were filled. */
  takeMany(ports: Uint16Array, offsets: Uint32Array): number {
    if (offsets.length < ports.length) throw new RangeError("offsets");
    for (let index = 0; index < ports.length; index++) {
      const port = this.take(offsets[index] as number);
      if (port === NONE) return index;
      ports[index] = port;
    }
    return ports.length;
  }

  /** The pool frees all of them once; how many it held. */
  freeMany(ports: Uint16Array): number {
    let freed = 0;
    for (let index = 0; index < ports.length; index++) {
      if (this.free(ports[index] as number)) freed++;
    }
    return freed;
  }
}
