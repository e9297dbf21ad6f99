// Cooldown: ports that cool down after their release, in the order of their releases.
//
//   cooldown  0 ┌──────────────────┐
//               │ queue            │  the cooling ports, oldest first (queue.ts)
//            20 ├──────────────────┤
//               │ manager     u32  │  whose account pays
//            24 ├──────────────────┤
//               │ period      f64  │  milliseconds
//            32 ├──────────────────┤
//               │ clock       f64  │  the latest time that was given
//            40 ├──────────────────┤
//               │ slot        f64  │  the slot of that time
//            48 ├──────────────────┤
//               │ due         u16  │  number of ports at the front whose cooldown is over
//            50 ├──────────────────┤
//               │ ages     65 u16  │  ages[a]: number of ports released a slots ago
//           180 └──────────────────┘
//
//   queue      due │ ages[64] │ ages[63] │      …      │ ages[1] │ ages[0]
//            front                                                      end
//
// The period is cut into 64 slots. A port that was released in slot g, perhaps at its end, is due
// when slot g + 65 begins, which is after 1 to 1 + 1/64 periods. No time is stored for a port: the
// order of the queue and the 66 counts determine it. So a cooling port costs a bit and two bytes
// and no timer, and a new slot moves 65 counts, however many ports are cooling.
//
// Time is an argument, in milliseconds of any clock. It does not go back: an earlier time counts as
// the latest one.
//
// Must stay true: due and ages add up to the length of the queue.

import { BATCH_MAX, NO_MEMORY } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay, chargeBlock } from "../memory/bill";
import { BATCH } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { firstIn, lastIn } from "../ports/range";
import { hasReserved } from "../ports/reserved";
import {
  canQueue,
  clearQueue,
  isQueued,
  lengthOf,
  placeOf,
  portAt,
  pushLast,
  QUEUE_BYTES,
  removeAt,
  settleQueue,
  shiftFirst,
  verifyQueue,
} from "./queue";

const MANAGER: usize = QUEUE_BYTES;
const PERIOD: usize = MANAGER + 4;
const CLOCK: usize = PERIOD + 8;
const SLOT: usize = CLOCK + 8;
const DUE: usize = SLOT + 8;
const AGES: usize = DUE + 2;
const SLOT_COUNT: f64 = 64;
const AGE_MAX: u32 = 64;
const AGE_COUNT: u32 = AGE_MAX + 1;
const COOLDOWN_BYTES: u32 = <u32>AGES + (AGE_COUNT << 1);
if (COOLDOWN_BYTES != 180) ERROR("Cooldown no longer matches its diagram");

/** A cooldown of `period` milliseconds without ports, or 0 when there is no memory. */
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

/** Frees the memory that the queue only keeps for reuse. */
export function settleCooldown(cooldown: Address): void {
  settleQueue(managerOf(cooldown), cooldown);
}

/** Adds a released port: 1, 0 if it is cooling already, or `NO_MEMORY`. */
export function coolDown(cooldown: Address, port: Port, now: f64): i32 {
  if (isQueued(cooldown, port)) return 0;
  const manager = managerOf(cooldown);
  if (!canQueue(manager, cooldown)) return NO_MEMORY;
  moveClock(cooldown, now);
  pushLast(manager, cooldown, port);
  addTo(ageAt(cooldown, 0), 1);
  return 1;
}

export function isCooling(cooldown: Address, port: Port): bool {
  return isQueued(cooldown, port);
}

export function coolingCount(cooldown: Address): u32 {
  return lengthOf(cooldown);
}

/** Moves up to `most` ports that are due into the batch, oldest first, and returns how many. */
export function expire(cooldown: Address, now: f64, most: u32): u32 {
  assert(most <= <u32>BATCH_MAX);
  moveClock(cooldown, now);
  const manager = managerOf(cooldown);
  const count = min<u32>(load<u16>(cooldown, DUE), most);
  for (let index: u32 = 0; index < count; index++) {
    store<u16>(BATCH + ((<usize>index) << 1), <u16>shiftFirst(manager, cooldown));
  }
  addTo(cooldown + DUE, -count);
  return count;
}

/**
 * The time, in whole milliseconds, when the next port is due; the latest time if one is due
 * already.
 */
export function nextExpiry(cooldown: Address): f64 {
  if (load<u16>(cooldown, DUE)) return clockOf(cooldown);
  let age = AGE_MAX;
  while (!load<u16>(ageAt(cooldown, age))) age--;
  return dueAfter(cooldown, age);
}

/** The latest time that was given. */
export function cooldownClock(cooldown: Address): f64 {
  return clockOf(cooldown);
}

/**
 * The port at a place of the queue, counted from the oldest, and above it how many slots ago it was
 * released; 65: it is due.
 */
export function coolingAt(cooldown: Address, place: u32): u32 {
  const around = countAround(cooldown, place);
  const age = around < ageAt(cooldown, 0) ? AGE_COUNT : <u32>((around - ageAt(cooldown, 0)) >> 1);
  return portAt(cooldown, place) | (age << 16);
}

/** The time when a port will be due, as in `nextExpiry`; -1 if it is not cooling. */
export function dueOf(cooldown: Address, port: Port): f64 {
  if (!isQueued(cooldown, port)) return -1;
  const around = countAround(cooldown, placeOf(cooldown, port));
  if (around < ageAt(cooldown, 0)) return clockOf(cooldown);
  return dueAfter(cooldown, <u32>((around - ageAt(cooldown, 0)) >> 1));
}

/** When the ports are due that were released so many slots ago. */
function dueAfter(cooldown: Address, age: u32): f64 {
  const slot = load<f64>(cooldown, SLOT) - <f64>age;
  return Math.ceil(((slot + <f64>AGE_COUNT) * load<f64>(cooldown, PERIOD)) / SLOT_COUNT);
}

/** The port of a range, not reserved, that has been cooling longest, or 0. It goes on cooling. */
export function oldestCooling(cooldown: Address, range: u32, reserved: Address): Port {
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

/** Removes a port before it is due. False if it is not cooling. */
export function endCooldown(cooldown: Address, port: Port): bool {
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

/** The count that includes a place of the queue: `due`, or that of one age. */
function countAround(cooldown: Address, place: u32): Address {
  let end = <u32>load<u16>(cooldown, DUE);
  if (place < end) return cooldown + DUE;
  for (let age = AGE_MAX; age > 0; age--) {
    end += <u32>load<u16>(ageAt(cooldown, age));
    if (place < end) return ageAt(cooldown, age);
  }
  return ageAt(cooldown, 0);
}

/** Moves the clock forward, and with it the counts, by the slots that have begun since. */
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
  addTo(cooldown + DUE, load<u16>(ageAt(cooldown, AGE_MAX)));
  memory.copy(ageAt(cooldown, 1), ageAt(cooldown, 0), (<usize>AGE_MAX) << 1);
  store<u16>(ageAt(cooldown, 0), 0);
}

// ── Invariants ────────────────────────────────────────────────────────────────────────────

/** Traps unless the counts add up. */
export function verifyCooldown(cooldown: Address): void {
  verifyQueue(cooldown);
  let sum = <u32>load<u16>(cooldown, DUE);
  for (let age: u32 = 0; age < AGE_COUNT; age++) sum += <u32>load<u16>(ageAt(cooldown, age));
  assert(sum == lengthOf(cooldown));
}
