// Memory: reads which ports are held from the core's linear memory, as the core's own records have
// it.
//
// The facade keeps memory to itself, and asking it port by port would take 65,536 calls a frame. So
// the picture reads the records. This file alone knows where they are; the pictures of the layouts
// stand in assembly/:
//
//   pool        +88  flow u32, of the first network         netstack/pools.ts
//   flow        its port set is part of it                  netstack/records.ts
//   port set    +10  count u16                              ports/set.ts
//               +13  container u8: 0 none, 1 single, 2 array, 3 bitmap
//               +16  the port; or where the array is; or where the bitmap is
//   array       +2   ports u16, `count` of them             ports/set.ts
//   bitmap      +136 words u64 x 1024                       ports/bitmap.ts
//   cooldown    begins with a port set's fields             cooldown/queue.ts
//   reserved    +4   a port set that is always a bitmap     ports/reserved.ts
//   system      +432 page table: pages u32 x 512            linux/system.ts, ports/page-table.ts
//   page        +8   entries of 16 bytes x 128
//   entry       +4   sockets u32, +8 TIME_WAITs u32         linux/
//
// Nothing is written. A memory that grows gets a new buffer, so views are made anew for each
// picture. If a layout changes, the page's tests fail: they compare the picture with what the
// facade answers for every port.

import type { Core } from "../../bindings/core/core.ts";

const POOL_FLOW = 88;
const SET_COUNT = 10;
const SET_CONTAINER = 13;
const SET_PORTS = 16;
const SINGLE = 1;
const ARRAY = 2;
const BITMAP = 3;
const ARRAY_PORTS = 2;
const BITMAP_WORDS = 136;
const RESERVED_SET = 4;
const SYSTEM_PAGES = 432;
const PAGES = 512;
const PAGE_ENTRIES = 8;
const ENTRIES = 128;
const ENTRY_BYTES = 16;
const ENTRY_SOCKETS = 4;
const ENTRY_WAITS = 8;

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

  /** Where the flow of a pool is. */
  flowOf(pool: number): number {
    return this.#word(pool + POOL_FLOW);
  }

  /** The ports that a flow holds, those that cool down among them. */
  readFlow(flow: number, into: Uint32Array): void {
    this.#readSet(flow, into);
  }

  /** The ports of a cooldown; none where it is 0. */
  readCooldown(cooldown: number, into: Uint32Array): void {
    if (cooldown === 0) into.fill(0);
    else this.#readSet(cooldown, into);
  }

  readReserved(reserved: number, into: Uint32Array): void {
    this.#readSet(reserved + RESERVED_SET, into);
  }

  /**
   * Calls back for each port with a record in a system of Linux ports: how many sockets and
   * TIME_WAITs own it.
   */
  readRecords(system: number, visit: (port: number, sockets: number, waits: number) => void): void {
    for (let page = 0; page < PAGES; page++) {
      const at = this.#word(system + SYSTEM_PAGES + page * 4);
      if (at === 0) continue;
      for (let index = 0; index < ENTRIES; index++) {
        const entry = at + PAGE_ENTRIES + index * ENTRY_BYTES;
        const sockets = this.#word(entry + ENTRY_SOCKETS);
        const waits = this.#word(entry + ENTRY_WAITS);
        if (sockets + waits > 0) visit(page * ENTRIES + index, sockets, waits);
      }
    }
  }

  #readSet(set: number, into: Uint32Array): void {
    const container = this.#bytes[set + SET_CONTAINER];
    const ports = this.#word(set + SET_PORTS);
    if (container === BITMAP) {
      const start = (ports + BITMAP_WORDS) >>> 2;
      into.set(this.#words.subarray(start, start + WORDS));
      return;
    }
    into.fill(0);
    if (container === SINGLE) add(into, ports);
    if (container !== ARRAY) return;
    const count = this.#halves[(set + SET_COUNT) >>> 1] as number;
    const start = (ports + ARRAY_PORTS) >>> 1;
    for (let index = 0; index < count; index++) add(into, this.#halves[start + index] as number);
  }

  #word(address: number): number {
    return this.#words[address >>> 2] as number;
  }
}

function add(words: Uint32Array, port: number): void {
  words[port >>> 5] = (words[port >>> 5] as number) | (1 << port);
}
