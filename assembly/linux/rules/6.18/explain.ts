// Explaining: why a socket of modern Linux cannot have an address and a port. Each owner is judged
// by the same rules as in bind() (rules.ts) and connect(); for port 0 the ports are counted.
// Nothing changes.

import { GROUP_BIND, GROUP_CONNECT, REQUEST_ADDRESS } from "../../../abi";
import { allows } from "../../../groups/tree";
import { Address } from "../../../memory/arena";
import { BILL_AT, REQUEST, SPACES_AT } from "../../../memory/layout";
import { bitOf, Port, WORD_SHIFT } from "../../../ports/bitmap";
import { firstIn, isEmpty, lastIn } from "../../../ports/range";
import { heldByAny } from "../../../ports/search";
import { highOf, isAny, isAny6, isV4, lowOf, setAddress } from "./address";
import { isLikeRemembered, ownRange, range618 } from "./bind";
import { findBucket } from "./bucket";
import { findTarget, goToSource, MANY_TUPLES, planTuples } from "./connect";
import { finishPlan, planHolders, planSet, SEARCH, SEARCH_AGAIN, verdictOn } from "./rules";
import {
  A_TIME_WAIT,
  ADDRESS,
  DEVICE,
  groupOf,
  HOLDER,
  has,
  highOfSocket,
  IS_UDP,
  lowOfSocket,
  placeOf,
  portOf,
  setFlag,
  setPort,
  systemOf,
  TUPLE,
  V6ONLY,
  whatIs,
  word,
} from "./socket";
import {
  AUTOBIND_REUSE,
  CLOSED_PORTS,
  hasRoomForSets,
  hasSwitch,
  RANGE,
  reservedPorts,
  reservedSlots,
  SETS,
} from "./system";
import { holderOfWait, isForNamed, tupleOf, waitPort } from "./time-wait";
import { findTuples, meets, nextTuple } from "./tuples";

const SOURCE: usize = REQUEST + <usize>REQUEST_ADDRESS;
const BEFORE: usize = SPACES_AT + 168; // scratch: what the socket had before
const WAS_ONLY: usize = BEFORE + 16;
const WAS_PORT: usize = WAS_ONLY + 4;
if (WAS_PORT + 4 > BILL_AT) ERROR("What a socket has meanwhile runs into the bill");

/**
 * Is an owner in the way of the socket at the request's address? 0: it passes, 1: shares, 2:
 * conflicts.
 */
export function verdict618(socket: Address, owner: Address): u32 {
  if (owner == socket) return 0;
  const isWait = whatIs(owner) == A_TIME_WAIT;
  const holder = isWait ? holderOfWait(owner) : word(owner, HOLDER);
  moveThere(socket);
  const verdict = verdictOn(socket, holder);
  moveBack(socket);
  return verdict;
}

/** Is the socket, at the request's address, like what the port's bucket remembers? */
export function isLike618(socket: Address, port: Port): bool {
  const bucket = findBucket(systemOf(socket), port);
  if (!bucket) return false;
  moveThere(socket);
  const isLike = isLikeRemembered(socket, bucket);
  moveBack(socket);
  return isLike;
}

/** The range of a search with port 0, but for the group's limit. */
export function searched618(socket: Address): u32 {
  return ownRange(socket, load<u32>(systemOf(socket), RANGE));
}

/** Does the socket's group allow bind() the port? */
export function allowsPort618(socket: Address, port: Port): bool {
  return allows(groupOf(socket), GROUP_BIND, port);
}

/**
 * Of the ports that a search at the request's address goes through: how many are reserved (0), or
 * neither reserved nor held (1). -1: no memory.
 */
export function countOpen618(socket: Address, what: u32): i32 {
  const range = range618(socket, GROUP_BIND);
  if (isEmpty(range)) return 0;
  moveThere(socket);
  const count = countIn(socket, firstIn(range), lastIn(range), what != 0);
  moveBack(socket);
  return count;
}

/**
 * Of the ports that a connect() to the request's destination goes through: how many are reserved
 * (0); neither reserved nor bound (1); nor is the tuple of them taken (2). -1: no memory.
 */
export function countOpenTo618(socket: Address, remotePort: Port, isOwn: u32, what: u32): i32 {
  const range = range618(socket, GROUP_CONNECT);
  if (isEmpty(range)) return 0;
  const first = firstIn(range);
  const last = lastIn(range);
  if (has(socket, IS_UDP)) return countIn(socket, first, last, what != 0);
  const system = systemOf(socket);
  if (!hasRoomForSets(system, MANY_TUPLES)) return -1;
  moveToward(socket, isOwn);
  const closed = what == 1 ? planSet(system, 0, system + CLOSED_PORTS) : 0;
  const sets =
    what == 2
      ? planTuples(system, socket, remotePort)
      : finishPlan(system, closed, reservedSlots(system));
  moveBack(socket);
  const held = countHeld(socket, sets, first, last);
  return what ? <i32>(last - first + 1) - held : held;
}

/** Has the owner the tuple that a connect() to the request's destination needs for the port? */
export function hasTuple618(
  socket: Address,
  port: Port,
  remotePort: Port,
  isOwn: u32,
  owner: Address,
): bool {
  const isWait = whatIs(owner) == A_TIME_WAIT;
  if (owner == socket || (isWait ? waitPort(owner) : portOf(owner)) != port) return false;
  if (isWait && isForNamed(owner)) return false;
  const own = isWait ? tupleOf(owner) : word(owner, TUPLE);
  moveToward(socket, isOwn);
  let tuple = findTuples(systemOf(socket), socket + ADDRESS, remotePort);
  while (tuple && tuple != own) tuple = nextTuple(tuple);
  moveBack(socket);
  return tuple != 0 && meets(tuple, <u32>word(socket, DEVICE));
}

function countIn(socket: Address, first: Port, last: Port, isOpen: bool): i32 {
  const system = systemOf(socket);
  const isAgain = hasSwitch(system, AUTOBIND_REUSE) && !has(socket, IS_UDP);
  const planned = isOpen ? planHolders(socket, isAgain ? SEARCH_AGAIN : SEARCH) : 0;
  if (planned < 0) return -1;
  const reserved = has(socket, IS_UDP) ? reservedPorts(system) : reservedSlots(system);
  const held = countHeld(socket, finishPlan(system, planned, reserved), first, last);
  return isOpen ? <i32>(last - first + 1) - held : held;
}

/** How many ports are in the sets that are listed. */
function countHeld(socket: Address, sets: u32, first: Port, last: Port): i32 {
  const list: Address = load<u32>(systemOf(socket), SETS);
  let held: i32 = 0;
  for (let port = first; port <= last; port++) {
    const place = placeOf(socket, port);
    if (heldByAny(list, sets, place >> WORD_SHIFT) & bitOf(place)) held++;
  }
  return held;
}

/** Moves the socket to the request's address, as bind() would. */
function moveThere(socket: Address): void {
  const low = lowOf(SOURCE);
  const high = highOf(SOURCE);
  rememberPlace(socket);
  setAddress(socket + ADDRESS, low, high);
  if (!isV4(low, high) && !isAny6(low, high)) setFlag(socket, V6ONLY, true);
}

/** Moves the socket to where connect() would move it, without its port. */
function moveToward(socket: Address, isOwn: u32): void {
  rememberPlace(socket);
  setPort(socket, 0);
  findTarget(socket);
  if (isAny(lowOfSocket(socket), highOfSocket(socket))) goToSource(socket, isOwn != 0);
}

function rememberPlace(socket: Address): void {
  setAddress(BEFORE, lowOfSocket(socket), highOfSocket(socket));
  store<u32>(WAS_ONLY, has(socket, V6ONLY) ? 1 : 0);
  store<u32>(WAS_PORT, portOf(socket));
}

function moveBack(socket: Address): void {
  setPort(socket, load<u32>(WAS_PORT));
  setAddress(socket + ADDRESS, lowOf(BEFORE), highOf(BEFORE));
  setFlag(socket, V6ONLY, load<u32>(WAS_ONLY) != 0);
}
