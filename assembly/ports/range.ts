// Range: the ports first..last, both included, that ephemeral ports are taken from.
//
//   range  0 ┌─────────────┬────────────┐
//            │ first  u16  │ last  u16  │
//          4 └─────────────┴────────────┘
//
// Searches start at `first + offset modulo count`, reduced once; no loop has a modulo.

import { PORT_MAX } from "../abi";
import { Address } from "../memory/arena";
import { Port } from "./bitmap";

const FIRST: usize = 0;
const LAST: usize = 2;

/** False, and nothing changes, unless 1 <= first <= last <= 65535. */
export function writeRange(range: Address, first: Port, last: Port): bool {
  if (first == 0 || first > last || last > <u32>PORT_MAX) return false;
  store<u16>(range, <u16>first, FIRST);
  store<u16>(range, <u16>last, LAST);
  return true;
}

/** First in the low half, last in the high half. */
export function bothOf(range: Address): u32 {
  return load<u32>(range);
}

export function firstOf(range: Address): Port {
  return load<u16>(range, FIRST);
}

export function lastOf(range: Address): Port {
  return load<u16>(range, LAST);
}

/** Where a search with that offset starts: `first + offset % count`. */
export function startOf(range: Address, offset: u32): Port {
  const first = firstOf(range);
  return first + (offset % (lastOf(range) - first + 1));
}
