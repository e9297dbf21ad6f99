// Kept: the bytes that a manager keeps for reuse, which its figures do not count as used.
//
// They belong to the idle flow (tree.ts) and to the records that would be freed with it: each whose
// only child is freed, upwards, and of the any-address aggregate the binding that counts no other
// binding, and its host. Nothing changes. What has been added up lies in scratch memory:
//
//   sum   0 ┌──────────────────┐
//           │ bytes       u32  │  of blocks
//         4 ├──────────────────┤
//           │ entries     u32  │  nodes that leave the table
//         8 └──────────────────┘

import { Address, paidFor } from "../memory/arena";
import { BATCH } from "../memory/layout";
import { costOfRemoving } from "../memory/table";
import { paidByCounted } from "../ports/counted";
import {
  aggregateBindingOf,
  aggregateHostOf,
  BINDING,
  childrenOf,
  firstAggregateOf,
  firstBindingOf,
  firstHostOf,
  HOST,
  HOST_OWN,
  idleFlowOf,
  inlineSpaceAt,
  isFlow,
  isOnlyClass,
  kindOf,
  nextOf,
  parentOf,
  SPACE,
  SPACE_OWN,
  TUPLE,
  WILDCARD,
} from "./records";
import { isUnused } from "./tree";

const BYTES: usize = BATCH;
const ENTRIES: usize = BATCH + 4;

/** Bytes in blocks that are kept for reuse. */
export function keptBytes(manager: Address): u32 {
  const idle = idleFlowOf(manager);
  if (!idle || !isUnused(idle)) return 0;
  store<u64>(BATCH, 0);
  addUpwards(manager, idle);
  return load<u32>(BYTES) + costOfRemoving(manager, load<u32>(ENTRIES));
}

/** Adds a node, and the records that are freed with it. */
function addUpwards(manager: Address, from: Address): void {
  let node = from;
  while (true) {
    store<u32>(BYTES, load<u32>(BYTES) + bytesOf(manager, node));
    if (isInTable(manager, node)) store<u32>(ENTRIES, load<u32>(ENTRIES) + 1);
    const aggregate = kindOf(node) == BINDING ? aggregateBindingOf(node) : 0;
    if (aggregate && childrenOf(aggregate) == 1) addUpwards(manager, aggregate);
    if (!isOnlyChild(node)) return;
    node = parentOf(node);
  }
}

/** The aggregate host goes before the space, whose only host goes as well. */
function isOnlyChild(node: Address): bool {
  const kind = kindOf(node);
  const parent = parentOf(node);
  if (kind == SPACE || isAggregateHost(node)) return false;
  if (isFlow(node)) return childrenOf(parent) == 1;
  const first = kind == BINDING ? firstBindingOf(parent) : firstHostOf(parent);
  return first == node && nextOf(node) == 0;
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

/** Has the table an entry that goes with this record? A ring has one, which its last flow takes. */
function isInTable(manager: Address, node: Address): bool {
  if (isFlow(node)) return isOnlyClass(node);
  return !isInline(manager, node) && !isAggregateHost(node);
}

function isAggregateHost(node: Address): bool {
  return kindOf(node) == HOST && aggregateHostOf(parentOf(node)) == node;
}
