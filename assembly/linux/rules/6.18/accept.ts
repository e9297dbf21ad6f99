// Accept: the connections of listeners on modern Linux, which wait for accept() or are accepted.
// Such a connection owns the listener's port, with the listener's options, and its own tuple.

import { NOT_LISTENING, NOTHING_WAITS, REQUEST_ADDRESS, REQUEST_DESTINATION } from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay, chargeBlock } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { Port } from "../../../ports/bitmap";
import { classOf, highOf, isAny, isV4, lowOf, setAddress } from "./address";
import { chargeOwner, firstListener } from "./bucket";
import { chargeHold, describeOwner, TCP } from "./holders";
import { takePort } from "./owning";
import {
  ADDRESS,
  ADDRESS_LOCKED,
  BACKLOG,
  BACKLOG_LAST,
  DEVICE,
  ESTABLISHED,
  flagsOf,
  groupOf,
  HAS_RANGE,
  HAS_TIMESTAMPS,
  has,
  highOfSocket,
  IS_V6,
  kindOfChild,
  LISTENING,
  lowOfSocket,
  NO_PORT,
  OUTSIDE,
  OVER_V4,
  OWN_RANGE,
  openSocket618,
  PEER,
  PORT_LINKS,
  portOf,
  REUSE_ADDR,
  REUSE_PORT,
  setFlag,
  setState,
  setWord,
  showPort,
  socketBytes,
  stateOf,
  systemOf,
  TUPLE,
  UID,
  USED,
  V6ONLY,
  word,
} from "./socket";
import { slotOf } from "./system";
import { chargeTuple, enterTuple, findFor, hasSlot } from "./tuples";

const TARGET: usize = REQUEST + <usize>REQUEST_DESTINATION;
const SOURCE: usize = REQUEST + <usize>REQUEST_ADDRESS;
/** The flags that a connection takes over from its listener. */
const INHERITED: u32 =
  IS_V6 | REUSE_ADDR | REUSE_PORT | V6ONLY | NO_PORT | HAS_RANGE | ADDRESS_LOCKED;

/**
 * The listener that fits an address best, or 0. The same address counts before the any address,
 * then a device before none, then the same family before both.
 */
export function findListener(system: Address, at: Address, port: Port): Address {
  let best: Address = 0;
  let most: u32 = 0;
  let listener = firstListener(system, port);
  for (; listener; listener = word(listener, PORT_LINKS)) {
    const fitness = fitnessOf(listener, lowOf(at), highOf(at));
    // The list has the newest first; of equal ones the oldest is chosen.
    if (fitness && fitness >= most) {
      best = listener;
      most = fitness;
    }
  }
  return best;
}

function fitnessOf(listener: Address, low: u64, high: u64): u32 {
  const device = word(listener, DEVICE);
  if (device > 1) return 0; // packets that the machine sends to itself come from loopback
  const ownLow = lowOfSocket(listener);
  const ownHigh = highOfSocket(listener);
  const isTarget4 = isV4(low, high);
  let own: u32 = 0;
  if (isAny(ownLow, ownHigh)) {
    if (isV4(ownLow, ownHigh) != isTarget4 && isV4(ownLow, ownHigh)) return 0;
    if (isTarget4 && has(listener, V6ONLY)) return 0;
  } else {
    if (ownLow != low || ownHigh != high) return 0;
    if (isTarget4 && has(listener, V6ONLY)) return 0;
    own = 4;
  }
  const family: u32 = has(listener, IS_V6) == !isTarget4 ? 1 : 0;
  return 1 + own + (device ? 2 : 0) + family;
}

// ── Connections of listeners ──────────────────────────────────────────────────────────────

/** Charges for a listener's connection with a socket that connects from that port. */
export function chargeChild(listener: Address, client: Address, port: Port, own: Port): void {
  chargeConnection(listener, lowOf(TARGET), highOf(TARGET), own, port, client + ADDRESS);
}

/** A listener's connection with a socket of this system, which has been charged. */
export function makeChild(listener: Address, client: Address, port: Port, own: Port): void {
  const child = newConnection(listener, lowOf(TARGET), highOf(TARGET), own, port, client + ADDRESS);
  setFlag(child, HAS_TIMESTAMPS, has(client, HAS_TIMESTAMPS));
  setWord(child, PEER, client);
  setWord(client, PEER, child);
  addWaiting(listener, child);
}

/** A connection waits behind all others for accept(). */
export function addWaiting(listener: Address, child: Address): void {
  const last = word(listener, BACKLOG_LAST);
  setWord(last ? last : listener, BACKLOG, child);
  setWord(listener, BACKLOG_LAST, child);
}

/**
 * A connection with an end outside of the system, which has come to the listener: from the address
 * and port in the request to the local address there. Its record, or 0: no memory.
 */
export function acceptFrom(listener: Address, remotePort: Port, hasTimestamps: u32): Address {
  const system = systemOf(listener);
  const low = lowOf(SOURCE);
  const high = highOf(SOURCE);
  const own = portOf(listener);
  beginBill();
  chargeConnection(listener, low, high, own, remotePort, TARGET);
  if (!canPay(system)) return 0;
  const child = newConnection(listener, low, high, own, remotePort, TARGET);
  setFlag(child, HAS_TIMESTAMPS, hasTimestamps != 0);
  setWord(child, PEER, OUTSIDE);
  return child;
}

/** Does the listener's port already have a connection with the tuple in the request? */
export function isKnownFrom(listener: Address, remotePort: Port): bool {
  const tuple = findFor(systemOf(listener), lowOf(SOURCE), highOf(SOURCE), remotePort, TARGET);
  return tuple != 0 && hasSlot(tuple, slotOf(portOf(listener)));
}

/** The connection that has waited longest; or a refusal. */
export function accept618(listener: Address): i32 {
  if (stateOf(listener) != LISTENING) return NOT_LISTENING;
  const child = takeWaiting(listener);
  return child ? <i32>child : NOTHING_WAITS;
}

/** Removes the connection that has waited longest for accept(), and returns it; or 0. */
export function takeWaiting(listener: Address): Address {
  const child = word(listener, BACKLOG);
  if (!child) return 0;
  setWord(listener, BACKLOG, word(child, BACKLOG));
  if (!word(child, BACKLOG)) setWord(listener, BACKLOG_LAST, 0);
  setWord(child, BACKLOG, 0);
  return child;
}

function chargeConnection(
  listener: Address,
  low: u64,
  high: u64,
  own: Port,
  port: Port,
  remote: Address,
): void {
  const system = systemOf(listener);
  const device = <u32>word(listener, DEVICE);
  const klass = classOf(low, high, has(listener, V6ONLY));
  chargeBlock(socketBytes());
  describeOwner(TCP, klass, low, high, kindOfChild(listener), device, <u32>word(listener, UID));
  chargeHold(system, slotOf(own));
  chargeOwner(system, own, low, high);
  chargeTuple(system, low, high, port, remote, device);
}

function newConnection(
  listener: Address,
  low: u64,
  high: u64,
  own: Port,
  port: Port,
  remote: Address,
): Address {
  const system = systemOf(listener);
  const device = <u32>word(listener, DEVICE);
  const flags = flagsOf(listener) & INHERITED;
  const uid = <u32>word(listener, UID);
  const child = openSocket618(system, flags, device, uid, groupOf(listener));
  assert(child != 0); // charged too little
  setAddress(child + ADDRESS, low, high);
  setWord(child, OWN_RANGE, word(listener, OWN_RANGE));
  setState(child, ESTABLISHED);
  setFlag(child, USED, true);
  setFlag(child, OVER_V4, has(child, IS_V6) && isV4(low, high));
  takePort(child, own, false);
  showPort(child);
  setWord(child, TUPLE, enterTuple(system, slotOf(own), low, high, port, remote, device));
  return child;
}
