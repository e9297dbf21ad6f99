// Kept: the bytes that a manager keeps for reuse, which its figures do not count as used.
//
// They belong to the idle flow (tree.ts) and to the records that would be freed with it: each
// record above whose only child is freed, and in the any-address aggregate the binding that counts
// no other binding, with its host. Nothing here changes the state.

import { Address, paidFor } from "../memory/arena";
import { costOfRemoving } from "../memory/table";
import {
  aggregateBindingOf,
  aggregateHostOf,
  BINDING,
  childrenOf,
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
} from "./records";
import { freeAggregates, isUnused } from "./tree";

if (HOST_OWN != SPACE_OWN) ERROR("Hosts and bindings are inline children at different places");

/** Bytes in blocks that are kept for reuse. */
export function keptBytes(manager: Address): u32 {
  const idle = idleFlowOf(manager);
  let bytes: u32 = 0;
  let entries: u32 = 0;
  let node = idle && isUnused(idle) ? idle : 0;
  let other: Address = 0;
  while (node) {
    const isAggregate = isAggregateHost(node);
    if (!isInline(manager, node)) {
      bytes += paidFor(node);
      // A ring has one entry in the table, which is removed with its last flow.
      if (isFlow(node) ? isOnlyClass(node) : !isAggregate) entries++;
    }
    if (kindOf(node) == BINDING) {
      bytes += freeAggregates(0, node, true);
      const aggregate = aggregateBindingOf(node);
      if (aggregate && childrenOf(aggregate) == 1) other = aggregate;
    }
    // The loop ends at the aggregate host. If its space is freed, too, it has been counted before.
    const isLast = isAggregate || !isOnlyChild(node);
    node = isLast ? other : parentOf(node);
    if (isLast) other = 0;
  }
  return bytes + costOfRemoving(manager, entries);
}

function isOnlyChild(node: Address): bool {
  const kind = kindOf(node);
  const parent = parentOf(node);
  if (kind == SPACE) return false;
  if (isFlow(node)) return childrenOf(parent) == 1;
  const first = kind == BINDING ? firstBindingOf(parent) : firstHostOf(parent);
  return first == node && nextOf(node) == 0;
}

/** A flow is never inline: it has a block of its own. */
function isInline(manager: Address, node: Address): bool {
  if (kindOf(node) == SPACE) return node == inlineSpaceAt(manager);
  return node == parentOf(node) + HOST_OWN;
}

function isAggregateHost(node: Address): bool {
  return kindOf(node) == HOST && aggregateHostOf(parentOf(node)) == node;
}
