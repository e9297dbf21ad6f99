// Bind: the port of bind() and listen() on modern Linux (Linux `inet_csk_get_port`,
// `inet_csk_find_open_port`, `udp_lib_get_port`).
//
//   explicit port no owner conflicts with the socket, or the bucket remembers a socket like it
//   port 0, TCP  odd offsets from the part's first port before even ones; with SO_REUSEADDR the lower
//                half of the range before the upper one; `ip_autobind_reuse` adds a second pass
//   port 0, UDP  from a random slot of the hash table on
//
// A group's bind range limits both.

import {
  BAD_STATE,
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  IN_USE,
  NO_MEMORY,
  NOT_LOCAL,
  NOT_PERMITTED,
  OUTSIDE_GROUP,
  REQUEST_ADDRESS,
} from "../../../abi";
import { allows, clamp } from "../../../groups/tree";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { pushFirst } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { countIn, firstIn, isEmpty, lastIn, rangeOf } from "../../../ports/range";
import { ANY_V4, highOf, isAny6, isV4, lowOf, setAddress } from "./address";
import { admit, chargeMore, findBucket, isLike, listenersOf } from "./bucket";
import { changeHolder, chargeKind, chargePort, firstUdp, takePort } from "./owning";
import {
  conflictsAt,
  conflictsOnUdp,
  finishPlan,
  NAMED,
  planHolders,
  SEARCH,
  SEARCH_AGAIN,
} from "./rules";
import { findByStride, findEveryOther } from "./search";
import {
  ADDRESS,
  ADDRESS_LOCKED,
  CLOSED,
  GROUPED,
  groupOf,
  HAS_RANGE,
  has,
  highOfSocket,
  IS_UDP,
  IS_V6,
  LISTENING,
  lowOfSocket,
  NO_PORT,
  OWN_RANGE,
  PART,
  PORT_LINKS,
  PORT_LOCKED,
  portOf,
  REUSE_ADDR,
  REUSE_PORT,
  setFlag,
  setState,
  showPort,
  stateOf,
  systemOf,
  UID,
  USED,
  V6ONLY,
  word,
} from "./socket";
import {
  AUTOBIND_REUSE,
  hasSwitch,
  RANGE,
  reservedPorts,
  reservedSlots,
  START,
  slotOf,
} from "./system";

/**
 * Binds a socket to the local address in the request, and to a port, or to any: 0. The port, or 0
 * where IP_BIND_ADDRESS_NO_PORT leaves it to connect().
 */
export function bind618(
  socket: Address,
  port: Port,
  isLocal: u32,
  isPrivileged: u32,
  random: u32,
): i32 {
  const low = lowOf(REQUEST + REQUEST_ADDRESS);
  const high = highOf(REQUEST + REQUEST_ADDRESS);
  if (!isLocal && !has(socket, IS_V6)) return NOT_LOCAL;
  if (port && port < load<u32>(systemOf(socket), START) && !isPrivileged) return NOT_PERMITTED;
  if (portOf(socket) || stateOf(socket) != CLOSED) return BAD_STATE;
  const isOver4 = isV4(low, high);
  if (has(socket, IS_V6)) {
    if (isOver4 && has(socket, V6ONLY)) return BAD_STATE;
    if (!isLocal) return NOT_LOCAL;
  }
  const wasOnly = has(socket, V6ONLY);
  const beforeLow = lowOfSocket(socket);
  const beforeHigh = highOfSocket(socket);
  setAddress(socket + ADDRESS, low, high);
  if (!isOver4 && !isAny6(low, high)) setFlag(socket, V6ONLY, true);
  const answer = port || !has(socket, NO_PORT) ? getPort(socket, port, random) : 0;
  if (answer < 0) {
    setFlag(socket, V6ONLY, wasOnly);
    if (answer == NO_MEMORY) setAddress(socket + ADDRESS, beforeLow, beforeHigh);
    else setAddress(socket + ADDRESS, 0, has(socket, IS_V6) ? 0 : ANY_V4);
    return answer;
  }
  if (has(socket, IS_V6) ? !isAny6(low, high) : high != ANY_V4)
    setFlag(socket, ADDRESS_LOCKED, true);
  if (port) setFlag(socket, PORT_LOCKED, true);
  showPort(socket);
  return answer;
}

/** Lets a TCP socket listen, on its port, which is judged once more, or on any. */
export function listen618(socket: Address, random: u32): i32 {
  if (has(socket, USED)) return BAD_STATE;
  if (stateOf(socket) == LISTENING) return <i32>portOf(socket);
  setState(socket, LISTENING);
  const answer = portOf(socket) ? stay(socket) : getPort(socket, 0, random);
  if (answer < 0) {
    setState(socket, CLOSED);
    return answer;
  }
  showPort(socket);
  pushFirst(listenersOf(systemOf(socket), portOf(socket)), socket, PORT_LINKS);
  if (has(socket, REUSE_PORT)) setFlag(socket, GROUPED, true);
  return answer;
}

/** The range of a search with port 0: the system's range, the socket's own, and the group's. */
export function range618(socket: Address, kind: u32): u32 {
  const range = load<u32>(systemOf(socket), RANGE);
  return clamp(ownRange(socket, range), groupOf(socket), kind);
}

/** Each bound of IP_LOCAL_PORT_RANGE counts if it lies within the system's range. */
export function ownRange(socket: Address, range: u32): u32 {
  if (!has(socket, HAS_RANGE)) return range;
  const own = <u32>word(socket, OWN_RANGE);
  const first = isWithin(range, firstIn(own)) ? firstIn(own) : firstIn(range);
  const last = isWithin(range, lastIn(own)) ? lastIn(own) : lastIn(range);
  return rangeOf(first, last);
}

function isWithin(range: u32, port: Port): bool {
  return firstIn(range) <= port && port <= lastIn(range);
}

/** Gives the socket the explicit port, or any port if it is 0, at its address. */
function getPort(socket: Address, named: Port, random: u32): i32 {
  if (has(socket, IS_UDP)) {
    const port = named
      ? judgeUdp(socket, named)
      : searchUdp(socket, range618(socket, GROUP_BIND), random);
    return port < 0 ? port : joinUdp(socket, port);
  }
  const port = named ? judgeNamed(socket, named) : searchTcp(socket, random);
  return port < 0 ? port : join(socket, port);
}

// ── TCP ───────────────────────────────────────────────────────────────────────────────────

function judgeNamed(socket: Address, port: Port): i32 {
  if (!allows(groupOf(socket), GROUP_BIND, port)) return OUTSIDE_GROUP;
  const bucket = findBucket(systemOf(socket), port);
  if (bucket && !isLikeRemembered(socket, bucket) && conflictsAt(socket, slotOf(port)))
    return IN_USE;
  return <i32>port;
}

/**
 * Is the socket like the one that the bucket remembers? Then bind() does not look for conflicts.
 */
export function isLikeRemembered(socket: Address, bucket: Address): bool {
  if (!has(socket, REUSE_PORT)) return false;
  const uid = <u32>word(socket, UID);
  return isLike(bucket, socket + ADDRESS, has(socket, V6ONLY), uid, has(socket, GROUPED));
}

function searchTcp(socket: Address, random: u32): i32 {
  const system = systemOf(socket);
  const range = range618(socket, GROUP_BIND);
  if (isEmpty(range)) return EMPTY_RANGE;
  const port = searchPass(socket, range, SEARCH, random);
  if (port != EXHAUSTED || !hasSwitch(system, AUTOBIND_REUSE)) return port;
  return searchPass(socket, range, SEARCH_AGAIN, nextRandom(nextRandom(random)));
}

function searchPass(socket: Address, range: u32, how: u32, random: u32): i32 {
  const system = systemOf(socket);
  const planned = planHolders(socket, how);
  if (planned < 0) return NO_MEMORY;
  const sets = finishPlan(system, planned, reservedSlots(system));
  const first = firstIn(range);
  const size = countIn(range);
  if (!has(socket, REUSE_ADDR) || size < 4) return searchPart(system, sets, first, size, random);
  const half = (size >> 2) << 1;
  const port = searchPart(system, sets, first, half, random);
  if (port != EXHAUSTED) return port;
  return searchPart(system, sets, first + half, size - half, nextRandom(random));
}

function searchPart(system: Address, sets: u32, first: Port, size: u32, random: u32): i32 {
  const offset = (random % (size > 1 ? size & ~1 : 1)) | 1;
  let port: Port = 0;
  if (size > 1) port = findEveryOther(system, sets, first, size, offset);
  if (!port) port = findEveryOther(system, sets, first, size, offset - 1);
  return port ? <i32>port : EXHAUSTED;
}

/** Draws that follow the first one (Knuth's linear congruence). */
function nextRandom(random: u32): u32 {
  return random * 1664525 + 1013904223;
}

function join(socket: Address, port: Port): i32 {
  const system = systemOf(socket);
  beginBill();
  chargePort(socket, port);
  if (has(socket, REUSE_PORT) || stateOf(socket) == LISTENING) chargeMore(system, port);
  if (!canPay(system)) return NO_MEMORY;
  takePort(socket, port, false);
  remember(socket, port);
  return <i32>port;
}

/** A bound socket begins to listen on its port. */
function stay(socket: Address): i32 {
  const system = systemOf(socket);
  const port = portOf(socket);
  const answer = judgeNamed(socket, port);
  if (answer < 0) return answer;
  beginBill();
  chargeKind(socket);
  chargeMore(system, port);
  if (!canPay(system)) return NO_MEMORY;
  changeHolder(socket);
  remember(socket, port);
  return <i32>port;
}

function remember(socket: Address, port: Port): void {
  const isReusePort = has(socket, REUSE_PORT);
  const uid = <u32>word(socket, UID);
  const part = word(socket, PART);
  const at = socket + ADDRESS;
  const isV6 = has(socket, IS_V6);
  const isOnly = has(socket, V6ONLY);
  admit(systemOf(socket), port, part, at, isV6, isOnly, uid, isReusePort, has(socket, GROUPED));
}

// ── UDP ───────────────────────────────────────────────────────────────────────────────────

function judgeUdp(socket: Address, port: Port): i32 {
  if (!allows(groupOf(socket), GROUP_BIND, port)) return OUTSIDE_GROUP;
  const owners = firstUdp(systemOf(socket), port);
  return owners && conflictsOnUdp(socket, port, owners) ? IN_USE : <i32>port;
}

/** An open port of a range for a UDP socket, or a refusal. */
export function searchUdp(socket: Address, range: u32, random: u32): i32 {
  const system = systemOf(socket);
  if (isEmpty(range)) return EMPTY_RANGE;
  const planned = planHolders(socket, NAMED);
  if (planned < 0) return NO_MEMORY;
  const sets = finishPlan(system, planned, reservedPorts(system));
  const start = firstIn(range) + <u32>((<u64>random * countIn(range)) >> 32);
  const port = findByStride(system, sets, firstIn(range), lastIn(range), start, random);
  return port ? <i32>port : EXHAUSTED;
}

/** A UDP socket owns the port from now on. */
export function joinUdp(socket: Address, port: Port): i32 {
  beginBill();
  chargePort(socket, port);
  if (!canPay(systemOf(socket))) return NO_MEMORY;
  takePort(socket, port, false);
  if (has(socket, REUSE_PORT)) setFlag(socket, GROUPED, true);
  return <i32>port;
}
