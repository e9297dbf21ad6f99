// Wait: connections in TIME_WAIT, which own their port and their tuple until they expire.
//
//   wait   0 ┌──────────────────┐
//            │ node             │  of the system's table: below its flow, named by the port
//          4 │  record     u32  │
//         12 │  stamped     u8  │  the connection had TCP timestamps
//         40 ├──────────────────┤
//            │ owner            │  (record.ts)
//         52 ├──────────────────┤
//            │ next, previous   │  in the queue of those that expire
//         60 ├──────────────────┤
//            │ next, previous   │  in a queue of those that ripen
//         68 ├──────────────────┤
//            │ ripe at     u32  │  second from which connect() may take the tuple over
//         72 ├──────────────────┤
//            │ entered     u64  │  milliseconds
//         80 └──────────────────┘
//
// A tuple with timestamps may be taken over by an automatic connect() once more than a second lies
// between its last timestamp and now, counted in whole seconds. So it is kept at first, in the
// class `KEPT`, and ripens two seconds after its stamp: then it moves to the class `RIPE`, which a
// search passes over or not, 64 ports at a time. At most two different seconds are ahead, so two
// queues, for even and odd seconds, keep those that will ripen in order.
//
// Each TIME_WAIT ripens and expires at constant cost, in order.
//
// Must stay true: a wait's flow holds its port; a queue ascends. When there is no memory to
// ripen one, it and those behind it stay as they are until the clock moves, or connect() asks, again.

import { BAD_STATE, NO_MEMORY } from "../abi";
import { Address, alloc, free } from "../memory/arena";
import { beginBill, canPay, chargeNode } from "../memory/bill";
import { find, insert, NODE_NUMBER, NODE_PARENT, remove } from "../memory/table";
import { chargeClassHold, letGo, moveToClass } from "../netstack/aggregates";
import { flagsOf, nextOf } from "../netstack/records";
import { Port } from "../ports/bitmap";
import { hasPort } from "../ports/set";
import { addWaitOwner, dropWaitOwner, flowOf, OWNER_BYTES, setFlow } from "./record";
import {
  CONNECTED,
  hasReuse,
  isDatagram,
  leavePort,
  recordOf,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import { durationOf, KEPT, nowOf, QUEUES, RIPE, SOFT, storeNow } from "./system";

const RECORD: usize = 4;
const STAMPED: usize = 12;
const OWNER: usize = 40;
const EXPIRING: usize = OWNER + OWNER_BYTES;
const RIPENING: usize = EXPIRING + 8;
const RIPE_AT: usize = 68;
const ENTERED: usize = 72;
const WAIT_BYTES: u32 = 80;
if (RIPENING + 8 != RIPE_AT) ERROR("Wait no longer matches its diagram");

// Queues of the system: first and last. Links of a member: next and previous.
const FIRST: usize = 0;
const LAST: usize = 4;
const NEXT: usize = 0;
const PREVIOUS: usize = 4;

const SECOND: u64 = 1000;
const RIPENS_AFTER: u32 = 2;
const NEVER: u32 = 0;

/**
 * A connected socket closes, and its tuple stays. `stamp` is when the last TCP timestamp came,
 * milliseconds, not later than now; negative: the connection had none.
 */
export function closeToWait(socket: Address, stamp: f64): i32 {
  if (stateOf(socket) != CONNECTED || isDatagram(socket)) return BAD_STATE;
  const system = systemOf(socket);
  const port = socketPort(socket);
  const ripeAt = stamp < 0 ? NEVER : <u32>(<u64>stamp / SECOND) + RIPENS_AFTER;
  const isRipe = ripeAt != NEVER && ripeAt <= secondOf(system);
  const klass = (hasReuse(socket) ? SOFT : 0) | (isRipe ? RIPE : KEPT);
  beginBill();
  chargeNode(WAIT_BYTES);
  chargeClassHold(system, flowOf(socket), klass, port);
  if (!canPay(system)) return NO_MEMORY;

  const record = recordOf(socket);
  const wait = alloc(system, WAIT_BYTES);
  memory.fill(wait, 0, WAIT_BYTES);
  store<u32>(wait, <u32>record, RECORD);
  store<u8>(wait, ripeAt == NEVER ? 0 : 1, STAMPED);
  store<u32>(wait, ripeAt, RIPE_AT);
  store<u64>(wait, nowOf(system), ENTERED);
  const flow = moveToClass(system, flowOf(socket), klass, port);
  // What the socket holds is the wait's from here on.
  addWaitOwner(system, record, wait + OWNER, flow);
  name(wait, flow, port);
  insert(system, wait);
  append(expiring(system), wait, EXPIRING);
  if (ripeAt != NEVER && !isRipe) append(ripening(system, ripeAt), wait, RIPENING);
  leavePort(socket);
  return 0;
}

/** Gives back a TIME_WAIT, its tuple and its port. */
export function dropWait(system: Address, wait: Address): void {
  const flow = flowOf(wait + OWNER);
  const port = <u32>load<u16>(wait, NODE_NUMBER);
  leaveQueue(expiring(system), wait, EXPIRING);
  if (isRipening(wait)) leaveQueue(ripening(system, load<u32>(wait, RIPE_AT)), wait, RIPENING);
  remove(system, wait);
  letGo(system, flow, flagsOf(flow), port);
  dropWaitOwner(system, load<u32>(wait, RECORD), wait + OWNER);
  free(system, wait);
}

/** The TIME_WAIT of a port in that ring of classes, or 0. */
export function findWait(system: Address, ring: Address, port: Port): Address {
  let flow = ring;
  do {
    if (flagsOf(flow) & (KEPT | RIPE) && hasPort(flow, port)) return find(system, flow, port, 0, 0);
    flow = nextOf(flow);
  } while (flow != ring);
  return 0;
}

export function isStamped(wait: Address): bool {
  return load<u8>(wait, STAMPED) != 0;
}

/** The TIME_WAIT that expires first, or 0. */
export function firstWait(system: Address): Address {
  return load<u32>(expiring(system), FIRST);
}

export function nextWait(wait: Address): Address {
  return load<u32>(wait + EXPIRING, NEXT);
}

export function ownerOf(wait: Address): Address {
  return wait + OWNER;
}

/** When it became one, in milliseconds. */
export function enteredAt(wait: Address): u64 {
  return load<u64>(wait, ENTERED);
}

// ── Time ──────────────────────────────────────────────────────────────────────────────────

/** Moves the clock on, and lets ripen what is due. */
export function setNow(system: Address, now: f64): void {
  storeNow(system, <u64>now);
  ripenDue(system);
}

/** Lets ripen what is due by now, as far as memory allows. */
export function ripenDue(system: Address): void {
  for (let parity: u32 = 0; parity < 2; parity++) {
    let wait: Address = load<u32>(ripening(system, parity), FIRST);
    while (wait && load<u32>(wait, RIPE_AT) <= secondOf(system) && ripen(system, wait)) {
      wait = load<u32>(ripening(system, parity), FIRST);
    }
  }
}

export function currentTime(system: Address): f64 {
  return <f64>nowOf(system);
}

/** Gives back the TIME_WAITs that have lasted long enough: how many. */
export function expireWaits(system: Address): u32 {
  let expired: u32 = 0;
  for (let wait = firstWait(system); wait; wait = firstWait(system)) {
    if (nowOf(system) < enteredAt(wait) + durationOf(system)) break;
    dropWait(system, wait);
    expired++;
  }
  return expired;
}

/** False: no memory, and nothing has changed. */
function ripen(system: Address, wait: Address): bool {
  const flow = flowOf(wait + OWNER);
  const port = <u32>load<u16>(wait, NODE_NUMBER);
  const klass = (flagsOf(flow) & SOFT) | RIPE;
  beginBill();
  chargeClassHold(system, flow, klass, port);
  if (!canPay(system)) return false;
  leaveQueue(ripening(system, load<u32>(wait, RIPE_AT)), wait, RIPENING);
  remove(system, wait);
  const ripe = moveToClass(system, flow, klass, port);
  setFlow(wait + OWNER, ripe);
  name(wait, ripe, port);
  insert(system, wait);
  return true;
}

function secondOf(system: Address): u32 {
  return <u32>(nowOf(system) / SECOND);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function name(wait: Address, flow: Address, port: Port): void {
  store<u32>(wait, <u32>flow, NODE_PARENT);
  store<u16>(wait, <u16>port, NODE_NUMBER);
}

function expiring(system: Address): Address {
  return system + QUEUES;
}

function ripening(system: Address, second: u32): Address {
  return system + QUEUES + 8 + ((<usize>(second & 1)) << 3);
}

function isRipening(wait: Address): bool {
  return isStamped(wait) && (flagsOf(flowOf(wait + OWNER)) & RIPE) == 0;
}

function append(queue: Address, wait: Address, links: usize): void {
  const last: Address = load<u32>(queue, LAST);
  store<u32>(wait + links, 0, NEXT);
  store<u32>(wait + links, <u32>last, PREVIOUS);
  if (last) store<u32>(last + links, <u32>wait, NEXT);
  else store<u32>(queue, <u32>wait, FIRST);
  store<u32>(queue, <u32>wait, LAST);
}

function leaveQueue(queue: Address, wait: Address, links: usize): void {
  const next: Address = load<u32>(wait + links, NEXT);
  const previous: Address = load<u32>(wait + links, PREVIOUS);
  if (next) store<u32>(next + links, <u32>previous, PREVIOUS);
  else store<u32>(queue, <u32>previous, LAST);
  if (previous) store<u32>(previous + links, <u32>next, NEXT);
  else store<u32>(queue, <u32>next, FIRST);
}
