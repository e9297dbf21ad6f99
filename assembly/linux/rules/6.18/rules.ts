// Rules: whether an owner of a port keeps a new socket away, on Linux 6.8 to 6.18 (Linux
// `inet_bind_conflict`, `inet_rcv_saddr_equal`, `inet_rcv_saddr_any`; `udp_lib_lport_inuse`).
//
// A new socket meets the address nodes whose addresses overlap with its own. Each of their holders
// is judged by the rules below; a search skips the ports in the sets of those that conflict.
//
//   the new socket's address      the nodes that it meets; (all): the aggregate of the class
//
//   a.b.c.d                       a.b.c.d, 0.0.0.0, `::`
//   0.0.0.0                       IPv4 (all), `::`; unless mapped into IPv6: IPv6 (all)
//   `::`                          all of IPv4 and IPv6, IPV6_V6ONLY or not
//   `::`, IPV6_V6ONLY             `::`, IPv6 (all), IPV6_V6ONLY or not
//   an IPv6 address               itself and `::`, IPV6_V6ONLY or not
//
// Unless the table says so, owners with IPV6_V6ONLY are not met.

import { Address } from "../../../memory/arena";
import { SPACES_AT } from "../../../memory/layout";
import { Port } from "../../../ports/bitmap";
import { countAt } from "../../../ports/counted";
import { searchAllUnder } from "../../../ports/search";
import { hasPort, portsOf } from "../../../ports/set";
import { ANY, ANY_V4, isAny6, isV4, ONLY, V4, V6 } from "./address";
import {
  aggregateOf,
  deviceOf,
  findAddress,
  findAggregate,
  firstHolder,
  holderCount,
  kindOf,
  nextHolder,
  SHARES_ADDR,
  SHARES_PORT,
  TCP,
  TIME_WAIT,
  UDP,
  uidOf,
} from "./holders";
import {
  DEVICE,
  GROUPED,
  HOLDER,
  has,
  highOfSocket,
  IS_UDP,
  IS_V6,
  lowOfSocket,
  ORDER,
  PORT_LINKS,
  REUSE_ADDR,
  REUSE_PORT,
  systemOf,
  UID,
  V6ONLY,
  word,
} from "./socket";
import { hasRoomForSets, SETS } from "./system";

/** An explicit port, and listen(). */
export const NAMED: u32 = 0;
/** Port 0, first pass: SO_REUSEADDR and SO_REUSEPORT do not count. */
export const SEARCH: u32 = 1;
/** Port 0, second pass (`ip_autobind_reuse`). */
export const SEARCH_AGAIN: u32 = 2;

/** Sets that a search looks at besides those of holders. */
const OTHER_SETS: u32 = 8;

const NODES: usize = SPACES_AT + 64; // scratch: the nodes that a socket meets
const NODE_COUNT: usize = NODES - 4;

const PASS: u32 = 0;
const SHARE: u32 = 1;
const CONFLICT: u32 = 2;

// ── The nodes that a socket meets ─────────────────────────────────────────────────────────

function findNodes(socket: Address): void {
  const system = systemOf(socket);
  const space = has(socket, IS_UDP) ? UDP : TCP;
  const low = lowOfSocket(socket);
  const high = highOfSocket(socket);
  store<u32>(NODE_COUNT, 0);
  if (isV4(low, high)) {
    if (high == ANY_V4) {
      note(findAggregate(system, space, V4));
      if (!has(socket, IS_V6)) note(findAggregate(system, space, V6));
    } else {
      note(findAddress(system, space, V4, low, high));
      note(findAddress(system, space, V4, 0, ANY_V4));
    }
    note(findAddress(system, space, ANY, 0, 0));
    return;
  }
  note(findAddress(system, space, ANY, 0, 0));
  note(findAddress(system, space, ANY | ONLY, 0, 0));
  if (!isAny6(low, high)) {
    note(findAddress(system, space, V6, low, high));
    note(findAddress(system, space, V6 | ONLY, low, high));
    return;
  }
  note(findAggregate(system, space, V6));
  note(findAggregate(system, space, V6 | ONLY));
  if (has(socket, V6ONLY)) return;
  note(findAggregate(system, space, V4));
  note(findAggregate(system, space, V4 | ONLY));
}

function note(node: Address): void {
  if (!node) return;
  const count = load<u32>(NODE_COUNT);
  store<u32>(NODES + ((<usize>count) << 2), <u32>node);
  store<u32>(NODE_COUNT, count + 1);
}

function nodeAt(index: u32): Address {
  return load<u32>(NODES + ((<usize>index) << 2));
}

// ── Judging a holder ──────────────────────────────────────────────────────────────────────

function judge(socket: Address, holder: Address, how: u32): u32 {
  const device = deviceOf(holder);
  if (device && word(socket, DEVICE) && device != <u32>word(socket, DEVICE)) return PASS;
  return has(socket, IS_UDP) ? judgeUdp(socket, holder) : judgeTcp(socket, holder, how);
}

function judgeTcp(socket: Address, holder: Address, how: u32): u32 {
  const kind = kindOf(holder);
  const bothSharePort = has(socket, REUSE_PORT) && (kind & SHARES_PORT) != 0;
  const isSameUser = (kind & TIME_WAIT) != 0 || uidOf(holder) == <u32>word(socket, UID);
  if (has(socket, REUSE_ADDR) && (kind & SHARES_ADDR) != 0) {
    if (how == SEARCH) return CONFLICT;
    return how == SEARCH_AGAIN && bothSharePort && isSameUser ? CONFLICT : PASS;
  }
  return how == NAMED && bothSharePort && isSameUser ? PASS : CONFLICT;
}

function judgeUdp(socket: Address, holder: Address): u32 {
  const kind = kindOf(holder);
  if (has(socket, REUSE_ADDR) && (kind & SHARES_ADDR) != 0) return PASS;
  if (!has(socket, REUSE_PORT) || (kind & SHARES_PORT) == 0) return CONFLICT;
  return has(socket, GROUPED) || uidOf(holder) != <u32>word(socket, UID) ? CONFLICT : SHARE;
}

// ── Explicit ports ───────────────────────────────────────────────────────────────────────────

/** Does another owner of the port, or slot, conflict with the socket, which may own it itself? */
export function conflictsAt(socket: Address, place: Port): bool {
  findNodes(socket);
  const own = word(socket, HOLDER);
  for (let index: u32 = 0; index < load<u32>(NODE_COUNT); index++) {
    let holder = firstHolder(nodeAt(index));
    for (; holder; holder = nextHolder(holder)) {
      if (!hasPort(holder, place) || judge(socket, holder, NAMED) != CONFLICT) continue;
      const isOwn = own != 0 && (holder == own || holder == aggregateOf(own));
      if (!isOwn || countAt(holder, place) > 1) return true;
    }
  }
  return false;
}

/**
 * The same for UDP, where the first owner that is not passed over decides.
 * @param owners the first of the port's sockets.
 */
export function conflictsOnUdp(socket: Address, port: Port, owners: Address): bool {
  findNodes(socket);
  let met: u32 = 0;
  for (let index: u32 = 0; index < load<u32>(NODE_COUNT); index++) {
    let holder = firstHolder(nodeAt(index));
    for (; holder; holder = nextHolder(holder)) {
      if (hasPort(holder, port)) met |= judge(socket, holder, NAMED);
    }
  }
  return met == (SHARE | CONFLICT) ? firstConflicts(socket, owners) : met == CONFLICT;
}

function firstConflicts(socket: Address, owners: Address): bool {
  let first: Address = 0;
  for (let owner = owners; owner; owner = word(owner, PORT_LINKS)) {
    if (!meetsNode(word(owner, HOLDER))) continue;
    if (judge(socket, word(owner, HOLDER), NAMED) == PASS) continue;
    if (!first || load<f64>(owner, ORDER) < load<f64>(first, ORDER)) first = owner;
  }
  return first != 0 && judge(socket, word(first, HOLDER), NAMED) == CONFLICT;
}

/** How a holder is judged for a socket that names a port: `PASS`, `SHARE` or `CONFLICT`. */
export function verdictOn(socket: Address, holder: Address): u32 {
  findNodes(socket);
  return meetsNode(holder) ? judge(socket, holder, NAMED) : PASS;
}

/** Is the holder below one of the nodes, or the aggregate that counts it? */
function meetsNode(holder: Address): bool {
  const aggregate = aggregateOf(holder);
  for (let index: u32 = 0; index < load<u32>(NODE_COUNT); index++) {
    let other = firstHolder(nodeAt(index));
    for (; other; other = nextHolder(other)) if (other == holder || other == aggregate) return true;
  }
  return false;
}

// ── Searches ──────────────────────────────────────────────────────────────────────────────

/** Lists the sets of the holders that conflict with the socket: how many, or -1: no memory. */
export function planHolders(socket: Address, how: u32): i32 {
  const system = systemOf(socket);
  findNodes(socket);
  let most = OTHER_SETS;
  for (let index: u32 = 0; index < load<u32>(NODE_COUNT); index++) {
    most += holderCount(nodeAt(index));
  }
  if (!hasRoomForSets(system, most)) return -1;
  let count: u32 = 0;
  for (let index: u32 = 0; index < load<u32>(NODE_COUNT); index++) {
    let holder = firstHolder(nodeAt(index));
    for (; holder; holder = nextHolder(holder)) {
      if (judge(socket, holder, how) == CONFLICT) count = planSet(system, count, holder);
    }
  }
  return <i32>count;
}

/** Lists one more set: how many there are then. There is room for a few beside the holders. */
export function planSet(system: Address, count: u32, set: Address): u32 {
  const sets: Address = load<u32>(system, SETS);
  store<u32>(sets + ((<usize>count) << 2), <u32>set);
  return count + 1;
}

/** Lists the reserved ports, or slots, and readies all summaries: how many sets there are. */
export function finishPlan(system: Address, count: u32, reserved: Address): u32 {
  const sets: Address = load<u32>(system, SETS);
  searchAllUnder(sets, count, reserved ? portsOf(reserved) : 0);
  return reserved ? planSet(system, count, reserved) : count;
}
