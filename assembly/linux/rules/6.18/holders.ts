// Holders: which ports are held, by address, by device and by the options that the rules look at.
//
// An address node stands for one local address and class (address.ts) of one protocol. Below it
// there is a holder for each device and kind of owner; a holder's set says which ports such owners
// hold, and how often. The same owners are counted once more below an aggregate node, which stands
// for all addresses of a class: so a search for the any address looks at a few sets, however many
// addresses are bound.
//
//   address   0 ┌──────────────────┐      holder   0 ┌──────────────────┐
//               │ node             │                 │ node, set        │  by kind; device, uid
//            40 │ holders     u32  │              40 │ next, previous   │  of the address
//            44 │ count       u32  │              48 │ aggregate   u32  │  0: it is one itself
//            48 └──────────────────┘              52 └──────────────────┘
//
//   kind   1   SO_REUSEADDR, and not listening        2   SO_REUSEPORT        4   TIME_WAIT
//
// The user counts only among SO_REUSEPORT sockets, so for all others it is 0.
//
// Must stay true: a holder holds a port, an address node has a holder; an aggregate counts each
// port as often as the holders that it stands for.

import { Address, allocZero, free } from "../../../memory/arena";
import { chargeNode } from "../../../memory/bill";
import { SPACES_AT } from "../../../memory/layout";
import { pushFirst, takeOut } from "../../../memory/list";
import { find, insert, NODE_NAME, NODE_NUMBER, NODE_PARENT, remove } from "../../../memory/table";
import { Port } from "../../../ports/bitmap";
import { addOne, chargeAdd, dropOne } from "../../../ports/counted";
import { countOf } from "../../../ports/set";
import { ANY, ONLY } from "./address";

/** The parents of address nodes. */
export const TCP: Address = 1;
export const UDP: Address = 2;

const AGGREGATE: u32 = 8; // beside the class

export const SHARES_ADDR: u32 = 1;
export const SHARES_PORT: u32 = 2;
export const TIME_WAIT: u32 = 4;

const HOLDERS: usize = 40;
const HOLDER_COUNT: usize = 44;
const ADDRESS_BYTES: u32 = 48;
const LINKS: usize = 40;
const AGGREGATE_OF: usize = 48;
const HOLDER_BYTES: u32 = 52;

/** The owner that is going to hold: described before the functions below are called. */
const WHO: usize = SPACES_AT; // scratch, as are the records of a request
const WHO_SPACE: usize = WHO;
const WHO_CLASS: usize = WHO + 4;
const WHO_KIND: usize = WHO + 8;
const WHO_LOW: usize = WHO + 16;
const WHO_HIGH: usize = WHO + 24;
const WHO_KEY: usize = WHO + 32; // device and uid

/** Describes the owner that the next call of `chargeHold` or `hold` is about. */
export function describeOwner(
  space: Address,
  klass: u32,
  low: u64,
  high: u64,
  kind: u32,
  device: u32,
  uid: u32,
): void {
  const hasUser = (kind & SHARES_PORT) != 0 && (kind & TIME_WAIT) == 0;
  store<u32>(WHO_SPACE, <u32>space);
  store<u32>(WHO_CLASS, klass);
  store<u32>(WHO_KIND, kind);
  store<u64>(WHO_LOW, low);
  store<u64>(WHO_HIGH, high);
  store<u64>(WHO_KEY, <u64>device | ((<u64>(hasUser ? uid : 0)) << 32));
}

/** Charges for one more port, or slot, of the described owner. */
export function chargeHold(system: Address, port: Port): void {
  const klass = load<u32>(WHO_CLASS);
  chargeAt(system, klass, load<u64>(WHO_LOW), load<u64>(WHO_HIGH), port);
  if (isAggregated(klass)) chargeAt(system, klass | AGGREGATE, 0, 0, port);
}

function chargeAt(system: Address, klass: u32, low: u64, high: u64, port: Port): void {
  const address = findAddress(system, load<u32>(WHO_SPACE), klass, low, high);
  const holder = address ? findHolder(system, address) : 0;
  if (!address) chargeNode(ADDRESS_BYTES);
  if (holder) chargeAdd(holder, port);
  else chargeNode(HOLDER_BYTES);
}

/**
 * Lets the described owner hold the port once more, and returns its holder. It must have been
 * charged.
 */
export function hold(system: Address, port: Port): Address {
  const klass = load<u32>(WHO_CLASS);
  const holder = openHolder(system, klass, load<u64>(WHO_LOW), load<u64>(WHO_HIGH));
  addOne(system, holder, port);
  if (isAggregated(klass)) {
    const aggregate = openHolder(system, klass | AGGREGATE, 0, 0);
    store<u32>(holder, <u32>aggregate, AGGREGATE_OF);
    addOne(system, aggregate, port);
  }
  return holder;
}

/** Takes one from the holder's count of the port. */
export function letGo(system: Address, holder: Address, port: Port): void {
  const aggregate = aggregateOf(holder);
  if (aggregate) drop(system, aggregate, port);
  drop(system, holder, port);
}

function drop(system: Address, holder: Address, port: Port): void {
  dropOne(system, holder, port);
  if (countOf(holder)) return;
  const address = addressOf(holder);
  takeOut(address + HOLDERS, holder, LINKS);
  const left = holderCount(address) - 1;
  store<u32>(address, left, HOLDER_COUNT);
  remove(system, holder);
  free(system, holder);
  if (left) return;
  remove(system, address);
  free(system, address);
}

// ── Looking ───────────────────────────────────────────────────────────────────────────────

/** The node of an address, or 0. */
export function findAddress(
  system: Address,
  space: Address,
  klass: u32,
  low: u64,
  high: u64,
): Address {
  return find(system, space, klass, low, high);
}

/** The node that stands for all addresses of a class, or 0. */
export function findAggregate(system: Address, space: Address, klass: u32): Address {
  return find(system, space, klass | AGGREGATE, 0, 0);
}

export function firstHolder(address: Address): Address {
  return load<u32>(address, HOLDERS);
}

export function nextHolder(holder: Address): Address {
  return load<u32>(holder, LINKS);
}

export function holderCount(address: Address): u32 {
  return load<u32>(address, HOLDER_COUNT);
}

function addressOf(holder: Address): Address {
  return load<u32>(holder, NODE_PARENT);
}

/** The aggregate that counts the holder, or 0. */
export function aggregateOf(holder: Address): Address {
  return load<u32>(holder, AGGREGATE_OF);
}

export function kindOf(holder: Address): u32 {
  return load<u16>(holder, NODE_NUMBER);
}

export function deviceOf(holder: Address): u32 {
  return load<u32>(holder, NODE_NAME);
}

export function uidOf(holder: Address): u32 {
  return load<u32>(holder, NODE_NAME + 4);
}

/** Are its owners IPV6_V6ONLY? */
export function isForOnly(holder: Address): bool {
  return (load<u16>(addressOf(holder), NODE_NUMBER) & ONLY) != 0;
}

export function isAggregate(address: Address): bool {
  return (load<u16>(address, NODE_NUMBER) & AGGREGATE) != 0;
}

// ── Making ────────────────────────────────────────────────────────────────────────────────

/** `::` is one address and needs no aggregate. */
function isAggregated(klass: u32): bool {
  return (klass & 3) != ANY;
}

function findHolder(system: Address, address: Address): Address {
  return find(system, address, load<u32>(WHO_KIND), load<u64>(WHO_KEY), 0);
}

function openHolder(system: Address, klass: u32, low: u64, high: u64): Address {
  const space: Address = load<u32>(WHO_SPACE);
  let address = findAddress(system, space, klass, low, high);
  if (!address) address = newNode(system, ADDRESS_BYTES, space, klass, low, high);
  const known = findHolder(system, address);
  if (known) return known;
  const key = load<u64>(WHO_KEY);
  const holder = newNode(system, HOLDER_BYTES, address, load<u32>(WHO_KIND), key, 0);
  pushFirst(address + HOLDERS, holder, LINKS);
  store<u32>(address, holderCount(address) + 1, HOLDER_COUNT);
  return holder;
}

/** A node of the table that must have been charged. */
export function newNode(
  system: Address,
  bytes: u32,
  parent: Address,
  number: u32,
  low: u64,
  high: u64,
): Address {
  const node = allocZero(system, bytes);
  assert(node != 0); // charged too little
  store<u32>(node, <u32>parent, NODE_PARENT);
  store<u16>(node, <u16>number, NODE_NUMBER);
  store<u64>(node, low, NODE_NAME);
  store<u64>(node, high, NODE_NAME + 8);
  insert(system, node);
  return node;
}
