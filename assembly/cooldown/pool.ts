// Pools: operations on a pool of core.wasm together with its cooldown or its order, each in one
// call from JavaScript. They call the functions that the core exports: a call from one module to
// the other costs a fraction of a call from JavaScript.

import { BATCH_MAX, NO_MEMORY, PORT_COUNT } from "../abi";
import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";
import { countIn } from "../ports/range";
import { coolDown, coolingCount, endCooldown, expire } from "./cooldown";
import { freeMany, freePort, hasTaken, poolRange, take, takeAt, takeBetween } from "./core";
import { claim, nextCandidate, release, releaseBatch, returnCandidate } from "./fifo";

// ── Cooling ───────────────────────────────────────────────────────────────────────────────

/**
 * Takes a port of the pool and returns it, or the refusal. A port that was cooling has been freed
 * by its number meanwhile, so its cooldown ends.
 */
export function takeCooled(cooldown: Address, pool: Address, offset: u32): i32 {
  const port = take(pool, offset);
  if (port > 0) endCooldown(cooldown, port);
  return port;
}

/** Lets a port cool down: 1, 0 if the pool does not hold it or it is cooling, or `NO_MEMORY`. */
export function coolDownHeld(cooldown: Address, pool: Address, port: Port, now: f64): i32 {
  return hasTaken(pool, port) ? coolDown(cooldown, port, now) : 0;
}

/**
 * Frees all ports that are due and returns how many of them the pool still held; the complement of
 * that number, which is negative, if no port is cooling any more.
 */
export function freeDue(cooldown: Address, pool: Address, fifo: Address, now: f64): i32 {
  let freed: i32 = 0;
  let count = expire(cooldown, now, BATCH_MAX);
  while (count) {
    freed += freeMany(pool, count);
    if (fifo) releaseBatch(fifo, count);
    count = expire(cooldown, now, BATCH_MAX);
  }
  return coolingCount(cooldown) ? freed : ~freed;
}

// ── In the order of release ───────────────────────────────────────────────────────────────

/**
 * Takes the next port in order that no other holder keeps from the pool, and returns it or the
 * refusal; 65,536 further from zero if the search has taken a port as a test and freed it again.
 * `hasFlags`: the rules may judge an ephemeral port otherwise than an explicit one, which takes
 * less time.
 */
export function takeInOrder(
  fifo: Address,
  pool: Address,
  offset: u32,
  reserved: Address,
  hasFlags: bool,
): i32 {
  const range = poolRange(pool);
  let isProbed = false;
  for (let tries = countIn(range); tries > 0; tries--) {
    const port = nextCandidate(fifo, range, offset, reserved);
    if (port < 0) return further(port, isProbed);
    if (!port) break;
    const taken = hasFlags ? takeBetween(pool, port, port, 0) : takeAt(pool, port);
    if (taken > 0) return further(taken, isProbed);
    // Another holder has it: can any port be taken at all?
    const found = taken == NO_MEMORY || isProbed ? taken : probe(pool, offset);
    if (taken == NO_MEMORY || (!isProbed && found < 0)) {
      returnCandidate(fifo, port);
      return further(found, isProbed);
    }
    isProbed = true;
    release(fifo, port);
  }
  // No port is fresh and none is queued: a port that is free now was not freed through this pool.
  const port = take(pool, offset);
  if (port > 0) claim(fifo, port);
  return further(port, isProbed);
}

/** A port that can be taken now, or why none can. Changes nothing but the core's counts. */
function probe(pool: Address, offset: u32): i32 {
  const port = take(pool, offset);
  if (port > 0) freePort(pool, port);
  return port;
}

function further(answer: i32, isProbed: bool): i32 {
  if (!isProbed) return answer;
  return answer > 0 ? answer + PORT_COUNT : answer - PORT_COUNT;
}

/** Frees a port of the pool and adds it to the end of its order. Returns the core's answer. */
export function freeInOrder(fifo: Address, pool: Address, port: Port): i32 {
  const released = freePort(pool, port);
  if (released > 0) release(fifo, port);
  return released;
}
