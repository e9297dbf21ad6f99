// Memory: reads who holds which port from the core's linear memory, as the core's own records have it.
//
// The facade keeps memory to itself, and asking it port by port would take 65,536 calls a frame. So the picture
// reads the records. This file alone knows where they are; the pictures of the layouts stand in assembly/:
//
//   handle      +88  pool u32, the first network's          netstack/handle.ts
//   pool        its port set is part of it                  netstack/ladder.ts
//   port set    +10  count u16                              ports/set.ts
//               +13  form u8: 0 none, 1 one, 2 few, 3 many
//               +16  the port; or where the list is; or where the bitmap is
//   list        +2   ports u16, `count` of them             ports/set.ts
//   bitmap      +136 words u64 x 1024                       ports/bitmap.ts
//   cooldown    begins with a port set's fields             ports/cooldown.ts, ports/queue.ts
//   reserved    +4   a port set that is always a bitmap     ports/reserved.ts
//   system      +368 directory: pages u32 x 512             linux/system.ts, ports/directory.ts
//   page        +8   places of 16 bytes x 128
//   place       +4   sockets u32, +8 TIME_WAITs u32         linux/record.ts
//
// Nothing is written. A memory that grows gets a new buffer, so views are made anew for each picture. If a layout
// changes, test/bench/page.test.ts fails: it compares the picture with what the facade answers for every port.

import type { Core } from "../../bindings/core/core.ts";

const HANDLE_FLOW = 88;
const SET_COUNT = 10;
const SET_FORM = 13;
const SET_PORTS = 16;
const FORM_ONE = 1;
const FORM_FEW = 2;
const FORM_MANY = 3;
const LIST_PORTS = 2;
const BITMAP_WORDS = 136;
const RESERVED_SET = 4;
const SYSTEM_DIRECTORY = 368;
const PAGES = 512;
const PAGE_PLACES = 8;
const PLACES = 128;
const PLACE_BYTES = 16;
const PLACE_SOCKETS = 4;
const PLACE_WAITS = 8;

/** 32 ports in each word, as the core's 64-bit words lie in memory. */
export const WORDS = 2048;

export class Memory {
  readonly #core: Core;
  #bytes: Uint8Array = new Uint8Array(0);
  #halves: Uint16Array = new Uint16Array(0);
  #words: Uint32Array = new Uint32Array(0);

  constructor(core: Core) {
    this.#core = core;
  }

  /** To be called before each picture. */
  refresh(): void {
    const { buffer } = this.#core.exports.memory;
    if (this.#words.buffer === buffer) return;
    this.#bytes = new Uint8Array(buffer);
    this.#halves = new Uint16Array(buffer);
    this.#words = new Uint32Array(buffer);
  }

  /** Where a handle's pool is. */
  poolOf(handle: number): number {
    return this.#word(handle + HANDLE_FLOW);
  }

  /** The ports that a pool holds, those that rest among them. */
  readPool(pool: number, into: Uint32Array): void {
    this.#readSet(pool, into);
  }

  /** The ports that rest in a cooldown; none where it is 0. */
  readCooldown(cooldown: number, into: Uint32Array): void {
    if (cooldown === 0) into.fill(0);
    else this.#readSet(cooldown, into);
  }

  readReserved(reserved: number, into: Uint32Array): void {
    this.#readSet(reserved + RESERVED_SET, into);
  }

  /** Tells of each port with a record in a system of Linux ports how many sockets and TIME_WAITs own it. */
  readRecords(system: number, tell: (port: number, sockets: number, waits: number) => void): void {
    for (let page = 0; page < PAGES; page++) {
      const at = this.#word(system + SYSTEM_DIRECTORY + page * 4);
      if (at === 0) continue;
      for (let index = 0; index < PLACES; index++) {
        const place = at + PAGE_PLACES + index * PLACE_BYTES;
        const sockets = this.#word(place + PLACE_SOCKETS);
        const waits = this.#word(place + PLACE_WAITS);
        if (sockets + waits > 0) tell(page * PLACES + index, sockets, waits);
      }
    }
  }

  #readSet(set: number, into: Uint32Array): void {
    const form = this.#bytes[set + SET_FORM];
    const ports = this.#word(set + SET_PORTS);
    if (form === FORM_MANY) {
      const start = (ports + BITMAP_WORDS) >>> 2;
      into.set(this.#words.subarray(start, start + WORDS));
      return;
    }
    into.fill(0);
    if (form === FORM_ONE) add(into, ports);
    if (form !== FORM_FEW) return;
    const count = this.#halves[(set + SET_COUNT) >>> 1] as number;
    const start = (ports + LIST_PORTS) >>> 1;
    for (let index = 0; index < count; index++) add(into, this.#halves[start + index] as number);
  }

  #word(address: number): number {
    return this.#words[address >>> 2] as number;
  }
}

function add(words: Uint32Array, port: number): void {
  words[port >>> 5] = (words[port >>> 5] as number) | (1 << port);
}
