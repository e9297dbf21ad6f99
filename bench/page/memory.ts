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
//   cooldown    +0   ring u32: ports u16, 0 where none is   cooldown/queue.ts
//               +6   shift u8: the ring has 2^shift places
//               +16  where the bits of the ports are; 0: there is the ring alone
//   reserved    +4   a port set that is always a bitmap     ports/reserved.ts
//
// of Linux 2.6.32, below linux/rules/2.6.32, which has a bucket for each port:
//
//   system      +432 page table: pages u32 x 512            system.ts, ports/page-table.ts
//   page        +8   entries of 16 bytes x 128
//   entry       +4   sockets u32, +8 TIME_WAITs u32         bucket.ts
//
// and of Linux 6.18, below linux/rules/6.18, where all sockets of one address and kind have one
// holder, and all TIME_WAITs another:
//
//   system      +152 the newest socket u32                  system.ts
//               +156 the first TIME_WAIT u32
//   socket      +16  holder u32                             socket.ts
//   TIME_WAIT   +20  holder u32                             time-wait.ts
//   holder      a port set, of slots: even ports come first, then odd ones
//               +20  extra counts: a page, or their table   ports/extra-counts.ts
//   page        +0   word u16, +2 wide u16, +8 counts i16 or i32 x 64
//   table       +0   word u16 = ~0, +8 pages u32 x 1024
//
// Nothing is written. A memory that grows gets a new buffer, so each picture makes new views. If a
// layout changes, the page's tests fail: they compare the picture with what the facade answers for
// every port.

import type { Core } from "../../bindings/core/core.ts";
import type { Drawing } from "./drawing.ts";

const POOL_FLOW = 88;
const SET_COUNT = 10;
const SET_CONTAINER = 13;
const SET_PORTS = 16;
const SINGLE = 1;
const ARRAY = 2;
const BITMAP = 3;
const ARRAY_PORTS = 2;
const BITMAP_WORDS = 136;
const QUEUE_SHIFT = 6;
const QUEUE_MARKS = 16;
const RESERVED_SET = 4;
const SYSTEM_PAGES = 432;
const PAGES = 512;
const PAGE_ENTRIES = 8;
const ENTRIES = 128;
const ENTRY_BYTES = 16;
const ENTRY_SOCKETS = 4;
const ENTRY_WAITS = 8;
const SYSTEM_SOCKETS = 152;
const SYSTEM_WAITS = 156;
const SOCKET_HOLDER = 16;
const WAIT_HOLDER = 20;
const HOLDER_EXTRA = 20;
const EXTRA_WIDE = 2;
const EXTRA_COUNTS = 8;
const EXTRA_TABLE = 0xffff;
const EXTRA_PAGES = 1024;

/** 32 ports in each word, as the core's 64-bit words lie in memory. */
export const WORDS = 2048;

export class Memory {
  readonly #core: Core;
  #bytes: Uint8Array = new Uint8Array(0);
  #halves: Uint16Array = new Uint16Array(0);
  #words: Uint32Array = new Uint32Array(0);
  readonly #slots: Uint32Array = new Uint32Array(WORDS);

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
    const marks = cooldown === 0 ? 0 : this.#word(cooldown + QUEUE_MARKS);
    if (marks !== 0) this.#readBits(marks, into);
    else into.fill(0);
    const ring = marks !== 0 || cooldown === 0 ? 0 : this.#word(cooldown) >>> 1;
    if (ring === 0) return;
    const places = 1 << (this.#bytes[cooldown + QUEUE_SHIFT] as number);
    for (let place = 0; place < places; place++) {
      const port = this.#halves[ring + place] as number;
      if (port !== 0) add(into, port);
    }
  }

  readReserved(reserved: number, into: Uint32Array): void {
    this.#readSet(reserved + RESERVED_SET, into);
  }

  /** Linux 2.6.32: the ports that sockets own, those that several do, and those of TIME_WAITs. */
  readBuckets(system: number, { ones, twos, cooling }: Drawing): void {
    for (let page = 0; page < PAGES; page++) {
      const at = this.#word(system + SYSTEM_PAGES + page * 4);
      if (at === 0) continue;
      for (let index = 0; index < ENTRIES; index++) {
        const entry = at + PAGE_ENTRIES + index * ENTRY_BYTES;
        const port = page * ENTRIES + index;
        const sockets = this.#word(entry + ENTRY_SOCKETS);
        if (sockets > 0) add(ones, port);
        if (sockets > 1) add(twos, port);
        if (this.#word(entry + ENTRY_WAITS) > 0) add(cooling, port);
      }
    }
  }

  /** The same of Linux 6.18. */
  readHolders(system: number, { ones, twos, cooling }: Drawing): void {
    const socket = this.#word(system + SYSTEM_SOCKETS);
    const wait = this.#word(system + SYSTEM_WAITS);
    if (socket !== 0) {
      const holder = this.#word(socket + SOCKET_HOLDER);
      this.#readSlots(holder, ones);
      this.#readExtra(this.#word(holder + HOLDER_EXTRA), twos);
    }
    if (wait !== 0) this.#readSlots(this.#word(wait + WAIT_HOLDER), cooling);
  }

  #readSlots(holder: number, into: Uint32Array): void {
    this.#readSet(holder, this.#slots);
    toPorts(this.#slots, into);
  }

  #readExtra(top: number, into: Uint32Array): void {
    this.#slots.fill(0);
    if (top !== 0 && this.#halves[top >>> 1] !== EXTRA_TABLE) this.#readCounts(top);
    else if (top !== 0) {
      for (let page = 0; page < EXTRA_PAGES; page++) {
        const at = this.#word(top + EXTRA_COUNTS + page * 4);
        if (at !== 0) this.#readCounts(at);
      }
    }
    toPorts(this.#slots, into);
  }

  /** Adds the slots of a page of extra counts. */
  #readCounts(page: number): void {
    const start = (this.#halves[page >>> 1] as number) * 64;
    const isWide = this.#halves[(page + EXTRA_WIDE) >>> 1] !== 0;
    for (let index = 0; index < 64; index++) {
      const at = page + EXTRA_COUNTS + index * (isWide ? 4 : 2);
      const count = isWide ? this.#word(at) : this.#halves[at >>> 1];
      if (count !== 0) add(this.#slots, start + index);
    }
  }

  #readSet(set: number, into: Uint32Array): void {
    const container = this.#bytes[set + SET_CONTAINER];
    const ports = this.#word(set + SET_PORTS);
    if (container === BITMAP) this.#readBits(ports + BITMAP_WORDS, into);
    else into.fill(0);
    if (container === SINGLE) add(into, ports);
    if (container !== ARRAY) return;
    const count = this.#halves[(set + SET_COUNT) >>> 1] as number;
    const start = (ports + ARRAY_PORTS) >>> 1;
    for (let index = 0; index < count; index++) add(into, this.#halves[start + index] as number);
  }

  #readBits(bits: number, into: Uint32Array): void {
    into.set(this.#words.subarray(bits >>> 2, (bits >>> 2) + WORDS));
  }

  #word(address: number): number {
    return this.#words[address >>> 2] as number;
  }
}

function add(words: Uint32Array, port: number): void {
  words[port >>> 5] = (words[port >>> 5] as number) | (1 << port);
}

/** Slots as ports: 16 even ones and 16 odd ones make a word. */
function toPorts(slots: Uint32Array, into: Uint32Array): void {
  const halves = new Uint16Array(slots.buffer);
  for (let word = 0; word < WORDS; word++) {
    into[word] = spread(halves[word] as number) | (spread(halves[WORDS + word] as number) << 1);
  }
}

/** The lower 16 bits, each followed by a zero. */
function spread(bits: number): number {
  let wide = (bits | (bits << 8)) & 0x00ff00ff;
  wide = (wide | (wide << 4)) & 0x0f0f0f0f;
  wide = (wide | (wide << 2)) & 0x33333333;
  return (wide | (wide << 1)) & 0x55555555;
}
