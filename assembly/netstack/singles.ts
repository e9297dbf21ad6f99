// Singles: destinations with one port, held once, as bytes of a snapshot.
//
//   single  ┌──────┬───────────────┬──────────────────┬──────────┐
//           │ head │ destination   │ destination port │ port     │
//           │ u8   │ 0, 4 or 16 B  │ u16, or none     │ u16      │
//           └──────┴───────────────┴──────────────────┴──────────┘
//     head    bits 0-2 flags · 3-4 kind of address: any, IPv4, IPv6 · 5 there is a destination port
//
// Addresses are words in the order of a request, each of them little endian.

import {
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_FLAGS,
  SINGLE_ANY,
  SINGLE_HAS_PORT,
  SINGLE_IPV4,
  SINGLE_IPV6,
  SINGLE_KIND_SHIFT,
} from "../abi";
import { Address } from "../memory/arena";
import { REQUEST } from "../memory/layout";
import { nextPort } from "../ports/set";
import { flagsOf, highOf, isAny, lowOf, numberOf } from "./records";
import { mapped } from "./reservations";

const FLAGS: u32 = 7;
const KIND: u32 = 3;

/** Writes a flow with one port, and returns where the next may follow. */
export function writeSingle(at: Address, flow: Address): Address {
  const low = lowOf(flow);
  const high = highOf(flow);
  const isMapped = !low && high == mapped(<u32>(high >> 32));
  const kind: u32 = isAny(low, high) ? SINGLE_ANY : isMapped ? SINGLE_IPV4 : SINGLE_IPV6;
  const number = numberOf(flow);
  let head = flagsOf(flow) | (kind << SINGLE_KIND_SHIFT);
  let to = at + 1;
  if (kind == SINGLE_IPV4) {
    store<u32>(to, <u32>(high >> 32));
    to += 4;
  } else if (kind == SINGLE_IPV6) {
    store<u64>(to, low);
    store<u64>(to, high, 8);
    to += 16;
  }
  if (number) {
    head |= SINGLE_HAS_PORT;
    store<u16>(to, <u16>number);
    to += 2;
  }
  store<u8>(at, <u8>head);
  store<u16>(to, <u16>nextPort(flow, 1));
  return to + 2;
}

/**
 * Reads the destination and the flags of a single into the request block, and returns where it ends;
 * or 0: it is cut, or wrong.
 */
export function readSingle(at: Address, end: Address): Address {
  if (at >= end) return 0;
  const head: u32 = load<u8>(at);
  const kind = (head >> SINGLE_KIND_SHIFT) & KIND;
  const address = at + 1;
  let to = address + (kind == SINGLE_IPV4 ? 4 : kind == SINGLE_IPV6 ? 16 : 0);
  let number: u32 = 0;
  if (head & SINGLE_HAS_PORT) {
    number = load<u16>(to);
    to += 2;
  }
  const next = to + 2;
  if (next > end || kind > <u32>SINGLE_IPV6 || !load<u16>(to)) return 0;
  const isIPv6 = kind == SINGLE_IPV6;
  store<u64>(REQUEST + REQUEST_DESTINATION, isIPv6 ? load<u64>(address) : 0);
  store<u64>(
    REQUEST + REQUEST_DESTINATION + 8,
    isIPv6 ? load<u64>(address, 8) : kind == SINGLE_IPV4 ? mapped(load<u32>(address)) : 0,
  );
  store<u32>(REQUEST + REQUEST_DESTINATION_PORT, number);
  store<u32>(REQUEST + REQUEST_FLAGS, head & FLAGS);
  return next;
}
