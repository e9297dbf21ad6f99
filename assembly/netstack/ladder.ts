// Ladder: the rungs from a manager down to the ports that a flow holds.
//
//   Manager
//     Space      network x transport                       e.g. IPv4 / TCP
//       Host     local address, or any
//         Binding   device, or none
//           Flow    destination x flags  ->  which ports are held      (ports/counted.ts)
//
// Every rung is a node, found by its parent and its name. The flag classes of one destination form
// a ring; the table knows one of them. The first space, host and binding below a parent, its
// founder, lies in the parent's own block and needs no table; the others are blocks of their own.
//
//   ┌───────────────────────────────────────────────┐
//   │ manager │ founder space                       │      kind 0: the place is vacant
//   └─────────┬───────┬─────────────────────────────┤
//             │ space │ founder host                │
//             └───────┬──────┬──────────────────────┤
//                     │ host │ founder binding      │
//                     └──────┴──────────────────────┘
//
//   node  0 ┌─────────────────────┐
//           │ parent         u32  │
//         4 ├─────────────────────┤
//           │ next           u32  │  flow: ring of classes; other rungs: list of siblings
//         8 ├──────────┬──────────┤
//           │ number   │ count    │  flow: destination port; how many ports
//        12 ├──────┬───┴──┬───────┤
//           │ flags│ form │ kind, │  u8 each, and of a flow, whether nothing counts it
//        16 ├──────┴──────┴───────┤
//           │ ports, excess  u32  │  the counted set
//        24 ├─────────────────────┤
//           │ name      16 bytes  │  network and transport · address · device · destination
//        40 ├─────────────────────┤
//           │ flow: open handles  │  space, host: previous sibling
//        44 ├─────────────────────┘
//           │ space:   any, crowd, hosts
//           │ host:    bindings
//           │ binding: children, founder and tallies of each kind, crowd
//
// Tallies. A question with a wildcard on one side concerns every flow of a binding. So that it
// need not visit them, a binding keeps one tally per flag class and kind (wildcard destinations,
// tuples): a counted set that says how many of its flows hold each port. The first flow of a
// kind, the founder, is not counted but looked at itself: a binding with one flow has no tally.
//
// Crowd. A question about any address concerns every host. So each space keeps one host more,
// the crowd, whose bindings count what the hosts hold; its flows with a wildcard destination
// count, per port, the hosts that hold it there. Again the first host is not counted but looked
// at itself.
//
// Must stay true: a node exists only while something below it holds a port, or a handle is open
// (an empty tally waits for its binding to go); a tally holds a port exactly when a flow that it
// counts does.

import { Address, alloc, allocZero, clear, free } from "../memory/arena";
import { chargeBlock, chargeNode } from "../memory/bill";
import {
  capacityOf,
  find,
  insert,
  isNamed,
  NODE_NAME,
  NODE_NUMBER,
  NODE_PARENT,
  nodeAt,
  remove,
  replace,
} from "../memory/table";
import { clearCounted, isPlain } from "../ports/counted";
import { countOf } from "../ports/set";

const NEXT: usize = 4;
const FLAGS: usize = 12;
const KIND: usize = 14;
const UNFOLLOWED: usize = 15;
export const HANDLES: usize = 40;
const PREVIOUS: usize = 40;
export const FLOW_BYTES: u32 = 44;

export const CHILDREN: usize = 44;
const FOUNDERS: usize = 48;
const TALLIES: usize = 56;
const CROWD: usize = 64;
const BINDING_BYTES: u32 = 72;

const BINDINGS: usize = 44;
const HOST_OWN: u32 = 56;
const HOST_BYTES: u32 = HOST_OWN + BINDING_BYTES;

const ANY_HOST: usize = 44;
const CROWD_HOST: usize = 48;
const HOSTS: usize = 52;
const SPACE_OWN: u32 = 56;
export const SPACE_BYTES: u32 = SPACE_OWN + HOST_BYTES;

// What a node is.
const SPACE: u32 = 1;
const HOST: u32 = 2;
export const BINDING: u32 = 3;
const FLOW: u32 = 4; // and which list it belongs to

// Which of a binding's two lists a flow belongs to.
export const WILDCARD: u32 = 0;
export const TUPLE: u32 = 1;

// Manager: account and table (memory/), then these.
export const SPACES: usize = 28;
export const SHAPE: usize = 32;
export const FOUNDER_SPACE: usize = 56;

// ── Reading ───────────────────────────────────────────────────────────────────────────────

export function parentOf(node: Address): Address {
  return load<u32>(node, NODE_PARENT);
}

export function nextOf(node: Address): Address {
  return load<u32>(node, NEXT);
}

export function flagsOf(flow: Address): u32 {
  return load<u8>(flow, FLAGS);
}

export function kindOf(node: Address): u32 {
  return load<u8>(node, KIND);
}

export function isAny(low: u64, high: u64): bool {
  return (low | high) == 0;
}

export function isFlow(node: Address): bool {
  return kindOf(node) >= FLOW;
}

/** Which of its binding's lists a flow belongs to. */
export function listOf(flow: Address): u32 {
  return kindOf(flow) - FLOW;
}

/** Is the destination of this flow, or of this request, a wildcard? Its port does not matter. */
export function isWildcard(destination: Address): bool {
  return isAny(load<u64>(destination, NODE_NAME), load<u64>(destination, NODE_NAME + 8));
}

/** The list of a flow or, as yet without one, a request. */
export function listFor(destination: Address): u32 {
  return isWildcard(destination) ? WILDCARD : TUPLE;
}

export function deviceOf(binding: Address): u32 {
  return load<u32>(binding, NODE_NAME + 8);
}

export function transportOf(space: Address): u32 {
  return load<u32>(space, NODE_NAME + 12);
}

/** The node in a founder's place, or 0. */
function founderAt(place: Address): Address {
  return kindOf(place) ? place : 0;
}

/** The host of the any address, or 0. */
export function anyHostOf(space: Address): Address {
  return load<u32>(space, ANY_HOST);
}

/** The host that the crowd does not count, or 0. */
export function founderHostOf(space: Address): Address {
  return founderAt(space + SPACE_OWN);
}

export function crowdHostOf(space: Address): Address {
  return load<u32>(space, CROWD_HOST);
}

export function firstHostOf(space: Address): Address {
  return load<u32>(space, HOSTS);
}

export function firstBindingOf(host: Address): Address {
  return load<u32>(host, BINDINGS);
}

/** The flow of that kind which the tallies do not count, or 0. */
export function founderOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), FOUNDERS);
}

/** First of the tallies of that kind, or 0. */
export function firstTallyOf(binding: Address, kind: u32): Address {
  return load<u32>(binding + ((<usize>kind) << 2), TALLIES);
}

export function hasFlows(binding: Address, kind: u32): bool {
  return (founderOf(binding, kind) | firstTallyOf(binding, kind)) != 0;
}

/** Does nothing count the flow's ports: no tally, no crowd? That never changes while it lives. */
export function isUnfollowed(flow: Address): bool {
  return load<u8>(flow, UNFOLLOWED) != 0;
}

/** The crowd's binding that counts this one, or 0. */
export function crowdOf(binding: Address): Address {
  return load<u32>(binding, CROWD);
}

// ── Finding ───────────────────────────────────────────────────────────────────────────────
// The founder first, then the table, unless there is nothing to be found.

export function findSpace(manager: Address, network: u32, transport: u32): Address {
  const name = ((<u64>transport) << 32) | network;
  const founder = founderAt(manager + FOUNDER_SPACE);
  if (founder && load<u64>(founder, NODE_NAME + 8) == name) return founder;
  return load<u32>(manager, SPACES) ? find(manager, manager, 0, 0, name) : 0;
}

export function findHost(manager: Address, space: Address, low: u64, high: u64): Address {
  if (isAny(low, high)) return anyHostOf(space);
  const founder = founderHostOf(space);
  if (founder && isNamed(founder, space, 0, low, high)) return founder;
  return find(manager, space, 0, low, high);
}

export function findBinding(manager: Address, host: Address, device: u32): Address {
  const founder = founderAt(host + HOST_OWN);
  if (founder && deviceOf(founder) == device) return founder;
  return firstBindingOf(host) ? find(manager, host, 0, 0, device) : 0;
}

/** Any flow of the destination (a flow or a request) in that binding, or 0. */
export function findFlow(manager: Address, binding: Address, destination: Address): Address {
  const low = load<u64>(destination, NODE_NAME);
  const high = load<u64>(destination, NODE_NAME + 8);
  const number = <u32>load<u16>(destination, NODE_NUMBER);
  const founder = founderOf(binding, isAny(low, high) ? WILDCARD : TUPLE);
  if (founder && isNamed(founder, binding, number, low, high)) return founder;
  return load<u32>(binding, CHILDREN) ? find(manager, binding, number, low, high) : 0;
}

/** The class with these flags in the ring of `flow`, or 0. */
export function classIn(flow: Address, flags: u32): Address {
  let item = flow;
  do {
    if (flagsOf(item) == flags) return item;
    item = nextOf(item);
  } while (item != flow);
  return 0;
}

export function isAlone(flow: Address): bool {
  return nextOf(flow) == flow;
}

// ── Climbing down: each rung is found, or made ─────────────────────────────────────────────

/** Charges for the rungs of a flow that are not there; those that are 0 have not been found. */
export function chargeFlow(
  manager: Address,
  space: Address,
  host: Address,
  binding: Address,
  device: u32,
): void {
  chargeNode(FLOW_BYTES);
  if (binding) return;
  if (!space) {
    chargeRung(manager + FOUNDER_SPACE, SPACE_BYTES);
    return; // Its first host and binding lie within.
  }
  if (!host) chargeRung(space + SPACE_OWN, HOST_BYTES);
  else chargeRung(host + HOST_OWN, BINDING_BYTES);
  if (isFounderHost(space, host)) return;
  const crowd = crowdHostOf(space);
  if (!crowd) chargeBlock(HOST_BYTES);
  else if (!findBinding(manager, crowd, device)) chargeRung(crowd + HOST_OWN, BINDING_BYTES);
}

/** A rung costs nothing where the founder's place is vacant. */
function chargeRung(place: Address, bytes: u32): void {
  if (founderAt(place)) chargeNode(bytes);
}

/** Is the host, or will it be if it is 0, the one that the crowd does not count? */
export function isFounderHost(space: Address, host: Address): bool {
  return founderHostOf(space) == host;
}

/** The flow, with all rungs above it. Those that have been found already are given, others are 0. */
export function openFlow(
  manager: Address,
  knownSpace: Address,
  knownHost: Address,
  network: u32,
  transport: u32,
  low: u64,
  high: u64,
  device: u32,
  destination: Address,
  flags: u32,
): Address {
  const space = knownSpace ? knownSpace : newSpace(manager, network, transport);
  const host = knownHost ? knownHost : newHost(manager, space, low, high);
  return openClass(manager, openBinding(manager, space, host, device), destination, flags);
}

function newSpace(manager: Address, network: u32, transport: u32): Address {
  const name = ((<u64>transport) << 32) | network;
  const place = manager + FOUNDER_SPACE;
  const space = newRung(manager, place, SPACE_OWN, SPACE_BYTES, SPACE, manager, 0, name);
  pushSibling(space, manager + SPACES);
  return space;
}

function newHost(manager: Address, space: Address, low: u64, high: u64): Address {
  const place = space + SPACE_OWN;
  const host = newRung(manager, place, HOST_OWN, HOST_BYTES, HOST, space, low, high);
  pushSibling(host, space + HOSTS);
  if (isAny(low, high)) store<u32>(space, <u32>host, ANY_HOST);
  return host;
}

function openBinding(manager: Address, space: Address, host: Address, device: u32): Address {
  const found = findBinding(manager, host, device);
  if (found) return found;
  const binding = newBinding(manager, host, device);
  if (isFounderHost(space, host)) return binding;
  const crowd = openCrowdBinding(manager, space, device);
  store<u32>(binding, <u32>crowd, CROWD);
  changeChildren(crowd, 1);
  return binding;
}

function openCrowdBinding(manager: Address, space: Address, device: u32): Address {
  let host = crowdHostOf(space);
  if (!host) {
    host = allocZero(manager, HOST_BYTES);
    store<u8>(host, <u8>HOST, KIND);
    store<u32>(host, <u32>space, NODE_PARENT);
    store<u32>(space, <u32>host, CROWD_HOST);
  }
  const found = findBinding(manager, host, device);
  return found ? found : newBinding(manager, host, device);
}

function newBinding(manager: Address, host: Address, device: u32): Address {
  const place = host + HOST_OWN;
  const binding = newRung(manager, place, BINDING_BYTES, BINDING_BYTES, BINDING, host, 0, device);
  store<u32>(binding, <u32>firstBindingOf(host), NEXT);
  store<u32>(host, <u32>binding, BINDINGS);
  return binding;
}

/** The flow of the destination with these flags in that binding. */
export function openClass(
  manager: Address,
  binding: Address,
  destination: Address,
  flags: u32,
): Address {
  const ring = findFlow(manager, binding, destination);
  if (ring) {
    const found = classIn(ring, flags);
    if (found) return found;
  }
  const flow = ring ? allocZero(manager, FLOW_BYTES) : newFlow(manager, binding, destination);
  if (ring) {
    store<u32>(flow, load<u32>(ring, NODE_PARENT), NODE_PARENT);
    store<u16>(flow, load<u16>(ring, NODE_NUMBER), NODE_NUMBER);
    store<u64>(flow, load<u64>(ring, NODE_NAME), NODE_NAME);
    store<u64>(flow, load<u64>(ring, NODE_NAME + 8), NODE_NAME + 8);
    store<u8>(flow, <u8>kindOf(ring), KIND);
    store<u32>(flow, <u32>nextOf(ring), NEXT);
    store<u32>(ring, <u32>flow, NEXT);
    changeShape(manager);
  }
  store<u8>(flow, <u8>flags, FLAGS);
  changeChildren(binding, 1);
  const founder = binding + ((<usize>listOf(flow)) << 2);
  const isFounder = load<u32>(founder, FOUNDERS) == 0;
  if (isFounder) store<u32>(founder, <u32>flow, FOUNDERS);
  if (isFounder && !crowdOf(binding)) store<u8>(flow, 1, UNFOLLOWED);
  return flow;
}

function newFlow(manager: Address, binding: Address, destination: Address): Address {
  const flow = allocZero(manager, FLOW_BYTES);
  const low = load<u64>(destination, NODE_NAME);
  nameNode(flow, FLOW + listFor(destination), binding, low, load<u64>(destination, NODE_NAME + 8));
  store<u16>(flow, load<u16>(destination, NODE_NUMBER), NODE_NUMBER);
  store<u32>(flow, <u32>flow, NEXT);
  insert(manager, flow);
  changeShape(manager);
  return flow;
}

/** The tally of one flag class; it counts nothing yet if it is new. */
export function openTally(manager: Address, binding: Address, kind: u32, flags: u32): Address {
  const found = findTally(binding, kind, flags);
  if (found) return found;
  const tally = allocZero(manager, FLOW_BYTES);
  store<u32>(tally, <u32>binding, NODE_PARENT);
  store<u32>(tally, <u32>firstTallyOf(binding, kind), NEXT);
  store<u8>(tally, <u8>flags, FLAGS);
  store<u32>(binding + ((<usize>kind) << 2), <u32>tally, TALLIES);
  changeShape(manager);
  return tally;
}

export function findTally(binding: Address, kind: u32, flags: u32): Address {
  let tally = firstTallyOf(binding, kind);
  while (tally && flagsOf(tally) != flags) tally = nextOf(tally);
  return tally;
}

// ── Climbing up: a rung with nothing below it goes, and then perhaps the one above ────────

export function settleFlow(manager: Address, flow: Address): void {
  if (countOf(flow) || !isPlain(flow) || load<u32>(flow, HANDLES)) return;
  const binding = parentOf(flow);
  const founder = binding + ((<usize>listOf(flow)) << 2);
  if (load<u32>(founder, FOUNDERS) == <u32>flow) store<u32>(founder, 0, FOUNDERS);
  if (isAlone(flow)) {
    remove(manager, flow);
  } else {
    leaveRing(manager, flow);
  }
  free(manager, flow);
  changeShape(manager);
  changeChildren(binding, -1);
  settleBinding(manager, binding);
}

function settleBinding(manager: Address, binding: Address): void {
  if (load<u32>(binding, CHILDREN)) return;
  for (let list = WILDCARD; list <= TUPLE; list++) freeTallies(manager, binding, list);
  const host = parentOf(binding);
  const crowd = crowdOf(binding);
  unlinkNext(host + BINDINGS, binding);
  freeRung(manager, binding, host + HOST_OWN);
  if (crowd) {
    changeChildren(crowd, -1);
    settleBinding(manager, crowd);
  }
  settleHost(manager, host);
}

function settleHost(manager: Address, host: Address): void {
  if (firstBindingOf(host)) return;
  const space = parentOf(host);
  if (crowdHostOf(space) == host) {
    store<u32>(space, 0, CROWD_HOST);
    free(manager, host);
    return; // A crowd never outlives the hosts that it counts.
  }
  if (anyHostOf(space) == host) store<u32>(space, 0, ANY_HOST);
  removeSibling(host, space + HOSTS);
  freeRung(manager, host, space + SPACE_OWN);
  settleSpace(manager, space);
}

function settleSpace(manager: Address, space: Address): void {
  if (firstHostOf(space)) return;
  removeSibling(space, manager + SPACES);
  freeRung(manager, space, manager + FOUNDER_SPACE);
}

/** Gives back everything below the manager: each flow is emptied, and settles what is above it. */
export function freeLadder(manager: Address): void {
  let capacity = capacityOf(manager);
  let index: u32 = 0;
  while (index < capacity) {
    const flow = nodeAt(manager, index);
    if (!flow || !isFlow(flow)) {
      index++;
      continue;
    }
    clearCounted(manager, flow);
    store<u32>(flow, 0, HANDLES);
    settleFlow(manager, flow);
    // Another node may be in this slot now. A table that has shrunk has new slots for all.
    if (capacityOf(manager) == capacity) continue;
    capacity = capacityOf(manager);
    index = 0;
  }
}

function freeTallies(manager: Address, binding: Address, list: u32): void {
  let tally = firstTallyOf(binding, list);
  while (tally) {
    const next = nextOf(tally);
    clearCounted(manager, tally);
    free(manager, tally);
    tally = next;
  }
}

// ── Nodes ─────────────────────────────────────────────────────────────────────────────────

/** A space, host or binding: in its parent's block if it is the founder, else in the table. */
function newRung(
  manager: Address,
  place: Address,
  ownBytes: u32,
  bytes: u32,
  kind: u32,
  parent: Address,
  low: u64,
  high: u64,
): Address {
  const isFounder = kindOf(place) == 0;
  const node = isFounder ? place : alloc(manager, bytes);
  clear(node, isFounder ? ownBytes : bytes);
  nameNode(node, kind, parent, low, high);
  if (!isFounder) insert(manager, node);
  changeShape(manager);
  return node;
}

function freeRung(manager: Address, node: Address, place: Address): void {
  if (node == place) {
    store<u8>(node, 0, KIND);
  } else {
    remove(manager, node);
    free(manager, node);
  }
  changeShape(manager);
}

function nameNode(node: Address, kind: u32, parent: Address, low: u64, high: u64): void {
  store<u32>(node, <u32>parent, NODE_PARENT);
  store<u8>(node, <u8>kind, KIND);
  store<u64>(node, low, NODE_NAME);
  store<u64>(node, high, NODE_NAME + 8);
}

/** Whoever keeps addresses of nodes for the length of a batch looks here whether they still hold. */
function changeShape(manager: Address): void {
  store<u32>(manager, load<u32>(manager, SHAPE) + 1, SHAPE);
}

function changeChildren(binding: Address, by: i32): void {
  store<u32>(binding, load<u32>(binding, CHILDREN) + by, CHILDREN);
}

function leaveRing(manager: Address, flow: Address): void {
  let before = nextOf(flow);
  while (nextOf(before) != flow) before = nextOf(before);
  const after = nextOf(flow);
  // The table may know the one that leaves.
  if (findInTable(manager, flow) == flow) replace(manager, flow, after);
  store<u32>(before, <u32>after, NEXT);
}

function findInTable(manager: Address, flow: Address): Address {
  return find(
    manager,
    parentOf(flow),
    load<u16>(flow, NODE_NUMBER),
    load<u64>(flow, NODE_NAME),
    load<u64>(flow, NODE_NAME + 8),
  );
}

function pushSibling(node: Address, list: Address): void {
  const first = load<u32>(list);
  store<u32>(node, first, NEXT);
  store<u32>(node, 0, PREVIOUS);
  if (first) store<u32>(first, <u32>node, PREVIOUS);
  store<u32>(list, <u32>node);
}

function removeSibling(node: Address, list: Address): void {
  const next = load<u32>(node, NEXT);
  const previous = load<u32>(node, PREVIOUS);
  if (next) store<u32>(next, previous, PREVIOUS);
  if (previous) store<u32>(previous, next, NEXT);
  else store<u32>(list, next);
}

/** Takes a node off a list that only links forward. */
function unlinkNext(list: Address, node: Address): void {
  let at = list;
  while (load<u32>(at) != <u32>node) at = <Address>load<u32>(at) + NEXT;
  store<u32>(at, <u32>nextOf(node));
}
