// Tree: control groups, each with a range that it may bind and one that it may connect from.
//
//   group  0 ┌──────────────────┐
//            │ tree        u32  │  the root's block, which begins with the tree's account
//          4 ├──────────────────┤
//            │ parent      u32  │  0: the root
//          8 ├──────────────────┤
//            │ children    u32  │  first of them
//         12 ├──────────────────┤
//            │ next        u32  │  siblings
//         16 ├──────────────────┤
//            │ previous    u32  │
//         20 ├──────────────────┤
//            │ uses        u32  │  number of sockets, pools and reservations in the group
//         24 ├──────────────────┤
//            │ own         u32  │  x 2, bind and connect: the group's own range
//         32 ├──────────────────┤
//            │ effective   u32  │  x 2: what it comes to, with all groups above
//         40 └──────────────────┘
//
//   tree   0 ┌──────────────────┐
//            │ account          │
//          8 ├──────────────────┤
//            │ copies      u32  │  1: as net_cls does, see below
//         12 ├──────────────────┤
//            │ root group       │
//         52 └──────────────────┘
//
// A range is one number, first in the low half and last in the high half, so that both are read
// and written at once. An unset range is 1..65535, which limits nothing.
//
// The effective range is the intersection of the own ranges from the root down to the group.
// Changing an own range recomputes it for all groups below, so a search reads one number, however
// deep the group is. An intersection without ports has its first above its last. In a tree that
// copies, as net_cls does, a new group starts with its parent's own ranges, and is limited by its
// own alone.
//
// Must stay true: the effective range is the intersection of the own ranges on the path; a group
// that is in use or has children is not removed.

import { BAD_RANGE, BUSY, GROUP_BIND, GROUP_CONNECT, PORT_MAX } from "../abi";
import { ACCOUNT_LIMIT, Address, alloc, allocZero, boot, free } from "../memory/arena";
import { changeLimits, INSTANCE_ACCOUNT } from "../memory/layout";
import { pushFirst, takeOut } from "../memory/list";
import { Port } from "../ports/bitmap";
import { firstIn, intersect, isRange, lastIn, rangeOf } from "../ports/range";

const TREE: usize = 0;
const PARENT: usize = 4;
const CHILDREN: usize = 8;
const LINKS: usize = 12;
const USES: usize = 20;
const OWN: usize = 24;
const EFFECTIVE: usize = 32;
const GROUP_BYTES: u32 = 40;

const COPIES: usize = 8;
const ROOT: usize = 12;
const TREE_BYTES: u32 = <u32>ROOT + GROUP_BYTES;

/** A tree with only a root, whose address is returned; 0: no memory. */
export function openTree(copies: u32): Address {
  boot();
  const tree = allocZero(INSTANCE_ACCOUNT, TREE_BYTES);
  if (!tree) return 0;
  store<u32>(tree, u32.MAX_VALUE, ACCOUNT_LIMIT);
  store<u32>(tree, copies, COPIES);
  startGroup(tree + ROOT, tree, 0);
  return tree + ROOT;
}

/** Frees the tree with all its groups. `BUSY` if one of them is in use. */
export function closeTree(root: Address): i32 {
  for (let group = root; group; group = nextInTree(group)) {
    if (groupUses(group)) return BUSY;
  }
  const tree = treeOf(root);
  let group = root;
  while (childOf(root)) {
    while (childOf(group)) group = childOf(group);
    const leaf = group;
    group = parentOf(leaf);
    takeOut(parentOf(leaf) + CHILDREN, leaf, LINKS);
    free(tree, leaf);
  }
  free(INSTANCE_ACCOUNT, tree);
  return 0;
}

/** A new group below `parent`; 0: no memory. */
export function createGroup(parent: Address): Address {
  const tree = treeOf(parent);
  const group = alloc(tree, GROUP_BYTES);
  if (!group) return 0;
  memory.fill(group, 0, GROUP_BYTES);
  startGroup(group, tree, parent);
  pushFirst(parent + CHILDREN, group, LINKS);
  return group;
}

/** Removes a group. `BUSY` if it is in use, has children, or is the root. */
export function removeGroup(group: Address): i32 {
  if (groupUses(group) || childOf(group) || !parentOf(group)) return BUSY;
  takeOut(parentOf(group) + CHILDREN, group, LINKS);
  free(treeOf(group), group);
  return 0;
}

// ── Ranges ────────────────────────────────────────────────────────────────────────────────

/** Changes one of the group's own ranges, and the effective ranges below. */
export function setGroupRange(group: Address, kind: u32, first: Port, last: Port): i32 {
  if (!isRange(first, last)) return BAD_RANGE;
  store<u32>(ofKind(group, kind), rangeOf(first, last), OWN);
  changeLimits();
  // Parents come before their children.
  for (let item = group; item; item = nextBelow(group, item)) renew(item, kind);
  return 0;
}

/** The group's own range. */
export function groupRange(group: Address, kind: u32): u32 {
  return load<u32>(ofKind(group, kind), OWN);
}

/** The ports that the group may use: its own range within those of all groups above. */
export function effectiveRange(group: Address, kind: u32): u32 {
  return load<u32>(ofKind(group, kind), EFFECTIVE);
}

/** The part of a range that the group allows; 0: no group. */
export function clamp(range: u32, group: Address, kind: u32): u32 {
  return group ? intersect(range, effectiveRange(group, kind)) : range;
}

/** Does the group allow an explicit port? 0: no group. */
export function allows(group: Address, kind: u32, port: Port): bool {
  if (!group) return true;
  const range = effectiveRange(group, kind);
  return firstIn(range) <= port && port <= lastIn(range);
}

// ── Uses ──────────────────────────────────────────────────────────────────────────────────

export function groupUses(group: Address): u32 {
  return load<u32>(group, USES);
}

/** Counts one more socket, pool or reservation in the group; 0: no group. */
export function enterGroup(group: Address): void {
  if (group) store<u32>(group, groupUses(group) + 1, USES);
}

/** Counts `count` sockets, pools or reservations less. */
export function leaveGroup(group: Address, count: u32): void {
  if (group) store<u32>(group, groupUses(group) - count, USES);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function treeOf(group: Address): Address {
  return load<u32>(group, TREE);
}

function parentOf(group: Address): Address {
  return load<u32>(group, PARENT);
}

function childOf(group: Address): Address {
  return load<u32>(group, CHILDREN);
}

function ofKind(group: Address, kind: u32): Address {
  return group + ((<usize>kind) << 2);
}

function startGroup(group: Address, tree: Address, parent: Address): void {
  store<u32>(group, <u32>tree, TREE);
  store<u32>(group, <u32>parent, PARENT);
  const copies = parent != 0 && load<u32>(tree, COPIES) != 0;
  for (let kind: u32 = GROUP_BIND; kind <= <u32>GROUP_CONNECT; kind++) {
    const own = copies ? groupRange(parent, kind) : rangeOf(1, PORT_MAX);
    store<u32>(ofKind(group, kind), own, OWN);
    renew(group, kind);
  }
}

function renew(group: Address, kind: u32): void {
  const own = groupRange(group, kind);
  const parent = parentOf(group);
  const follows = parent != 0 && load<u32>(treeOf(group), COPIES) == 0;
  const effective = follows ? intersect(own, effectiveRange(parent, kind)) : own;
  store<u32>(ofKind(group, kind), effective, EFFECTIVE);
}

function nextInTree(group: Address): Address {
  return nextBelow(treeOf(group) + ROOT, group);
}

/** The group after `item` among `top` and all below it, parents before children, or 0. */
function nextBelow(top: Address, item: Address): Address {
  if (childOf(item)) return childOf(item);
  let at = item;
  while (at != top) {
    if (load<u32>(at, LINKS)) return load<u32>(at, LINKS);
    at = parentOf(at);
  }
  return 0;
}
