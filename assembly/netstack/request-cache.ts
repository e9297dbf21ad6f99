// Request cache: the last description that was reserved, so that a reservation with the same one
// need neither find its records nor write its plan again.
//
//   cache   0 ┌──────────────────┐
//             │ fast path  60 B  │  the plan, of the flow below (fast-path.ts)
//          60 ├──────────────────┤
//             │ flow        u32  │  the flow that holds the ports of the description
//          64 ├──────────────────┤
//             │ request    68 B  │  a copy of the request block
//         132 ├──────────────────┤
//             │ manager     u32  │  0: the cache is empty
//         136 ├──────────────────┤
//             │ exclusive   u32  │  1: the plan is one of an ephemeral TCP port
//         140 └──────────────────┘
//
// It lies in scratch memory, because it can be computed again. It is valid for one tree version. A
// description is noted at its first reservation, and its plan at the next. Requests for several
// networks, with a group or with reserved ports are not noted, and every case that is not simple is
// `NOT_FAST`: then nothing has changed, and the general operation gives the same result.

import { EXHAUSTED, IN_USE, REQUEST_GROUP, REQUEST_NETWORK_COUNT, REQUEST_RESERVED } from "../abi";
import { Address } from "../memory/arena";
import { REQUEST, REQUEST_CACHE_AT } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { rangeOf } from "../ports/range";
import { trim } from "../ports/set";
import {
  FAST_PATH_BYTES,
  forgetPlan,
  freeCached,
  isCurrent,
  NOT_FAST,
  rememberPlan,
  takeCached,
} from "./fast-path";
import { ephemeralRangeOf } from "./records";
import { keepEmptied, settleFlow } from "./tree";

const CACHE: usize = REQUEST_CACHE_AT;
const FLOW: usize = CACHE + <usize>FAST_PATH_BYTES;
const COPY: usize = FLOW + 4;
const COPY_BYTES: usize = 68;
const MANAGER: usize = COPY + COPY_BYTES;
const EXCLUSIVE: usize = MANAGER + 4;
if (EXCLUSIVE + 4 - CACHE != 140) ERROR("Request cache no longer matches its diagram");

/** Reserves an explicit port: the port, `IN_USE` or `NOT_FAST`. */
export function reserveByCache(manager: Address, port: Port): i32 {
  if (!isFor(manager, false)) return NOT_FAST;
  const reserved = takeCached(CACHE, manager, FLOW, 1, rangeOf(port, port), 0);
  return reserved == EXHAUSTED ? IN_USE : reserved;
}

/** Reserves the first acceptable port of a range: the port, `EXHAUSTED` or `NOT_FAST`. */
export function searchByCache(
  manager: Address,
  exclusive: bool,
  first: Port,
  last: Port,
  offset: u32,
): i32 {
  if (!isFor(manager, exclusive)) return NOT_FAST;
  return takeCached(CACHE, manager, FLOW, 1, rangeOf(first, last), offset);
}

/** Releases a port that only the flow holds: 1, or `NOT_FAST`. */
export function releaseByCache(manager: Address, port: Port): i32 {
  if (!isCurrent(CACHE, manager) || !isRequestOf(manager)) return NOT_FAST;
  if (freeCached(CACHE, manager, FLOW, 1, port) == NOT_FAST) return NOT_FAST;
  const flow: Address = load<u32>(FLOW);
  trim(manager, flow);
  settleFlow(manager, flow);
  keepEmptied(manager);
  return 1;
}

/**
 * Notes the request that has just been planned and reserved by a flow. `isPlanWhole`: no records
 * have been made since it was planned.
 */
export function noteRequest(
  manager: Address,
  flow: Address,
  exclusive: bool,
  isPlanWhole: bool,
): void {
  if (isRequestOf(manager) && isPlanWhole) {
    store<u32>(FLOW, <u32>flow);
    store<u32>(EXCLUSIVE, exclusive ? 1 : 0);
    rememberPlan(CACHE, manager, FLOW, 1, ephemeralRangeOf(manager), 0, false);
    return;
  }
  forgetPlan(CACHE, manager);
  const isPlain =
    load<u32>(REQUEST + REQUEST_GROUP) == 0 &&
    load<u32>(REQUEST + REQUEST_RESERVED) == 0 &&
    load<u32>(REQUEST + REQUEST_NETWORK_COUNT) == 1;
  store<u32>(MANAGER, isPlain ? <u32>manager : 0);
  memory.copy(COPY, REQUEST, COPY_BYTES);
}

/** Empties the cache when a manager closes: another one may be opened at the same address. */
export function forgetRequests(): void {
  store<u32>(MANAGER, 0);
}

/** Is there a current plan for the request? */
function isFor(manager: Address, exclusive: bool): bool {
  if (!isCurrent(CACHE, manager) || load<u32>(EXCLUSIVE) != (exclusive ? 1 : 0)) return false;
  return isRequestOf(manager);
}

function isRequestOf(manager: Address): bool {
  if (load<u32>(MANAGER) != <u32>manager) return false;
  for (let at: usize = 0; at < 64; at += 8) {
    if (load<u64>(COPY + at) != load<u64>(REQUEST + at)) return false;
  }
  return load<u32>(COPY + 64) == load<u32>(REQUEST + 64);
}
