// Rungs: making the nodes of the ladder, and taking them away when nothing is left below them.
//
//   chargeFlow   what the rungs of a flow are going to cost, before anything changes
//   openFlow     down: each rung is found, or made
//   settleFlow   up: a rung with nothing below it goes, and then perhaps the one above
//
// Must stay true: whoever keeps the address of a node for longer than a call looks at the manager's
// shape, which changes with every node that comes or goes.

import { Address, alloc, allocZero, clear, free, isLimited } from "../memory/arena";
import { chargeBlock, chargeNode } from "../memory/bill";
import {
  capacityOf,
  find,
  insert,
  NODE_NAME,
  NODE_NUMBER,
  NODE_PARENT,
  nodeAt,
  nodeCount,
  remove,
  replace,
} from "../memory/table";
import { clearCounted, isPlain } from "../ports/counted";
import { countOf } from "../ports/set";
import {
  ANY_HOST,
  anyHostOf,
  BINDING,
  BINDING_BYTES,
  BINDINGS,
  CHILDREN,
  CROWD,
  CROWD_HOST,
  classIn,
  crowdHostOf,
  crowdOf,
  FLAGS,
  FLOW,
  FLOW_BYTES,
  FOUNDER_SPACE,
  FOUNDERS,
  findBinding,
  findFlow,
  findTally,
  firstBindingOf,
  firstHostOf,
  firstTallyOf,
  founderAt,
  HANDLES,
  HOST,
  HOST_BYTES,
  HOST_OWN,
  HOSTS,
  isAlone,
  isAny,
  isFlow,
  isFounderHost,
  KIND,
  kindOf,
  LEAVING,
  listFor,
  listOf,
  NEXT,
  nextOf,
  PREVIOUS,
  parentOf,
  RESTING,
  SHAPE,
  SPACE,
  SPACE_BYTES,
  SPACE_OWN,
  SPACES,
  TALLIES,
  TUPLE,
  UNFOLLOWED,
  WILDCARD,
} from "./records";

// ── Climbing down: each rung is found, or made ────────────────────────────────────────────

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
    // Of several networks only one can have the founder's place. The first host and binding of a
    // space lie within it.
    chargeNode(SPACE_BYTES);
    return;
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
    assert(host != 0); // charged too little
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
  assert(flow != 0); // charged too little
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
  assert(tally != 0); // charged too little
  store<u32>(tally, <u32>binding, NODE_PARENT);
  store<u32>(tally, <u32>firstTallyOf(binding, kind), NEXT);
  store<u8>(tally, <u8>flags, FLAGS);
  store<u32>(binding + ((<usize>kind) << 2), <u32>tally, TALLIES);
  changeShape(manager);
  return tally;
}

// ── Climbing up: a rung with nothing below it goes, and then perhaps the one above ────────

// A flow that has been emptied rests for a while, because the same socket description is likely to
// come again: then no rung need be made or taken away. One flow of a manager rests; another one is
// leaving until the operation is over that has emptied it, and then rests in its place. Nothing rests
// where memory is limited, so that a limit means what it says.

/** Lets a flow go that nobody holds, or rest. */
export function settleFlow(manager: Address, flow: Address): void {
  if (!isIdle(flow)) return;
  const resting: Address = load<u32>(manager, RESTING);
  const leaving: Address = load<u32>(manager, LEAVING);
  if (flow == resting || flow == leaving) return;
  if (leaving || isLimited(manager)) dropFlow(manager, flow);
  else if (resting) store<u32>(manager, <u32>flow, LEAVING);
  else store<u32>(manager, <u32>flow, RESTING);
}

/** After an operation: the flow that is leaving rests instead of the one that did so far. */
export function rest(manager: Address): void {
  const leaving: Address = load<u32>(manager, LEAVING);
  if (!leaving) return;
  const resting: Address = load<u32>(manager, RESTING);
  store<u32>(manager, <u32>leaving, RESTING);
  store<u32>(manager, 0, LEAVING);
  if (isIdle(resting)) dropFlow(manager, resting);
}

/** Lets all go that rest. */
export function wakeAll(manager: Address): void {
  rest(manager);
  const resting: Address = load<u32>(manager, RESTING);
  store<u32>(manager, 0, RESTING);
  if (resting && isIdle(resting)) dropFlow(manager, resting);
}

/** Does the flow hold nothing, and is no handle open? */
function isIdle(flow: Address): bool {
  return countOf(flow) == 0 && isPlain(flow) && load<u32>(flow, HANDLES) == 0;
}

/** Lets a flow of the crowd go at once, if it holds nothing, with pages that it has kept. */
export function settleMember(manager: Address, member: Address): void {
  if (countOf(member)) return;
  clearCounted(manager, member);
  dropFlow(manager, member);
}

function dropFlow(manager: Address, flow: Address): void {
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
  } else {
    if (anyHostOf(space) == host) store<u32>(space, 0, ANY_HOST);
    removeSibling(host, space + HOSTS);
    freeRung(manager, host, space + SPACE_OWN);
  }
  settleSpace(manager, space);
}

function settleSpace(manager: Address, space: Address): void {
  // When a manager closes, the crowd may go after the hosts that it counts.
  if (firstHostOf(space) || crowdHostOf(space)) return;
  removeSibling(space, manager + SPACES);
  freeRung(manager, space, manager + FOUNDER_SPACE);
}

/** Gives back everything below the manager: each flow is emptied, and settles what is above it. */
export function freeLadder(manager: Address): void {
  let index: u32 = 0;
  // What goes moves others between slots, so it may take more than one round.
  while (nodeCount(manager)) {
    if (index >= capacityOf(manager)) index = 0;
    const flow = nodeAt(manager, index);
    if (flow && isFlow(flow)) {
      clearCounted(manager, flow);
      dropFlow(manager, flow);
    } else {
      index++;
    }
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
  assert(node != 0); // charged too little
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
