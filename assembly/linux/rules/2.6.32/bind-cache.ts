// Bind cache: bind() with port 0, again and again at one address, without writing the plan each
// time.
//
//   cache   0 ┌──────────────────┐
//             │ fast path  60 B  │  of the flow below (netstack/fast-path.ts)
//          60 ├──────────────────┤
//             │ flow        u32  │  bound sockets without SO_REUSEADDR at that address and device
//          64 ├──────────────────┤
//             │ address 16 bytes │
//          80 ├──────────────────┤
//             │ device      u32  │
//          84 └──────────────────┘
//
// The system remembers the last such bind. If only the flow itself and reserved ports block such a
// socket, no aggregate counts the flow, and it has a bitmap, then taking a port is one search and
// two bits. Every other case is left to the general operation, which gives the same result.

import { EXHAUSTED, REQUEST_ADDRESS } from "../../../abi";
import { Address } from "../../../memory/arena";
import { REQUEST } from "../../../memory/layout";
import {
  FAST_PATH_BYTES,
  forgetPlan,
  isUncontended,
  NOT_FAST,
  rememberPlan,
} from "../../../netstack/fast-path";
import { countHeld } from "../../../netstack/records";
import { findClear, Port, searchUnder } from "../../../ports/bitmap";
import { isPlain } from "../../../ports/counted";
import { hasRoom } from "../../../ports/page-table";
import { rangeOf } from "../../../ports/range";
import { maskOfReserved, unlessEmpty } from "../../../ports/reserved";
import { addToBitmap, isBitmap, portsOf } from "../../../ports/set";
import { addSocketOwner, findBucket, flowOf } from "./bucket";
import { deviceOf, setPort, systemOf } from "./socket";
import { BIND_CACHE, BOUND, PAGE_TABLE, RESERVED } from "./system";

const FLOW: usize = <usize>FAST_PATH_BYTES;
const ADDRESS: usize = FLOW + 4;
const DEVICE: usize = ADDRESS + 16;
const BIND_CACHE_BYTES: usize = DEVICE + 4;
if (BIND_CACHE_BYTES != 84) ERROR("Bind cache no longer matches its diagram");

const BY_BIND: i32 = 0;

/**
 * Binds a socket without SO_REUSEADDR to the first open port of a range, from `start` on: the port,
 * a refusal, or `NOT_FAST`. The request block names the local address.
 */
export function bindByCache(socket: Address, first: Port, last: Port, start: Port): i32 {
  const system = systemOf(socket);
  const cache = system + BIND_CACHE;
  if (!isUncontended(cache, system) || !isFor(cache, socket)) return NOT_FAST;
  const flow: Address = load<u32>(cache, FLOW);
  if (!isBitmap(flow) || !isPlain(flow) || !isBitmap(system + BOUND)) return NOT_FAST;

  searchUnder(portsOf(flow), maskOfReserved(load<u32>(system, RESERVED)));
  const port = findClear(portsOf(flow), first, last, start);
  if (!port) return EXHAUSTED;
  // A socket has the port at another address, or a page must be charged.
  if (findBucket(system, port) || !hasRoom(system + PAGE_TABLE, port)) return NOT_FAST;
  addToBitmap(flow, port);
  countHeld(system, 1);
  setPort(socket, port, addSocketOwner(system, 0, port, BY_BIND, socket, flow));
  return <i32>port;
}

/**
 * Remembers the bind that has just been planned and done; its plan only from the second time on.
 */
export function cacheBind(socket: Address): void {
  const system = systemOf(socket);
  const cache = system + BIND_CACHE;
  if (isFor(cache, socket)) {
    const reserved = unlessEmpty(load<u32>(system, RESERVED));
    store<u32>(cache, <u32>flowOf(socket), FLOW);
    // Each bind gives its own range and mask.
    rememberPlan(cache, system, cache + FLOW, 1, rangeOf(1, 0), 0, reserved != 0);
    return;
  }
  forgetPlan(cache, system);
  store<u32>(cache, deviceOf(socket), DEVICE);
  store<u64>(cache, load<u64>(REQUEST + REQUEST_ADDRESS), ADDRESS);
  store<u64>(cache, load<u64>(REQUEST + REQUEST_ADDRESS + 8), ADDRESS + 8);
}

/** Is the cache for binds of that device, at the address in the request block? */
function isFor(cache: Address, socket: Address): bool {
  return (
    load<u64>(cache, ADDRESS + 8) == load<u64>(REQUEST + REQUEST_ADDRESS + 8) &&
    load<u64>(cache, ADDRESS) == load<u64>(REQUEST + REQUEST_ADDRESS) &&
    load<u32>(cache, DEVICE) == deviceOf(socket)
  );
}
