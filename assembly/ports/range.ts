// Range: the ports first..last, both included, as one number.
//
//   range  ┌─────────────┬────────────┐
//          │ first  u16  │  last  u16 │   first in the low half
//          └─────────────┴────────────┘
//
// Both ends are read and written at once. In an empty intersection first is above last. Searches
// start at `first + offset modulo count`, which is reduced once, so no loop has a modulo.

import { PORT_MAX } from "../abi";

type Port = u32;

/** 1 <= first <= last <= 65535? */
export function isRange(first: Port, last: Port): bool {
  return first != 0 && first <= last && last <= <u32>PORT_MAX;
}

export function rangeOf(first: Port, last: Port): u32 {
  return first | (last << 16);
}

export function firstIn(range: u32): Port {
  return range & PORT_MAX;
}

export function lastIn(range: u32): Port {
  return range >> 16;
}

export function isEmpty(range: u32): bool {
  return firstIn(range) > lastIn(range);
}

/** The ports that are in both ranges. All empty ranges are equal. */
export function intersect(a: u32, b: u32): u32 {
  const first = max<u32>(firstIn(a), firstIn(b));
  const last = min<u32>(lastIn(a), lastIn(b));
  return first <= last ? rangeOf(first, last) : rangeOf(1, 0);
}

/** 2^32 / count, rounded down, so that `remainder` need not divide. */
export function inverseOf(count: u32): u32 {
  // For one port the result is one too low, which `remainder` corrects like the rounding.
  return count == 1 ? u32.MAX_VALUE : <u32>(((<u64>1) << 32) / count);
}

/** `offset % count`. */
export function remainder(offset: u32, count: u32, inverse: u32): u32 {
  const quotient = <u32>((<u64>offset * inverse) >> 32); // one too low at most
  const rest = offset - quotient * count;
  return rest < count ? rest : rest - count;
}

/** The number of ports of a range that is not empty. */
export function countIn(range: u32): u32 {
  return lastIn(range) - firstIn(range) + 1;
}
