// GroupUses: the number of a manager's reservations in each group, so that a group in use cannot be
// removed, and closing the manager takes its uses back.
//
//   node 40 ┌──────────────────┐
//           │ uses        u32  │   a node of the manager's table whose parent is the group
//        44 └──────────────────┘
//
// Only reservations are counted here. A pool keeps the address of its group in its own record.

import { NO_MEMORY } from "../abi";
import { enterGroup, leaveGroup } from "../groups/tree";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeNode } from "../memory/bill";
import { find, insert, remove } from "../memory/table";
import { GROUP_USES, parentOf, setKey } from "./records";

const USES: usize = 40;
const GROUP_USES_BYTES: u32 = 44;

/** Charges for one more reservation in the group; 0: no group. */
export function chargeGroupUse(manager: Address, group: Address): void {
  if (group && !findGroupUses(manager, group)) chargeNode(GROUP_USES_BYTES);
}

/** Counts one more reservation in the group. It must have been charged. */
export function addGroupUse(manager: Address, group: Address): void {
  if (!group) return;
  const known = findGroupUses(manager, group);
  const node = known ? known : newGroupUses(manager, group);
  store<u32>(node, load<u32>(node, USES) + 1, USES);
  enterGroup(group);
}

/** Counts one reservation less. Does nothing if no reservation in the group is known. */
export function dropGroupUse(manager: Address, group: Address): void {
  const node = group ? findGroupUses(manager, group) : 0;
  if (!node) return;
  const uses = load<u32>(node, USES) - 1;
  store<u32>(node, uses, USES);
  leaveGroup(group, 1);
  if (!uses) freeGroupUsesNode(manager, node);
}

/** Moves a reservation from one group to another; 0: no group. Returns 0 or `NO_MEMORY`. */
export function moveGroupUse(manager: Address, from: Address, to: Address): i32 {
  beginBill();
  chargeGroupUse(manager, to);
  if (!canPay(manager)) return NO_MEMORY;
  addGroupUse(manager, to);
  dropGroupUse(manager, from);
  return 0;
}

/** Takes back the uses of a node when the manager closes. */
export function freeGroupUses(manager: Address, node: Address): void {
  leaveGroup(parentOf(node), load<u32>(node, USES));
  freeGroupUsesNode(manager, node);
}

function findGroupUses(manager: Address, group: Address): Address {
  return find(manager, group, 0, 0, 0);
}

function newGroupUses(manager: Address, group: Address): Address {
  const node = allocZero(manager, GROUP_USES_BYTES);
  assert(node != 0); // charged too little
  setKey(node, GROUP_USES, group, 0, 0);
  insert(manager, node);
  return node;
}

function freeGroupUsesNode(manager: Address, node: Address): void {
  remove(manager, node);
  free(manager, node);
}
