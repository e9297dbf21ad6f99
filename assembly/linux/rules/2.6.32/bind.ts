// Bind: the port of bind() and listen() (Linux 2.6.32 `inet_csk_get_port`).
//
//   explicit port   within the group's bind range ─▶ shareable, or no conflict ─▶ join the bucket
//   port 0          from a random start, the first port without conflict        ─▶ join the bucket
//
// R means that the socket has SO_REUSEADDR and does not listen. With R, a port whose fastreuse is 1
// is shareable: bind() does not look for conflicts.
//
// The kernel walks port by port. Here two searches over 64 ports at a time give the same answer:
// `open`, the first port that is not reserved and has no conflict, and, for R, `shared`, the first
// that is not reserved and has fastreuse 1. The walk takes `open`, with two exceptions:
//
//   - When more sockets own ports than the range has, the walk stops at `shared` if that comes
//     first. It conflicts, or it would be `open`, and the kernel draws again.
//   - When nothing is open, the walk falls back on the least owned of the shared ports. That port
//     conflicts like all others, so it does not matter which one it is: the kernel draws again.
//
// The kernel draws again five times at most. Here the caller draws, because chance is an argument.

import {
  AGAIN,
  BAD_STATE,
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  IN_USE,
  LAST_DRAW,
  NO_MEMORY,
  NOT_PERMITTED,
  OUTSIDE_GROUP,
  POLICY_DRAW,
} from "../../../abi";
import { allows, clamp } from "../../../groups/tree";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { NODE_NAME } from "../../../memory/table";
import { findInRange, isBlocked, isPlanned, planReserved } from "../../../netstack/conflicts";
import { NOT_FAST } from "../../../netstack/fast-path";
import { deviceOf, ephemeralRangeOf, flagsOf, isAny, parentOf } from "../../../netstack/records";
import { acquireCharged, chargeRequest, planRequest } from "../../../netstack/reservations";
import { Port } from "../../../ports/bitmap";
import { countIn, firstIn, intersect, isEmpty, lastIn, rangeOf } from "../../../ports/range";
import { hasReserved, unlessEmpty } from "../../../ports/reserved";
import { nextPort } from "../../../ports/set";
import { bindByCache, cacheBind } from "./bind-cache";
import {
  addSocketOwner,
  chargeFastreuse,
  chargeOwner,
  fastreuseOf,
  findBucket,
  firstOwner,
  flowOf,
  hasOneOwner,
  NO_BUCKET,
  nextOwner,
  setFastreuse,
  setFlow,
} from "./bucket";
import {
  askFor,
  bucketOf,
  CLOSED,
  CONNECTED,
  chargeClass,
  classOf,
  forgetAddress,
  groupOf,
  hasReuse,
  isPrivileged,
  isUdp,
  keepAddress,
  LISTENING,
  moveClass,
  preferOwnAddress,
  setNamed,
  setPort,
  setState,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import {
  count,
  owningCount,
  RESERVED,
  REUSABLE,
  REUSE_ADDR,
  UDP_SOCKETS,
  unprivilegedStart,
} from "./system";

/**
 * Binds a socket to the local address in the request block, whose destination is the wildcard, and
 * a port that is named.
 */
export function bindAt(socket: Address, port: Port): i32 {
  const refusal = refusalOf(socket, port);
  return refusal ? refusal : settleBind(socket, takeNamed(socket, port), true);
}

/** What `bindAt` would answer if there is enough memory: 1, or a refusal. */
export function judgeBind(socket: Address, port: Port): i32 {
  const refusal = refusalOf(socket, port);
  return refusal ? refusal : judgeNamed(socket, port);
}

/** How many ports `bindAny` could give. */
export function countOpen(socket: Address): u32 {
  return countOpenIn(socket, bindRange(socket));
}

/** How many ports of a range have no conflict, and are not reserved. */
export function countOpenIn(socket: Address, range: u32): u32 {
  if (isEmpty(range)) return 0;
  const reserved = load<u32>(systemOf(socket), RESERVED);
  askFor(socket, wantedBy(socket));
  planRequest(systemOf(socket), false);
  let open: u32 = 0;
  for (let port = firstIn(range); port <= lastIn(range); port++) {
    if (!isBlocked(port) && !(reserved && hasReserved(reserved, port))) open++;
  }
  return open;
}

/** The refusal that does not depend on the port's owners, or 0. */
function refusalOf(socket: Address, port: Port): i32 {
  if (port < unprivilegedStart(systemOf(socket)) && !isPrivileged(socket)) return NOT_PERMITTED;
  return isFresh(socket) ? 0 : BAD_STATE;
}

/**
 * Binds a socket to the local address in the request block and any port of a part of the range,
 * searched from a random start. `AGAIN`, which the last draw never gets, asks for another draw.
 */
export function bindAny(socket: Address, first: Port, last: Port, random: u32, draw: u32): i32 {
  if (!isFresh(socket)) return BAD_STATE;
  const range = intersect(rangeFor(socket), rangeOf(first, last));
  const answer = takeAny(socket, range, random, draw);
  return answer == AGAIN ? AGAIN : settleBind(socket, answer, false);
}

/**
 * The range that `bindAny` and `listenAny` search: the system's range, as far as the socket's group
 * allows. Empty if the socket has a port: the call is then refused without a draw.
 */
export function bindRange(socket: Address): u32 {
  if (!isFresh(socket)) return rangeOf(1, 0);
  return rangeFor(socket);
}

function rangeFor(socket: Address): u32 {
  return clamp(ephemeralRangeOf(systemOf(socket)), groupOf(socket), GROUP_BIND);
}

/** Lets a bound socket listen. The port is judged once more, for a socket that listens. */
export function listenBound(socket: Address): i32 {
  if (stateOf(socket) == CONNECTED || isUdp(socket)) return BAD_STATE;
  const port = socketPort(socket);
  if (stateOf(socket) == LISTENING) return <i32>port;
  if (!allows(groupOf(socket), GROUP_BIND, port)) return OUTSIDE_GROUP;
  if (conflictsWithOther(socket)) return IN_USE;

  const system = systemOf(socket);
  const bucket = bucketOf(socket);
  beginBill();
  if (flagsOf(flowOf(socket)) != 0) chargeClass(socket, 0);
  chargeFastreuse(system, bucket, 0);
  if (!canPay(system)) return NO_MEMORY;
  moveClass(socket, 0);
  setFastreuse(system, bucket, 0);
  setState(socket, LISTENING);
  return <i32>port;
}

/**
 * Lets a socket without a port listen, on any port, searched as by `bindAny`. Its own address
 * counts, if it has one.
 */
export function listenAny(socket: Address, first: Port, last: Port, random: u32, draw: u32): i32 {
  if (!isFresh(socket) || isUdp(socket)) return BAD_STATE;
  preferOwnAddress(socket);
  setNamed(socket, false);
  setState(socket, LISTENING); // while it is judged
  const range = intersect(rangeFor(socket), rangeOf(first, last));
  const port = takeAny(socket, range, random, draw);
  if (port < 0) setState(socket, CLOSED);
  else keepAddress(socket);
  return port;
}

// ── Judging ───────────────────────────────────────────────────────────────────────────────

function isFresh(socket: Address): bool {
  return stateOf(socket) == CLOSED && !socketPort(socket);
}

/** After bind(): a socket that was bound keeps the address; one that was refused has none. */
function settleBind(socket: Address, answer: i32, named: bool): i32 {
  if (answer > 0) {
    keepAddress(socket);
    setNamed(socket, named);
  } else if (answer != NO_MEMORY) {
    forgetAddress(socket);
  }
  return answer;
}

function takeNamed(socket: Address, port: Port): i32 {
  const answer = judgeNamed(socket, port);
  return answer < 0 ? answer : join(socket, namedBucket(socket, port), port);
}

function judgeNamed(socket: Address, port: Port): i32 {
  if (!allows(groupOf(socket), GROUP_BIND, port)) return OUTSIDE_GROUP;
  askFor(socket, wantedBy(socket));
  planRequest(systemOf(socket), false);
  const isShared = fastreuseOf(namedBucket(socket, port)) > 0 && classOf(socket) == REUSE_ADDR;
  if (!isShared && isBlocked(port)) return IN_USE;
  return isPlanned() ? 1 : NO_MEMORY;
}

function namedBucket(socket: Address, port: Port): Address {
  return isUdp(socket) ? 0 : findBucket(systemOf(socket), port);
}

/** A port of a range, which the socket gets, or a refusal; `AGAIN` unless this is the last draw. */
function takeAny(socket: Address, range: u32, random: u32, draw: u32): i32 {
  const system = systemOf(socket);
  if (isEmpty(range)) return EMPTY_RANGE;
  const first = firstIn(range);
  const last = lastIn(range);
  const count = countIn(range);
  const start = random % count;
  const isPlainBind = !hasReuse(socket) && !isUdp(socket);
  if (isPlainBind) {
    const port = bindByCache(socket, first, last, first + start);
    if (port != NOT_FAST) return port;
  }
  const open = findWithoutConflict(socket, first, last, start);
  if (!isPlanned()) return NO_MEMORY;

  if (isUdp(socket)) return open ? join(socket, 0, open) : EXHAUSTED;
  const mayShare = classOf(socket) == REUSE_ADDR && draw != POLICY_DRAW;
  if (mayShare && (!open || owningCount(system) > count)) {
    const shared = findShared(system, first, last, first + start);
    const stops = shared && (!open || isBefore(shared, open, first + start));
    if (stops) return draw == LAST_DRAW ? EXHAUSTED : AGAIN;
  }
  if (!open) return EXHAUSTED;
  const port = join(socket, findBucket(system, open), open);
  if (isPlainBind && port > 0) cacheBind(socket);
  return port;
}

/**
 * The first port of a range, from `first + start` on, that is not reserved and has no conflict; or
 * 0.
 */
export function findWithoutConflict(socket: Address, first: Port, last: Port, start: u32): Port {
  const system = systemOf(socket);
  askFor(socket, wantedBy(socket));
  planRequest(system, false);
  planReserved(unlessEmpty(load<u32>(system, RESERVED)));
  return findInRange(first, last, start, 0);
}

/** The flags that owners must share with the socket, whether it listens or not. */
function wantedBy(socket: Address): u32 {
  return hasReuse(socket) ? REUSE_ADDR : 0;
}

/**
 * The first port of a range, from `start` on and round once, that has fastreuse 1 and is not
 * reserved; or 0.
 */
function findShared(system: Address, first: Port, last: Port, start: Port): Port {
  const port = nextShared(system, start, last);
  return port ? port : nextShared(system, first, start - 1);
}

function nextShared(system: Address, from: Port, to: Port): Port {
  const reserved: Address = load<u32>(system, RESERVED);
  let port = nextPort(system + REUSABLE, from);
  while (port && port <= to && reserved && hasReserved(reserved, port)) {
    port = nextPort(system + REUSABLE, port + 1);
  }
  return port <= to ? port : 0;
}

/** Does a walk from `start`, round the range once, meet `a` before `b`? */
function isBefore(a: Port, b: Port, start: Port): bool {
  return a >= start == b >= start ? a < b : a >= start;
}

/** Does another owner of the socket's port keep it from listening? */
function conflictsWithOther(socket: Address): bool {
  const bucket = bucketOf(socket);
  if (hasOneOwner(bucket)) return false;
  for (let owner = firstOwner(bucket); owner; owner = nextOwner(owner)) {
    if (owner != socket && overlap(flowOf(owner), flowOf(socket))) {
      if (!hasReuse(socket) || (flagsOf(flowOf(owner)) & REUSE_ADDR) == 0) return true;
    }
  }
  return false;
}

/** Do the devices and the addresses of the two flows meet, each being equal or one of them any? */
function overlap(a: Address, b: Address): bool {
  const x = parentOf(a);
  const y = parentOf(b);
  if (x == y) return true;
  if (deviceOf(x) && deviceOf(y) && deviceOf(x) != deviceOf(y)) return false;
  const host = parentOf(x);
  const other = parentOf(y);
  return host == other || isAnyHost(host) || isAnyHost(other);
}

function isAnyHost(host: Address): bool {
  return isAny(load<u64>(host, NODE_NAME), load<u64>(host, NODE_NAME + 8));
}

// ── Joining ───────────────────────────────────────────────────────────────────────────────

/**
 * The socket becomes an owner of a port that has been judged. The records of its description must
 * have been found.
 */
export function join(socket: Address, bucket: Address, port: Port): i32 {
  const klass = classOf(socket);
  askFor(socket, klass);
  return joinAs(socket, bucket, port, afterBind(fastreuseOf(bucket), klass == REUSE_ADDR));
}

/** The same with the class that the request names; the port's bucket gets that fastreuse. */
export function joinAs(socket: Address, bucket: Address, port: Port, fastreuse: i32): i32 {
  const system = systemOf(socket);
  beginBill();
  chargeRequest(system, 0, port);
  if (!isUdp(socket)) chargeOwner(system, bucket, port, fastreuse);
  if (!canPay(system)) return NO_MEMORY;
  const flow = acquireCharged(system, 0, port);
  if (isUdp(socket)) joinUdp(socket, port, flow);
  else setPort(socket, port, addSocketOwner(system, bucket, port, fastreuse, socket, flow));
  return <i32>port;
}

function joinUdp(socket: Address, port: Port, flow: Address): void {
  setFlow(socket, flow);
  setPort(socket, port, 0);
  count(systemOf(socket), UDP_SOCKETS, 1);
}

/** The first owner decides; a later one without R turns 1 and -1 into 0. */
function afterBind(fastreuse: i32, reusesAddr: bool): i32 {
  if (fastreuse == NO_BUCKET) return reusesAddr ? 1 : 0;
  return reusesAddr ? fastreuse : 0;
}
