// Drawing: from sets of ports, as bits, to one byte per port.
//
// A port that is held is drawn as held (or shared), wherever it lies; then what cools down, what is
// reserved, what lies outside the range, and what is left is free. No connection has port 0.

import { WORDS } from "./memory.ts";
import type { Picture, Span } from "./protocol.ts";
import { COOLING, FREE, HELD, OUTSIDE, RESERVED, SHARED, STATES, WORKER } from "./states.ts";

const ALL = 0xffffffff;
const NO_OWNERS = new Uint8Array(1024);

export class Drawing {
  /** Ports that at least one connection has, and those that two or more have. */
  readonly ones: Uint32Array = new Uint32Array(WORDS);
  readonly twos: Uint32Array = new Uint32Array(WORDS);
  readonly cooling: Uint32Array = new Uint32Array(WORDS);
  readonly reserved: Uint32Array = new Uint32Array(WORDS);

  /** By block of 64 ports: whose it is, from 1 on. */
  owners: Uint8Array = NO_OWNERS;

  clear(): void {
    this.owners = NO_OWNERS;
    for (const set of [this.ones, this.twos, this.cooling, this.reserved]) set.fill(0);
  }

  /** One more holder of some ports, of which some only cool down. */
  addHolder(held: Uint32Array, coolingHere: Uint32Array): void {
    const { ones, twos, cooling } = this;
    for (let word = 0; word < WORDS; word++) {
      const coolsDown = coolingHere[word] as number;
      const holds = (held[word] as number) & ~coolsDown;
      const before = ones[word] as number;
      twos[word] = (twos[word] as number) | (before & holds);
      ones[word] = before | holds;
      cooling[word] = (cooling[word] as number) | coolsDown;
    }
  }

  /**
   * Writes the states, and answers how many ports are in each. Port 0 is none, though a list may
   * name it.
   */
  finish(codes: Uint8Array, range: Span | undefined): number[] {
    const counts = STATES.map(() => 0);
    this.reserved[0] = (this.reserved[0] as number) & ~1;
    for (let word = 0; word < WORDS; word++) this.#finishWord(codes, word, range, counts);
    return counts;
  }

  #finishWord(codes: Uint8Array, word: number, range: Span | undefined, counts: number[]): void {
    const start = word << 5;
    const ones = this.ones[word] as number;
    const twos = this.twos[word] as number;
    const cooling = this.cooling[word] as number;
    const reserved = this.reserved[word] as number;
    const inside = insideOf(start, range);
    const owner = this.owners[word >> 1] as number;
    if ((ones | cooling | reserved) === 0 && (inside === 0 || inside === ALL)) {
      const code = inside === 0 ? OUTSIDE : FREE;
      codes.fill(code, start, start + 32);
      counts[code] = (counts[code] as number) + 32;
      return;
    }
    for (let bit = 0; bit < 32; bit++) {
      let code = (inside >>> bit) & 1 ? FREE : OUTSIDE;
      if ((reserved >>> bit) & 1) code = RESERVED;
      if ((cooling >>> bit) & 1) code = COOLING;
      if ((ones >>> bit) & 1) code = heldAs(((twos >>> bit) & 1) + 1, owner);
      codes[start + bit] = code;
      counts[code] = (counts[code] as number) + 1;
    }
  }
}

/** What a port is, from what is known of it. */
export function stateOf(
  holders: number,
  isCooling: boolean,
  isReserved: boolean,
  isInside: boolean,
  owner: number,
): number {
  if (holders > 0) return heldAs(holders, owner);
  if (isCooling) return COOLING;
  if (isReserved) return RESERVED;
  return isInside ? FREE : OUTSIDE;
}

/** How many even and odd ports of a range are in use, of those that automatic picks may use. */
export function parityOf(codes: Uint8Array, range: Span | undefined): Picture["parity"] {
  const used: [number, number] = [0, 0];
  const all: [number, number] = [0, 0];
  for (let port = range?.first ?? 1; port <= (range?.last ?? 0); port++) {
    const code = codes[port] as number;
    const parity = (port & 1) as 0 | 1;
    if (code !== RESERVED) all[parity]++;
    if (code !== RESERVED && code !== FREE) used[parity]++;
  }
  return [
    { used: used[0], of: all[0] },
    { used: used[1], of: all[1] },
  ];
}

function heldAs(holders: number, owner: number): number {
  if (owner > 0) return WORKER + owner;
  return holders > 1 ? SHARED : HELD;
}

/** Which of 32 ports from `start` on lie in the range. */
function insideOf(start: number, range: Span | undefined): number {
  if (range === undefined || range.last < start || range.first > start + 31) return 0;
  const from = range.first > start ? ALL << (range.first - start) : ALL;
  const to = range.last < start + 31 ? ALL >>> (31 - (range.last - start)) : ALL;
  return (from & to) >>> 0;
}
