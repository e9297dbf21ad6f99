// Bind buckets of TCP ports: whether an automatic connect() may use a port, and what bind()
// remembers of SO_REUSEPORT sockets (Linux `inet_bind_bucket`, `inet_bind2_bucket`).
//
//   bucket   0 ┌──────────────────┐     the port's place in the page table
//              │ parts       u32  │     one for each local address that owners have
//            4 │ bound       u32  │     how many of them keep the bucket closed
//            8 │ more        u32  │     of the record below, or 0
//           12 │ open, like  u8   │     open: connect() may use the port; like: it remembers a socket
//           16 └──────────────────┘
//
//   part     0 ┌──────────────────┐     more   0 ┌──────────────────┐
//              │ node             │              │ address 16 bytes │  of the remembered socket
//           12 │ open        u8   │           16 │ uid         u32  │
//           16 │ owners      u32  │           20 │ v6, only    u8   │  its family, IPV6_V6ONLY
//           20 │ from bind   u32  │           24 │ listeners   u32  │  list (socket.ts)
//           40 └──────────────────┘           28 └──────────────────┘
//
// A bucket is open as long as connect() has picked the port of all its owners. Since 6.18 it opens
// again when only such owners are left: a part opens when it has no other owner, and the bucket
// when all its parts are open.
//
// Must stay true: a bucket has a part, a part an owner; the set of closed ports has exactly
// those whose bucket is not open.

import { Address, allocZero, free } from "../../../memory/arena";
import { chargeBlock, chargeNode } from "../../../memory/bill";
import { find, remove } from "../../../memory/table";
import { Port } from "../../../ports/bitmap";
import { chargePlace, closePlace, openPlace, placeOf } from "../../../ports/page-table";
import { addPort, chargePort, removePort } from "../../../ports/set";
import { covers, highOf, lowOf, setAddress } from "./address";
import { newNode } from "./holders";
import { BUCKETS, CLOSED_PORTS, count, slotOf, TCP_PORTS } from "./system";

/** The parent of parts; their number is the port. */
const PART_OF: Address = 3;

const PARTS: usize = 0;
const CLOSED_PARTS: usize = 4;
const MORE: usize = 8;
const IS_OPEN: usize = 12;
const HAS_LIKE: usize = 13;

const PART_IS_OPEN: usize = 12;
const OWNERS: usize = 16;
const FROM_BIND: usize = 20;
const PART_BYTES: u32 = 40;

const UID: usize = 16;
const IS_V6: usize = 20;
const IS_ONLY: usize = 21;
const LISTENERS: usize = 24;
const MORE_BYTES: u32 = 28;

/** The bucket of a port that has an owner, or 0. */
export function findBucket(system: Address, port: Port): Address {
  const place = placeOf(system + TCP_PORTS, port);
  return place && load<u32>(place, PARTS) ? place : 0;
}

/** May an automatic connect() use the port? */
export function isOpen(bucket: Address): bool {
  return load<u8>(bucket, IS_OPEN) != 0;
}

/** Charges for one more owner at that port and address. */
export function chargeOwner(system: Address, port: Port, low: u64, high: u64): void {
  if (!findBucket(system, port)) chargePlace(system + TCP_PORTS, port);
  if (!findPart(system, port, low, high)) chargeNode(PART_BYTES);
  chargePort(system + CLOSED_PORTS);
}

/** Charges for what a bucket remembers. */
export function chargeMore(system: Address, port: Port): void {
  const bucket = findBucket(system, port);
  if (!bucket || !load<u32>(bucket, MORE)) chargeBlock(MORE_BYTES);
}

/** An owner joins; the first one says whether connect() has picked the port. */
export function addOwner(
  system: Address,
  port: Port,
  low: u64,
  high: u64,
  isFromConnect: bool,
): Address {
  let bucket = findBucket(system, port);
  if (!bucket) bucket = newBucket(system, port, isFromConnect);
  let part = findPart(system, port, low, high);
  if (!part) part = newPart(system, bucket, port, low, high, isFromConnect);
  store<u32>(part, load<u32>(part, OWNERS) + 1, OWNERS);
  if (!isFromConnect) store<u32>(part, load<u32>(part, FROM_BIND) + 1, FROM_BIND);
  return part;
}

/** An owner leaves. */
export function dropOwner(system: Address, port: Port, part: Address, isFromConnect: bool): void {
  const bucket = findBucket(system, port);
  leavePart(system, bucket, part, isFromConnect);
  if (!load<u32>(bucket, PARTS)) closeBucket(system, bucket, port);
  else if (!isOpen(bucket) && !load<u32>(bucket, CLOSED_PARTS)) setOpen(system, bucket, port, true);
}

/**
 * Moves an owner to another address, which must have been charged. Whether the bucket is open does
 * not change.
 */
export function moveOwner(
  system: Address,
  port: Port,
  part: Address,
  low: u64,
  high: u64,
  isFromConnect: bool,
): Address {
  const bucket = findBucket(system, port);
  // The only owner of a part frees it by leaving. One more part is counted meanwhile, so that the
  // bucket stays.
  store<u32>(bucket, load<u32>(bucket, PARTS) + 1, PARTS);
  leavePart(system, bucket, part, isFromConnect);
  const other = addOwner(system, port, low, high, isFromConnect);
  store<u32>(bucket, load<u32>(bucket, PARTS) - 1, PARTS);
  return other;
}

function leavePart(system: Address, bucket: Address, part: Address, isFromConnect: bool): void {
  const owners = load<u32>(part, OWNERS) - 1;
  store<u32>(part, owners, OWNERS);
  if (!isFromConnect) store<u32>(part, load<u32>(part, FROM_BIND) - 1, FROM_BIND);
  if (owners) {
    if (!load<u32>(part, FROM_BIND)) setPartOpen(bucket, part, true);
    return;
  }
  setPartOpen(bucket, part, true);
  store<u32>(bucket, load<u32>(bucket, PARTS) - 1, PARTS);
  remove(system, part);
  free(system, part);
}

// ── What bind() remembers ─────────────────────────────────────────────────────────────────

/**
 * Notes that bind() or listen() has accepted an owner of the port. The bucket remembers it if it
 * has SO_REUSEPORT and is not like the socket remembered before; memory for that must have been
 * charged.
 */
export function admit(
  system: Address,
  port: Port,
  part: Address,
  at: Address,
  isV6: bool,
  isOnly: bool,
  uid: u32,
  isReusePort: bool,
  isGrouped: bool,
): void {
  const bucket = findBucket(system, port);
  if (!isReusePort) {
    store<u8>(bucket, 0, HAS_LIKE);
  } else if (!isLike(bucket, at, isOnly, uid, isGrouped)) {
    store<u8>(bucket, 1, HAS_LIKE);
    storeLike(openMore(system, bucket), at, isV6, isOnly, uid);
  }
  setPartOpen(bucket, part, false);
  setOpen(system, bucket, port, false);
}

/** Is a SO_REUSEPORT socket like the remembered one? Then bind() does not look for conflicts. */
export function isLike(
  bucket: Address,
  at: Address,
  isOnly: bool,
  uid: u32,
  isGrouped: bool,
): bool {
  if (!load<u8>(bucket, HAS_LIKE) || isGrouped) return false;
  const more: Address = load<u32>(bucket, MORE);
  if (load<u32>(more, UID) != uid) return false;
  const isV6 = load<u8>(more, IS_V6) != 0;
  const wasOnly = load<u8>(more, IS_ONLY) != 0;
  return covers(isV6, lowOf(more), highOf(more), wasOnly, lowOf(at), highOf(at), isOnly);
}

/** The head of the list of the port's listeners; must have been charged. */
export function listenersOf(system: Address, port: Port): Address {
  return openMore(system, findBucket(system, port)) + LISTENERS;
}

/** The first listener of the port, or 0. */
export function firstListener(system: Address, port: Port): Address {
  const bucket = findBucket(system, port);
  const more: Address = bucket ? <Address>load<u32>(bucket, MORE) : 0;
  return more ? <Address>load<u32>(more, LISTENERS) : 0;
}

function openMore(system: Address, bucket: Address): Address {
  const known: Address = load<u32>(bucket, MORE);
  if (known) return known;
  const more = allocZero(system, MORE_BYTES);
  assert(more != 0); // charged too little
  store<u32>(bucket, <u32>more, MORE);
  return more;
}

// ── Restoring ─────────────────────────────────────────────────────────────────────────────

export function isPartOpen(part: Address): bool {
  return load<u8>(part, PART_IS_OPEN) != 0;
}

/** The record of what a bucket remembers of SO_REUSEPORT, or 0: it remembers none. */
export function likeOf(bucket: Address): Address {
  return load<u8>(bucket, HAS_LIKE) ? <Address>load<u32>(bucket, MORE) : 0;
}

export function uidOfLike(like: Address): u32 {
  return load<u32>(like, UID);
}

/** 1: of IPv6; 2: IPV6_V6ONLY. */
export function familyOfLike(like: Address): u32 {
  return load<u8>(like, IS_V6) | (load<u8>(like, IS_ONLY) << 1);
}

/** Restores whether a part is open. */
export function restorePart(system: Address, port: Port, part: Address, open: bool): void {
  setPartOpen(findBucket(system, port), part, open);
}

/** Restores whether a bucket is open, and what it remembered, which must have been charged. */
export function restoreBucket(
  system: Address,
  port: Port,
  open: bool,
  at: Address,
  uid: u32,
  family: u32,
): void {
  const bucket = findBucket(system, port);
  setOpen(system, bucket, port, open);
  if (!at) return;
  store<u8>(bucket, 1, HAS_LIKE);
  storeLike(openMore(system, bucket), at, (family & 1) != 0, (family & 2) != 0, uid);
}

function storeLike(more: Address, at: Address, isV6: bool, isOnly: bool, uid: u32): void {
  setAddress(more, lowOf(at), highOf(at));
  store<u32>(more, uid, UID);
  store<u8>(more, isV6 ? 1 : 0, IS_V6);
  store<u8>(more, isOnly ? 1 : 0, IS_ONLY);
}

// ── Coming and going ──────────────────────────────────────────────────────────────────────

function newBucket(system: Address, port: Port, isFromConnect: bool): Address {
  const bucket = openPlace(system, system + TCP_PORTS, port);
  store<u8>(bucket, 1, IS_OPEN);
  if (!isFromConnect) setOpen(system, bucket, port, false);
  count(system, BUCKETS, 1);
  return bucket;
}

function closeBucket(system: Address, bucket: Address, port: Port): void {
  setOpen(system, bucket, port, true);
  const more: Address = load<u32>(bucket, MORE);
  if (more) free(system, more);
  closePlace(system, system + TCP_PORTS, port);
  count(system, BUCKETS, -1);
}

function setOpen(system: Address, bucket: Address, port: Port, open: bool): void {
  if (isOpen(bucket) == open) return;
  store<u8>(bucket, open ? 1 : 0, IS_OPEN);
  if (open) {
    store<u8>(bucket, 0, HAS_LIKE);
    removePort(system, system + CLOSED_PORTS, slotOf(port));
  } else {
    addPort(system, system + CLOSED_PORTS, slotOf(port));
  }
}

export function findPart(system: Address, port: Port, low: u64, high: u64): Address {
  return find(system, PART_OF, port, low, high);
}

function newPart(
  system: Address,
  bucket: Address,
  port: Port,
  low: u64,
  high: u64,
  open: bool,
): Address {
  const part = newNode(system, PART_BYTES, PART_OF, port, low, high);
  store<u8>(part, 1, PART_IS_OPEN);
  setPartOpen(bucket, part, open);
  store<u32>(bucket, load<u32>(bucket, PARTS) + 1, PARTS);
  return part;
}

function setPartOpen(bucket: Address, part: Address, open: bool): void {
  if ((load<u8>(part, PART_IS_OPEN) != 0) == open) return;
  store<u8>(part, open ? 1 : 0, PART_IS_OPEN);
  store<u32>(bucket, load<u32>(bucket, CLOSED_PARTS) + (open ? -1 : 1), CLOSED_PARTS);
}
