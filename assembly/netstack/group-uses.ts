// Members: how many reservations of a manager carry each group, so that a group which is used is
// not removed, and a manager that closes takes its uses back.
//
//   member 40 ┌──────────────────┐
//             │ uses        u32  │   a node of the manager's table, named by the group alone
//          44 └──────────────────┘
//
// Only reservations made by words are counted here. A handle, which is a record of its own, keeps
// its group itself.

import { NO_MEMORY } from "../abi";
import { enterGroup, leaveGroup } from "../groups/tree";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeNode } from "../memory/bill";
import { capacityOf, find, insert, NODE_PARENT, nodeAt, remove } from "../memory/table";
import { kindOf, MEMBER } from "./records";

const USES: usize = 40;
const MEMBER_BYTES: u32 = 44;

/** Charges for one more reservation that carries the group; 0 stands for no group. */
export function chargeMember(manager: Address, group: Address): void {
  if (group && !findMember(manager, group)) chargeNode(MEMBER_BYTES);
}

/** One more reservation carries the group. It must have been charged. */
export function addMember(manager: Address, group: Address): void {
  if (!group) return;
  const known = findMember(manager, group);
  const member = known ? known : newMember(manager, group);
  store<u32>(member, load<u32>(member, USES) + 1, USES);
  enterGroup(group);
}

/** A reservation that carried the group is gone. Does nothing if none is known to carry it. */
export function dropMember(manager: Address, group: Address): void {
  const member = group ? findMember(manager, group) : 0;
  if (!member) return;
  const uses = load<u32>(member, USES) - 1;
  store<u32>(member, uses, USES);
  leaveGroup(group, 1);
  if (!uses) freeMember(manager, member);
}

/** A reservation leaves one group for another; 0 stands for none. 0, or `NO_MEMORY`. */
export function moveMember(manager: Address, from: Address, to: Address): i32 {
  beginBill();
  chargeMember(manager, to);
  if (!canPay(manager)) return NO_MEMORY;
  addMember(manager, to);
  dropMember(manager, from);
  return 0;
}

/** Takes back all uses of a manager that closes. */
export function freeMembers(manager: Address): void {
  let index: u32 = 0;
  let found = false;
  while (true) {
    if (index >= capacityOf(manager)) {
      if (!found) return;
      // What goes moves others between slots, so it may take more than one round.
      index = 0;
      found = false;
    }
    const node = nodeAt(manager, index);
    if (node && kindOf(node) == MEMBER) {
      leaveGroup(load<u32>(node, NODE_PARENT), load<u32>(node, USES));
      freeMember(manager, node);
      found = true;
    } else {
      index++;
    }
  }
}

function findMember(manager: Address, group: Address): Address {
  return find(manager, group, 0, 0, 0);
}

function newMember(manager: Address, group: Address): Address {
  const member = allocZero(manager, MEMBER_BYTES);
  assert(member != 0); // charged too little
  store<u32>(member, <u32>group, NODE_PARENT);
  insert(manager, member);
  return member;
}

function freeMember(manager: Address, member: Address): void {
  remove(manager, member);
  free(manager, member);
}
