// Restoring: what a manager held is held again, and nothing is judged: it has been granted before.
//
// Descriptions with one port come as lines (listing.ts), many at a time; others as a request block
// and ports in the batch.

import {
  LINE_BYTES,
  LINES_AT,
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
} from "../abi";
import { Address } from "../memory/arena";
import { BATCH, REQUEST } from "../memory/layout";
import { Port } from "../ports/bitmap";
import { hasPort } from "../ports/set";
import { classIn } from "./records";
import { acquireRequest, findRing } from "./reservations";

/** Holds the one port of each of `count` lines. Returns how many: fewer if there was no memory. */
export function restoreLines(manager: Address, count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    const line = <usize>LINES_AT + <usize>(index * LINE_BYTES);
    requestLine(line);
    if (!restorePort(manager, load<u32>(line, 56))) return index;
  }
  return count;
}

/**
 * Holds the `count` ports in the batch for the request's one network. Returns how many, likewise.
 */
export function restorePorts(manager: Address, count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    if (!restorePort(manager, load<u16>(BATCH + ((<usize>index) << 1)))) return index;
  }
  return count;
}

/** Is the port held by what the request describes, in each of its networks? */
export function isHeld(manager: Address, port: Port): bool {
  const flags = load<u32>(REQUEST + REQUEST_FLAGS);
  const count = load<u32>(REQUEST + REQUEST_NETWORK_COUNT);
  for (let index: u32 = 0; index < count; index++) {
    const ring = findRing(manager, index);
    const flow = ring ? classIn(ring, flags) : 0;
    if (!flow || !hasPort(flow, port)) return false;
  }
  return true;
}

function restorePort(manager: Address, port: Port): bool {
  findRing(manager, 0);
  return acquireRequest(manager, port, true) > 0;
}

function requestLine(line: Address): void {
  store<u32>(REQUEST + REQUEST_NETWORK_COUNT, 1);
  store<u32>(REQUEST + REQUEST_NETWORKS, load<u32>(line, 4));
  store<u32>(REQUEST + REQUEST_TRANSPORT, load<u32>(line, 8));
  store<u32>(REQUEST + REQUEST_DEVICE, load<u32>(line, 12));
  memory.copy(REQUEST + REQUEST_ADDRESS, line + 16, 16);
  memory.copy(REQUEST + REQUEST_DESTINATION, line + 32, 16);
  store<u32>(REQUEST + REQUEST_DESTINATION_PORT, load<u16>(line, 48));
  store<u32>(REQUEST + REQUEST_FLAGS, load<u32>(line, 52));
  store<u32>(REQUEST + REQUEST_GROUP, 0);
}
