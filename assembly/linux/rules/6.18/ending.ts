// Ending: how connections of modern Linux end, and what they leave behind. What one end sends, the
// other has received at once; an end outside of the system says itself what it sends.

import { NO_MEMORY, NOT_CONNECTED } from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { takeOut } from "../../../memory/list";
import { takeWaiting } from "./accept";
import { listenersOf } from "./bucket";
import { followKind, moveToAny, releasePort } from "./owning";
import {
  A_TIME_WAIT,
  ADDRESS_LOCKED,
  CLOSE_WAIT,
  CLOSED,
  ESTABLISHED,
  FIN_WAIT_2,
  freeSocket,
  GROUPED,
  has,
  IS_UDP,
  LISTENING,
  OUTSIDE,
  PEER,
  PORT_LINKS,
  PORT_LOCKED,
  portOf,
  setFlag,
  setState,
  setWord,
  stateOf,
  systemOf,
  TUPLE,
  USED,
  whatIs,
  word,
} from "./socket";
import { slotOf } from "./system";
import { addWait, chargeWait, closeWait, dropWait, hasRoomForWait, linkPeer } from "./time-wait";
import { leaveTuple } from "./tuples";

/** connect() with AF_UNSPEC: the connection is reset; what bind() has given stays. */
export function disconnect(socket: Address): i32 {
  if (stateOf(socket) == LISTENING && !canShareAgain(socket)) return NO_MEMORY;
  setFlag(socket, USED, false);
  if (stateOf(socket) == CLOSED) {
    if (!has(socket, ADDRESS_LOCKED)) moveToAny(socket);
    return 0;
  }
  stopListening(socket);
  resetPeer(socket);
  leaveConnection(socket);
  setState(socket, CLOSED);
  setFlag(socket, GROUPED, false);
  if (!has(socket, PORT_LOCKED)) releasePort(socket);
  if (!has(socket, ADDRESS_LOCKED)) moveToAny(socket);
  return 0;
}

/** A listener lets others in from now on, if it has SO_REUSEADDR. False: no memory. */
function canShareAgain(socket: Address): bool {
  setState(socket, CLOSED);
  const hasFollowed = followKind(socket);
  setState(socket, LISTENING);
  return hasFollowed;
}

/** shutdown() of the direction in which the socket sends. */
export function shutdown618(socket: Address): i32 {
  const state = stateOf(socket);
  if (state == CLOSED || has(socket, IS_UDP)) return NOT_CONNECTED;
  if (!canWait(socket)) return NO_MEMORY;
  if (state == ESTABLISHED) sendFin(socket);
  else if (state == CLOSE_WAIT) sendLastFin(socket);
  return 0;
}

/** close() of a TCP socket: in order, or by a reset. */
export function close618(socket: Address, isReset: u32): i32 {
  if (isReset) {
    resetPeer(socket);
    vanish(socket);
    return 0;
  }
  if (!canWait(socket)) return NO_MEMORY;
  if (stateOf(socket) == ESTABLISHED) sendFin(socket);
  if (stateOf(socket) == FIN_WAIT_2) waitInstead(socket, true);
  else if (stateOf(socket) == CLOSE_WAIT) sendLastFin(socket);
  vanish(socket);
  return 0;
}

/** An end outside of the system sends a FIN or a RST. */
export function receive618(socket: Address, isReset: u32): i32 {
  if (word(socket, PEER) != OUTSIDE) return NOT_CONNECTED;
  if (isReset) {
    receiveReset(socket);
    return 0;
  }
  if (!canWait(socket)) return NO_MEMORY;
  receiveFin(socket);
  return 0;
}

/** A reset of which the other end is not told: from now on it has none. */
export function resetAlone(socket: Address): void {
  const peer = word(socket, PEER);
  if (peer > OUTSIDE && peer != socket) linkPeer(peer, 0);
  receiveReset(socket);
}

function receiveReset(socket: Address): void {
  if (word(socket, TUPLE)) finish(socket);
}

// ── FINs ──────────────────────────────────────────────────────────────────────────────────

/**
 * Is there memory for the TIME_WAIT that the next FIN may leave at this end, or at the other one?
 * Not both: who sends the first one waits.
 */
function canWait(socket: Address): bool {
  const peer = word(socket, PEER);
  const isLast = stateOf(socket) == CLOSE_WAIT;
  const who = isLast && peer > OUTSIDE && whatIs(peer) != A_TIME_WAIT ? peer : socket;
  if (!word(who, TUPLE) || !hasRoomForWait(systemOf(socket))) return true;
  beginBill();
  chargeWait(who);
  return canPay(systemOf(socket));
}

function sendFin(socket: Address): void {
  const peer = word(socket, PEER);
  if (peer == socket) {
    waitInstead(socket, false);
    finish(socket);
    return;
  }
  setState(socket, FIN_WAIT_2);
  if (peer > OUTSIDE) receiveFin(peer);
}

function receiveFin(socket: Address): void {
  if (stateOf(socket) == ESTABLISHED) {
    setState(socket, CLOSE_WAIT);
  } else if (stateOf(socket) == FIN_WAIT_2) {
    waitInstead(socket, false);
    finish(socket);
  }
}

/** The end that was sent a FIN sends its own. */
function sendLastFin(socket: Address): void {
  const peer = word(socket, PEER);
  finish(socket);
  if (peer <= OUTSIDE) return;
  if (whatIs(peer) == A_TIME_WAIT) closeWait(systemOf(socket), peer);
  else receiveFin(peer);
}

/** The tuple stays without the socket, unless there are too many such. */
function waitInstead(socket: Address, isHalfOpen: bool): void {
  const peer = word(socket, PEER);
  if (hasRoomForWait(systemOf(socket))) addWait(socket, isHalfOpen);
  else if (isHalfOpen && peer > OUTSIDE) setWord(peer, PEER, 0);
  setWord(socket, PEER, 0);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** The connection is over; the socket is still open, and keeps a port that bind() was given. */
function finish(socket: Address): void {
  leaveConnection(socket);
  setState(socket, CLOSED);
  setWord(socket, PEER, 0);
  if (!has(socket, PORT_LOCKED)) releasePort(socket);
}

function vanish(socket: Address): void {
  stopListening(socket);
  leaveConnection(socket);
  releasePort(socket);
  freeSocket(socket);
}

function leaveConnection(socket: Address): void {
  const tuple = word(socket, TUPLE);
  if (!tuple) return;
  leaveTuple(systemOf(socket), tuple, slotOf(portOf(socket)));
  setWord(socket, TUPLE, 0);
}

function resetPeer(socket: Address): void {
  const peer = word(socket, PEER);
  setWord(socket, PEER, 0);
  if (peer == socket || peer <= OUTSIDE) return;
  if (whatIs(peer) == A_TIME_WAIT) dropWait(systemOf(socket), peer);
  else receiveReset(peer);
}

/** Connections that wait for accept() are reset. */
function stopListening(socket: Address): void {
  if (stateOf(socket) != LISTENING) return;
  takeOut(listenersOf(systemOf(socket), portOf(socket)), socket, PORT_LINKS);
  for (let child = takeWaiting(socket); child; child = takeWaiting(socket)) close618(child, 1);
}
