// Bucket: what the system knows about one port that sockets or TIME_WAITs own (the kernel's bind
// bucket, `inet_bind_bucket`).
//
//   bucket  0 ┌──────────────────┐      the port's place in a page table (ports/page-table.ts)
//             │ owners      u32  │  first of them; 0: there is no bucket
//           4 ├──────────────────┤
//             │ sockets     u32  │  how many of them
//           8 ├──────────────────┤
//             │ waits       u32  │  and how many TIME_WAITs
//          12 ├─────────┬────────┤
//             │ port u16│fast i16│  fastreuse
//          16 └─────────┴────────┘
//
//   owner   0 ┌──────────────────┐      part of a socket, or of a TIME_WAIT
//             │ next        u32  │
//           4 ├──────────────────┤
//             │ previous    u32  │
//           8 ├──────────────────┤
//             │ flow        u32  │  which holds the port for it: address, device, destination, class
//          12 └──────────────────┘
//
//   fastreuse   1   every bind() so far came with SO_REUSEADDR, and no socket listens
//               0   some bind() did not
//              -1   connect() made the bucket, and no bind() without SO_REUSEADDR has joined
//
// The sets `bound` and `reusable` of the system say the same for 64 ports at a time, so that a
// search need not look at buckets.
//
// Must stay true: a bucket has an owner; fastreuse does not change when an owner leaves.

import { Address } from "../../../memory/arena";
import { pushFirst, takeOut } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { chargePlace, closePlace, openPlace, placeOf } from "../../../ports/page-table";
import { addPort, chargePort, removePort } from "../../../ports/set";
import { BOUND, BUCKETS, count, OWNING, PAGE_TABLE, REUSABLE, WAITING } from "./system";

const OWNERS: usize = 0;
const SOCKET_COUNT: usize = 4;
const WAIT_COUNT: usize = 8;
const PORT: usize = 12;
const FASTREUSE: usize = 14;

const LINKS: usize = 0;
const FLOW: usize = 8;
export const OWNER_BYTES: usize = 12;

/** The value of fastreuse where there is no bucket. */
export const NO_BUCKET: i32 = -2;

/** The bucket of a port, or 0. */
export function findBucket(system: Address, port: Port): Address {
  const place = placeOf(system + PAGE_TABLE, port);
  return place && firstOwner(place) ? place : 0;
}

export function portOf(bucket: Address): Port {
  return load<u16>(bucket, PORT);
}

export function fastreuseOf(bucket: Address): i32 {
  return bucket ? load<i16>(bucket, FASTREUSE) : NO_BUCKET;
}

export function socketsOf(bucket: Address): u32 {
  return load<u32>(bucket, SOCKET_COUNT);
}

export function waitsOf(bucket: Address): u32 {
  return load<u32>(bucket, WAIT_COUNT);
}

/** Does the port have a single owner? */
export function hasOneOwner(bucket: Address): bool {
  return socketsOf(bucket) + waitsOf(bucket) == 1;
}

export function firstOwner(bucket: Address): Address {
  return load<u32>(bucket, OWNERS);
}

export function nextOwner(owner: Address): Address {
  return load<u32>(owner, LINKS);
}

export function flowOf(owner: Address): Address {
  return load<u32>(owner, FLOW);
}

export function setFlow(owner: Address, flow: Address): void {
  store<u32>(owner, <u32>flow, FLOW);
}

// ── Coming and going ──────────────────────────────────────────────────────────────────────

/** Charges for one more socket at the port, whose fastreuse becomes the given one. */
export function chargeOwner(system: Address, bucket: Address, port: Port, fastreuse: i32): void {
  if (!bucket) chargePlace(system + PAGE_TABLE, port);
  chargeFastreuse(system, bucket, fastreuse);
}

/** Charges for what the sets need when fastreuse changes. */
export function chargeFastreuse(system: Address, bucket: Address, fastreuse: i32): void {
  const before = fastreuseOf(bucket);
  if (before < 0 && fastreuse >= 0) chargePort(system + BOUND);
  if (before <= 0 && fastreuse > 0) chargePort(system + REUSABLE);
}

/** The bucket of a port, made if it is 0, with that fastreuse. It must have been charged. */
export function openBucket(system: Address, bucket: Address, port: Port, fastreuse: i32): Address {
  const opened = bucket ? bucket : newBucket(system, port);
  setFastreuse(system, opened, fastreuse);
  return opened;
}

/**
 * A socket joins the owners of a port, and makes the bucket if it is 0. It must have been charged.
 */
export function addSocketOwner(
  system: Address,
  bucket: Address,
  port: Port,
  fastreuse: i32,
  owner: Address,
  flow: Address,
): Address {
  const joined = openBucket(system, bucket, port, fastreuse);
  setFlow(owner, flow);
  pushFirst(joined + OWNERS, owner, LINKS);
  store<u32>(joined, socketsOf(joined) + 1, SOCKET_COUNT);
  count(system, OWNING, 1);
  return joined;
}

/** A socket leaves its port. The bucket is freed with its last owner. */
export function dropSocketOwner(system: Address, bucket: Address, owner: Address): void {
  takeOut(bucket + OWNERS, owner, LINKS);
  store<u32>(bucket, socketsOf(bucket) - 1, SOCKET_COUNT);
  count(system, OWNING, -1);
  settleBucket(system, bucket);
}

/** A TIME_WAIT joins the owners. The socket that it replaces leaves afterwards. */
export function addWaitOwner(
  system: Address,
  bucket: Address,
  owner: Address,
  flow: Address,
): void {
  setFlow(owner, flow);
  pushFirst(bucket + OWNERS, owner, LINKS);
  store<u32>(bucket, waitsOf(bucket) + 1, WAIT_COUNT);
  count(system, WAITING, 1);
}

export function dropWaitOwner(system: Address, bucket: Address, owner: Address): void {
  takeOut(bucket + OWNERS, owner, LINKS);
  store<u32>(bucket, waitsOf(bucket) - 1, WAIT_COUNT);
  count(system, WAITING, -1);
  settleBucket(system, bucket);
}

/** The sets must have been charged. */
export function setFastreuse(system: Address, bucket: Address, fastreuse: i32): void {
  const before = fastreuseOf(bucket);
  if (before == fastreuse) return;
  store<i16>(bucket, <i16>fastreuse, FASTREUSE);
  const port = portOf(bucket);
  if (before >= 0 != fastreuse >= 0) putInSet(system, system + BOUND, port, fastreuse >= 0);
  if (before > 0 != fastreuse > 0) putInSet(system, system + REUSABLE, port, fastreuse > 0);
}

function putInSet(system: Address, set: Address, port: Port, belongs: bool): void {
  if (belongs) addPort(system, set, port);
  else removePort(system, set, port);
}

function newBucket(system: Address, port: Port): Address {
  const bucket = openPlace(system, system + PAGE_TABLE, port);
  store<u16>(bucket, <u16>port, PORT);
  store<i16>(bucket, <i16>NO_BUCKET, FASTREUSE);
  count(system, BUCKETS, 1);
  return bucket;
}

function settleBucket(system: Address, bucket: Address): void {
  if (firstOwner(bucket)) return;
  setFastreuse(system, bucket, NO_BUCKET);
  closePlace(system, system + PAGE_TABLE, portOf(bucket));
  count(system, BUCKETS, -1);
}
