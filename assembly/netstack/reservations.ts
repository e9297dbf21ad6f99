// Reservations: the operations of gVisor's port manager on what the request block describes.
//
//   find the records ─▶ plan ─▶ judge one port, or search the range ─▶ charge ─▶ hold
//                                                                        └─ no memory: refuse
//
// Each network has a space of its own. All networks are judged first; then all are changed, or
// none.

import {
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  IN_USE,
  NO_MEMORY,
  OUTSIDE_GROUP,
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_RESERVED,
  REQUEST_TRANSPORT,
} from "../abi";
import { allows, clamp } from "../groups/tree";
import { Address } from "../memory/arena";
import { beginBill, canPay } from "../memory/bill";
import { HOSTS_AT, REQUEST, RINGS_AT, SPACES_AT } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { firstIn, lastIn } from "../ports/range";
import { unlessEmpty } from "../ports/reserved";
import { hasPort } from "../ports/set";
import { acquire, chargeAcquire, chargeNewAcquire, isHeldInRing, releaseAll } from "./aggregates";
import {
  beginPlan,
  findInRange,
  isBlocked,
  isPlanned,
  planAddress,
  planAnyAddress,
  planReserved,
} from "./conflicts";
import { acceptFast, closeFast } from "./connections";
import { NOT_FAST } from "./fast-path";
import { isExclusive, wantedOf } from "./flags";
import { addGroupUse, chargeGroupUse, dropGroupUse } from "./group-uses";
import {
  classIn,
  ephemeralRangeOf,
  flagsOf,
  isAny,
  isWildcard,
  nextOf,
  treeVersionOf,
} from "./records";
import { noteRequest, releaseByCache, reserveByCache, searchByCache } from "./request-cache";
import {
  chargeFlow,
  findBinding,
  findFlow,
  findHost,
  findSpace,
  keepEmptied,
  openFlow,
} from "./tree";

/** Can `port` be reserved now? 1, `IN_USE`, `OUTSIDE_GROUP` or `NO_MEMORY`. */
export function isAvailable(manager: Address, port: Port): i32 {
  if (!allows(requestGroup(), requestKind(), port)) return OUTSIDE_GROUP;
  planRequest(manager, false);
  const answer = isBlocked(port) ? IN_USE : 1;
  return isPlanned() ? answer : NO_MEMORY; // Examining hosts extends the plan.
}

/** Reserves an explicit port (gVisor `ReservePort`): the port, or a refusal. */
export function reservePort(manager: Address, port: Port): i32 {
  const reserved = reserveByCache(manager, port);
  if (reserved != NOT_FAST) return reserved;
  const version = treeVersionOf(manager);
  const answer = isAvailable(manager, port);
  return answer < 0 ? answer : acquirePlanned(manager, port, false, version);
}

/** The part of a range that the request's group allows, to be given to `reserveEphemeral`. */
export function clampToRequest(range: u32): u32 {
  return clamp(range, requestGroup(), requestKind());
}

/**
 * Reserves the first acceptable port of a range (gVisor `ReservePort` with port 0), in the order of
 * `findInRange`. To continue after a port that a tester has refused, skip all ports up to it.
 */
export function reserveEphemeral(
  manager: Address,
  first: Port,
  last: Port,
  offset: u32,
  skip: u32,
): i32 {
  const exclusive = isExclusive(load<u32>(REQUEST + REQUEST_TRANSPORT), true);
  if (skip == 0) {
    const reserved = searchByCache(manager, exclusive, first, last, offset);
    if (reserved != NOT_FAST) return reserved;
  }
  const version = treeVersionOf(manager);
  if (!planRequest(manager, true)) return NO_MEMORY;
  planReserved(unlessEmpty(load<u32>(REQUEST + REQUEST_RESERVED)));
  const count = last - first + 1;
  let passed = skip;
  let port: Port;
  while (true) {
    port = findInRange(first, last, offset, passed);
    // A tester may have narrowed the group since the range was read.
    if (!port || allows(requestGroup(), requestKind(), port)) break;
    passed = 1 + ((port - first + count - (offset % count)) % count);
  }
  if (!isPlanned()) return NO_MEMORY;
  return port ? acquirePlanned(manager, port, exclusive, version) : EXHAUSTED;
}

/** The same in the ephemeral range, of which the group must allow at least one port. */
export function reserveAny(manager: Address, offset: u32): i32 {
  const range = clampToRequest(ephemeralRangeOf(manager));
  return reserveEphemeral(manager, firstIn(range), lastIn(range), offset, 0);
}

/** Reserves a tuple (gVisor `ReserveTuple`): only holders of the same destination are asked. */
export function reserveTuple(manager: Address, port: Port): i32 {
  const accepted = acceptFast(manager, port);
  if (accepted != NOT_FAST) return accepted;
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  for (let index: u32 = 0; index < networkCount(); index++) {
    const ring = findRing(manager, index);
    if (ring && isHeldInRing(ring, port) && !(sharedInRing(ring, port) & flags)) return IN_USE;
  }
  return acquireRequest(manager, port, true);
}

/** The same towards an IPv4 address as a number, which is written into the request block. */
export function acceptIpv4(manager: Address, port: Port, remote: u32, remotePort: u32): i32 {
  writeRemote(remote, remotePort);
  return reserveTuple(manager, port);
}

/** As `releasePort`, towards an IPv4 address as a number. */
export function closeIpv4(manager: Address, port: Port, remote: u32, remotePort: u32): i32 {
  writeRemote(remote, remotePort);
  return releasePort(manager, port);
}

function writeRemote(remote: u32, remotePort: u32): void {
  store<u64>(REQUEST + REQUEST_DESTINATION, 0);
  store<u64>(REQUEST + REQUEST_DESTINATION + 8, mapped(bswap<u32>(remote)));
  store<u32>(REQUEST + REQUEST_DESTINATION_PORT, remotePort);
}

/** The second half of ::ffff:a.b.c.d. */
export function mapped(address: u32): u64 {
  return ((<u64>address) << 32) | 0xffff0000;
}

/** Releases a port (gVisor `ReleasePort`) and returns in how many networks it was held. */
export function releasePort(manager: Address, port: Port): i32 {
  if (releaseByCache(manager, port) != NOT_FAST || closeFast(manager, port)) return 1;
  const count = networkCount();
  for (let index: u32 = 0; index < count; index++) {
    findRing(manager, index);
  }
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  const released = releaseAll(manager, RINGS_AT, count, flags, port);
  keepEmptied(manager);
  if (released > 0) dropGroupUse(manager, requestGroup());
  return released;
}

// ── The request block ─────────────────────────────────────────────────────────────────────

function networkCount(): u32 {
  return load<u32>(REQUEST + REQUEST_NETWORK_COUNT);
}

function requestGroup(): Address {
  return load<u32>(REQUEST + REQUEST_GROUP);
}

/** A request with a destination connects; one without binds. */
function requestKind(): u32 {
  return isWildcard(REQUEST) ? GROUP_BIND : GROUP_CONNECT;
}

function networkAt(index: u32): u32 {
  return load<u32>(REQUEST + REQUEST_NETWORKS + ((<usize>index) << 2));
}

function addressLow(): u64 {
  return load<u64>(REQUEST + REQUEST_ADDRESS);
}

function addressHigh(): u64 {
  return load<u64>(REQUEST + REQUEST_ADDRESS + 8);
}

// The records of the request that exist, per network, so that they need not be found again: spaces
// and hosts are noted while it is planned, and a flow of its destination, which stands for its
// ring.

function spaceAt(index: u32): Address {
  return SPACES_AT + ((<usize>index) << 2);
}

function hostAt(index: u32): Address {
  return HOSTS_AT + ((<usize>index) << 2);
}

function ringAt(index: u32): Address {
  return RINGS_AT + ((<usize>index) << 2);
}

/** Charges for the flow of the request if it does not exist. */
export function chargeRequested(manager: Address, index: u32): void {
  const ring = findRing(manager, index);
  if (ring && classIn(ring, load<u32>(REQUEST + REQUEST_FLAGS))) return;
  const host: Address = load<u32>(hostAt(index));
  const device = load<u32>(REQUEST + REQUEST_DEVICE);
  chargeFlow(manager, load<u32>(spaceAt(index)), host, bindingAt(manager, index), device);
}

/** The flow of the request, made if need be. Its space, host and ring must have been noted. */
export function openBelow(manager: Address, index: u32): Address {
  return openFlow(
    manager,
    load<u32>(spaceAt(index)),
    load<u32>(hostAt(index)),
    load<u32>(ringAt(index)),
    networkAt(index),
    load<u32>(REQUEST + REQUEST_TRANSPORT),
    addressLow(),
    addressHigh(),
    load<u32>(REQUEST + REQUEST_DEVICE),
    REQUEST,
    load<u32>(REQUEST + REQUEST_FLAGS),
  );
}

/** A flow of the request's destination, or 0. Notes space, host and ring. */
export function findRing(manager: Address, index: u32): Address {
  const transport = load<u32>(REQUEST + REQUEST_TRANSPORT);
  const space = findSpace(manager, networkAt(index), transport);
  const host = space ? findHost(manager, space, addressLow(), addressHigh()) : 0;
  store<u32>(spaceAt(index), <u32>space);
  store<u32>(hostAt(index), <u32>host);
  return noteRing(manager, index);
}

/** The same, where space and host have been noted. */
function noteRing(manager: Address, index: u32): Address {
  const binding = bindingAt(manager, index);
  const ring = binding ? findFlow(manager, binding, REQUEST) : 0;
  store<u32>(ringAt(index), <u32>ring);
  return ring;
}

/** The flow of the noted ring with the flags of the request, or 0. */
function notedFlow(index: u32): Address {
  const ring: Address = load<u32>(ringAt(index));
  return ring ? classIn(ring, load<u32>(REQUEST + REQUEST_FLAGS)) : 0;
}

/** The binding of the request below the noted host, or 0. */
export function bindingAt(manager: Address, index: u32): Address {
  const host: Address = load<u32>(hostAt(index));
  return host ? findBinding(manager, host, load<u32>(REQUEST + REQUEST_DEVICE)) : 0;
}

/** Writes the plan of the request, and notes its spaces and hosts. False: no memory. */
export function planRequest(manager: Address, ephemeral: bool): bool {
  const transport = load<u32>(REQUEST + REQUEST_TRANSPORT);
  const device = load<u32>(REQUEST + REQUEST_DEVICE);
  const exclusive = isExclusive(transport, ephemeral);
  const wanted = wantedOf(load<u32>(REQUEST + REQUEST_FLAGS), exclusive);
  beginPlan(manager, wanted, exclusive, device, REQUEST);
  for (let index: u32 = 0; index < networkCount(); index++) {
    const space = findSpace(manager, networkAt(index), transport);
    const host = space ? findHost(manager, space, addressLow(), addressHigh()) : 0;
    store<u32>(spaceAt(index), <u32>space);
    store<u32>(hostAt(index), <u32>host);
    if (!space) continue;
    if (isAny(addressLow(), addressHigh())) planAnyAddress(space);
    else planAddress(space, host);
  }
  return isPlanned();
}

// ── Changing all networks, or none ────────────────────────────────────────────────────────

/**
 * Holds the port in all networks. Spaces and hosts must have been noted, and rings may have been.
 */
export function acquireRequest(manager: Address, port: Port, hasRings: bool): i32 {
  const count = networkCount();
  beginBill();
  for (let index: u32 = 0; index < count; index++) {
    if (!hasRings) noteRing(manager, index);
    chargeNoted(manager, index, port);
  }
  chargeGroupUse(manager, requestGroup());
  if (!canPay(manager)) return NO_MEMORY;
  for (let index: u32 = 0; index < count; index++) acquireCharged(manager, index, port);
  addGroupUse(manager, requestGroup());
  keepEmptied(manager);
  return <i32>port;
}

/**
 * The same after the request has been planned, which is noted. `version` is the tree version of the
 * plan.
 */
function acquirePlanned(manager: Address, port: Port, exclusive: bool, version: u64): i32 {
  const answer = acquireRequest(manager, port, false);
  if (answer < 0) return answer;
  noteRequest(manager, notedFlow(0), exclusive, treeVersionOf(manager) == version);
  return answer;
}

/** Holds the port in one network and returns the flow that holds it. It must have been charged. */
export function acquireCharged(manager: Address, index: u32, port: Port): Address {
  const known = notedFlow(index);
  const flow = known ? known : openBelow(manager, index);
  acquire(manager, flow, port);
  return flow;
}

/** Charges for one network, and notes its ring. Its space and host must have been noted. */
export function chargeRequest(manager: Address, index: u32, port: Port): void {
  noteRing(manager, index);
  chargeNoted(manager, index, port);
}

function chargeNoted(manager: Address, index: u32, port: Port): void {
  const flow = notedFlow(index);
  if (flow) {
    chargeAcquire(manager, flow, port);
    return;
  }
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  const space: Address = load<u32>(spaceAt(index));
  const host: Address = load<u32>(hostAt(index));
  const device = load<u32>(REQUEST + REQUEST_DEVICE);
  const binding = bindingAt(manager, index);
  chargeNewAcquire(manager, space, host, binding, device, REQUEST, flags, port);
}

/** The flags that all flows share that hold the port. */
function sharedInRing(flow: Address, port: Port): u32 {
  let shared: u32 = ~0;
  let item = flow;
  do {
    if (hasPort(item, port)) shared &= flagsOf(item);
    item = nextOf(item);
  } while (item != flow);
  return shared;
}
