// Record: what the system knows about one port that somebody owns (the kernel's bind bucket).
//
//   record  0 ┌──────────────────┐      the port's place in a directory (ports/page-table.ts)
//             │ owners      u32  │  first of them; 0: there is no record
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
//   fastreuse   1   every bind() so far came with SO_REUSEADDR, and nobody listens
//               0   some bind() did not
//              -1   connect() made the record, and no bind() without SO_REUSEADDR has joined
//
// The sets `bound` and `reusable` of the system say the same for 64 ports at a time, so that a
// search need not look at records.
//
// Must stay true: a record has an owner; fastreuse does not change when an owner leaves.

import { Address } from "../memory/arena";
import { pushFirst, takeOut } from "../memory/list";
import { Port } from "../ports/bitmap";
import { chargePlace, closePlace, openPlace, placeOf } from "../ports/page-table";
import { addPort, chargePort, removePort } from "../ports/set";
import { BOUND, count, OWNING, PAGE_TABLE, RECORDS, REUSABLE, WAITING } from "./system";

const OWNERS: usize = 0;
const SOCKET_COUNT: usize = 4;
const WAIT_COUNT: usize = 8;
const PORT: usize = 12;
const FASTREUSE: usize = 14;

const LINKS: usize = 0;
const FLOW: usize = 8;
export const OWNER_BYTES: usize = 12;

/** What fastreuse is where there is no record. */
export const NO_RECORD: i32 = -2;

/** The record of a port, or 0. */
export function findRecord(system: Address, port: Port): Address {
  const place = placeOf(system + PAGE_TABLE, port);
  return place && firstOwner(place) ? place : 0;
}

export function portOf(record: Address): Port {
  return load<u16>(record, PORT);
}

export function fastreuseOf(record: Address): i32 {
  return record ? load<i16>(record, FASTREUSE) : NO_RECORD;
}

export function socketsOf(record: Address): u32 {
  return load<u32>(record, SOCKET_COUNT);
}

export function waitsOf(record: Address): u32 {
  return load<u32>(record, WAIT_COUNT);
}

/** Does nobody else own the port? */
export function hasOneOwner(record: Address): bool {
  return socketsOf(record) + waitsOf(record) == 1;
}

export function firstOwner(record: Address): Address {
  return load<u32>(record, OWNERS);
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

/** Charges for a socket more at that port, of which fastreuse becomes what is given. */
export function chargeOwner(system: Address, record: Address, port: Port, fastreuse: i32): void {
  if (!record) chargePlace(system + PAGE_TABLE, port);
  chargeFastreuse(system, record, fastreuse);
}

/** Charges for what the sets need when fastreuse changes. */
export function chargeFastreuse(system: Address, record: Address, fastreuse: i32): void {
  const before = fastreuseOf(record);
  if (before < 0 && fastreuse >= 0) chargePort(system + BOUND);
  if (before <= 0 && fastreuse > 0) chargePort(system + REUSABLE);
}

/** A socket joins the owners of a port, and makes the record if it is 0. It must have been charged. */
export function addSocketOwner(
  system: Address,
  record: Address,
  port: Port,
  fastreuse: i32,
  owner: Address,
  flow: Address,
): Address {
  const joined = record ? record : newRecord(system, port);
  setFastreuse(system, joined, fastreuse);
  setFlow(owner, flow);
  pushFirst(joined + OWNERS, owner, LINKS);
  store<u32>(joined, socketsOf(joined) + 1, SOCKET_COUNT);
  count(system, OWNING, 1);
  return joined;
}

/** A socket leaves its port; the last owner takes the record with it. */
export function dropSocketOwner(system: Address, record: Address, owner: Address): void {
  takeOut(record + OWNERS, owner, LINKS);
  store<u32>(record, socketsOf(record) - 1, SOCKET_COUNT);
  count(system, OWNING, -1);
  settleRecord(system, record);
}

/** A TIME_WAIT joins; whom it comes from leaves after it. */
export function addWaitOwner(
  system: Address,
  record: Address,
  owner: Address,
  flow: Address,
): void {
  setFlow(owner, flow);
  pushFirst(record + OWNERS, owner, LINKS);
  store<u32>(record, waitsOf(record) + 1, WAIT_COUNT);
  count(system, WAITING, 1);
}

export function dropWaitOwner(system: Address, record: Address, owner: Address): void {
  takeOut(record + OWNERS, owner, LINKS);
  store<u32>(record, waitsOf(record) - 1, WAIT_COUNT);
  count(system, WAITING, -1);
  settleRecord(system, record);
}

/** The sets must have been charged. */
export function setFastreuse(system: Address, record: Address, fastreuse: i32): void {
  const before = fastreuseOf(record);
  if (before == fastreuse) return;
  store<i16>(record, <i16>fastreuse, FASTREUSE);
  const port = portOf(record);
  if (before >= 0 != fastreuse >= 0) putInSet(system, system + BOUND, port, fastreuse >= 0);
  if (before > 0 != fastreuse > 0) putInSet(system, system + REUSABLE, port, fastreuse > 0);
}

function putInSet(system: Address, set: Address, port: Port, belongs: bool): void {
  if (belongs) addPort(system, set, port);
  else removePort(system, set, port);
}

function newRecord(system: Address, port: Port): Address {
  const record = openPlace(system, system + PAGE_TABLE, port);
  store<u16>(record, <u16>port, PORT);
  store<i16>(record, <i16>NO_RECORD, FASTREUSE);
  count(system, RECORDS, 1);
  return record;
}

function settleRecord(system: Address, record: Address): void {
  if (firstOwner(record)) return;
  setFastreuse(system, record, NO_RECORD);
  closePlace(system, system + PAGE_TABLE, portOf(record));
  count(system, RECORDS, -1);
}
