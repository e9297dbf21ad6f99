// Tuples of TCP connections: which local ports are taken for a local address, a remote address and
// port, and a device.
//
//   local    0 ┌──────────────────┐      tuple   0 ┌──────────────────┐
//              │ node             │                │ node, set        │  slots of live connections, and
//           40 │ tuples      u32  │                │                  │  of TIME_WAITs that block
//           48 └──────────────────┘             40 │ second set       │  slots of TIME_WAITs that are due
//                                               64 │ device      u32  │
//                                               68 │ next        u32  │  the same with other devices
//                                               72 └──────────────────┘
//
// A connection without a device meets those without one; one of a device meets those of its device,
// too (Linux `inet_bound_dev_eq`).
//
// Must stay true: a tuple has a slot in one of its sets, a local address a tuple.

import { REQUEST_DESTINATION } from "../../../abi";
import { Address, allocZero, free } from "../../../memory/arena";
import { chargeNode } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { find, NODE_NAME, NODE_NUMBER, NODE_PARENT, remove, replace } from "../../../memory/table";
import { Port } from "../../../ports/bitmap";
import { addPort, chargePort, countOf, hasPort, removePort } from "../../../ports/set";
import { highOf, lowOf } from "./address";
import { newNode } from "./holders";

const LOCAL_OF: Address = 4;

const TUPLES: usize = 40;
const LOCAL_BYTES: u32 = 48;
const DUE: usize = 40;
const DEVICE: usize = 64;
const NEXT: usize = 68;
const TUPLE_BYTES: u32 = 72;

/** The tuple of that local address, and the remote one in the request, with any device, or 0. */
export function findTuples(system: Address, at: Address, remotePort: Port): Address {
  return findFor(system, lowOf(at), highOf(at), remotePort, REQUEST + REQUEST_DESTINATION);
}

/** The same, with the remote address given by its place. */
export function findFor(
  system: Address,
  low: u64,
  high: u64,
  remotePort: Port,
  remote: Address,
): Address {
  const local = find(system, LOCAL_OF, 0, low, high);
  return local ? find(system, local, remotePort, lowOf(remote), highOf(remote)) : 0;
}

export function nextTuple(tuple: Address): Address {
  return load<u32>(tuple, NEXT);
}

export function tupleDevice(tuple: Address): u32 {
  return load<u32>(tuple, DEVICE);
}

export function remotePortOf(tuple: Address): Port {
  return load<u16>(tuple, NODE_NUMBER);
}

/** Where the remote address is. */
export function remoteOf(tuple: Address): Address {
  return tuple + NODE_NAME;
}

/** Where the local address is. */
export function localOf(tuple: Address): Address {
  return <Address>load<u32>(tuple, NODE_PARENT) + NODE_NAME;
}

/** Does a connection of that device meet the tuple? */
export function meets(tuple: Address, device: u32): bool {
  return tupleDevice(tuple) == 0 || tupleDevice(tuple) == device;
}

/** The set of live connections and TIME_WAITs that block. */
export function blockingOf(tuple: Address): Address {
  return tuple;
}

/** The set of TIME_WAITs that connect() may take over, where that is allowed. */
export function dueOf(tuple: Address): Address {
  return tuple + DUE;
}

/** Has a connection of that very device the slot? */
export function isTaken(
  system: Address,
  slot: Port,
  low: u64,
  high: u64,
  remotePort: Port,
  remote: Address,
  device: u32,
): bool {
  const tuple = ofDevice(findFor(system, low, high, remotePort, remote), device);
  return tuple != 0 && hasSlot(tuple, slot);
}

export function hasSlot(tuple: Address, slot: Port): bool {
  return hasPort(tuple, slot) || hasPort(tuple + DUE, slot);
}

// ── Coming and going ──────────────────────────────────────────────────────────────────────

/** Charges for one more connection. */
export function chargeTuple(
  system: Address,
  low: u64,
  high: u64,
  remotePort: Port,
  remote: Address,
  device: u32,
): void {
  if (!find(system, LOCAL_OF, 0, low, high)) chargeNode(LOCAL_BYTES);
  const tuple = ofDevice(findFor(system, low, high, remotePort, remote), device);
  if (tuple) chargePort(tuple);
  else chargeNode(TUPLE_BYTES);
}

/** A connection takes a slot. It must have been charged. */
export function enterTuple(
  system: Address,
  slot: Port,
  low: u64,
  high: u64,
  remotePort: Port,
  remote: Address,
  device: u32,
): Address {
  const first = findFor(system, low, high, remotePort, remote);
  let tuple = ofDevice(first, device);
  if (!tuple) tuple = newTuple(system, first, low, high, remotePort, remote, device);
  addPort(system, tuple, slot);
  return tuple;
}

/** A connection leaves its slot. The tuple is freed with its last connection. */
export function leaveTuple(system: Address, tuple: Address, slot: Port): void {
  const set = hasPort(tuple, slot) ? tuple : tuple + DUE;
  removePort(system, set, slot);
  if (countOf(tuple) || countOf(tuple + DUE)) return;
  freeTuple(system, tuple);
}

/** Charges for a TIME_WAIT that may be taken over from now on. */
export function chargeDue(tuple: Address): void {
  chargePort(tuple + DUE);
}

export function becomeDue(system: Address, tuple: Address, slot: Port): void {
  addPort(system, tuple + DUE, slot);
  removePort(system, tuple, slot);
}

/** Charges for a TIME_WAIT that may no longer be taken over. */
export function chargeBlocking(tuple: Address): void {
  chargePort(tuple);
}

export function becomeBlocking(system: Address, tuple: Address, slot: Port): void {
  addPort(system, tuple, slot);
  removePort(system, tuple + DUE, slot);
}

function ofDevice(first: Address, device: u32): Address {
  let tuple = first;
  while (tuple && tupleDevice(tuple) != device) tuple = nextTuple(tuple);
  return tuple;
}

function newTuple(
  system: Address,
  first: Address,
  low: u64,
  high: u64,
  remotePort: Port,
  remote: Address,
  device: u32,
): Address {
  let local = find(system, LOCAL_OF, 0, low, high);
  if (!local) local = newNode(system, LOCAL_BYTES, LOCAL_OF, 0, low, high);
  store<u32>(local, load<u32>(local, TUPLES) + 1, TUPLES);
  const tuple = first
    ? newBehind(system, first)
    : newNode(system, TUPLE_BYTES, local, remotePort, lowOf(remote), highOf(remote));
  store<u32>(tuple, device, DEVICE);
  return tuple;
}

/** One more with the key of the first, which is the one that the table knows. */
function newBehind(system: Address, first: Address): Address {
  const tuple = allocZero(system, TUPLE_BYTES);
  assert(tuple != 0); // charged too little
  store<u32>(tuple, load<u32>(first, NODE_PARENT), NODE_PARENT);
  store<u16>(tuple, load<u16>(first, NODE_NUMBER), NODE_NUMBER);
  store<u64>(tuple, load<u64>(first, NODE_NAME), NODE_NAME);
  store<u64>(tuple, load<u64>(first, NODE_NAME + 8), NODE_NAME + 8);
  store<u32>(tuple, load<u32>(first, NEXT), NEXT);
  store<u32>(first, <u32>tuple, NEXT);
  return tuple;
}

function freeTuple(system: Address, tuple: Address): void {
  const local: Address = load<u32>(tuple, NODE_PARENT);
  const remote = tuple + NODE_NAME;
  const first = find(system, local, remotePortOf(tuple), lowOf(remote), highOf(remote));
  if (first == tuple) {
    if (nextTuple(tuple)) replace(system, tuple, nextTuple(tuple));
    else remove(system, tuple);
  } else {
    let before = first;
    while (nextTuple(before) != tuple) before = nextTuple(before);
    store<u32>(before, <u32>nextTuple(tuple), NEXT);
  }
  free(system, tuple);
  const left = load<u32>(local, TUPLES) - 1;
  store<u32>(local, left, TUPLES);
  if (left) return;
  remove(system, local);
  free(system, local);
}
