// Kept: the bytes that a manager keeps for reuse, which its figures do not count as used.
//
// They belong to the idle flow, to one that has been emptied, and to the records that would be
// freed with them (tree.ts). Nothing changes: the records that would go are listed in scratch
// memory.
//
//   list  0 ┌──────────────────┐
//           │ count       u32  │
//         4 ├──────────────────┤
//           │ node    u32[12]  │  two flows, and two records of each kind above them
//        52 └──────────────────┘

import { Address, paidFor } from "../memory/arena";
import { BATCH } from "../memory/layout";
import { costOfRemoving } from "../memory/table";
import { paidByCounted } from "../ports/counted";
import {
  aggregateBindingOf,
  aggregateHostOf,
  BINDING,
  childrenOf,
  emptiedFlowOf,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  HOST,
  HOST_OWN,
  idleFlowOf,
  inlineSpaceAt,
  isFlow,
  kindOf,
  nextOf,
  parentOf,
  SPACE,
  SPACE_OWN,
  TUPLE,
  WILDCARD,
} from "./records";
import { isUnused } from "./tree";

const COUNT: usize = BATCH;
const NODES: usize = BATCH + 4;

/** Bytes in blocks that are kept for reuse. */
export function keptBytes(manager: Address): u32 {
  store<u32>(COUNT, 0);
  listUnused(idleFlowOf(manager));
  listUnused(emptiedFlowOf(manager));
  let bytes: u32 = 0;
  let entries: u32 = 0;
  // The list grows while it is read: a record is listed when the last of its children has been.
  for (let index: u32 = 0; index < load<u32>(COUNT); index++) {
    const node = nodeAt(index);
    bytes += bytesOf(manager, node);
    if (isInTable(manager, node)) entries++;
    if (kindOf(node) != SPACE) listIfEmpty(parentOf(node));
    if (kindOf(node) == BINDING) listIfEmpty(aggregateBindingOf(node));
  }
  return bytes + costOfRemoving(manager, entries);
}

function listUnused(flow: Address): void {
  if (flow && isUnused(flow)) list(flow);
}

/** Lists a record all of whose children are listed. */
function listIfEmpty(node: Address): void {
  if (node && !isListed(node) && hasOnlyListed(node)) list(node);
}

function hasOnlyListed(node: Address): bool {
  if (kindOf(node) == BINDING) return childrenOf(node) == listedBelow(node);
  let child = kindOf(node) == HOST ? firstBindingOf(node) : firstHostOf(node);
  for (; child; child = nextOf(child)) {
    if (!isListed(child)) return false;
  }
  const aggregate = kindOf(node) == SPACE ? aggregateHostOf(node) : 0;
  return !aggregate || isListed(aggregate);
}

/** How many flows of a binding, or bindings that it counts, are listed. */
function listedBelow(binding: Address): u32 {
  let count: u32 = 0;
  for (let index: u32 = 0; index < load<u32>(COUNT); index++) {
    const node = nodeAt(index);
    const isCounted = kindOf(node) == BINDING && aggregateBindingOf(node) == binding;
    if (isCounted || (isFlow(node) && parentOf(node) == binding)) count++;
  }
  return count;
}

/**
 * The bytes of a record's block and of what belongs to it. Those of an inline child are its
 * parent's.
 */
function bytesOf(manager: Address, node: Address): u32 {
  let bytes = isInline(manager, node) ? 0 : paidFor(node);
  if (isFlow(node)) return bytes + paidByCounted(node);
  if (kindOf(node) != BINDING) return bytes;
  for (let list = WILDCARD; list <= TUPLE; list++) {
    for (let item = firstAggregateOf(node, list); item; item = nextOf(item)) {
      bytes += paidFor(item) + paidByCounted(item);
    }
  }
  return bytes;
}

function isInline(manager: Address, node: Address): bool {
  const kind = kindOf(node);
  if (kind == BINDING) return node == parentOf(node) + HOST_OWN;
  if (kind == HOST) return node == parentOf(node) + SPACE_OWN;
  return kind == SPACE && node == inlineSpaceAt(manager);
}

/**
 * Has the table an entry that goes with this record? A ring has one, which goes with its last flow.
 */
function isInTable(manager: Address, node: Address): bool {
  if (!isFlow(node)) return !isInline(manager, node) && !isAggregateHost(node);
  for (let item = nextOf(node); item != node; item = nextOf(item)) {
    if (!isListed(item) || item > node) return false;
  }
  return true;
}

function isAggregateHost(node: Address): bool {
  return kindOf(node) == HOST && aggregateHostOf(parentOf(node)) == node;
}

// ── The list ──────────────────────────────────────────────────────────────────────────────

function nodeAt(index: u32): Address {
  return load<u32>(NODES + ((<usize>index) << 2));
}

function isListed(node: Address): bool {
  for (let index: u32 = 0; index < load<u32>(COUNT); index++) {
    if (nodeAt(index) == node) return true;
  }
  return false;
}

function list(node: Address): void {
  const count = load<u32>(COUNT);
  store<u32>(NODES + ((<usize>count) << 2), <u32>node);
  store<u32>(COUNT, count + 1);
}
