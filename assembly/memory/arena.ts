// Arena: allocates and frees blocks of linear memory.
//
// Terminology
//   Block    a header of 4 bytes and a payload. Blocks lie side by side without gaps.
//   Unit     8 bytes. A block is a whole number of units, and its payload is 8-aligned.
//   Class    blocks of about one size: 16 classes per power of two, each with a free list.
//   Account  pays for blocks: two words, used and limit, at the start of a manager's record.
//
//        ┌────────┬───────────────────────────────┬────────┬─────────
//   used │ header │ payload                       │ header │ …
//        └────────┴───────────────────────────────┴────────┴─────────
//        ┌────────┬──────┬──────────┬─────┬───────┬────────┬─────────
//   free │ header │ next │ previous │     │ start │ header │ …
//        └────────┴──────┴──────────┴─────┴───────┴────────┴─────────
//   header   bytes of the block, a multiple of 8, and three bits below:
//              bit 0  this block is free
//              bit 1  the left neighbour is free
//              bit 2  padded by one unit, because a single unit is too small for a block
//   start    address of the free block itself, by which its right neighbour finds it
//
// This is a two-level segregated fit, TLSF (Masmano, Ripoll, Crespo, Real, "TLSF: a new dynamic
// memory allocator for real-time systems", 2004): two bit searches find a free block that is large
// enough, and a freed block is joined with its free neighbours at once. Both take a constant number
// of steps, and what tables and bitmaps leave behind is used again for small records.
//
// In front of it are quick lists, one per size below 12 units, last in, first out. A freed record
// goes onto the quick list of its size, where it still counts as used for its neighbours, and the
// next allocation of that size takes it from there. A quick list has 16 blocks at most.
//
// An operation adds up what it will need and calls `secure` once; the allocations that follow
// cannot fail. Only work that may be skipped, such as shrinking, allocates without that.
//
// Must stay true: no two free blocks are neighbours; every free block is on the list of its
// class; a class bit is set exactly when its list is not empty.

import { ARENA_AT, heapStart, INSTANCE_ACCOUNT, VERSION_AT } from "./layout";

export type Address = usize;

// An account, the first two words of a manager.
export const ACCOUNT_USED: usize = 0;
export const ACCOUNT_LIMIT: usize = 4;

/** Does the account have a limit? Then memory that is kept for later use is freed at once. */
export function isLimited(account: Address): bool {
  return load<u32>(account, ACCOUNT_LIMIT) != u32.MAX_VALUE;
}

// Header: where the heap ends, which powers of two have free blocks, and per power of two which
// of its 16 classes have. Zero: not booted.
const POWER_COUNT: usize = 27;
const CLASS_COUNT: u32 = 16;
const END: usize = ARENA_AT;
const POWERS: usize = END + 4;
const CLASSES: usize = POWERS + 4;
const LISTS: usize = CLASSES + POWER_COUNT * 4;
// Per size in units: the first block, and the count.
const QUICK: usize = LISTS + POWER_COUNT * <usize>CLASS_COUNT * 4;
const QUICK_UNITS: u32 = 12;
const QUICK_MAX: u32 = 16;
if (QUICK + <usize>QUICK_UNITS * 8 > VERSION_AT) ERROR("The arena header is too long");

const FREE: u32 = 1;
const LEFT_FREE: u32 = 2;
const PADDED: u32 = 4;
const SIZE: u32 = ~7;
const HEADER: usize = 4;
const NEXT: usize = 0;
const PREVIOUS: usize = 4;
const UNIT_BYTES: u32 = 8;
const UNITS_MIN: u32 = 2;
const SLACK_UNITS: u32 = 16;
const BYTES_MAX: u32 = 1 << 30;
const PAGE_SHIFT: u32 = 16;
// One page short of 4 GiB, so that the heap's end fits in 32 bits.
const PAGES_MAX: i32 = 65535;

/** Prepares a zeroed memory; does nothing on one that is in use already. */
export function boot(): void {
  if (load<u32>(END)) return;
  const end = (<u32>memory.size()) << PAGE_SHIFT;
  store<u32>(END, end);
  store<u32>(INSTANCE_ACCOUNT, u32.MAX_VALUE, ACCOUNT_LIMIT);
  store<u32>(<usize>end - HEADER, 0);
  setHeader(heapStart(), end - <u32>heapStart());
  release(heapStart());
}

/** The cost of a block of so many bytes to its account. */
export function costOf(bytes: u32): u32 {
  return unitsFor(bytes) << 3;
}

/** Makes sure that blocks which cost so much in all can be allocated one after another. */
export function secure(account: Address, cost: u32): bool {
  if (cost == 0) return true;
  // The subtraction cannot wrap: used never passes the limit.
  const left = load<u32>(account, ACCOUNT_LIMIT) - load<u32>(account, ACCOUNT_USED);
  if (cost > left || cost > BYTES_MAX) return false;
  // One free block that holds all of them, also when each is looked for among larger ones only.
  const units = (cost >> 3) + (cost >> 6) + SLACK_UNITS;
  return findFree(units) != 0 || grow(units << 3);
}

/** A block of at least `bytes` bytes, not zeroed, or 0: the limit or the machine has no more. */
export function alloc(account: Address, bytes: u32): Address {
  if (bytes > BYTES_MAX) return 0;
  const units = unitsFor(bytes);
  const used = load<u32>(account, ACCOUNT_USED);
  if (units << 3 > load<u32>(account, ACCOUNT_LIMIT) - used) return 0;

  const block =
    units < QUICK_UNITS && load<u32>(quickListAt(units)) ? takeQuick(units) : carve(units);
  if (block) store<u32>(account, used + (units << 3), ACCOUNT_USED);
  return block;
}

/** As `alloc`, filled with zeros. */
export function allocZero(account: Address, bytes: u32): Address {
  const block = alloc(account, bytes);
  if (block) clear(block, bytes);
  return block;
}

/** Fills a multiple of 4 bytes with zeros. Most are records of less than 100 bytes. */
export function clear(start: Address, bytes: u32): void {
  const end = start + (bytes & ~7);
  for (let at = start; at < end; at += 8) store<u64>(at, 0);
  if (bytes & 7) store<u32>(end, 0);
}

export function free(account: Address, block: Address): void {
  assert(!(header(block) & FREE)); // freed twice
  store<u32>(account, load<u32>(account, ACCOUNT_USED) - paidFor(block), ACCOUNT_USED);
  if (!keepQuick(block, sizeOf(block) >> 3)) release(block);
}

/** The cost of a block to its account. */
export function paidFor(block: Address): u32 {
  return sizeOf(block) - (header(block) & PADDED ? UNIT_BYTES : 0);
}

// ── Quick lists ───────────────────────────────────────────────────────────────────────────

function quickListAt(units: u32): Address {
  return QUICK + ((<usize>units) << 3);
}

function takeQuick(units: u32): Address {
  const list = quickListAt(units);
  const block: Address = load<u32>(list);
  store<u32>(list, load<u32>(block, NEXT));
  store<u32>(list, load<u32>(list, 4) - 1, 4);
  return block;
}

/** False if the block is too large for a quick list, or the list of its size is full. */
function keepQuick(block: Address, units: u32): bool {
  if (units >= QUICK_UNITS || header(block) & PADDED) return false;
  const list = quickListAt(units);
  const count = load<u32>(list, 4);
  if (count == QUICK_MAX) return false;
  store<u32>(block, load<u32>(list), NEXT);
  store<u32>(list, <u32>block);
  store<u32>(list, count + 1, 4);
  return true;
}

// ── Blocks ────────────────────────────────────────────────────────────────────────────────

function header(block: Address): u32 {
  return load<u32>(block - HEADER);
}

function setHeader(block: Address, value: u32): void {
  store<u32>(block - HEADER, value);
}

function sizeOf(block: Address): u32 {
  return header(block) & SIZE;
}

function rightOf(block: Address): Address {
  return block + sizeOf(block);
}

/** Takes a block of that many units from the free lists, growing the memory if need be; or 0. */
function carve(units: u32): Address {
  let block: Address;
  while (true) {
    block = findFree(units);
    if (block) break;
    if (!grow(units << 3)) return 0;
  }
  if (!shrink(block, units)) {
    unlink(block);
    split(block, units);
  }
  return block;
}

/** Takes the first `units` off a free block whose rest stays on its list; false: it would not. */
function shrink(block: Address, units: u32): bool {
  const rest = unitsOf(block) - units;
  const index = indexFor(rest);
  if (index != indexFor(unitsOf(block))) return false;
  const right = block + ((<usize>units) << 3);
  const next = load<u32>(block, NEXT);
  const previous = load<u32>(block, PREVIOUS);
  store<u32>(rightOf(block) - HEADER - 4, <u32>right);
  setHeader(block, (units << 3) | (header(block) & LEFT_FREE));
  setHeader(right, (rest << 3) | FREE);
  store<u32>(right, next, NEXT);
  store<u32>(right, previous, PREVIOUS);
  if (next) store<u32>(next, <u32>right, PREVIOUS);
  store<u32>(previous ? <usize>previous + NEXT : listAt(index), <u32>right);
  return true;
}

/** Keeps the first `units` of a block that is on no list; the rest becomes a free block. */
function split(block: Address, units: u32): void {
  const keep = units << 3;
  const rest = sizeOf(block) - keep;
  const left = header(block) & LEFT_FREE;
  if (rest < UNITS_MIN << 3) {
    setHeader(block, sizeOf(block) | left | (rest ? PADDED : 0));
    const right = rightOf(block);
    setHeader(right, header(right) & ~LEFT_FREE);
    return;
  }
  setHeader(block, keep | left);
  const right = rightOf(block);
  setHeader(right, rest | FREE);
  link(right);
}

/** Joins a block that is on no list with its free neighbours and puts the result on its list. */
function release(block: Address): void {
  let start = block;
  let bytes = sizeOf(block);
  const right = rightOf(block);
  if (header(right) & FREE) {
    unlink(right);
    bytes += sizeOf(right);
  }
  if (header(block) & LEFT_FREE) {
    start = load<u32>(block - HEADER - 4);
    unlink(start);
    bytes += sizeOf(start);
  }
  setHeader(start, bytes | FREE | (header(start) & LEFT_FREE));
  link(start);
}

// ── Growth ────────────────────────────────────────────────────────────────────────────────

/** Adds memory at the end: as much as needed, at least a 32nd of what there is. */
function grow(bytes: u32): bool {
  // A class serves every request of its size only from the next class up: ask for a 16th more.
  const need = (bytes + (bytes >> 4) + 64 + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT;
  const room = PAGES_MAX - memory.size();
  if (<i32>need > room) return false;
  const pages = min<i32>(room, max<i32>(<i32>need, memory.size() >> 5));
  if (memory.grow(pages) < 0 && memory.grow(<i32>need) < 0) return false;

  // The header that marked the end becomes that of the new block.
  const block = load<u32>(END);
  const end = (<u32>memory.size()) << PAGE_SHIFT;
  store<u32>(END, end);
  store<u32>(end - <u32>HEADER, 0);
  setHeader(block, (end - block) | (header(block) & LEFT_FREE));
  release(block);
  return true;
}

function unitsFor(bytes: u32): u32 {
  return max<u32>(UNITS_MIN, (bytes + <u32>HEADER + 7) >> 3);
}

// ── Free lists ────────────────────────────────────────────────────────────────────────────
// Class of a block of u units: below 16, power 0 and class u; above, the power is the position
// of u's highest bit and the class the four bits after it. A list has the index 16 * power + class.

function indexFor(units: u32): u32 {
  const shift = shiftOf(units);
  return (shift << 4) + (units >> shift);
}

/** How many bits of a number of units lie below those that tell its class. */
function shiftOf(units: u32): u32 {
  return max<i32>(27 - <i32>clz(units), 0);
}

function listAt(index: u32): Address {
  return LISTS + (index << 2);
}

function classesAt(power: u32): Address {
  return CLASSES + power * 4;
}

function unitsOf(block: Address): u32 {
  return sizeOf(block) >> 3;
}

/** A free block of at least `units`, still on its list, or 0. */
function findFree(units: u32): Address {
  // Round up, so that whatever the class holds is large enough.
  const index = indexFor(units + (1 << shiftOf(units)) - 1);
  let power = index >> 4;
  let classes = load<u32>(classesAt(power)) & (~0 << (index & (CLASS_COUNT - 1)));
  if (!classes) {
    const powers = load<u32>(POWERS) & (~1 << power);
    if (!powers) return 0;
    power = ctz(powers);
    classes = load<u32>(classesAt(power));
  }
  return load<u32>(listAt((power << 4) + ctz(classes)));
}

function link(block: Address): void {
  store<u32>(rightOf(block) - HEADER - 4, <u32>block);
  const right = rightOf(block);
  setHeader(right, header(right) | LEFT_FREE);

  const index = indexFor(unitsOf(block));
  const power = index >> 4;
  const list = listAt(index);
  const first = load<u32>(list);
  store<u32>(block, first, NEXT);
  store<u32>(block, 0, PREVIOUS);
  if (first) store<u32>(first, <u32>block, PREVIOUS);
  store<u32>(list, <u32>block);
  const klass = index & (CLASS_COUNT - 1);
  store<u32>(classesAt(power), load<u32>(classesAt(power)) | (1 << klass));
  store<u32>(POWERS, load<u32>(POWERS) | (1 << power));
}

function unlink(block: Address): void {
  const next = load<u32>(block, NEXT);
  const previous = load<u32>(block, PREVIOUS);
  if (next) store<u32>(next, previous, PREVIOUS);
  if (previous) {
    store<u32>(previous, next, NEXT);
    return;
  }
  const index = indexFor(unitsOf(block));
  store<u32>(listAt(index), next);
  if (next) return;
  const power = index >> 4;
  const klass = index & (CLASS_COUNT - 1);
  const classes = load<u32>(classesAt(power)) & ~(1 << klass);
  store<u32>(classesAt(power), classes);
  if (!classes) store<u32>(POWERS, load<u32>(POWERS) & ~(1 << power));
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless the blocks tile the heap and the free ones are joined and on their lists. */
export function verifyArena(): void {
  const end = load<u32>(END);
  let leftFree = false;
  let freeBlocks = 0;
  let block: Address = heapStart();
  while (block < end) {
    assert((block & 7) == 0);
    const isFree = (header(block) & FREE) != 0;
    assert(!(isFree && leftFree)); // two free neighbours
    assert(((header(block) & LEFT_FREE) != 0) == leftFree);
    if (isFree) {
      freeBlocks++;
      assert(load<u32>(rightOf(block) - HEADER - 4) == <u32>block);
    }
    leftFree = isFree;
    block = rightOf(block);
  }
  assert(block == end);
  assert(header(block) == (leftFree ? LEFT_FREE : 0));

  let listed = 0;
  for (let power: u32 = 0; power < <u32>POWER_COUNT; power++) {
    const classes = load<u32>(classesAt(power));
    assert(((load<u32>(POWERS) >> power) & 1) == (classes ? 1 : 0));
    for (let klass: u32 = 0; klass < CLASS_COUNT; klass++) {
      const index = (power << 4) + klass;
      let item: Address = load<u32>(listAt(index));
      assert(((classes >> klass) & 1) == (item ? 1 : 0));
      while (item) {
        assert((header(item) & FREE) != 0);
        assert(indexFor(unitsOf(item)) == index);
        listed++;
        item = load<u32>(item, NEXT);
      }
    }
  }
  assert(listed == freeBlocks);
}
