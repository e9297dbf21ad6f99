// Addresses of modern Linux: 16 bytes, IPv4 as ::ffff:a.b.c.d, and when two of them meet.
//
// 0.0.0.0 is ::ffff:0.0.0.0 and `::` is all zero: they are two addresses, and the rules tell them
// apart. Owners of ports fall into six classes; what a new socket meets is the same for all
// addresses of a class, or for its own address and the any address (Linux `inet_rcv_saddr_equal`).

import { Address } from "../../../memory/arena";

/** IPv4, also mapped into IPv6. */
export const V4: u32 = 0;
/** `::` */
export const ANY: u32 = 1;
/** An IPv6 address. */
export const V6: u32 = 2;
/** Added to the class of an owner with IPV6_V6ONLY. */
export const ONLY: u32 = 4;

/** The high half of 0.0.0.0; the low half is zero. */
export const ANY_V4: u64 = 0xffff0000;

export function lowOf(at: Address): u64 {
  return load<u64>(at);
}

export function highOf(at: Address): u64 {
  return load<u64>(at, 8);
}

export function setAddress(at: Address, low: u64, high: u64): void {
  store<u64>(at, low);
  store<u64>(at, high, 8);
}

export function isV4(low: u64, high: u64): bool {
  return low == 0 && (high & 0xffffffff) == ANY_V4;
}

export function isAny6(low: u64, high: u64): bool {
  return (low | high) == 0;
}

/** Is it 0.0.0.0, or `::`? */
export function isAny(low: u64, high: u64): bool {
  return low == 0 && (high == 0 || high == ANY_V4);
}

export function isLoopback(low: u64, high: u64): bool {
  if (isV4(low, high)) return isLoopback4(high);
  return low == 0 && high == (<u64>1) << 56;
}

/** 127.0.0.0/8, of an IPv4 address's high half. */
export function isLoopback4(high: u64): bool {
  return ((high >> 32) & 0xff) == 127;
}

/** The high half of 127.0.0.1. */
export function loopback4(): u64 {
  return ANY_V4 | ((<u64>0x0100007f) << 32);
}

/** The high half of 127.0.0.6, which a socket bound to IPv6 has over IPv4 (`LOOPBACK4_IPV6`). */
export function standIn4(): u64 {
  return ANY_V4 | ((<u64>0x0600007f) << 32);
}

/** The class of an owner at that address. */
export function classOf(low: u64, high: u64, isOnly: bool): u32 {
  const kind = isV4(low, high) ? V4 : isAny6(low, high) ? ANY : V6;
  return kind | (isOnly ? ONLY : 0);
}

/**
 * Is the address of a remembered socket equal to that of a new one, or any, so that it covers it?
 * `isV6` is the family of the remembered one.
 */
export function covers(
  isV6: bool,
  low: u64,
  high: u64,
  isOnly: bool,
  newLow: u64,
  newHigh: u64,
  isNewOnly: bool,
): bool {
  const isNewV4 = isV4(newLow, newHigh);
  if (!isV6 || (isV4(low, high) && isNewV4)) {
    if (isNewOnly) return false;
    if (isAny(low, high)) return true;
    return low == newLow && high == newHigh;
  }
  if (isAny6(low, high)) return isAny6(newLow, newHigh) || !isOnly || !isNewV4;
  return low == newLow && high == newHigh;
}
