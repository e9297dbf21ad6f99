// Verify: the invariants of a manager, written as code for the debug build. Nothing here changes
// the state, and a broken invariant traps with its file and line.

import { Address, verifyArena } from "../memory/arena";
import { capacityOf, nodeAt, verifyTable } from "../memory/table";
import { countAt, isPlain, verifyCounted } from "../ports/counted";
import { countOf, hasPort, nextPort } from "../ports/set";
import {
  aggregateBindingOf,
  aggregateHostOf,
  BINDING,
  childrenOf,
  classIn,
  countersOf,
  deviceOf,
  emptiedFlowOf,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  firstSpaceOf,
  flagsOf,
  idleFlowOf,
  inlineHostOf,
  isFlow,
  isUnaggregated,
  kindOf,
  listOf,
  nextOf,
  openPoolsOf,
  parentOf,
  referencesOf,
  TUPLE,
  uncountedFlowOf,
  WILDCARD,
} from "./records";
import { findAggregate, findBinding, findFlow } from "./tree";

/** Returns the bytes of bitmaps that sets keep although an array has room for their ports. */
export function verify(manager: Address): u32 {
  verifyArena();
  verifyTable(manager);
  let spare = verifyFlows(manager);
  for (let space = firstSpaceOf(manager); space; space = nextOf(space)) {
    spare += verifySpace(manager, space);
  }
  return spare;
}

/** Every flow is in use and counted, and the figures of the manager are their sums. */
function verifyFlows(manager: Address): u32 {
  let spare: u32 = 0;
  let counters = 0;
  let references = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring)) continue;
    const isReal = aggregateHostOf(spaceOf(ring)) != hostOf(ring);
    let flow = ring;
    do {
      assert(isFlow(flow));
      spare += verifyCounted(flow);
      const isUsed = countOf(flow) > 0 || !isPlain(flow) || openPoolsOf(flow) > 0;
      assert(isUsed || isKept(manager, flow));
      assert(classIn(ring, flagsOf(flow)) == flow); // one class per flag combination
      verifyCountedByAggregate(parentOf(flow), flow);
      const isUncounted = uncountedFlowOf(parentOf(flow), listOf(flow)) == flow;
      assert(isUnaggregated(flow) == (isUncounted && !aggregateBindingOf(parentOf(flow))));
      flow = nextOf(flow);
    } while (flow != ring);
    if (!isReal) continue;
    counters += heldInRing(ring);
    references += referencesInRing(ring);
  }
  assert(counters == <i32>countersOf(manager));
  assert(references == <i32>referencesOf(manager));
  return spare;
}

/** The number of ports that any flow of a destination holds. A ring has eight flows at most. */
function heldInRing(ring: Address): i32 {
  let count = 0;
  let flow = ring;
  do {
    for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
      if (firstHolder(ring, port) == flow) count++;
      assert(totalOf(ring, port) > 0); // else the counts would have been removed
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

/** The ports of a flow are in its aggregate, too. */
function verifyCountedByAggregate(binding: Address, flow: Address): void {
  const list = listOf(flow);
  if (uncountedFlowOf(binding, list) == flow || countOf(flow) == 0) return;
  const counter = findAggregate(binding, list, flagsOf(flow));
  assert(counter != 0);
  for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
    assert(hasPort(counter, port));
  }
}

function verifySpace(manager: Address, space: Address): u32 {
  let spare: u32 = 0;
  const inline = inlineHostOf(space);
  const aggregate = aggregateHostOf(space);
  assert(firstHostOf(space) != 0);
  let attached = 0;
  for (let host = firstHostOf(space); host; host = nextOf(host)) {
    assert(firstBindingOf(host) != 0);
    for (let binding = firstBindingOf(host); binding; binding = nextOf(binding)) {
      spare += verifyBinding(manager, binding);
      assert((aggregateBindingOf(binding) == 0) == (host == inline));
      if (host == inline) continue;
      attached++;
      assert(aggregateBindingOf(binding) == findBinding(manager, aggregate, deviceOf(binding)));
    }
  }
  assert((aggregate != 0) == attached > 0);
  if (!aggregate) return spare;
  for (let binding = firstBindingOf(aggregate); binding; binding = nextOf(binding)) {
    spare += verifyBinding(manager, binding);
    verifyAggregateBinding(manager, binding);
  }
  return spare;
}

/** The aggregates of a binding count its flows, but not the uncounted flow. */
function verifyBinding(manager: Address, binding: Address): u32 {
  let spare: u32 = 0;
  assert(kindOf(binding) == BINDING);
  const isAggregate = aggregateHostOf(parentOf(parentOf(binding))) == parentOf(binding);
  assert(childrenOf(binding) > 0);
  for (let list = WILDCARD; list <= TUPLE; list++) {
    for (let counter = firstAggregateOf(binding, list); counter; counter = nextOf(counter)) {
      spare += verifyCounted(counter);
      if (isAggregate && list == TUPLE) continue; // see verifyAggregateBinding
      for (let port = nextPort(counter, 1); port; port = nextPort(counter, port + 1)) {
        assert(countAt(counter, port) == holdersIn(manager, binding, counter, list, port));
      }
    }
  }
  return spare;
}

/** How many counted flows of a binding hold the port with the aggregate's flags. */
function holdersIn(
  manager: Address,
  binding: Address,
  counter: Address,
  list: u32,
  port: u32,
): i32 {
  let count = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || parentOf(ring) != binding) continue;
    const flow = classIn(ring, flagsOf(counter));
    if (!flow || listOf(flow) != list || uncountedFlowOf(binding, list) == flow) continue;
    if (hasPort(flow, port)) count++;
  }
  return count;
}

/** A binding of the any-address aggregate counts the flows of the bindings below it. */
function verifyAggregateBinding(manager: Address, aggregate: Address): void {
  let wild = 0;
  let tuples = 0;
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || aggregateBindingOf(parentOf(ring)) != aggregate) continue;
    let flow = ring;
    do {
      if (listOf(flow) == TUPLE) tuples += countOf(flow);
      else wild += countOf(flow);
      for (let port = nextPort(flow, 1); port; port = nextPort(flow, port + 1)) {
        const counter =
          listOf(flow) == TUPLE
            ? findAggregate(aggregate, TUPLE, flagsOf(flow))
            : classIn(findFlow(manager, aggregate, flow), flagsOf(flow));
        assert(hasPort(counter, port));
      }
      flow = nextOf(flow);
    } while (flow != ring);
  }
  for (let counter = firstAggregateOf(aggregate, TUPLE); counter; counter = nextOf(counter)) {
    tuples -= sumOf(counter);
  }
  assert(tuples == 0);
  for (let index: u32 = 0; index < capacityOf(manager); index++) {
    const ring = nodeAt(manager, index);
    if (!ring || !isFlow(ring) || parentOf(ring) != aggregate) continue;
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

function isKept(manager: Address, flow: Address): bool {
  return idleFlowOf(manager) == flow || emptiedFlowOf(manager) == flow;
}
