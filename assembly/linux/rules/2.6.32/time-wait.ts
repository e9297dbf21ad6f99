// TIME_WAIT: connections in TIME_WAIT, which own their port and their tuple until they expire.
//
//   wait   0 ┌──────────────────┐
//            │ node             │  of the system's table: below its flow, named by the port
//          4 │  bucket     u32  │
//         12 │  timestamps  u8  │  the connection had TCP timestamps
//         40 ├──────────────────┤
//            │ owner            │  (bucket.ts)
//         52 ├──────────────────┤
//            │ next, previous   │  in the queue of those that expire
//         60 ├──────────────────┤
//            │ next, previous   │  in a queue of those that become reusable
//         68 ├──────────────────┤
//            │ due at      u32  │  second from which connect() may take the tuple over
//         72 ├──────────────────┤
//            │ entered     u64  │  milliseconds
//         80 └──────────────────┘
//
// A tuple with timestamps may be taken over by an automatic connect() once more than a second lies
// between its last timestamp and now, counted in whole seconds. So it has the class `TW_BLOCKING`
// at first, and two ticks of whole seconds after its last timestamp (after more than one second and
// at most two) it moves to `TW_REUSABLE`, which a search passes over or not, 64 ports at a time. At
// most two different seconds are ahead, so two queues, for even and odd seconds, keep those that
// will become reusable in order.
//
// Each TIME_WAIT changes its class and expires at constant cost, in order.
//
// Must stay true: a wait's flow holds its port; a queue ascends. When there is no memory to
// reclassify one, it and those behind it stay as they are until the clock moves or connect()
// searches again.

import { BAD_STATE, NO_MEMORY } from "../../../abi";
import { Address, alloc, free } from "../../../memory/arena";
import { beginBill, canPay, chargeNode } from "../../../memory/bill";
import { find, insert, NODE_NUMBER, NODE_PARENT, remove } from "../../../memory/table";
import { chargeMove, moveToClass, release } from "../../../netstack/aggregates";
import { flagsOf, nextOf } from "../../../netstack/records";
import { keepEmptied } from "../../../netstack/tree";
import { Port } from "../../../ports/bitmap";
import { hasPort } from "../../../ports/set";
import { append, dequeue, FIRST, NEXT } from "../../queue";
import { addWaitOwner, dropWaitOwner, flowOf, OWNER_BYTES, portOf, setFlow } from "./bucket";
import {
  bucketOf,
  CONNECTED,
  hasReuse,
  isUdp,
  leavePort,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import {
  durationOf,
  nowOf,
  QUEUES,
  REUSE_ADDR,
  storeNow,
  TW_BLOCKING,
  TW_REUSABLE,
} from "./system";

const BUCKET: usize = 4;
const TIMESTAMPS: usize = 12;
const OWNER: usize = 40;
const EXPIRING: usize = OWNER + OWNER_BYTES;
const PENDING: usize = EXPIRING + 8;
const DUE_AT: usize = 68;
const ENTERED: usize = 72;
const WAIT_BYTES: u32 = 80;
if (PENDING + 8 != DUE_AT) ERROR("Wait no longer matches its diagram");

const SECOND: u64 = 1000;
const DUE_AFTER: u32 = 2;
const NEVER: u32 = 0;

/**
 * A connected socket closes, and its tuple stays. `stamp` is when the last TCP timestamp came,
 * milliseconds, not later than now; negative: the connection had none.
 */
export function closeToWait(socket: Address, stamp: f64): i32 {
  if (stateOf(socket) != CONNECTED || isUdp(socket)) return BAD_STATE;
  const system = systemOf(socket);
  const port = socketPort(socket);
  const dueAt = stamp < 0 ? NEVER : <u32>(<u64>stamp / SECOND) + DUE_AFTER;
  const isDue = dueAt != NEVER && dueAt <= secondOf(system);
  const klass = (hasReuse(socket) ? REUSE_ADDR : 0) | (isDue ? TW_REUSABLE : TW_BLOCKING);
  beginBill();
  chargeWait();
  chargeMove(system, flowOf(socket), klass, port);
  if (!canPay(system)) return NO_MEMORY;

  const flow = moveToClass(system, flowOf(socket), klass, port);
  // From here on the wait holds what the socket held.
  addWait(system, bucketOf(socket), flow, dueAt, nowOf(system));
  leavePort(socket);
  return 0;
}

export function chargeWait(): void {
  chargeNode(WAIT_BYTES);
}

/**
 * Makes a TIME_WAIT, behind all others, that owns the port of a bucket, which the flow holds for
 * it. It must have been charged.
 */
export function addWait(
  system: Address,
  bucket: Address,
  flow: Address,
  dueAt: u32,
  entered: u64,
): Address {
  const wait = alloc(system, WAIT_BYTES);
  memory.fill(wait, 0, WAIT_BYTES);
  store<u32>(wait, <u32>bucket, BUCKET);
  store<u8>(wait, dueAt == NEVER ? 0 : 1, TIMESTAMPS);
  store<u32>(wait, dueAt, DUE_AT);
  store<u64>(wait, entered, ENTERED);
  addWaitOwner(system, bucket, wait + OWNER, flow);
  name(wait, flow, portOf(bucket));
  insert(system, wait);
  append(expiring(system), wait, EXPIRING);
  if (isPending(wait)) append(pending(system, dueAt), wait, PENDING);
  return wait;
}

/** Gives back a TIME_WAIT, its tuple and its port. */
export function dropWait(system: Address, wait: Address): void {
  const flow = flowOf(wait + OWNER);
  const port = <u32>load<u16>(wait, NODE_NUMBER);
  dequeue(expiring(system), wait, EXPIRING);
  if (isPending(wait)) dequeue(pending(system, load<u32>(wait, DUE_AT)), wait, PENDING);
  remove(system, wait);
  release(system, flow, flagsOf(flow), port);
  dropWaitOwner(system, load<u32>(wait, BUCKET), wait + OWNER);
  free(system, wait);
  keepEmptied(system);
}

/** The TIME_WAIT of a port in that ring of classes, or 0. */
export function findWait(system: Address, ring: Address, port: Port): Address {
  let flow = ring;
  do {
    if (flagsOf(flow) & (TW_BLOCKING | TW_REUSABLE) && hasPort(flow, port))
      return find(system, flow, port, 0, 0);
    flow = nextOf(flow);
  } while (flow != ring);
  return 0;
}

export function hasTimestamps(wait: Address): bool {
  return load<u8>(wait, TIMESTAMPS) != 0;
}

/** The TIME_WAIT that expires first, or 0. */
export function firstWait(system: Address): Address {
  return load<u32>(expiring(system), FIRST);
}

export function nextWait(wait: Address): Address {
  return load<u32>(wait + EXPIRING, NEXT);
}

export function bucketOfWait(wait: Address): Address {
  return load<u32>(wait, BUCKET);
}

export function ownerOf(wait: Address): Address {
  return wait + OWNER;
}

/** The second from which connect() may take the wait's tuple over; 0: never. */
export function dueAtOf(wait: Address): u32 {
  return load<u32>(wait, DUE_AT);
}

/** When the connection entered TIME_WAIT, in milliseconds. */
export function enteredAt(wait: Address): u64 {
  return load<u64>(wait, ENTERED);
}

// ── Time ──────────────────────────────────────────────────────────────────────────────────

/** Moves the clock on, and reclassifies what is due. */
export function setNow(system: Address, now: f64): void {
  storeNow(system, <u64>now);
  reclassifyDue(system);
}

/** Makes TIME_WAITs reusable that are due by now, as far as memory allows. */
export function reclassifyDue(system: Address): void {
  for (let parity: u32 = 0; parity < 2; parity++) {
    let wait: Address = load<u32>(pending(system, parity), FIRST);
    while (wait && load<u32>(wait, DUE_AT) <= secondOf(system) && reclassify(system, wait)) {
      wait = load<u32>(pending(system, parity), FIRST);
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
function reclassify(system: Address, wait: Address): bool {
  const flow = flowOf(wait + OWNER);
  const port = <u32>load<u16>(wait, NODE_NUMBER);
  const klass = (flagsOf(flow) & REUSE_ADDR) | TW_REUSABLE;
  beginBill();
  chargeMove(system, flow, klass, port);
  if (!canPay(system)) return false;
  dequeue(pending(system, load<u32>(wait, DUE_AT)), wait, PENDING);
  remove(system, wait);
  const due = moveToClass(system, flow, klass, port);
  setFlow(wait + OWNER, due);
  name(wait, due, port);
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

function pending(system: Address, second: u32): Address {
  return system + QUEUES + 8 + ((<usize>(second & 1)) << 3);
}

function isPending(wait: Address): bool {
  return hasTimestamps(wait) && (flagsOf(flowOf(wait + OWNER)) & TW_REUSABLE) == 0;
}
