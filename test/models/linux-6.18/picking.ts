// The order in which Linux 6.18 looks at ports, for bind() with port 0, connect() and UDP.

export interface Range {
  readonly first: number;
  readonly last: number;
}

/** The source of chance: an integer below the bound. */
export type Random = (bound: number) => number;

/** The kernel's order, or one that overlooks no port where a range has an odd number of them. */
export type Order = "kernel" | "exact";

/**
 * The range of a socket: each bound of IP_LOCAL_PORT_RANGE counts if it lies within the system's
 * range. Zero: not set.
 */
export function clampRange(range: Range, own: Range): Range {
  const inside = (port: number) => port >= range.first && port <= range.last;
  return {
    first: inside(own.first) ? own.first : range.first,
    last: inside(own.last) ? own.last : range.last,
  };
}

/** Every other port from `first + start` on, round once; the kernel wraps by an even number. */
function* everyOther(first: number, end: number, start: number, order: Order): Generator<number> {
  const size = end - first;
  if (order === "exact" || size === 1) {
    const count = Math.ceil((size - (start & 1)) / 2);
    for (let i = 0; i < count; i++) {
      yield first + (start & 1) + 2 * (((start >> 1) + i) % count);
    }
    return;
  }
  const even = size - (size % 2);
  let port = first + start;
  for (let i = 0; i < even / 2; i++, port += 2) {
    if (port >= end) port -= even;
    yield port;
  }
}

/**
 * bind() with port 0: the half of the range first where a socket has SO_REUSEADDR; odd offsets
 * first.
 */
export function* bindOrder(
  { first, last }: Range,
  reuseAddr: boolean,
  random: Random,
  order: Order,
): Generator<number> {
  const end = last + 1;
  const half = first + 2 * ((end - first) >> 2);
  const parts = reuseAddr && end - first >= 4 ? [first, half, end] : [first, end];
  for (let i = 1; i < parts.length; i++) {
    const from = parts[i - 1] as number;
    const to = parts[i] as number;
    const size = to - from;
    const offset = random(size > 1 ? size - (size % 2) : 1) | 1;
    if (size > 1) yield* everyOther(from, to, offset, order);
    yield* everyOther(from, to, offset - 1, order);
  }
}

/** connect(): even offsets first, then odd ones; with IP_LOCAL_PORT_RANGE each port in turn. */
export function* connectOrder(
  { first, last }: Range,
  isLocal: boolean,
  random: Random,
  order: Order,
): Generator<number> {
  const size = last + 1 - first;
  if (isLocal) {
    const start = random(size);
    for (let i = 0; i < size; i++) yield first + ((start + i) % size);
    return;
  }
  const offset = random(size > 1 ? size - (size % 2) : 1) & ~1;
  yield* everyOther(first, last + 1, offset, order);
  if (size > 1) yield* everyOther(first, last + 1, offset + 1, order);
}

/**
 * UDP: from a random slot of a hash table on, slot by slot; within a slot by an odd multiple of the
 * table's size, modulo 2^16. One draw gives both.
 * @param draw 0..4294967295.
 */
export function* udpOrder({ first, last }: Range, draw: number, slots: number): Generator<number> {
  const stride = Number((BigInt(draw | 1) * BigInt(slots)) & 0xffffn);
  const start = first + Number((BigInt(draw) * BigInt(last + 1 - first)) >> 32n);
  if (slots === 65536) {
    // Each slot has one port.
    for (let port = start; port <= last; port++) yield port;
    for (let port = first; port < start; port++) yield port;
    return;
  }
  for (let i = 0; i < slots; i++) {
    const slot = (start + i) & 0xffff;
    let port = slot;
    do {
      if (port >= first && port <= last) yield port;
      port = (port + stride) & 0xffff;
    } while (port !== slot);
  }
}
