// Cooldown: ports that rest after their release, in the order in which they came to rest.
//
//   cooldown  0 ┌──────────────────┐
//               │ queue            │  who isKept, oldest first (queue.ts)
//            20 ├──────────────────┤
//               │ manager     u32  │  who pays
//            24 ├──────────────────┤
//               │ period      f64  │  milliseconds
//            32 ├──────────────────┤
//               │ clock       f64  │  the latest time that has been told
//            40 ├──────────────────┤
//               │ slot        f64  │  the slot of that time
//            48 ├──────────────────┤
//               │ ripe        u16  │  so many at the front of the queue have rested
//            50 ├──────────────────┤
//               │ ages      9 u16  │  ages[a]: so many have come to rest a slots ago
//            72 └──────────────────┘
//
//   queue     ripe │ ages[8] │ ages[7] │      …      │ ages[1] │ ages[0]
//           front                                                    end
//
// The period is cut into 8 slots. A port that came to rest in slot g, perhaps at its end, has rested when slot
// g + 9 begins: 1 to 1.125 periods. Nobody remembers when: the order of the queue and ten counts tell. So a
// port costs a bit and two bytes and no timer, and a new slot costs nine counts, however many rest.
//
// Time is an argument, milliseconds of any clock. It never goes back: an earlier time counts as the
// latest.
//
// Must stay true: ripe and ages add up to the length of the queue.

import { BATCH_MAX, NO_MEMORY } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { firstIn, lastIn } from "../ports/range";
import { hasReserved } from "../ports/reserved";
import {
  chargeQueued,
  clearQueue,
  isQueued,
  lengthOf,
  placeOf,
  portAt,
  pushLast,
  QUEUE_BYTES,
  removeAt,
  shiftFirst,
  verifyQueue,
} from "./queue";

const MANAGER: usize = QUEUE_BYTES;
const PERIOD: usize = MANAGER + 4;
const CLOCK: usize = PERIOD + 8;
const SLOT: usize = CLOCK + 8;
const RIPE: usize = SLOT + 8;
const AGES: usize = RIPE + 2;
const COOLDOWN_BYTES: u32 = 72;

const SLOT_COUNT: f64 = 8;
const AGE_MAX: u32 = 8;
const AGE_COUNT: u32 = AGE_MAX + 1;
if (AGES + ((<usize>AGE_COUNT) << 1) > COOLDOWN_BYTES) ERROR("Cooldown runs over its diagram");

/** A cooldown without ports, of so many milliseconds, or 0 when there is no memory. */
export function openCooldown(manager: Address, period: f64): Address {
  beginBill();
  chargeBlock(COOLDOWN_BYTES);
  if (!canPay(manager)) return 0;
  const cooldown = allocZero(manager, COOLDOWN_BYTES);
  store<u32>(cooldown, <u32>manager, MANAGER);
  store<f64>(cooldown, period, PERIOD);
  return cooldown;
}

export function closeCooldown(cooldown: Address): void {
  clearQueue(managerOf(cooldown), cooldown);
  free(managerOf(cooldown), cooldown);
}

/** Lets a port rest: 1, 0 if it isKept already, or `NO_MEMORY`. */
export function rest(cooldown: Address, port: Port, now: f64): i32 {
  if (isQueued(cooldown, port)) return 0;
  const manager = managerOf(cooldown);
  beginBill();
  chargeQueued(cooldown);
  if (!canPay(manager)) return NO_MEMORY;
  moveClock(cooldown, now);
  pushLast(manager, cooldown, port);
  addTo(ageAt(cooldown, 0), 1);
  return 1;
}

export function isResting(cooldown: Address, port: Port): bool {
  return isQueued(cooldown, port);
}

export function restingCount(cooldown: Address): u32 {
  return lengthOf(cooldown);
}

/** Ports that have rested, oldest first, into the batch; how many. If it is full, there may be more. */
export function ripen(cooldown: Address, now: f64): u32 {
  moveClock(cooldown, now);
  const manager = managerOf(cooldown);
  const count = min<u32>(load<u16>(cooldown, RIPE), BATCH_MAX);
  for (let index: u32 = 0; index < count; index++) {
    store<u16>(BATCH + ((<usize>index) << 1), <u16>shiftFirst(manager, cooldown));
  }
  addTo(cooldown + RIPE, -count);
  return count;
}

/** When the next port will have rested, in whole milliseconds; the latest time if one has. Some port must rest. */
export function nextRipe(cooldown: Address): f64 {
  if (load<u16>(cooldown, RIPE)) return clockOf(cooldown);
  let age = AGE_MAX;
  while (!load<u16>(ageAt(cooldown, age))) age--;
  const slot = load<f64>(cooldown, SLOT) - <f64>age;
  return Math.ceil(((slot + <f64>AGE_COUNT) * load<f64>(cooldown, PERIOD)) / SLOT_COUNT);
}

/** The port of a range that has rested longest, and is not reserved, or 0. It isKept on. */
export function oldestResting(cooldown: Address, range: u32, reserved: Address): Port {
  const first = firstIn(range);
  const last = lastIn(range);
  const count = lengthOf(cooldown);
  for (let place: u32 = 0; place < count; place++) {
    const port = portAt(cooldown, place);
    if (port < first || port > last) continue;
    if (!reserved || !hasReserved(reserved, port)) return port;
  }
  return 0;
}

/** Ends the rest of a port before its time; whether it rested. */
export function endRest(cooldown: Address, port: Port): bool {
  if (!isQueued(cooldown, port)) return false;
  const place = placeOf(cooldown, port);
  removeAt(managerOf(cooldown), cooldown, place);
  addTo(countAround(cooldown, place), -1);
  return true;
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function managerOf(cooldown: Address): Address {
  return load<u32>(cooldown, MANAGER);
}

function clockOf(cooldown: Address): f64 {
  return load<f64>(cooldown, CLOCK);
}

function ageAt(cooldown: Address, age: u32): Address {
  return cooldown + AGES + ((<usize>age) << 1);
}

function addTo(at: Address, by: i32): void {
  store<u16>(at, <u16>(<i32>load<u16>(at) + by));
}

/** The count that a place of the queue is counted in: those ripe, or those of one age. */
function countAround(cooldown: Address, place: u32): Address {
  let end = <u32>load<u16>(cooldown, RIPE);
  if (place < end) return cooldown + RIPE;
  for (let age = AGE_MAX; age > 0; age--) {
    end += <u32>load<u16>(ageAt(cooldown, age));
    if (place < end) return ageAt(cooldown, age);
  }
  return ageAt(cooldown, 0);
}

/** Lets as many slots begin as lie between the latest time and this one. */
function moveClock(cooldown: Address, now: f64): void {
  if (now <= clockOf(cooldown)) return;
  store<f64>(cooldown, now, CLOCK);
  const slot = Math.floor((now * SLOT_COUNT) / load<f64>(cooldown, PERIOD));
  const before = load<f64>(cooldown, SLOT);
  store<f64>(cooldown, slot, SLOT);
  const begun = min<f64>(slot - before, AGE_COUNT);
  for (let index: f64 = 0; index < begun; index++) growOlder(cooldown);
}

function growOlder(cooldown: Address): void {
  addTo(cooldown + RIPE, load<u16>(ageAt(cooldown, AGE_MAX)));
  memory.copy(ageAt(cooldown, 1), ageAt(cooldown, 0), (<usize>AGE_MAX) << 1);
  store<u16>(ageAt(cooldown, 0), 0);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless the counts add up. */
export function verifyCooldown(cooldown: Address): void {
  verifyQueue(cooldown);
  let sum = <u32>load<u16>(cooldown, RIPE);
  for (let age: u32 = 0; age < AGE_COUNT; age++) sum += <u32>load<u16>(ageAt(cooldown, age));
  assert(sum == lengthOf(cooldown));
}
