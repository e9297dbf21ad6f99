// Selector: what a policy of port selection remembers from one search to the next (RFC 6056).
//
//   selector  0 ┌──────────────────┐
//               │ key of F         │  16 bytes: where the searches of a tuple start
//            16 ├──────────────────┤
//               │ key of G         │  16 bytes: which counter a tuple uses
//            32 ├──────────────────┤
//               │ slots       u32  │  how many counters, 1..65536
//            36 ├──────────────────┤
//               │ counters    u32  │  x slots
//               └──────────────────┘
//
// Double-hash has a table of counters; the others have one, slot 0. Counters are numbers modulo
// 2^32, and so are sums with them. A search reduces such a sum by the range's count, once.
//
// A tuple is what the request block says: the addresses of both ends, and the remote port.
//
//   message  0 ┌────────────────────────────────┐
//              │ destination address   16 bytes │  ┐ as they lie in the block
//           16 ├────────────────────────────────┤  │
//              │ local address         16 bytes │  ┘
//           32 ├────────────────────────────────┤
//              │ destination port      2 bytes  │  little-endian
//           34 └────────────────────────────────┘

import { REQUEST_ADDRESS, REQUEST_DESTINATION, REQUEST_DESTINATION_PORT } from "../abi";
import { Address, allocZero, boot, free } from "../memory/arena";
import { INSTANCE_ACCOUNT, REQUEST } from "../memory/layout";
import { sipHash } from "./siphash";

const KEY_OF_F: usize = 0;
const KEY_OF_G: usize = 16;
const SLOTS: usize = 32;
const COUNTERS: usize = 36;
const SLOTS_MAX: u32 = 65536;
const KEY_WORDS: u32 = 8;
const TUPLE_BYTES: u32 = 34;
if (REQUEST_ADDRESS != REQUEST_DESTINATION + 16) ERROR("A tuple's addresses lie apart");

/** A selector whose keys and counters are zero, or 0 when there is no memory for it. */
export function openSelector(slots: u32): Address {
  assert(slots >= 1 && slots <= SLOTS_MAX);
  boot();
  const selector = allocZero(INSTANCE_ACCOUNT, <u32>COUNTERS + (slots << 2));
  if (selector) store<u32>(selector, slots, SLOTS);
  return selector;
}

export function closeSelector(selector: Address): void {
  free(INSTANCE_ACCOUNT, selector);
}

/** Sets 4 bytes of the keys: words 0..3 are F's, 4..7 are G's. */
export function secretWord(selector: Address, index: u32, value: u32): void {
  assert(index < KEY_WORDS);
  store<u32>(selector + KEY_OF_F + ((<usize>index) << 2), value);
}

/** 4 bytes of the keys. */
export function secretAt(selector: Address, index: u32): u32 {
  assert(index < KEY_WORDS);
  return load<u32>(selector + KEY_OF_F + ((<usize>index) << 2));
}

// ── The tuple in the request block ────────────────────────────────────────────────────────

/** F: where the searches of the tuple start, beside the counter. */
export function tupleHash(selector: Address): u32 {
  return hashWith(selector + KEY_OF_F);
}

/** G: the counter that the tuple uses. */
export function slotOf(selector: Address): u32 {
  return hashWith(selector + KEY_OF_G) % load<u32>(selector, SLOTS);
}

function hashWith(key: Address): u32 {
  const port = load<u32>(REQUEST + REQUEST_DESTINATION_PORT);
  return <u32>sipHash(key, REQUEST + REQUEST_DESTINATION, TUPLE_BYTES, port);
}

// ── Counters ──────────────────────────────────────────────────────────────────────────────

export function counterAt(selector: Address, slot: u32): u32 {
  return load<u32>(counterOf(selector, slot), COUNTERS);
}

export function setCounter(selector: Address, slot: u32, value: u32): void {
  store<u32>(counterOf(selector, slot), value, COUNTERS);
}

/** Adds to a counter, modulo 2^32. */
export function advance(selector: Address, slot: u32, by: u32): void {
  setCounter(selector, slot, counterAt(selector, slot) + by);
}

function counterOf(selector: Address, slot: u32): Address {
  assert(slot < load<u32>(selector, SLOTS));
  return selector + ((<usize>slot) << 2);
}
