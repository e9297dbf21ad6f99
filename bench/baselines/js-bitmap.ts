// The JS bitmap: the core's own algorithm in typed arrays, as fast as we can make it in JavaScript.
//
// A programmer writes it when a Set and a loop are too slow, so it is the baseline that WebAssembly
// has to beat. One pool's ports are bits; two summaries above them let a search skip full words.
// Words have 32 bits, because JavaScript has no fast wider ones. A set bit means "free", since a
// search looks for free ports.
//
//   bits  Int32Array
//         0 .. 2047     bit p of word w : port 32 w + p is free
//      2048 .. 2111     bit w of word g : word 32 g + w has a free port
//      2112, 2113       bit g of word r : the summary 32 r + g is not empty
//
// Measured and kept, against what seemed as good: one array for all levels; fields that are small
// integers from the start (one that is undefined first costs half a nanosecond a call); the search
// in the first word apart from the long one; and no counter of what is held. Both sides of the
// remainder are made unsigned: else one offset above 2^31 makes every later one slow.
//
// It knows one pool at a time: exclusive ports, no reuse flags, no conflicts between addresses,
// destinations and wildcards.

const PORT_WORDS = 2048;
const SUMMARY = PORT_WORDS;
const ROOT = SUMMARY + 64;
const WORDS = ROOT + 2;

const ALL_FREE = -1;

/** Where a search found nothing. */
const NONE = -1;

export class JsBitmap {
  readonly #first: number = 0;
  readonly #last: number = 0;
  readonly #count: number = 0;
  readonly #bits: Int32Array = new Int32Array(WORDS).fill(ALL_FREE);

  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
    this.#count = last - first + 1;
  }

  /** Takes the first free port from an offset on, round the range; -1 when there is none. */
  take(offset: number): number {
    if (offset >>> 0 !== offset) throw new RangeError("offset");
    const bits = this.#bits;
    const start = this.#first + ((offset >>> 0) % (this.#count >>> 0));
    const word = start >>> 5;
    const free = bits[word] as number;
    const open = free & (ALL_FREE << start);
    const bit = open & -open;
    const port = (word << 5) + 31 - Math.clz32(bit);
    if (open === 0 || port > this.#last) return this.#takeFar(start);
    const left = free ^ bit;
    bits[word] = left;
    if (left === 0) closeWord(bits, word);
    return port;
  }

  /** Takes an explicit port; -1 if it is held. */
  takeAt(port: number): number {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    const bits = this.#bits;
    const free = bits[port >>> 5] as number;
    const bit = 1 << port;
    if ((free & bit) === 0) return NONE;
    const left = free ^ bit;
    bits[port >>> 5] = left;
    if (left === 0) closeWord(bits, port >>> 5);
    return port;
  }

  /** Frees a port; whether it was held. */
  free(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    const bits = this.#bits;
    const free = bits[port >>> 5] as number;
    const bit = 1 << port;
    if ((free & bit) !== 0) return false;
    bits[port >>> 5] = free | bit;
    if (free === 0) openWord(bits, port >>> 5);
    return true;
  }

  /** A port for each place of `ports`, from the offsets; how many places were filled. */
  takeMany(ports: Uint16Array, offsets: Uint32Array): number {
    if (offsets.length < ports.length) throw new RangeError("offsets");
    const bits = this.#bits;
    const first = this.#first;
    const last = this.#last;
    const count = this.#count >>> 0;
    for (let index = 0; index < ports.length; index++) {
      // As in `take`, whose call would cost a twentieth here.
      const start = first + (((offsets[index] as number) >>> 0) % count);
      const word = start >>> 5;
      const free = bits[word] as number;
      const open = free & (ALL_FREE << start);
      const bit = open & -open;
      let port = (word << 5) + 31 - Math.clz32(bit);
      if (open === 0 || port > last) {
        port = this.#takeFar(start);
        if (port === NONE) return index;
      } else {
        const left = free ^ bit;
        bits[word] = left;
        if (left === 0) closeWord(bits, word);
      }
      ports[index] = port;
    }
    return ports.length;
  }

  /** Frees all of them; how many were held. */
  freeMany(ports: Uint16Array): number {
    const bits = this.#bits;
    let freed = 0;
    for (let index = 0; index < ports.length; index++) {
      const port = ports[index] as number;
      const free = bits[port >>> 5] as number;
      const bit = 1 << port;
      // Port 0 is never taken.
      if ((free & bit) !== 0) continue;
      bits[port >>> 5] = free | bit;
      if (free === 0) openWord(bits, port >>> 5);
      freed++;
    }
    return freed;
  }

  /** Is the port held? */
  has(port: number): boolean {
    if ((port & 0xffff) !== port || port === 0) throw new RangeError("port");
    return ((this.#bits[port >>> 5] as number) & (1 << port)) === 0;
  }

  /** As {@link take}, where the first word has no free port. */
  #takeFar(start: number): number {
    const port = this.#findFar(start);
    if (port === NONE) return NONE;
    const bits = this.#bits;
    const word = port >>> 5;
    const left = (bits[word] as number) ^ (1 << port);
    bits[word] = left;
    if (left === 0) closeWord(bits, word);
    return port;
  }

  #findFar(start: number): number {
    const port = findBehind(this.#bits, start >>> 5, this.#last);
    return port === NONE ? findBetween(this.#bits, this.#first, start - 1) : port;
  }
}

// ── Searching ─────────────────────────────────────────────────────────────────────────────

/** The first free port of `first..last`. */
function findBetween(bits: Int32Array, first: number, last: number): number {
  if (first > last) return NONE;
  const word = first >>> 5;
  const open = (bits[word] as number) & (ALL_FREE << first);
  if (open === 0) return findBehind(bits, word, last);
  const port = (word << 5) + lowest(open);
  return port <= last ? port : NONE;
}

/** The first free port in the words behind one, up to `last`. */
function findBehind(bits: Int32Array, word: number, last: number): number {
  let summary = word >>> 5;
  // Shifting by the place behind the word in one step would shift by 0 where it is the last one.
  let words = (bits[SUMMARY + summary] as number) & (-2 << word);
  if (words === 0) {
    summary = findSummaryBehind(bits, summary);
    if (summary === NONE) return NONE;
    words = bits[SUMMARY + summary] as number;
  }
  const found = (summary << 5) + lowest(words);
  const port = (found << 5) + lowest(bits[found] as number);
  return port <= last ? port : NONE;
}

/** The first summary behind one that is not empty. */
function findSummaryBehind(bits: Int32Array, summary: number): number {
  const here = (bits[ROOT + (summary >>> 5)] as number) & (-2 << summary);
  if (here !== 0) return (summary & 32) + lowest(here);
  const rest = summary < 32 ? (bits[ROOT + 1] as number) : 0;
  return rest === 0 ? NONE : 32 + lowest(rest);
}

// ── Summaries ─────────────────────────────────────────────────────────────────────────────

/** A word has no free port any more. */
function closeWord(bits: Int32Array, word: number): void {
  const summary = word >>> 5;
  const left = (bits[SUMMARY + summary] as number) & ~(1 << word);
  bits[SUMMARY + summary] = left;
  if (left !== 0) return;
  const root = ROOT + (summary >>> 5);
  bits[root] = (bits[root] as number) & ~(1 << summary);
}

/** A word has a free port again. */
function openWord(bits: Int32Array, word: number): void {
  const summary = word >>> 5;
  bits[SUMMARY + summary] = (bits[SUMMARY + summary] as number) | (1 << word);
  const root = ROOT + (summary >>> 5);
  bits[root] = (bits[root] as number) | (1 << summary);
}

// ── Bits ──────────────────────────────────────────────────────────────────────────────────

/** The place of the lowest set bit. */
function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
