// TIME_WAIT: connections whose sockets are gone, and which own their port and tuple until they
// expire. Some are half open: the other end has not yet closed (FIN_WAIT_2 without a socket).
//
//   wait     0 ┌──────────────────┐
//              │ node             │  below its tuple, named by its port
//            4 │ what        u32  │  A_TIME_WAIT
//           12 │ flags       u8   │  HALF_OPEN … below
//           16 │ peer        u32  │  the socket at the other end of a half-open one, or 0
//           20 │ holder      u32  │
//           40 │ part        u32  │
//           44 │ expiring         │  next, previous in the queue of those that expire
//           52 │ pending          │  next, previous in the queue of those that are not yet due
//           64 │ entered     u64  │  milliseconds
//           72 │ ends        u64  │
//           80 └──────────────────┘
//
// A tuple with timestamps may be taken over by an automatic connect() once `tcp_tw_reuse_delay` has
// passed: then it is due, and goes to its tuple's second set, which a search passes over or not.
//
// Must stay true: queues ascend, by end and by entry. When there is no memory to make one due, it
// and those behind it stay as they are until connect() searches again.

import { Address, free } from "../../../memory/arena";
import { beginBill, canPay, chargeNode } from "../../../memory/bill";
import { find, NODE_NUMBER, NODE_PARENT, remove } from "../../../memory/table";
import { Port } from "../../../ports/bitmap";
import { hasPort } from "../../../ports/set";
import { dequeue, FIRST, insertBehind, LAST, NEXT, PREVIOUS } from "../../queue";
import { classOf, highOf, lowOf } from "./address";
import { addOwner, dropOwner } from "./bucket";
import { chargeHold, describeOwner, hold, letGo, newNode, TCP, TIME_WAIT } from "./holders";
import {
  A_TIME_WAIT,
  DEVICE,
  FROM_CONNECT,
  HAS_TIMESTAMPS,
  has,
  highOfSocket,
  kindOfSocket,
  lowOfSocket,
  OUTSIDE,
  PEER,
  portOf,
  setWord,
  systemOf,
  TUPLE,
  V6ONLY,
  whatIs,
  word,
} from "./socket";
import {
  count,
  DELAY,
  durationOf,
  FIN_TIMEOUT,
  nowOf,
  QUEUES,
  slotOf,
  storeNow,
  TIME_WAITS,
  TW_MAX,
} from "./system";
import {
  becomeBlocking,
  becomeDue,
  chargeBlocking,
  chargeDue,
  dueOf,
  leaveTuple,
  localOf,
} from "./tuples";

const WHAT: usize = 4;
const FLAGS: usize = 12;
const PEER_OF: usize = 16;
const HOLDER_OF: usize = 20;
const PART_OF: usize = 40;
const EXPIRING: usize = 44;
const PENDING: usize = 52;
const ENTERED: usize = 64;
const ENDS: usize = 72;
const WAIT_BYTES: u32 = 80;

const HALF_OPEN: u32 = 1;
const TIMESTAMPED: u32 = 2;
const BY_CONNECT: u32 = 4;
const IS_PENDING: u32 = 8;
/**
 * Half open, and its FIN gets no answer, so it does not count as a TIME_WAIT. `IS_LAST`: that FIN
 * answered one of the other end.
 */
const UNANSWERED: u32 = 16;
const IS_LAST: u32 = 32;
/** How long the kernel repeats the FIN of a socket that is closed (Linux `tcp_orphan_retries`). */
const UNANSWERED_MS: u64 = 102_200;

const CLOSED_QUEUE: usize = QUEUES;
const HALF_OPEN_QUEUE: usize = QUEUES + 8;
const PENDING_QUEUE: usize = QUEUES + 16;

/** May there be one more TIME_WAIT (`tcp_max_tw_buckets`)? */
export function hasRoomForWait(system: Address): bool {
  return load<u32>(system, TIME_WAITS) < load<u32>(system, TW_MAX);
}

/** Charges for a TIME_WAIT that takes over what a connected socket owns. */
export function chargeWait(socket: Address): void {
  chargeNode(WAIT_BYTES);
  describeWait(socket);
  chargeHold(systemOf(socket), slotOf(portOf(socket)));
}

/**
 * A TIME_WAIT takes over a socket's tuple, and owns its port beside it. It must have been charged.
 */
export function addWait(socket: Address, isHalfOpen: bool): void {
  const system = systemOf(socket);
  const port = portOf(socket);
  const tuple = word(socket, TUPLE);
  const timestamps = has(socket, HAS_TIMESTAMPS) ? TIMESTAMPED : 0;
  describeWait(socket);
  const flags = (has(socket, FROM_CONNECT) ? BY_CONNECT : 0) | timestamps;
  const wait = makeWait(system, tuple, port, flags);
  setWord(socket, TUPLE, 0);
  if (isHalfOpen) beginHalfOpen(system, wait, word(socket, PEER));
  else beginClosed(system, wait);
}

/** The same for a socket whose FIN gets no answer. No connect() may take its tuple over. */
export function addUnanswered(socket: Address, isLast: bool): void {
  const system = systemOf(socket);
  const tuple = word(socket, TUPLE);
  const flags = (has(socket, FROM_CONNECT) ? BY_CONNECT : 0) | HALF_OPEN | UNANSWERED;
  describeWait(socket);
  const wait = makeWait(system, tuple, portOf(socket), isLast ? flags | IS_LAST : flags);
  setWord(socket, TUPLE, 0);
  store<u64>(wait, nowOf(system), ENTERED);
  store<u64>(wait, nowOf(system) + UNANSWERED_MS, ENDS);
  enqueue(system + HALF_OPEN_QUEUE, wait, EXPIRING, ENDS);
}

/** Makes a TIME_WAIT of the described owner, in no queue yet. */
function makeWait(system: Address, tuple: Address, port: Port, flags: u32): Address {
  const wait = newNode(system, WAIT_BYTES, tuple, port, 0, 0);
  store<u32>(wait, A_TIME_WAIT, WHAT);
  store<u32>(wait, <u32>hold(system, slotOf(port)), HOLDER_OF);
  const local = localOf(tuple);
  const isFromConnect = (flags & BY_CONNECT) != 0;
  const part = addOwner(system, port, lowOf(local), highOf(local), isFromConnect);
  store<u32>(wait, <u32>part, PART_OF);
  store<u8>(wait, <u8>flags, FLAGS);
  if (!(flags & UNANSWERED)) count(system, TIME_WAITS, 1);
  return wait;
}

function beginHalfOpen(system: Address, wait: Address, peer: Address): void {
  setWaitFlag(wait, HALF_OPEN, true);
  if (peer > OUTSIDE) {
    store<u32>(wait, <u32>peer, PEER_OF);
    setWord(peer, PEER, wait);
  }
  store<u64>(wait, nowOf(system), ENTERED);
  store<u64>(wait, nowOf(system) + halfOpenTime(load<u32>(system, FIN_TIMEOUT)), ENDS);
  enqueue(system + HALF_OPEN_QUEUE, wait, EXPIRING, ENDS);
}

function beginClosed(system: Address, wait: Address): void {
  store<u64>(wait, nowOf(system), ENTERED);
  store<u64>(wait, nowOf(system) + durationOf(system), ENDS);
  enqueue(system + CLOSED_QUEUE, wait, EXPIRING, ENDS);
  if (!hasWaitFlag(wait, TIMESTAMPED)) return;
  setWaitFlag(wait, IS_PENDING, true);
  enqueue(system + PENDING_QUEUE, wait, PENDING, ENTERED);
}

/**
 * The kernel keeps the socket for the part of the timeout above a minute, and then waits as long
 * again without it.
 */
function halfOpenTime(timeout: u32): u64 {
  return timeout > 60_000 ? <u64>(timeout - 60_000) * 2 : timeout;
}

/** Notes that the other end of a half-open connection has closed, too. */
export function closeWait(system: Address, wait: Address): void {
  setWaitFlag(wait, HALF_OPEN, false);
  store<u32>(wait, 0, PEER_OF);
  dequeue(system + HALF_OPEN_QUEUE, wait, EXPIRING);
  beginClosed(system, wait);
}

/** Gives back a TIME_WAIT, its tuple and its port. */
export function dropWait(system: Address, wait: Address): void {
  const port = waitPort(wait);
  const isHalfOpen = hasWaitFlag(wait, HALF_OPEN);
  dequeue(system + (isHalfOpen ? HALF_OPEN_QUEUE : CLOSED_QUEUE), wait, EXPIRING);
  if (hasWaitFlag(wait, IS_PENDING)) dequeue(system + PENDING_QUEUE, wait, PENDING);
  const peer: Address = load<u32>(wait, PEER_OF);
  if (peer) setWord(peer, PEER, 0);
  leaveTuple(system, tupleOf(wait), slotOf(port));
  letGo(system, load<u32>(wait, HOLDER_OF), slotOf(port));
  dropOwner(system, port, load<u32>(wait, PART_OF), hasWaitFlag(wait, BY_CONNECT));
  if (!hasWaitFlag(wait, UNANSWERED)) count(system, TIME_WAITS, -1);
  remove(system, wait);
  free(system, wait);
}

/** The TIME_WAIT of a tuple's port, or 0. */
export function findWait(system: Address, tuple: Address, port: Port): Address {
  return find(system, tuple, port, 0, 0);
}

/** May a socket that names the port take the tuple over? */
export function isForNamed(wait: Address): bool {
  return hasWaitFlag(wait, TIMESTAMPED);
}

/** Any TIME_WAIT that is left, or 0. */
export function anyWait(system: Address): Address {
  const first: Address = load<u32>(system + CLOSED_QUEUE, FIRST);
  return first ? first : load<u32>(system + HALF_OPEN_QUEUE, FIRST);
}

/**
 * Restores a TIME_WAIT of the described owner, and adds it to its queues by its times. It must have
 * been charged.
 */
export function restoreWait(
  system: Address,
  tuple: Address,
  port: Port,
  flags: u32,
  entered: u64,
  ends: u64,
): Address {
  const wait = makeWait(system, tuple, port, flags);
  store<u64>(wait, entered, ENTERED);
  store<u64>(wait, ends, ENDS);
  const isHalfOpen = (flags & HALF_OPEN) != 0;
  enqueue(system + (isHalfOpen ? HALF_OPEN_QUEUE : CLOSED_QUEUE), wait, EXPIRING, ENDS);
  if (flags & IS_PENDING) enqueue(system + PENDING_QUEUE, wait, PENDING, ENTERED);
  return wait;
}

export function chargeRestoredWait(): void {
  chargeNode(WAIT_BYTES);
}

/** The first that has closed, then those that follow it; behind the last the half-open ones. */
export function nextWait(system: Address, wait: Address): Address {
  if (!wait) return anyWait(system);
  const next: Address = load<u32>(wait + EXPIRING, NEXT);
  if (next || hasWaitFlag(wait, HALF_OPEN)) return next;
  return load<u32>(system + HALF_OPEN_QUEUE, FIRST);
}

export function isUnanswered(wait: Address): bool {
  return hasWaitFlag(wait, UNANSWERED);
}

export function waitFlags(wait: Address): u32 {
  return load<u8>(wait, FLAGS);
}

export function enteredAt(wait: Address): u64 {
  return load<u64>(wait, ENTERED);
}

export function endsAt(wait: Address): u64 {
  return load<u64>(wait, ENDS);
}

export function peerOfWait(wait: Address): Address {
  return load<u32>(wait, PEER_OF);
}

/** Sets the other end of a socket or a TIME_WAIT, or 0. */
export function linkPeer(record: Address, peer: Address): void {
  if (whatIs(record) == A_TIME_WAIT) store<u32>(record, <u32>peer, PEER_OF);
  else setWord(record, PEER, peer);
}

export function holderOfWait(wait: Address): Address {
  return load<u32>(wait, HOLDER_OF);
}

export function partOfWait(wait: Address): Address {
  return load<u32>(wait, PART_OF);
}

export function tupleOf(wait: Address): Address {
  return load<u32>(wait, NODE_PARENT);
}

export function waitPort(wait: Address): Port {
  return load<u16>(wait, NODE_NUMBER);
}

// ── Time ──────────────────────────────────────────────────────────────────────────────────

/** Moves the clock on; what has ended stays until `expire618`. */
export function setNow618(system: Address, now: f64): void {
  storeNow(system, <u64>now);
}

/** Gives back the TIME_WAITs that have lasted long enough: how many. */
export function expire618(system: Address): u32 {
  return expireIn(system, CLOSED_QUEUE) + expireIn(system, HALF_OPEN_QUEUE);
}

function expireIn(system: Address, queue: usize): u32 {
  let expired: u32 = 0;
  let wait: Address = load<u32>(system + queue, FIRST);
  while (wait && load<u64>(wait, ENDS) <= nowOf(system)) {
    dropWait(system, wait);
    expired++;
    wait = load<u32>(system + queue, FIRST);
  }
  return expired;
}

/** Makes TIME_WAITs due whose delay has passed, as far as memory allows. */
export function makeDue(system: Address): void {
  let wait: Address = load<u32>(system + PENDING_QUEUE, FIRST);
  while (wait && nowOf(system) > load<u64>(wait, ENTERED) + load<u32>(system, DELAY)) {
    const tuple = tupleOf(wait);
    beginBill();
    chargeDue(tuple);
    if (!canPay(system)) return;
    becomeDue(system, tuple, slotOf(waitPort(wait)));
    dequeue(system + PENDING_QUEUE, wait, PENDING);
    setWaitFlag(wait, IS_PENDING, false);
    wait = load<u32>(system + PENDING_QUEUE, FIRST);
  }
}

/** Changes the delay, for which TIME_WAITs that were due wait again. False: no memory. */
export function setReuseDelay(system: Address, delay: u32): bool {
  let wait: Address = load<u32>(system + CLOSED_QUEUE, LAST);
  for (; wait; wait = load<u32>(wait + EXPIRING, PREVIOUS)) {
    const slot = slotOf(waitPort(wait));
    if (!hasPort(dueOf(tupleOf(wait)), slot)) continue;
    beginBill();
    chargeBlocking(tupleOf(wait));
    if (!canPay(system)) return false;
    becomeBlocking(system, tupleOf(wait), slot);
    setWaitFlag(wait, IS_PENDING, true);
    pushFront(system + PENDING_QUEUE, wait, PENDING);
  }
  store<u32>(system, delay, DELAY);
  return true;
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function describeWait(socket: Address): void {
  const low = lowOfSocket(socket);
  const high = highOfSocket(socket);
  const klass = classOf(low, high, has(socket, V6ONLY));
  const kind = kindOfSocket(socket) | TIME_WAIT;
  describeOwner(TCP, klass, low, high, kind, <u32>word(socket, DEVICE), 0);
}

function hasWaitFlag(wait: Address, flag: u32): bool {
  return (load<u8>(wait, FLAGS) & flag) != 0;
}

function setWaitFlag(wait: Address, flag: u32, value: bool): void {
  const flags = load<u8>(wait, FLAGS);
  store<u8>(wait, <u8>(value ? flags | flag : flags & ~flag), FLAGS);
}

/** Behind all that are not later. */
function enqueue(queue: Address, wait: Address, links: usize, by: usize): void {
  let before: Address = load<u32>(queue, LAST);
  while (before && load<u64>(before + by) > load<u64>(wait + by)) {
    before = load<u32>(before + links, PREVIOUS);
  }
  insertBehind(queue, before, wait, links);
}

function pushFront(queue: Address, wait: Address, links: usize): void {
  insertBehind(queue, 0, wait, links);
}
