// Hash flooding: addresses that a remote host has chosen so that they collide in the core's hash
// table. The attack is the one that works against a hash whose seed enters only at the beginning.

import { describe, expect, test } from "vitest";
import {
  REQUEST_ADDRESS,
  REQUEST_AT,
  REQUEST_BYTES,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
  TRANSPORT_TCP,
} from "../../assembly/abi.ts";
import { coreOf } from "../../bindings/core/core.ts";
import { freshModule } from "../support/builds.ts";

const CHOICES = 256;
const ADDRESSES = CHOICES * CHOICES;
const PORT = 443;
const NO_LIMIT = 0xffff_ffff;
/** Where a manager has its table: address of the slots, and how many (assembly/memory/table.ts). */
const SLOTS = 64;
const CAPACITY = 68;
const SEEDS = [1n, 0x0123_4567_89ab_cdefn, 0xfedc_ba98_7654_3210n];
const MASK = (1n << 64n) - 1n;

/**
 * Half as many nodes as slots: the longest run of occupied slots is about 60 for a random hash. 256
 * addresses with one hash make a run of at least 256.
 */
const RUN_MAX = 128;

describe("65,536 chosen IPv6 addresses", () => {
  test.each(SEEDS)("make no long runs in the table of a manager with seed %i", (seed) => {
    const { longest, occupied } = inCore(seed);
    expect(occupied).toBe(ADDRESSES);
    expect(longest).toBeLessThan(RUN_MAX);
  });

  test.each(SEEDS)("have 256 hashes where seed %i enters before the first product only", (seed) => {
    const hashes = chosen().map((address) => seededHash(seed, address));
    expect(new Set(hashes).size).toBe(CHOICES);
    expect(longestRun(placed(hashes))).toBeGreaterThanOrEqual(CHOICES);
  });
});

/**
 * The last byte of the first half takes all values, which changes the upper 8 bits of its product.
 * The second half makes up for each difference that this may cause in what the halves are XORed to.
 */
function chosen(): Uint8Array[] {
  return Array.from({ length: ADDRESSES }, (_, index) => {
    const address = new Uint8Array(16);
    address.set([0x20, 0x01, 0x0d, 0xb8]);
    address[7] = index % CHOICES;
    const difference = Math.floor(index / CHOICES);
    address[15] = difference;
    address[11] = (difference << 3) & 0xff;
    address[12] = difference >> 5;
    return address;
  });
}

function inCore(seed: bigint): { longest: number; occupied: number } {
  const { exports } = coreOf(freshModule("release"));
  const high = Number(seed >> 32n);
  const manager = exports.openManager(Number(seed & 0xffff_ffffn), high, NO_LIMIT) >>> 0;
  const view = (): DataView => new DataView(exports.memory.buffer);
  const block = new DataView(new ArrayBuffer(REQUEST_BYTES));
  block.setUint32(REQUEST_TRANSPORT, TRANSPORT_TCP, true);
  block.setUint32(REQUEST_DESTINATION_PORT, PORT, true);
  block.setUint32(REQUEST_ADDRESS, 1, true);
  block.setUint32(REQUEST_NETWORK_COUNT, 1, true);
  block.setUint32(REQUEST_NETWORKS, 6, true);
  let reserved = 0;
  for (const address of chosen()) {
    const request = new Uint8Array(block.buffer);
    request.set(address, REQUEST_DESTINATION);
    new Uint8Array(exports.memory.buffer).set(request, REQUEST_AT);
    if (exports.reserveTuple(manager, PORT) === PORT) reserved++;
  }
  expect(reserved).toBe(ADDRESSES);
  const at = view().getUint32(manager + SLOTS, true);
  const capacity = view().getUint32(manager + CAPACITY, true);
  const slots = new Uint32Array(exports.memory.buffer, at, capacity);
  const isOccupied = Array.from(slots, (slot) => slot !== 0);
  return { longest: longestRun(isOccupied), occupied: isOccupied.filter(Boolean).length };
}

/** The hash that the core had before: a seed, then multiply and fold for each half. */
function seededHash(seed: bigint, address: Uint8Array): number {
  const view = new DataView(address.buffer);
  let hash = seed;
  for (const at of [0, 8]) {
    const product = ((hash ^ view.getBigUint64(at, true)) * 0x9e37_79b9_7f4a_7c15n) & MASK;
    hash = product ^ (product >> 29n);
  }
  return Number(hash >> 32n);
}

/** Which slots of a table with linear probing are occupied, half full. */
function placed(hashes: readonly number[]): boolean[] {
  const capacity = hashes.length * 2;
  const slots = new Array<boolean>(capacity).fill(false);
  for (const hash of hashes) {
    let at = hash % capacity;
    while (slots[at]) at = (at + 1) % capacity;
    slots[at] = true;
  }
  return slots;
}

function longestRun(slots: readonly boolean[]): number {
  let longest = 0;
  let length = 0;
  for (const isOccupied of slots) {
    length = isOccupied ? length + 1 : 0;
    longest = Math.max(longest, length);
  }
  return longest;
}
