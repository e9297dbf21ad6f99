// Connect: the local port of connect() (Linux 2.6.32 `__inet_hash_connect`).
//
//   without a port   for i = 1, 2, …: first + ((i + hint + offset) modulo 2^32) modulo count;
//                    the first that is neither reserved, nor bound by bind(), and whose tuple is
//                    not taken; then hint += i
//   with a port      taken as it is, if its tuple is not taken
//
// The tuples of one local address, device and destination are one ring of flows. So the ports that
// are taken are those of a few sets: reserved, bound, and the classes of the ring that hold live
// connections or TIME_WAITs which may not be taken over. One search over them does what the
// kernel does port by port, and the number of steps tells i.
//
// The sum wraps at 2^32, where the walk jumps to the range's first port: so there are two runs.

import {
  BAD_STATE,
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_CONNECT,
  IN_USE,
  NO_MEMORY,
  PORT_MAX,
} from "../../../abi";
import { clamp } from "../../../groups/tree";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { release } from "../../../netstack/aggregates";
import {
  beginPlan,
  blockerAt,
  blockerCount,
  isBlocked,
  isPlanned,
  planReserved,
  planSet,
  readyPlan,
} from "../../../netstack/conflicts";
import { ephemeralRangeOf, flagsOf, nextOf } from "../../../netstack/records";
import { acquireCharged, chargeRequest, findRing } from "../../../netstack/reservations";
import { keepEmptied } from "../../../netstack/tree";
import { Port } from "../../../ports/bitmap";
import { countIn, firstIn, intersect, isEmpty, lastIn, rangeOf } from "../../../ports/range";
import { unlessEmpty } from "../../../ports/reserved";
import { findOpen } from "../../../ports/search";
import { hasPort } from "../../../ports/set";
import { counterAt, tupleHash } from "../../../selection/selector";
import { countOpenIn, joinAs } from "./bind";
import { fastreuseOf, findBucket, flowOf, hasOneOwner, setFlow } from "./bucket";
import {
  askFor,
  askForOwnAddress,
  bucketOf,
  CLOSED,
  CONNECTED,
  classOf,
  groupOf,
  hasKey,
  isUdp,
  keepAddress,
  preferOwnAddress,
  releasePortOf,
  setState,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import { BOUND, HINT, RESERVED, TW_BLOCKING, TW_REUSABLE, timeWaitReuse } from "./system";
import { dropWait, findWait, hasTimestamps, reclassifyDue } from "./time-wait";

/** fastreuse of a bucket that connect() makes. */
const BY_CONNECT: i32 = -1;

/**
 * Connects a socket to the destination in the request block; the local address there counts unless
 * the socket has its own. A socket without a port gets one from a part of the range. Returns the
 * port, or a refusal; `IN_USE` frees a port that bind() had picked.
 */
export function connectSocket(socket: Address, first: Port, last: Port, offset: u32): i32 {
  if (stateOf(socket) != CLOSED || isUdp(socket)) return BAD_STATE;
  preferOwnAddress(socket);
  const port = bucketOf(socket)
    ? connectBound(socket)
    : connectAny(socket, rangeOf(first, last), offset);
  if (port < 0) return port;
  keepAddress(socket);
  setState(socket, CONNECTED);
  return port;
}

/** The same from the offset that is a counter plus the keyed hash of the tuple. */
export function connectByHash(socket: Address, selector: Address): i32 {
  preferOwnAddress(socket);
  const offset = counterAt(selector, 0) + tupleHash(selector);
  return connectSocket(socket, 1, PORT_MAX, offset);
}

/** The range that `connectSocket` picks from: the system's, as far as the socket's group allows. */
export function connectRange(socket: Address): u32 {
  return clamp(ephemeralRangeOf(systemOf(socket)), groupOf(socket), GROUP_CONNECT);
}

// ── Without a port ────────────────────────────────────────────────────────────────────────

function connectAny(socket: Address, part: u32, offset: u32): i32 {
  const system = systemOf(socket);
  const range = intersect(connectRange(socket), part);
  if (isEmpty(range)) return EMPTY_RANGE;
  if (timeWaitReuse(system)) reclassifyDue(system);
  askFor(socket, classOf(socket));
  const ring = findRing(system, 0);
  planTuples(system, ring);
  if (!isPlanned()) return NO_MEMORY;
  readyPlan();
  const first = firstIn(range);
  const count = countIn(range);
  const from = load<u32>(system, HINT) + offset;
  const steps = findSteps(first, count, from);
  if (!steps) return EXHAUSTED;

  const port = first + ((from + steps) % count);
  const answer = joinUnbound(socket, port, ring);
  if (answer > 0) store<u32>(system, load<u32>(system, HINT) + steps, HINT);
  return answer;
}

/**
 * How many ports `connectSocket`, or `connectUdp`, could give; `what` 0: if no tuple were taken.
 * -1: no memory.
 */
export function countOpenTo(socket: Address, what: u32): i32 {
  const system = systemOf(socket);
  const range = connectRange(socket);
  if (isEmpty(range)) return 0;
  if (isUdp(socket)) {
    askForOwnAddress(socket);
    return <i32>countOpenIn(socket, range);
  }
  preferOwnAddress(socket);
  if (timeWaitReuse(system)) reclassifyDue(system);
  askFor(socket, classOf(socket));
  planTuples(system, what ? findRing(system, 0) : 0);
  if (!isPlanned()) return -1;
  let open: i32 = 0;
  for (let port = firstIn(range); port <= lastIn(range); port++) if (!isBlocked(port)) open++;
  return open;
}

/** Plans the sets whose ports an automatic connect() may not use. */
function planTuples(system: Address, ring: Address): void {
  beginPlan(system, 0, false, 0, REQUEST);
  planReserved(unlessEmpty(load<u32>(system, RESERVED)));
  planSet(system + BOUND);
  if (!ring) return;
  let flow = ring;
  do {
    if (!isDue(flow) || !timeWaitReuse(system)) planSet(flow);
    flow = nextOf(flow);
  } while (flow != ring);
}

function isDue(flow: Address): bool {
  return (flagsOf(flow) & TW_REUSABLE) != 0;
}

/**
 * How many steps of 1 from `from`, added modulo 2^32, it takes to an open port; 0: all are taken.
 */
function findSteps(first: Port, count: u32, from: u32): u32 {
  const beforeWrap = min<u32>(count, ~from);
  const steps = findInRun(first, count, (from + 1) % count, beforeWrap);
  if (steps || beforeWrap == count) return steps;
  const after = findInRun(first, count, 0, count - beforeWrap);
  return after ? beforeWrap + after : 0;
}

/** The same for a run of ports from index `start` on, which wraps at the range's end. */
function findInRun(first: Port, count: u32, start: u32, length: u32): u32 {
  const sets = blockerAt(0);
  const head = min<u32>(length, count - start);
  const from = first + start;
  const port = findOpen(sets, blockerCount(), from, from + head - 1);
  if (port) return port - from + 1;
  if (head == length) return 0;
  const other = findOpen(sets, blockerCount(), first, first + (length - head) - 1);
  return other ? head + (other - first) + 1 : 0;
}

/** The socket becomes an owner of that port, and takes the place of a TIME_WAIT with its tuple. */
function joinUnbound(socket: Address, port: Port, ring: Address): i32 {
  const system = systemOf(socket);
  const bucket = findBucket(system, port);
  const fastreuse = bucket ? fastreuseOf(bucket) : BY_CONNECT;
  const wait = ring ? findWait(system, ring, port) : 0;
  const answer = joinAs(socket, bucket, port, fastreuse);
  if (wait && answer > 0) dropWait(system, wait);
  return answer;
}

// ── With a port ───────────────────────────────────────────────────────────────────────────

function connectBound(socket: Address): i32 {
  const system = systemOf(socket);
  const port = socketPort(socket);
  askFor(socket, classOf(socket));
  const ring = findRing(system, 0);
  // A socket that is the only owner of its port has the only tuple there.
  let wait: Address = 0;
  if (ring && !hasOneOwner(bucketOf(socket))) {
    wait = findWait(system, ring, port);
    const isTaken = wait ? !hasTimestamps(wait) : isHeldBySocket(ring, port);
    if (isTaken) {
      if (!hasKey(socket)) releasePortOf(socket);
      return IN_USE;
    }
  }
  beginBill();
  chargeRequest(system, 0, port);
  if (!canPay(system)) return NO_MEMORY;
  const before = flowOf(socket);
  setFlow(socket, acquireCharged(system, 0, port));
  release(system, before, flagsOf(before), port);
  if (wait) dropWait(system, wait);
  keepEmptied(system);
  return <i32>port;
}

function isHeldBySocket(ring: Address, port: Port): bool {
  let flow = ring;
  do {
    if ((flagsOf(flow) & (TW_BLOCKING | TW_REUSABLE)) == 0 && hasPort(flow, port)) return true;
    flow = nextOf(flow);
  } while (flow != ring);
  return false;
}
