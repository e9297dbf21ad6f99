// Ending: how connections of modern Linux end, and what they leave behind. A segment arrives at
// once. The caller says what an end outside of the system sends (`receive618`).

import { NO_MEMORY, NOT_CONNECTED } from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { takeOut } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { takeWaiting } from "./accept";
import { highOf, lowOf } from "./address";
import { listenersOf } from "./bucket";
import { canMoveToAny, followKind, moveToAny, releasePort } from "./owning";
import {
  A_TIME_WAIT,
  ADDRESS_LOCKED,
  CLOSE_WAIT,
  CLOSED,
  DEVICE,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  freeSocket,
  GROUPED,
  has,
  IS_UDP,
  LAST_ACK,
  LISTENING,
  LOOPBACK,
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
import {
  addUnanswered,
  addWait,
  chargeWait,
  closeWait,
  dropWait,
  hasRoomForWait,
  linkPeer,
  tupleOf,
} from "./time-wait";
import {
  findFor,
  hasSlot,
  leaveTuple,
  localOf,
  meets,
  nextTuple,
  remoteOf,
  remotePortOf,
  tupleDevice,
} from "./tuples";

// The fates of a segment.
const ARRIVES: u32 = 0;
const RESET: u32 = 1; // a reset comes back
const LOST: u32 = 2;

/** `disconnect`, as a call: where there is no memory for it, nothing changes. */
export function disconnect618(socket: Address): i32 {
  return canMoveToAny(socket) ? disconnect(socket) : NO_MEMORY;
}

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

/**
 * Moves a listener with SO_REUSEADDR to the owners that share, because it stops listening. False:
 * no memory.
 */
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
  else if (stateOf(socket) == CLOSE_WAIT) sendLastFin(socket);
  const state = stateOf(socket);
  if (state == FIN_WAIT_2) waitInstead(socket, true);
  if (state == FIN_WAIT_1 || state == LAST_ACK) repeatInstead(socket, state == LAST_ACK);
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

/** Resets a connection without telling the other end, which has no peer from now on. */
export function resetAlone(socket: Address): void {
  unlink(socket);
  receiveReset(socket);
}

function receiveReset(socket: Address): void {
  if (word(socket, TUPLE)) finish(socket);
}

// ── FINs ──────────────────────────────────────────────────────────────────────────────────

/**
 * Is there memory for the TIME_WAIT that the next FIN may leave at this end, or at the other one?
 * Never at both: the end that sends the first FIN waits.
 */
function canWait(socket: Address): bool {
  const peer = word(socket, PEER);
  if (!word(socket, TUPLE)) return true;
  const state = stateOf(socket);
  const isLost = state == FIN_WAIT_1 || state == LAST_ACK || fateOf(socket) == LOST;
  const isLast = state == CLOSE_WAIT && !isLost;
  const who = isLast && peer > OUTSIDE && whatIs(peer) != A_TIME_WAIT ? peer : socket;
  if (!word(who, TUPLE) || !(isLost || hasRoomForWait(systemOf(socket)))) return true;
  beginBill();
  chargeWait(who);
  return canPay(systemOf(socket));
}

/**
 * The fate of a segment that the socket sends. The machine sends to itself by loopback: a segment
 * of a socket with another device leaves the machine, and a socket with another device does not
 * receive one. If another connection has the other end's tuple, it receives the segment and does
 * not answer, since the sequence numbers are not its own. So does another connection with this
 * end's tuple when a reset comes back.
 */
function fateOf(socket: Address): u32 {
  const peer = word(socket, PEER);
  if (peer == OUTSIDE) return ARRIVES;
  if (<u32>word(socket, DEVICE) > LOOPBACK) return LOST;
  if (peer && deviceOf(peer) <= LOOPBACK) return ARRIVES;
  const system = systemOf(socket);
  const tuple = word(socket, TUPLE);
  const local = localOf(tuple);
  const remote = remoteOf(tuple);
  const port = portOf(socket);
  const remotePort = remotePortOf(tuple);
  const there = findFor(system, lowOf(remote), highOf(remote), port, local);
  if (isOnLoopback(there, remotePort, 0)) return LOST;
  const here = findFor(system, lowOf(local), highOf(local), remotePort, remote);
  return isOnLoopback(here, port, tuple) ? LOST : RESET;
}

function deviceOf(record: Address): u32 {
  if (whatIs(record) == A_TIME_WAIT) return tupleDevice(tupleOf(record));
  return <u32>word(record, DEVICE);
}

/** Does one of the tuples from `first` on, other than `except`, have the port and meet loopback? */
function isOnLoopback(first: Address, port: Port, except: Address): bool {
  for (let tuple = first; tuple; tuple = nextTuple(tuple)) {
    if (tuple != except && meets(tuple, LOOPBACK) && hasSlot(tuple, slotOf(port))) return true;
  }
  return false;
}

/**
 * Does a FIN reach the other end? If not, the socket is in the state `unanswered`, or closed by a
 * reset.
 */
function arrives(socket: Address, unanswered: u32): bool {
  const fate = fateOf(socket);
  if (fate == LOST) setState(socket, unanswered);
  if (fate == RESET) {
    unlink(socket);
    finish(socket);
  }
  return fate == ARRIVES;
}

/** The two ends have no peer from now on, and neither is told. */
function unlink(socket: Address): void {
  const peer = word(socket, PEER);
  setWord(socket, PEER, 0);
  if (peer > OUTSIDE) linkPeer(peer, 0);
}

function sendFin(socket: Address): void {
  if (!arrives(socket, FIN_WAIT_1)) return;
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

/** The end that has received a FIN sends its own. */
function sendLastFin(socket: Address): void {
  if (!arrives(socket, LAST_ACK)) return;
  const peer = word(socket, PEER);
  finish(socket);
  if (peer <= OUTSIDE) return;
  if (whatIs(peer) == A_TIME_WAIT) closeWait(systemOf(socket), peer);
  else receiveFin(peer);
}

/** A TIME_WAIT takes over the socket's tuple, unless there are too many of them. */
function waitInstead(socket: Address, isHalfOpen: bool): void {
  const peer = word(socket, PEER);
  if (hasRoomForWait(systemOf(socket))) addWait(socket, isHalfOpen);
  else if (isHalfOpen && peer > OUTSIDE) setWord(peer, PEER, 0);
  setWord(socket, PEER, 0);
}

/** A record takes over the socket's tuple for as long as the kernel repeats its FIN. */
function repeatInstead(socket: Address, isLast: bool): void {
  addUnanswered(socket, isLast);
  unlink(socket);
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
  const isHeard = peer != 0 && fateOf(socket) == ARRIVES;
  unlink(socket);
  if (!isHeard || peer == socket || peer <= OUTSIDE) return;
  if (whatIs(peer) == A_TIME_WAIT) dropWait(systemOf(socket), peer);
  else receiveReset(peer);
}

/** Connections that wait for accept() are reset. */
function stopListening(socket: Address): void {
  if (stateOf(socket) != LISTENING) return;
  takeOut(listenersOf(systemOf(socket), portOf(socket)), socket, PORT_LINKS);
  for (let child = takeWaiting(socket); child; child = takeWaiting(socket)) close618(child, 1);
}
