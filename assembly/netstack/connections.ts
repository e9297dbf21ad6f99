// Connections: tuples that come and go below a listener, one after the other.
//
// The flow of a connection that has ended is kept as the idle flow (tree.ts). The next connection
// below the same binding differs in its destination alone, so it takes that flow over. The search
// for its destination has already found the slot for it:
//
//   accept   is the request's binding that of the idle flow?  no other flow of the destination?
//            ─▶ one more in the aggregates ─▶ the idle flow gets the destination, and the port
//   close    is the request's binding that of the idle flow?  the flow of the destination holds
//            the port alone? ─▶ one less in the aggregates ─▶ it becomes the idle flow
//
// Otherwise nothing changes, and the caller uses the general operation, which gives the same
// results. Neither of the two allocates memory.

import {
  REQUEST_ADDRESS,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
} from "../abi";
import { Address } from "../memory/arena";
import { REQUEST } from "../memory/layout";
import { rename } from "../memory/table";
import { Port } from "../ports/bitmap";
import { isPlain, stepOne } from "../ports/counted";
import { addFirst, dropOnly, hasOnly } from "../ports/set";
import { NOT_FAST } from "./fast-path";
import {
  aggregateBindingOf,
  changeTreeVersion,
  countFreed,
  countHeld,
  deviceOf,
  flagsOf,
  highOf,
  idleFlowOf,
  isOnlyClass,
  isWildcard,
  listOf,
  lowOf,
  numberOf,
  parentOf,
  TUPLE,
  uncountedFlowOf,
} from "./records";
import {
  findAggregate,
  findFlow,
  isUnused,
  keepEmptied,
  openInRing,
  settleFlow,
  spaceName,
} from "./tree";

/** Reserves the tuple of the request: the port, or `NOT_FAST`. */
export function acceptFast(manager: Address, port: Port): i32 {
  const binding = knownBinding(manager);
  if (!binding) return NOT_FAST;
  const flow = idleFlowOf(manager);
  // A flow that is unused has no container: what removes its last port trims it.
  if (!isUnused(flow) || flagsOf(flow) != load<u32>(REQUEST + REQUEST_FLAGS)) return NOT_FAST;
  if (listOf(flow) != TUPLE || !isOnlyClass(flow)) return NOT_FAST;
  const known = findFlow(manager, binding, REQUEST);
  if (known && known != flow) return NOT_FAST;
  if (!stepAggregates(binding, flow, flagsOf(flow), port, 1)) return NOT_FAST;
  if (!known) {
    rename(manager, flow, numberOf(REQUEST), lowOf(REQUEST), highOf(REQUEST));
    changeTreeVersion(manager);
  }
  addFirst(flow, port);
  countHeld(manager, 1);
  return <i32>port;
}

/** Releases the tuple of the request; false: the general operation must do it. */
export function closeFast(manager: Address, port: Port): bool {
  const binding = knownBinding(manager);
  if (!binding) return false;
  const flow = findFlow(manager, binding, REQUEST);
  if (!flow || !isPlain(flow) || !hasOnly(flow, port) || !isOnlyClass(flow)) return false;
  if (!stepAggregates(binding, flow, flagsOf(flow), port, -1)) return false;
  dropOnly(flow);
  countFreed(manager, 1);
  settleFlow(manager, flow);
  keepEmptied(manager);
  return true;
}

/**
 * Holds the tuple of the request in a flow of its own, below the binding if there is one; false: the
 * general operation must do it. A snapshot is restored with it. The flow must have been charged.
 */
export function acceptNew(manager: Address, binding: Address, port: Port): bool {
  if (!binding || isWildcard(REQUEST) || findFlow(manager, binding, REQUEST)) return false;
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  if (!uncountedFlowOf(binding, TUPLE)) return false;
  if (!stepAggregates(binding, 0, flags, port, 1)) return false;
  addFirst(openInRing(manager, binding, 0, REQUEST, flags), port);
  countHeld(manager, 1);
  return true;
}

/** The binding of the idle flow if it is that of the request, which is for a tuple; else 0. */
function knownBinding(manager: Address): Address {
  const idle = idleFlowOf(manager);
  if (!idle || load<u32>(REQUEST + REQUEST_NETWORK_COUNT) != 1) return 0;
  if (load<u32>(REQUEST + REQUEST_GROUP) || isWildcard(REQUEST)) return 0;
  const binding = parentOf(idle);
  const host = parentOf(binding);
  const network = load<u32>(REQUEST + REQUEST_NETWORKS);
  const isSame =
    deviceOf(binding) == load<u32>(REQUEST + REQUEST_DEVICE) &&
    lowOf(host) == load<u64>(REQUEST + REQUEST_ADDRESS) &&
    highOf(host) == load<u64>(REQUEST + REQUEST_ADDRESS + 8) &&
    highOf(parentOf(host)) == spaceName(network, load<u32>(REQUEST + REQUEST_TRANSPORT));
  return isSame ? binding : 0;
}

/**
 * Changes by one the count of the port in all aggregates that count the flow, or in none. 0: a flow
 * that is not made yet.
 */
function stepAggregates(binding: Address, flow: Address, flags: u32, port: Port, by: i32): bool {
  const isCounted = uncountedFlowOf(binding, TUPLE) != flow;
  const own = isCounted ? findAggregate(binding, TUPLE, flags) : 0;
  if (isCounted && (!own || !stepOne(own, port, by))) return false;
  const above = aggregateBindingOf(binding);
  const other = above ? findAggregate(above, TUPLE, flags) : 0;
  if (!above || (other && stepOne(other, port, by))) return true;
  if (own) stepOne(own, port, -by);
  return false;
}
