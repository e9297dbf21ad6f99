// Explaining: what keeps a socket of modern Linux from an address and a port, asked without changing
// anything: owner by owner, by the same rules as bind() (rules.ts), and port by port for port 0.

import { GROUP_BIND, REQUEST_ADDRESS } from "../../../abi";
import { allows } from "../../../groups/tree";
import { Address } from "../../../memory/arena";
import { REQUEST, SPACES_AT } from "../../../memory/layout";
import { bitOf, Port, WORD_SHIFT } from "../../../ports/bitmap";
import { firstIn, isEmpty, lastIn } from "../../../ports/range";
import { heldByAny } from "../../../ports/search";
import { highOf, isAny6, isV4, lowOf, setAddress } from "./address";
import { isLikeRemembered, ownRange, range618 } from "./bind";
import { findBucket } from "./bucket";
import { finishPlan, planHolders, SEARCH, SEARCH_AGAIN, verdictOn } from "./rules";
import {
  A_TIME_WAIT,
  ADDRESS,
  groupOf,
  HOLDER,
  has,
  highOfSocket,
  IS_UDP,
  lowOfSocket,
  placeOf,
  setFlag,
  systemOf,
  V6ONLY,
  whatIs,
  word,
} from "./socket";
import { AUTOBIND_REUSE, hasSwitch, RANGE, reservedPorts, reservedSlots, SETS } from "./system";
import { holderOfWait } from "./time-wait";

const SOURCE: usize = REQUEST + <usize>REQUEST_ADDRESS;
const BEFORE: usize = SPACES_AT + 176; // scratch: the socket's own address meanwhile
const WAS_ONLY: usize = BEFORE + 16;

/** What an owner says to the socket at the request's address: 0 passes, 1 shares, 2 conflicts. */
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

/** What a search goes through but for the group. */
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

function countIn(socket: Address, first: Port, last: Port, isOpen: bool): i32 {
  const system = systemOf(socket);
  const isAgain = hasSwitch(system, AUTOBIND_REUSE) && !has(socket, IS_UDP);
  const planned = isOpen ? planHolders(socket, isAgain ? SEARCH_AGAIN : SEARCH) : 0;
  if (planned < 0) return -1;
  const reserved = has(socket, IS_UDP) ? reservedPorts(system) : reservedSlots(system);
  const sets = finishPlan(system, planned, reserved);
  const list: Address = load<u32>(system, SETS);
  let held: i32 = 0;
  for (let port = first; port <= last; port++) {
    const place = placeOf(socket, port);
    if (heldByAny(list, sets, place >> WORD_SHIFT) & bitOf(place)) held++;
  }
  return isOpen ? <i32>(last - first + 1) - held : held;
}

/** The socket is at the request's address, as bind() would have it. */
function moveThere(socket: Address): void {
  const low = lowOf(SOURCE);
  const high = highOf(SOURCE);
  setAddress(BEFORE, lowOfSocket(socket), highOfSocket(socket));
  store<u32>(WAS_ONLY, has(socket, V6ONLY) ? 1 : 0);
  setAddress(socket + ADDRESS, low, high);
  if (!isV4(low, high) && !isAny6(low, high)) setFlag(socket, V6ONLY, true);
}

function moveBack(socket: Address): void {
  setAddress(socket + ADDRESS, lowOf(BEFORE), highOf(BEFORE));
  setFlag(socket, V6ONLY, load<u32>(WAS_ONLY) != 0);
}
