// Table: a hash table of nodes, found by their parent, number and name.
//
// Terminology
//   Node    a block that starts as drawn below. What follows depends on its kind.
//   Key     (parent, number, name): 22 bytes that no two nodes of the table share.
//   Slot    4 bytes: the address of a node, and its distance from home.
//   Home    the slot that the hash selects. A node is in its home or in the run of slots after it.
//
//   node  0 ┌───────────────────────────┐      slot ┌─────┬──────────────────┐
//           │ parent  u32               │           │ far │ address / 8      │
//         4 ├───────────────────────────┤           └─────┴──────────────────┘
//           │ (other)                   │             3 b   29 bits    0: vacant
//         8 ├─────────────┬─────────────┤
//           │ number  u16 │ (other)     │
//        10 ├─────────────┘             │
//        24 ├───────────────────────────┤
//           │ name  16 bytes            │
//        40 └───────────────────────────┘
//
// Probing is linear. Deletion moves the rest of the run back, so there are no tombstones.
//
// The distance counts slots from home, 7 standing for all from 7 on. It says which nodes of a run
// may have the key that is sought, those of the same home, and how far a deletion may move a node
// back. So a search need not read the nodes of a run, each of which would be a cache miss in a
// large table. The table doubles when it is 3/4 full and halves when less than 1/8 is used.
//
// Keys contain addresses that a remote host may choose, so the hash must not be predictable. It is
// multilinear: the key as six numbers of 32 bits, each multiplied by a secret of 64 bits, the sum
// modulo 2^64, and of that the upper 32 bits. For any two keys all pairs of hashes are then equally
// probable (Carter and Wegman 1979; Lemire and Kaser, "Strongly universal string hashing is fast",
// 2014), whatever the difference between the keys is. The secrets are drawn from a seed that the
// host gives at open. SipHash-1-3 was measured as well: with it a tuple takes a quarter more time.
//
// A search notes where it ended, in scratch memory: the slot of the node that it found, or the vacant
// slot and its distance from home. A removal that follows begins there, and so does `rename`. The
// slot is compared with the node, so that what is noted may be of another table, or out of date.
//
// Must stay true: no slot between a node's home and its slot is vacant.

import { Address, allocZero, costOf, free } from "./arena";
import { SEARCH_AT } from "./layout";

export const NODE_PARENT: usize = 0;
export const NODE_NUMBER: usize = 8;
export const NODE_NAME: usize = 24;
const NODE_END: usize = 40;

// The table's fields in its owner's record, behind the account.
const SECRETS: usize = 8;
const SECRET_COUNT: usize = 7;
const SLOTS: usize = SECRETS + SECRET_COUNT * 8;
const CAPACITY: usize = SLOTS + 4;
const COUNT: usize = CAPACITY + 4;
export const TABLE_END: usize = COUNT + 4;

const CAPACITY_MIN: u32 = 64;
const FAR: u32 = 0xe0000000;
const FAR_SHIFT: u32 = 29;
const FAR_MAX: u32 = 7;
const NODE_SHIFT: u32 = 3;

const FOUND: usize = SEARCH_AT;
const VACANT: usize = SEARCH_AT + 4;
const VACANT_FAR: usize = SEARCH_AT + 8;

export function openTable(owner: Address, seed: u64): bool {
  const slots = allocZero(owner, CAPACITY_MIN << 2);
  if (!slots) return false;
  for (let index: usize = 0; index < SECRET_COUNT; index++) {
    store<u64>(owner + (index << 3), secretOf(seed, index), SECRETS);
  }
  store<u32>(owner, <u32>slots, SLOTS);
  store<u32>(owner, CAPACITY_MIN, CAPACITY);
  store<u32>(owner, 0, COUNT);
  return true;
}

export function closeTable(owner: Address): void {
  free(owner, load<u32>(owner, SLOTS));
}

/** The node with this key, or 0. */
export function find(owner: Address, parent: Address, number: u32, low: u64, high: u64): Address {
  const hash = hashOf(owner, parent, number, low, high);
  const slots: Address = load<u32>(owner, SLOTS);
  const mask = load<u32>(owner, CAPACITY) - 1;
  let at = hash & mask;
  let far: u32 = 0;
  while (true) {
    const slot = load<u32>(slots + ((<usize>at) << 2));
    if (!slot) break;
    if (farIn(slot) == far) {
      const node = nodeOf(slot);
      if (hasKey(node, parent, number, low, high)) {
        store<u32>(FOUND, at);
        return node;
      }
    }
    at = (at + 1) & mask;
    far = min<u32>(far + 1, FAR_MAX);
  }
  store<u32>(VACANT, at);
  store<u32>(VACANT_FAR, far << FAR_SHIFT);
  return 0;
}

/** Where a search for this key begins. */
export function homeOf(owner: Address, parent: Address, number: u32, low: u64, high: u64): Address {
  const home = hashOf(owner, parent, number, low, high) & (load<u32>(owner, CAPACITY) - 1);
  return <Address>load<u32>(owner, SLOTS) + ((<usize>home) << 2);
}

/**
 * Brings homes, and the nodes in them, into the cache. `list` has the addresses of homes, and is
 * overwritten. In loops this short many reads wait for memory at the same time, whereas searches
 * would wait one after another. Returns a value that depends on the reads, so that the compiler
 * keeps them.
 */
export function touchHomes(list: Address, end: Address): u32 {
  let sum: u32 = 0;
  for (let at = list; at < end; at += 4) {
    const slot = load<u32>(load<u32>(at));
    store<u32>(at, farIn(slot) ? 0 : <u32>nodeOf(slot));
  }
  for (let at = list; at < end; at += 4) sum += load<u32>(load<u32>(at), NODE_NAME);
  return sum;
}

/** The same for the nodes in `count` slots from one on. */
export function touchNodes(owner: Address, from: u32, count: u32): u32 {
  const slots: Address = load<u32>(owner, SLOTS);
  const end = min<u32>(from + count, load<u32>(owner, CAPACITY));
  let sum: u32 = 0;
  for (let at = from; at < end; at++) {
    const node = nodeOf(load<u32>(slots + ((<usize>at) << 2)));
    sum += load<u32>(node, NODE_PARENT) + load<u32>(node, NODE_END - 4);
  }
  return sum;
}

/** The memory that the table needs to grow by `nodes` nodes. */
export function costToInsert(owner: Address, nodes: u32): u32 {
  const count = load<u32>(owner, COUNT) + nodes;
  let capacity = load<u32>(owner, CAPACITY);
  let cost: u32 = 0;
  while (isOverfull(count, capacity)) {
    capacity <<= 1;
    cost += costOf(capacity << 2);
  }
  return cost;
}

/** Adds a node whose key is not in the table. The memory must have been secured. */
export function insert(owner: Address, node: Address): void {
  const count = load<u32>(owner, COUNT) + 1;
  const capacity = load<u32>(owner, CAPACITY);
  if (isOverfull(count, capacity)) resize(owner, capacity << 1);
  put(owner, node);
  store<u32>(owner, count, COUNT);
}

/** Makes the table as large as so many more nodes need it, if there is memory for that. */
export function expectNodes(owner: Address, nodes: u32): void {
  const count = load<u32>(owner, COUNT) + nodes;
  let capacity = CAPACITY_MIN;
  while (isOverfull(count, capacity)) capacity <<= 1;
  if (capacity != load<u32>(owner, CAPACITY)) resize(owner, capacity);
}

export function remove(owner: Address, node: Address): void {
  vacate(owner, slotIndexOf(owner, node));
  const count = load<u32>(owner, COUNT) - 1;
  store<u32>(owner, count, COUNT);
  const capacity = load<u32>(owner, CAPACITY);
  // If there is no memory for the smaller table, the larger one stays.
  if (isSparse(count, capacity)) resize(owner, capacity >> 1);
}

/** The memory that the table gives back when `nodes` nodes are removed. */
export function costOfRemoving(owner: Address, nodes: u32): u32 {
  const before = load<u32>(owner, CAPACITY);
  let count = load<u32>(owner, COUNT);
  let capacity = before;
  for (; nodes; nodes--) {
    if (isSparse(--count, capacity)) capacity >>= 1;
  }
  return costOf(before << 2) - costOf(capacity << 2);
}

/** Replaces a node by another one with the same key. */
export function replace(owner: Address, node: Address, other: Address): void {
  const slots: Address = load<u32>(owner, SLOTS);
  const at = slots + ((<usize>slotIndexOf(owner, node)) << 2);
  store<u32>(at, slotOf(other, farIn(load<u32>(at))));
}

/** Gives a node the number and name that the last search has not found below the same parent. */
export function rename(owner: Address, node: Address, number: u32, low: u64, high: u64): void {
  const before = slotIndexOf(owner, node);
  const at = load<u32>(owner, SLOTS) + (load<u32>(VACANT) << 2);
  store<u32>(at, load<u32>(VACANT_FAR) | (<u32>node >> NODE_SHIFT));
  store<u16>(node, <u16>number, NODE_NUMBER);
  store<u64>(node, low, NODE_NAME);
  store<u64>(node, high, NODE_NAME + 8);
  vacate(owner, before);
}

export function nodeCount(owner: Address): u32 {
  return load<u32>(owner, COUNT);
}

export function capacityOf(owner: Address): u32 {
  return load<u32>(owner, CAPACITY);
}

/** The node in slot `index`, or 0. */
export function nodeAt(owner: Address, index: u32): Address {
  const slots: Address = load<u32>(owner, SLOTS);
  return nodeOf(load<u32>(slots + ((<usize>index) << 2)));
}

export function hasKey(node: Address, parent: Address, number: u32, low: u64, high: u64): bool {
  return (
    load<u64>(node, NODE_NAME) == low &&
    load<u16>(node, NODE_NUMBER) == number &&
    load<u32>(node, NODE_PARENT) == <u32>parent &&
    load<u64>(node, NODE_NAME + 8) == high
  );
}

// ── Slots ─────────────────────────────────────────────────────────────────────────────────

function slotOf(node: Address, distance: u32): u32 {
  return (min<u32>(distance, FAR_MAX) << FAR_SHIFT) | (<u32>node >> NODE_SHIFT);
}

function nodeOf(slot: u32): Address {
  return <Address>((slot & ~FAR) << NODE_SHIFT);
}

/** The distance of a node from its home, or `FAR_MAX` for all that are not shorter. */
function farIn(slot: u32): u32 {
  return slot >> FAR_SHIFT;
}

function hashOf(owner: Address, parent: Address, number: u32, low: u64, high: u64): u32 {
  const sum =
    load<u64>(owner, SECRETS) +
    load<u64>(owner, SECRETS + 8) * <u64>(<u32>low) +
    load<u64>(owner, SECRETS + 16) * (low >> 32) +
    load<u64>(owner, SECRETS + 24) * <u64>(<u32>high) +
    load<u64>(owner, SECRETS + 32) * (high >> 32) +
    load<u64>(owner, SECRETS + 40) * <u64>parent +
    load<u64>(owner, SECRETS + 48) * <u64>number;
  return shuffled(<u32>(sum >> 32));
}

/** A bijection that puts neighbours far apart (the finalizer of MurmurHash3). */
function shuffled(x: u32): u32 {
  x = (x ^ (x >> 16)) * 0x85ebca6b;
  x = (x ^ (x >> 13)) * 0xc2b2ae35;
  return x ^ (x >> 16);
}

/** The secrets are drawn from the seed (SplitMix64). */
function secretOf(seed: u64, index: u64): u64 {
  let x = seed + (index + 1) * bothHalves(0x9e3779b9, 0x7f4a7c15);
  x = (x ^ (x >> 30)) * bothHalves(0xbf58476d, 0x1ce4e5b9);
  x = (x ^ (x >> 27)) * bothHalves(0x94d049bb, 0x133111eb);
  return x ^ (x >> 31);
}

function bothHalves(high: u32, low: u32): u64 {
  return ((<u64>high) << 32) | low;
}

function hashOfNode(owner: Address, node: Address): u32 {
  return hashOf(
    owner,
    load<u32>(node, NODE_PARENT),
    load<u16>(node, NODE_NUMBER),
    load<u64>(node, NODE_NAME),
    load<u64>(node, NODE_NAME + 8),
  );
}

function put(owner: Address, node: Address): void {
  const hash = hashOfNode(owner, node);
  const slots: Address = load<u32>(owner, SLOTS);
  const mask = load<u32>(owner, CAPACITY) - 1;
  const home = hash & mask;
  let at = home;
  while (load<u32>(slots + ((<usize>at) << 2))) at = (at + 1) & mask;
  store<u32>(slots + ((<usize>at) << 2), slotOf(node, (at - home) & mask));
}

function slotIndexOf(owner: Address, node: Address): u32 {
  const noted = load<u32>(FOUND) & (load<u32>(owner, CAPACITY) - 1);
  if (nodeAt(owner, noted) == node) return noted;
  findKeyOf(owner, node);
  return load<u32>(FOUND);
}

/** The node with the key of this one. */
function findKeyOf(owner: Address, node: Address): Address {
  const low = load<u64>(node, NODE_NAME);
  const high = load<u64>(node, NODE_NAME + 8);
  return find(owner, load<u32>(node, NODE_PARENT), load<u16>(node, NODE_NUMBER), low, high);
}

/** Empties a slot and moves the rest of its run back over the hole. */
function vacate(owner: Address, index: u32): void {
  const slots: Address = load<u32>(owner, SLOTS);
  const mask = load<u32>(owner, CAPACITY) - 1;
  let hole = index;
  let at = index;
  while (true) {
    at = (at + 1) & mask;
    const slot = load<u32>(slots + ((<usize>at) << 2));
    if (!slot) break;
    const gap = (at - hole) & mask;
    let distance = farIn(slot);
    if (distance == FAR_MAX) distance = (at - hashOfNode(owner, nodeOf(slot))) & mask;
    if (distance < gap) continue; // The hole lies before its home.
    store<u32>(slots + ((<usize>hole) << 2), slotOf(nodeOf(slot), distance - gap));
    hole = at;
  }
  store<u32>(slots + ((<usize>hole) << 2), 0);
}

function isSparse(count: u32, capacity: u32): bool {
  return capacity > CAPACITY_MIN && count << 3 < capacity;
}

function isOverfull(count: u32, capacity: u32): bool {
  return count << 2 > capacity * 3;
}

function resize(owner: Address, capacity: u32): void {
  const from = load<u32>(owner, CAPACITY);
  const slots: Address = load<u32>(owner, SLOTS);
  const other = allocZero(owner, capacity << 2);
  if (!other) return;
  store<u32>(owner, <u32>other, SLOTS);
  store<u32>(owner, capacity, CAPACITY);
  for (let at: u32 = 0; at < from; at++) {
    const slot = load<u32>(slots + ((<usize>at) << 2));
    if (slot) put(owner, nodeOf(slot));
  }
  free(owner, slots);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless every node is found by its key and the count is right. */
export function verifyTable(owner: Address): void {
  const capacity = load<u32>(owner, CAPACITY);
  let count: u32 = 0;
  for (let at: u32 = 0; at < capacity; at++) {
    const node = nodeAt(owner, at);
    if (!node) continue;
    count++;
    assert(findKeyOf(owner, node) == node);
  }
  assert(count == load<u32>(owner, COUNT));
  assert(count << 2 <= capacity * 3);
}
