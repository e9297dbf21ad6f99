// Listing: what a manager holds, copied into the batch: flows as lines, then the ports of one flow.
//
//   line    0 ┌──────────────────────┐
//             │ flow            u32  │  to ask for its ports; valid until the manager changes
//           4 ├──────────────────────┤
//             │ network         u32  │
//           8 ├──────────────────────┤
//             │ transport       u32  │
//          12 ├──────────────────────┤
//             │ device          u32  │
//          16 ├──────────────────────┤
//             │ local address        │  16 bytes, as in a request
//          32 ├──────────────────────┤
//             │ destination          │  16 bytes
//          48 ├───────────┬──────────┤
//             │ port  u16 │ held u16 │  of the destination; number of ports held
//          52 ├───────────┴──────────┤
//             │ flags           u32  │
//          56 ├──────────────────────┤
//             │ first           u32  │  the lowest port held, or 0
//          60 ├──────────────────────┤
//             │ binding         u32  │  its address; plus 1 if a port is held otherwise than once
//          64 └──────────────────────┘
//
// The caller copies the lines of all flows before it does anything else with the manager. Flows
// that hold nothing, and those of the any-address aggregate, are not listed.

import { LINE_BYTES, LINES_AT, LINES_MAX } from "../abi";
import { Address } from "../memory/arena";
import { BATCH, BILL_AT } from "../memory/layout";
import { capacityOf, nodeAt, touchNodes } from "../memory/table";
import { Port } from "../ports/bitmap";
import { countAt, isPlain, nextExtraOf } from "../ports/counted";
import { countOf, hasPort, nextPort } from "../ports/set";
import { firstFlowOf } from "./pools";
import {
  aggregateHostOf,
  deviceOf,
  flagsOf,
  highOf,
  isFlow,
  lowOf,
  nextOf,
  numberOf,
  parentOf,
} from "./records";

/** A destination has at most one flow for each value of the flags' low four bits. */
const RING_MAX: u32 = 16;
const EXTRAS_MAX: u32 = 512;
/** As many as have some `LINES_MAX` nodes in a table that is half full. */
const SLOTS_AHEAD: u32 = 128;

/**
 * Writes lines for the flows in the table's slots from `slot` on that hold the port; 0: any port.
 * The number of lines is written at the beginning of the batch.
 * @returns the slot to go on with, or 0: all have been listed.
 */
export function listFlows(manager: Address, slot: u32, port: Port): u32 {
  const capacity = capacityOf(manager);
  let count: u32 = 0;
  let at = slot;
  store<u32>(BILL_AT, touchNodes(manager, at, SLOTS_AHEAD));
  while (at < capacity && count <= <u32>LINES_MAX - RING_MAX) {
    const node = nodeAt(manager, at++);
    if (!node || !isFlow(node) || isOfAggregate(node)) continue;
    let flow = node;
    do {
      if (port ? countAt(flow, port) != 0 : countOf(flow) || !isPlain(flow)) {
        writeLine(<usize>LINES_AT + <usize>(count++ * LINE_BYTES), flow);
      }
      flow = nextOf(flow);
    } while (flow != node);
  }
  store<u32>(BATCH, count);
  return at < capacity ? at : 0;
}

/**
 * Writes up to 1024 ports of a flow into the batch, ascending from `from` on, and returns how many.
 */
export function listPorts(flow: Address, from: Port): u32 {
  let count: u32 = 0;
  let port = nextPort(flow, from);
  while (port && count < 1024) {
    store<u16>(BATCH + ((<usize>count) << 1), <u16>port);
    count++;
    port = nextPort(flow, port + 1);
  }
  return count;
}

/**
 * Writes the ports of a flow whose counts differ from what `listPorts` says, from `from` on: the
 * port and its count minus one if it is held, as two numbers of 32 bits each. Returns how many.
 */
export function listExtra(flow: Address, from: Port): u32 {
  let count: u32 = 0;
  let port = nextExtraOf(flow, from);
  while (port && count < EXTRAS_MAX) {
    const at = BATCH + ((<usize>count) << 3);
    store<u32>(at, port);
    store<i32>(at, countAt(flow, port) - (hasPort(flow, port) ? 1 : 0), 4);
    count++;
    port = nextExtraOf(flow, port + 1);
  }
  return count;
}

/** The flow of a pool in its first network. */
export function poolFlow(pool: Address): Address {
  return firstFlowOf(pool);
}

function isOfAggregate(flow: Address): bool {
  const host = parentOf(parentOf(flow));
  return aggregateHostOf(parentOf(host)) == host;
}

function writeLine(line: Address, flow: Address): void {
  const binding = parentOf(flow);
  const host = parentOf(binding);
  const space = parentOf(host);
  store<u32>(line, <u32>flow);
  store<u64>(line, highOf(space), 4); // the network, and above it the transport
  store<u32>(line, deviceOf(binding), 12);
  store<u64>(line, lowOf(host), 16);
  store<u64>(line, highOf(host), 24);
  store<u64>(line, lowOf(flow), 32);
  store<u64>(line, highOf(flow), 40);
  store<u16>(line, <u16>numberOf(flow), 48);
  store<u16>(line, <u16>countOf(flow), 50);
  store<u32>(line, flagsOf(flow), 52);
  store<u32>(line, nextPort(flow, 1), 56);
  store<u32>(line, <u32>binding | (isPlain(flow) ? 0 : 1), 60);
}
