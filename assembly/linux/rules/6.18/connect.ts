// Connect: the local port of connect() on modern Linux (Linux `__inet_hash_connect`,
// `__inet_check_established`, `inet_autobind`).
//
//   without a port   even offsets from the range's first port before odd ones, from an offset of the
//                    tuple on; with IP_LOCAL_PORT_RANGE each in turn. A port is skipped if its bucket
//                    is not open, or its tuple taken; a TIME_WAIT that is due may be taken over
//   with a port      taken as it is, if its tuple is not taken by a live connection or by a
//                    TIME_WAIT without timestamps
//
// The offset is a keyed hash of the tuple and of the time in steps of ten seconds, plus one of
// 65,536 counters, which moves past the ports that were looked at (RFC 6056 § 3.3.4).
//
// A listener within the system answers with a connection of its own, which waits for accept(); for
// an end outside of the system the caller says whether it answers. A segment arrives at once.

import {
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_CONNECT,
  IN_USE,
  IS_CONNECTED,
  NO_ANSWER,
  NO_MEMORY,
  NO_ROUTE,
  REFUSED,
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  WRONG_FAMILY,
} from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { REQUEST, SPACES_AT } from "../../../memory/layout";
import { Port } from "../../../ports/bitmap";
import { countIn, firstIn, isEmpty, lastIn } from "../../../ports/range";
import { sipHash } from "../../../selection/siphash";
import { chargeChild, findListener, makeChild } from "./accept";
import {
  ANY_V4,
  highOf,
  isAny,
  isAny6,
  isLoopback,
  isLoopback4,
  isV4,
  loopback4,
  lowOf,
  setAddress,
  standIn4,
} from "./address";
import { range618 } from "./bind";
import { disconnect, resetAlone } from "./ending";
import { chargePort, isOverV4, moveTo, moveToAny, releasePort, takePort } from "./owning";
import { finishPlan, planSet } from "./rules";
import { findEveryOther, findInTurn, roundOf, stepsTo } from "./search";
import {
  ADDRESS,
  ADDRESS_LOCKED,
  CLOSED,
  DEVICE,
  ESTABLISHED,
  HAS_RANGE,
  HAS_TIMESTAMPS,
  has,
  highOfSocket,
  IS_UDP,
  IS_V6,
  LOOPBACK,
  lowOfSocket,
  nextSocket,
  OUTSIDE,
  OVER_V4,
  PEER,
  PORT_LOCKED,
  portOf,
  setFlag,
  setState,
  setWord,
  showPort,
  stateOf,
  systemOf,
  TUPLE,
  USED,
  V6ONLY,
  word,
} from "./socket";
import {
  CLOSED_PORTS,
  COUNTERS,
  hasRoomForSets,
  hasSwitch,
  nowOf,
  openCounters,
  reservedSlots,
  SECRET,
  SOCKETS,
  slotOf,
  TIMESTAMPS,
  TW_REUSE,
} from "./system";
import { dropWait, findWait, isForNamed, makeDue } from "./time-wait";
import {
  blockingOf,
  chargeTuple,
  dueOf,
  enterTuple,
  findFor,
  findTuples,
  hasSlot,
  meets,
  nextTuple,
  tupleDevice,
} from "./tuples";

const TARGET: usize = REQUEST + <usize>REQUEST_DESTINATION;
const SOURCE: usize = REQUEST + <usize>REQUEST_ADDRESS;
const HASH_PERIOD_MS: u64 = 10_000;
export const MANY_TUPLES: u32 = 32; // room for the sets of one search, which are six at most

/** The offset is the hash of the tuple, not what the caller gives. */
const BY_HASH: u32 = 1;

/**
 * Connects a TCP socket to the address in the request; the local address there is what routing
 * would choose, where the target is not the machine's own.
 * @param isOwn the target is the machine's own address, so that the machine answers.
 * @param isAccepted whether an end outside of the system accepts.
 * @param offset where the search starts, or, with `how` 1, 3 random bits.
 */
export function connect618(
  socket: Address,
  remotePort: Port,
  isOwn: u32,
  isAccepted: u32,
  how: u32,
  offset: u32,
): i32 {
  if (has(socket, USED) || stateOf(socket) != CLOSED) return IS_CONNECTED;
  const wrong = findTarget(socket);
  if (wrong) return wrong;
  if (isAny(lowOfSocket(socket), highOfSocket(socket)) && !goToSource(socket, isOwn != 0)) {
    return NO_MEMORY;
  }
  const port = portOf(socket)
    ? claimNamed(socket, remotePort)
    : findPort(socket, remotePort, how, offset);
  const answer = port < 0 ? port : establish(socket, port, remotePort, isOwn != 0, isAccepted != 0);
  if (answer < 0 && answer != REFUSED) giveUp(socket);
  return answer;
}

/** Brings the target into the form that the socket has for it; a refusal, or 0. */
export function findTarget(socket: Address): i32 {
  const low = lowOf(TARGET);
  const high = highOf(TARGET);
  const isTarget4 = isV4(low, high);
  if (!has(socket, IS_V6)) {
    if (!isTarget4) return WRONG_FAMILY;
    if (high == ANY_V4) takeOwnOrLoopback(socket);
    return 0;
  }
  if (isAny6(low, high)) {
    if (!isOverV4(socket)) setAddress(TARGET, 0, (<u64>1) << 56);
    else if (has(socket, V6ONLY)) return NO_ROUTE;
    else setAddress(TARGET, 0, loopback4());
    return 0;
  }
  if (!isTarget4) return isOverV4(socket) ? WRONG_FAMILY : 0;
  if (has(socket, V6ONLY)) return NO_ROUTE;
  if (!has(socket, IS_UDP) && !takeStandIn(socket)) return NO_MEMORY;
  if (high == ANY_V4) takeOwnOrLoopback(socket);
  return 0;
}

/**
 * Replaces the socket's IPv6 address, because the target is an IPv4 address: an address that bind()
 * gave without a port by 127.0.0.6, and one that an earlier connect() left to a bound port by the
 * any address, so that routing chooses again. False: no memory, nothing changed.
 */
function takeStandIn(socket: Address): bool {
  if (isAny(lowOfSocket(socket), highOfSocket(socket)) || isOverV4(socket)) return true;
  if (portOf(socket)) return moveTo(socket, 0, 0);
  setAddress(socket + ADDRESS, 0, standIn4());
  return true;
}

/** The any address means this machine: the socket's own address, if it has one. */
function takeOwnOrLoopback(socket: Address): void {
  const low = lowOfSocket(socket);
  const high = highOfSocket(socket);
  if (isAny(low, high)) setAddress(TARGET, 0, loopback4());
  else setAddress(TARGET, low, high);
}

/** The local address that routing chooses. False: no memory, and nothing has changed. */
export function goToSource(socket: Address, isOwn: bool): bool {
  const low = lowOf(TARGET);
  const high = highOf(TARGET);
  if (isV4(low, high) && isLoopback4(high)) return moveTo(socket, 0, loopback4());
  if (isOwn || isLoopback(low, high) || isAny(lowOf(SOURCE), highOf(SOURCE))) {
    return moveTo(socket, low, high);
  }
  return moveTo(socket, lowOf(SOURCE), highOf(SOURCE));
}

/**
 * After a failed connect(): the socket loses the address and the port that bind() has not given,
 * and receives IPv6 again.
 */
function giveUp(socket: Address): void {
  if (isOverV4(socket)) setFlag(socket, OVER_V4, false);
  if (!has(socket, ADDRESS_LOCKED)) moveToAny(socket);
  if (!has(socket, PORT_LOCKED)) releasePort(socket);
}

// ── Without a port ────────────────────────────────────────────────────────────────────────

function findPort(socket: Address, remotePort: Port, how: u32, given: u32): i32 {
  const system = systemOf(socket);
  const range = range618(socket, GROUP_CONNECT);
  if (isEmpty(range)) return EMPTY_RANGE;
  if (!hasRoomForSets(system, MANY_TUPLES)) return NO_MEMORY;
  const counter = how == BY_HASH ? counterFor(system, socket, remotePort) : 0;
  if (how == BY_HASH && !counter) return NO_MEMORY;
  const sets = planTuples(system, socket, remotePort);
  const first = firstIn(range);
  const size = countIn(range);
  const isInTurn = has(socket, HAS_RANGE);
  const round = isInTurn ? size : roundOf(system, size);
  const offset = counter ? load<u32>(counter) + load<u32>(HASH_HIGH) : given;
  const start = isInTurn ? offset % size : (offset % (size > 1 ? size & ~1 : 1)) & ~1;
  if (isInTurn) {
    const port = findInTurn(system, sets, first, lastIn(range), start);
    if (port && counter) advance(counter, (port + round - first - start) % round, 1, given);
    return port ? <i32>port : EXHAUSTED;
  }
  let port = findEveryOther(system, sets, first, size, start);
  let from = start;
  if (!port && size > 1) {
    from = start + 1;
    port = findEveryOther(system, sets, first, size, from);
  }
  if (port && counter) advance(counter, stepsTo(system, first, size, from, port), 2, given);
  return port ? <i32>port : EXHAUSTED;
}

/**
 * Lists the sets whose ports an automatic connect() may not use, and returns how many. There must
 * be room for them.
 */
export function planTuples(system: Address, socket: Address, remotePort: Port): u32 {
  let sets = planSet(system, 0, system + CLOSED_PORTS);
  const device = <u32>word(socket, DEVICE);
  const tuples = findTuples(system, socket + ADDRESS, remotePort);
  if (tuples && load<u8>(system, TW_REUSE)) makeDue(system);
  let tuple = findTuples(system, socket + ADDRESS, remotePort);
  for (; tuple; tuple = nextTuple(tuple)) {
    if (!meets(tuple, device)) continue;
    sets = planSet(system, sets, blockingOf(tuple));
    if (!mayReuse(system, socket, tuple)) sets = planSet(system, sets, dueOf(tuple));
  }
  return finishPlan(system, sets, reservedSlots(system));
}

/** May connect() take over the tuple's TIME_WAITs that are due (`tcp_tw_reuse`)? */
function mayReuse(system: Address, socket: Address, tuple: Address): bool {
  const reuse = load<u8>(system, TW_REUSE);
  if (reuse != 2) return reuse == 1;
  if (tupleDevice(tuple) == 1) return true; // loopback
  if (isLoopback(lowOf(TARGET), highOf(TARGET))) return true;
  return isLoopback(lowOfSocket(socket), highOfSocket(socket));
}

// ── The tuple's counter ───────────────────────────────────────────────────────────────────

const HASH_HIGH: usize = SPACES_AT + 160; // scratch: what is added to the counter

/**
 * The counter that the tuple uses, or 0: no memory. The number to add to it is left in `HASH_HIGH`.
 */
function counterFor(system: Address, socket: Address, remotePort: Port): Address {
  const table = openCounters(system);
  if (!table) return 0;
  setAddress(SOURCE, lowOfSocket(socket), highOfSocket(socket));
  const period = <u64>(<u32>(nowOf(system) / HASH_PERIOD_MS));
  const hash = sipHash(system + SECRET, TARGET, 38, (period << 16) | remotePort);
  const index = <u32>hash & (COUNTERS - 1);
  // A counter begins at a random number, which is a hash, too; only how far it has moved is stored.
  const began = <u32>sipHash(system + SECRET, table, 0, index);
  store<u32>(HASH_HIGH, <u32>(hash >> 32) + began);
  return table + ((<usize>index) << 2);
}

/** Moves the counter past the ports that were looked at, and by chance a little further. */
function advance(counter: Address, steps: u32, step: u32, random: u32): void {
  const moved = max<u32>(steps, (random & 7) * step) + step;
  store<u32>(counter, load<u32>(counter) + moved);
}

// ── With a port ───────────────────────────────────────────────────────────────────────────

/** The socket's port, if its tuple is not taken. */
function claimNamed(socket: Address, remotePort: Port): i32 {
  const port = portOf(socket);
  const known = findHeld(systemOf(socket), socket, remotePort, port);
  if (!known) return <i32>port;
  const wait = findWait(systemOf(socket), known, port);
  return wait && isForNamed(wait) ? <i32>port : IN_USE;
}

/** The tuple in which a connection that the socket meets has the port, or 0. */
function findHeld(system: Address, socket: Address, remotePort: Port, port: Port): Address {
  const first = findTuples(system, socket + ADDRESS, remotePort);
  return heldAmong(system, first, <u32>word(socket, DEVICE), port);
}

/**
 * Of `first` and the tuples behind it, the one in which a connection of that device meets another
 * at the port, or 0. A live connection comes before a TIME_WAIT, and a TIME_WAIT of the same device
 * before one without a device, so that no tuple of a device has two connections. Linux takes the
 * newest.
 */
function heldAmong(system: Address, first: Address, device: u32, port: Port): Address {
  let held: Address = 0;
  for (let tuple = first; tuple; tuple = nextTuple(tuple)) {
    if (!meets(tuple, device) || !hasSlot(tuple, slotOf(port))) continue;
    if (!findWait(system, tuple, port)) return tuple;
    if (!held || tupleDevice(tuple) == device) held = tuple;
  }
  return held;
}

// ── Established ───────────────────────────────────────────────────────────────────────────

/** Takes the tuple of a socket that has found its port. Then the other end answers, or refuses. */
function establish(
  socket: Address,
  port: i32,
  remotePort: Port,
  isOwn: bool,
  isAccepted: bool,
): i32 {
  const system = systemOf(socket);
  const isNew = !portOf(socket);
  const low = lowOfSocket(socket);
  const high = highOfSocket(socket);
  const device = <u32>word(socket, DEVICE);
  const isSelf =
    device <= LOOPBACK && <u32>port == remotePort && low == lowOf(TARGET) && high == highOf(TARGET);
  const listener: Address = isSelf ? 0 : findListener(system, TARGET, remotePort);
  beginBill();
  if (isNew) chargePort(socket, port);
  chargeTuple(system, low, high, remotePort, TARGET, device);
  if (listener) chargeChild(listener, socket, port, remotePort);
  if (!canPay(system)) return NO_MEMORY;

  const held = findHeld(system, socket, remotePort, port);
  const replaced = held ? findWait(system, held, port) : 0;
  if (replaced) {
    // Its tuple may be freed with it; one of the same size has been charged.
    dropWait(system, replaced);
  }
  if (isNew) takePort(socket, port, true);
  const slot = slotOf(port);
  setWord(socket, TUPLE, enterTuple(system, slot, low, high, remotePort, TARGET, device));
  showPort(socket);
  setState(socket, ESTABLISHED);
  setFlag(socket, USED, true);
  setFlag(socket, HAS_TIMESTAMPS, hasSwitch(system, TIMESTAMPS));
  if (has(socket, IS_V6) && isOverV4(socket)) {
    setFlag(socket, OVER_V4, true);
  } else if (has(socket, OVER_V4)) {
    disconnect(socket);
    return NO_ANSWER;
  }
  if (isSelf) {
    setWord(socket, PEER, socket);
    return port;
  }
  clearMirror(system, socket, port, remotePort);
  if (listener) {
    // If both are held in the same sets, what the socket has taken may make the child cost more.
    beginBill();
    chargeChild(listener, socket, port, remotePort);
    if (!canPay(system)) {
      disconnect(socket);
      return NO_MEMORY;
    }
    makeChild(listener, socket, port, remotePort);
    return port;
  }
  if (!isOwn && isAccepted) {
    setWord(socket, PEER, OUTSIDE);
    return port;
  }
  disconnect(socket);
  return REFUSED;
}

/** Ends what is left at the other end of an older connection with the same tuple. */
function clearMirror(system: Address, socket: Address, port: Port, remotePort: Port): void {
  const targetLow = lowOf(TARGET);
  const targetHigh = highOf(TARGET);
  const first = findFor(system, targetLow, targetHigh, port, socket + ADDRESS);
  const held = heldAmong(system, first, LOOPBACK, remotePort);
  if (!held) return;
  const wait = findWait(system, held, remotePort);
  if (wait) dropWait(system, wait);
  else resetHolder(system, held, remotePort);
}

function resetHolder(system: Address, tuple: Address, port: Port): void {
  let other: Address = load<u32>(system, SOCKETS);
  while (other && (word(other, TUPLE) != tuple || portOf(other) != port)) other = nextSocket(other);
  if (other) resetAlone(other);
}
