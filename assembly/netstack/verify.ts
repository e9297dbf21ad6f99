// Verify: what must hold between the parts of a manager, written as code. For the debug build;
// nothing here changes anything, and a broken invariant traps with its line.

import { Address, verifyArena } from "../memory/arena";
import { capacityOf, nodeAt, verifyTable } from "../memory/table";
import { countAt, isPlain, verifyCounted } from "../ports/counted";
import { countOf, hasPort, nextPort } from "../ports/set";
import { COUNTERS, REFERENCES } from "./aggregates";
import {
  BINDING,
  CHILDREN,
  classIn,
  crowdHostOf,
  crowdOf,
  deviceOf,
  findBinding,
  findFlow,
  findTally,
  firstBindingOf,
  firstHostOf,
  firstTallyOf,
  flagsOf,
  founderHostOf,
  founderOf,
  HANDLES,
  isFlow,
  isUnfollowed,
  kindOf,
  LEAVING,
  listOf,
  nextOf,
  parentOf,
  RESTING,
  SPACES,
  TUPLE,
  WILDCARD,
} from "./records";

export function verify(manager: Address): void {
  verifyArena();
  verifyTable(manager);
  verifyFlows(manager);
  for (let space: Address = load<u32>(manager, SPACES); space; space = nextOf(space)) {
    verifySpace(manager, space);
  }
}

/** Every flow is alive and counted, and the figures of the manager are their sums. */
function verifyFlows(manager: Address): void {
  let counters = 0;
  let references = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring)) continue;
    const isReal = crowdHostOf(spaceOf(ring)) != hostOf(ring);
    let flow = ring;
    do {
      assert(isFlow(flow));
      verifyCounted(flow);
      const isUsed = countOf(flow) > 0 || !isPlain(flow) || load<u32>(flow, HANDLES) > 0;
      assert(isUsed || rests(manager, flow));
      assert(classIn(ring, flagsOf(flow)) == flow); // one class per flag combination
      verifyCountedByTally(parentOf(flow), flow);
      const isFounder = founderOf(parentOf(flow), listOf(flow)) == flow;
      assert(isUnfollowed(flow) == (isFounder && !crowdOf(parentOf(flow))));
      flow = nextOf(flow);
    } while (flow != ring);
    if (!isReal) continue;
    counters += heldInRing(ring);
    references += referencesInRing(ring);
  }
  assert(counters == load<i32>(manager, COUNTERS));
  assert(references == load<i32>(manager, REFERENCES));
}

/** Destinations are few in a ring of eight at most: ports held by any class, each once. */
function heldInRing(ring: Address): i32 {
  let count = 0;
  let flow = ring;
  do {
    for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
      if (firstHolder(ring, port) == flow) count++;
      assert(totalOf(ring, port) > 0); // a key with nothing left would be gone
    }
    flow = nextOf(flow);
  } while (flow != ring);
  return count;
}

function referencesInRing(ring: Address): i32 {
  let sum = 0;
  let flow = ring;
  do {
    for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
      if (firstHolder(ring, port) == flow) sum += totalOf(ring, port);
    }
    flow = nextOf(flow);
  } while (flow != ring);
  return sum;
}

function firstHolder(ring: Address, port: u32): Address {
  let flow = ring;
  while (!hasPort(flow, port)) flow = nextOf(flow);
  return flow;
}

function totalOf(ring: Address, port: u32): i32 {
  let total = 0;
  let flow = ring;
  do {
    total += countAt(flow, port);
    flow = nextOf(flow);
  } while (flow != ring);
  return total;
}

/** Sum of a counted set's positive counts. */
function sumOf(set: Address): i32 {
  let sum = 0;
  for (let port = nextPort(set, 1); port; port = nextPort(set, port + 1)) {
    sum += countAt(set, port);
  }
  return sum;
}

/** What a flow holds, its tally holds too. */
function verifyCountedByTally(binding: Address, flow: Address): void {
  const list = listOf(flow);
  if (founderOf(binding, list) == flow || countOf(flow) == 0) return;
  const tally = findTally(binding, list, flagsOf(flow));
  assert(tally != 0);
  for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
    assert(hasPort(tally, port));
  }
}

function verifySpace(manager: Address, space: Address): void {
  const founder = founderHostOf(space);
  const crowd = crowdHostOf(space);
  assert(firstHostOf(space) != 0);
  let attached = 0;
  for (let host = firstHostOf(space); host; host = nextOf(host)) {
    assert(firstBindingOf(host) != 0);
    for (let binding = firstBindingOf(host); binding; binding = nextOf(binding)) {
      verifyBinding(manager, binding);
      assert((crowdOf(binding) == 0) == (host == founder));
      if (host == founder) continue;
      attached++;
      assert(crowdOf(binding) == findBinding(manager, crowd, deviceOf(binding)));
    }
  }
  assert((crowd != 0) == attached > 0);
  if (!crowd) return;
  for (let binding = firstBindingOf(crowd); binding; binding = nextOf(binding)) {
    verifyBinding(manager, binding);
    verifyCrowd(manager, binding);
  }
}

/** The tallies of a binding count its flows, the founder apart. */
function verifyBinding(manager: Address, binding: Address): void {
  assert(kindOf(binding) == BINDING);
  const isCrowd = crowdHostOf(parentOf(parentOf(binding))) == parentOf(binding);
  assert(load<u32>(binding, CHILDREN) > 0);
  for (let list = WILDCARD; list <= TUPLE; list++) {
    for (let tally = firstTallyOf(binding, list); tally; tally = nextOf(tally)) {
      verifyCounted(tally);
      if (isCrowd && list == TUPLE) continue; // counts what lies elsewhere: verifyCrowd
      for (let port = nextPort(tally, 1); port; port = nextPort(tally, port + 1)) {
        assert(countAt(tally, port) == holdersIn(manager, binding, tally, list, port));
      }
    }
  }
}

/** How many flows of a binding, the founder apart, hold the port with the tally's flags. */
function holdersIn(manager: Address, binding: Address, tally: Address, list: u32, port: u32): i32 {
  let count = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || parentOf(ring) != binding) continue;
    const flow = classIn(ring, flagsOf(tally));
    if (!flow || listOf(flow) != list || founderOf(binding, list) == flow) continue;
    if (hasPort(flow, port)) count++;
  }
  return count;
}

/** A binding of the crowd counts the flows of the bindings that are attached to it. */
function verifyCrowd(manager: Address, crowd: Address): void {
  let wild = 0;
  let tuples = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || crowdOf(parentOf(ring)) != crowd) continue;
    let flow = ring;
    do {
      if (listOf(flow) == TUPLE) tuples += countOf(flow);
      else wild += countOf(flow);
      for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
        const counter =
          listOf(flow) == TUPLE
            ? findTally(crowd, TUPLE, flagsOf(flow))
            : classIn(findFlow(manager, crowd, flow), flagsOf(flow));
        assert(hasPort(counter, port));
      }
      flow = nextOf(flow);
    } while (flow != ring);
  }
  for (let tally = firstTallyOf(crowd, TUPLE); tally; tally = nextOf(tally)) {
    tuples -= sumOf(tally);
  }
  assert(tuples == 0);
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || parentOf(ring) != crowd) continue;
    let flow = ring;
    do {
      assert(listOf(flow) == WILDCARD);
      wild -= sumOf(flow);
      flow = nextOf(flow);
    } while (flow != ring);
  }
  assert(wild == 0);
}

function hostOf(flow: Address): Address {
  return parentOf(parentOf(flow));
}

function spaceOf(flow: Address): Address {
  return parentOf(hostOf(flow));
}

function rests(manager: Address, flow: Address): bool {
  return load<u32>(manager, RESTING) == <u32>flow || load<u32>(manager, LEAVING) == <u32>flow;
}
