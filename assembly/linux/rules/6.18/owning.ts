// Owning: the one place where sockets of modern Linux get ports, give them back, and go to another
// address with them.

import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { pushFirst, takeOut } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { chargePlace, closePlace, openPlace, placeOf } from "../../../ports/page-table";
import { ANY_V4, isV4, setAddress } from "./address";
import { addOwner, chargeOwner, dropOwner, moveOwner } from "./bucket";
import { chargeHold, hold, letGo } from "./holders";
import {
  ADDRESS,
  ADDRESS_LOCKED,
  describeSocket,
  FROM_CONNECT,
  HOLDER,
  has,
  highOfSocket,
  IS_UDP,
  IS_V6,
  lowOfSocket,
  ORDER,
  PART,
  PORT_LINKS,
  PORT_LOCKED,
  portOf,
  REUSE_PORT,
  setFlag,
  setPort,
  setWord,
  placeOf as slotFor,
  systemOf,
  word,
} from "./socket";
import { count, nextOrder, TCP_SOCKETS, UDP_PORTS, UDP_SOCKETS } from "./system";

/** Charges for owning a port at an address. */
function chargePortAt(socket: Address, port: Port, low: u64, high: u64): void {
  const system = systemOf(socket);
  describeSocket(socket, low, high);
  chargeHold(system, slotFor(socket, port));
  if (!has(socket, IS_UDP)) chargeOwner(system, port, low, high);
  else if (!firstUdp(system, port)) chargePlace(system + UDP_PORTS, port);
}

/** Charges for owning a port at the socket's own address. */
export function chargePort(socket: Address, port: Port): void {
  chargePortAt(socket, port, lowOfSocket(socket), highOfSocket(socket));
}

/** The socket owns the port from now on; it must have been charged. */
export function takePort(socket: Address, port: Port, isFromConnect: bool): void {
  const system = systemOf(socket);
  const low = lowOfSocket(socket);
  const high = highOfSocket(socket);
  setFlag(socket, FROM_CONNECT, isFromConnect);
  describeSocket(socket, low, high);
  setWord(socket, HOLDER, hold(system, slotFor(socket, port)));
  setPort(socket, port);
  if (has(socket, IS_UDP)) {
    listUdp(system, socket, port);
    return;
  }
  setWord(socket, PART, addOwner(system, port, low, high, isFromConnect));
  count(system, TCP_SOCKETS, 1);
}

/** The socket owns its port no longer. */
export function releasePort(socket: Address): void {
  const port = portOf(socket);
  if (!port) return;
  const system = systemOf(socket);
  letGo(system, word(socket, HOLDER), slotFor(socket, port));
  setWord(socket, HOLDER, 0);
  setPort(socket, 0);
  if (has(socket, IS_UDP)) {
    unlistUdp(system, socket, port);
    return;
  }
  dropOwner(system, port, word(socket, PART), has(socket, FROM_CONNECT));
  setWord(socket, PART, 0);
  setFlag(socket, FROM_CONNECT, false);
  count(system, TCP_SOCKETS, -1);
}

/**
 * The socket goes to another address, with its port if it has one. False: no memory, nothing
 * changed.
 */
export function moveTo(socket: Address, low: u64, high: u64): bool {
  const port = portOf(socket);
  const isSame = low == lowOfSocket(socket) && high == highOfSocket(socket);
  if (port && !isSame) {
    beginBill();
    chargePortAt(socket, port, low, high);
    if (!canPay(systemOf(socket))) return false;
    moveCharged(socket, port, low, high);
  }
  setAddress(socket + ADDRESS, low, high);
  return true;
}

/** Is there memory for `moveToAny` of a socket that keeps its port, and bind() gave no address? */
export function canMoveToAny(socket: Address): bool {
  if (!has(socket, PORT_LOCKED) || has(socket, ADDRESS_LOCKED)) return true;
  beginBill();
  chargePortAt(socket, portOf(socket), 0, has(socket, IS_V6) ? 0 : ANY_V4);
  return canPay(systemOf(socket));
}

/** The same to the any address, for which there must be memory. */
export function moveToAny(socket: Address): void {
  const isMoved = moveTo(socket, 0, has(socket, IS_V6) ? 0 : ANY_V4);
  assert(isMoved);
}

function moveCharged(socket: Address, port: Port, low: u64, high: u64): void {
  const system = systemOf(socket);
  const before = word(socket, HOLDER);
  describeSocket(socket, low, high);
  setWord(socket, HOLDER, hold(system, slotFor(socket, port)));
  letGo(system, before, slotFor(socket, port));
  if (has(socket, IS_UDP)) return;
  const isFromConnect = has(socket, FROM_CONNECT);
  setWord(socket, PART, moveOwner(system, port, word(socket, PART), low, high, isFromConnect));
}

/**
 * Moves the socket to the holder of its kind, after an option has changed that the rules look at.
 * False: no memory, nothing changed.
 */
export function followKind(socket: Address): bool {
  const port = portOf(socket);
  if (!port) return true;
  beginBill();
  chargeKind(socket);
  if (!canPay(systemOf(socket))) return false;
  changeHolder(socket);
  return true;
}

/** Charges for a holder of the socket's kind as it is now. */
export function chargeKind(socket: Address): void {
  describeSocket(socket, lowOfSocket(socket), highOfSocket(socket));
  chargeHold(systemOf(socket), slotFor(socket, portOf(socket)));
}

export function changeHolder(socket: Address): void {
  const system = systemOf(socket);
  const slot = slotFor(socket, portOf(socket));
  const before = word(socket, HOLDER);
  describeSocket(socket, lowOfSocket(socket), highOfSocket(socket));
  setWord(socket, HOLDER, hold(system, slot));
  letGo(system, before, slot);
}

/** Is the socket's address one of IPv4, perhaps mapped into IPv6? */
export function isOverV4(socket: Address): bool {
  return isV4(lowOfSocket(socket), highOfSocket(socket));
}

// ── UDP's list of a port's sockets ────────────────────────────────────────────────────────

/** The first UDP socket of a port in its list, or 0. */
export function firstUdp(system: Address, port: Port): Address {
  const place = placeOf(system + UDP_PORTS, port);
  return place ? <Address>load<u32>(place) : 0;
}

/**
 * Lists a UDP socket. Searches look at newer sockets before older ones, and at those of IPv6 with
 * SO_REUSEPORT after all others.
 */
function listUdp(system: Address, socket: Address, port: Port): void {
  if (!firstUdp(system, port)) openPlace(system, system + UDP_PORTS, port);
  pushFirst(placeOf(system + UDP_PORTS, port), socket, PORT_LINKS);
  const isLast = has(socket, IS_V6) && has(socket, REUSE_PORT);
  store<f64>(socket, nextOrder(system, isLast), ORDER);
  count(system, UDP_SOCKETS, 1);
}

function unlistUdp(system: Address, socket: Address, port: Port): void {
  takeOut(placeOf(system + UDP_PORTS, port), socket, PORT_LINKS);
  if (!firstUdp(system, port)) closePlace(system, system + UDP_PORTS, port);
  count(system, UDP_SOCKETS, -1);
}
