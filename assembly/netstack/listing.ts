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
//          56 ├───────────┬──────────┤
//             │ first u16 │ own  u16 │  the lowest port held, or 0; 1 if the binding is inline
//          60 ├───────────┴──────────┤
//             │ binding         u32  │  its address; plus 1 if a port is held otherwise than
//             │                      │  once; plus 2 if the binding's aggregates do not count
//             │                      │  the flow; plus 4 if the host is inline
//          64 └──────────────────────┘
//
// For a snapshot, flows are packed into runs, which follow one another without gaps. A run has
// flows of one binding that hold one port once, as singles (singles.ts). Any other flow is a run of
// no bytes, and the caller asks for its line:
//
//   run     0 ┌──────────────────────┐
//             │ flow            u32  │  the first
//           4 ├──────────────────────┤
//             │ binding         u32  │
//           8 ├───────────┬──────────┤
//             │ bytes u16 │ flows u16│
//          12 ├───────────┴──────────┤
//             │ singles              │
//             └──────────────────────┘
//
// The caller copies the lines of all flows before it does anything else with the manager. Flows of
// the any-address aggregate are not listed.

import { BATCH_MAX, LINE_BYTES, LINES_AT, PORT_MAX } from "../abi";
import { Address } from "../memory/arena";
import { BATCH, BILL_AT } from "../memory/layout";
import { capacityOf, NODE_NUMBER, nodeAt, touchNodes } from "../memory/table";
import { Port } from "../ports/bitmap";
import { clearCounted, isPlain } from "../ports/counted";
import { countOf, hasPort, nextPort } from "../ports/set";
import { firstFlowOf } from "./pools";
import {
  aggregateBindingOf,
  aggregateHostOf,
  deviceOf,
  flagsOf,
  HOST_OWN,
  highOf,
  isFlow,
  listOf,
  lowOf,
  nextOf,
  parentOf,
  uncountedFlowOf,
} from "./records";
import { writeSingle } from "./singles";

/** A destination has at most one flow for each value of the flags' low four bits. */
const RING_MAX: u32 = 16;
const SLOTS_AHEAD: u32 = 128;
/** A ring is listed whole. Behind this address there may be no room for all its lines. */
const LAST_LINE: usize = BATCH + <usize>BATCH_MAX * 4 - <usize>(RING_MAX * <u32>LINE_BYTES);

const RUN_FLOW: usize = 0;
const RUN_BINDING: usize = 4;
const RUN_SIZES: usize = 8;
const RUN_BYTES: usize = 12;

/**
 * Writes lines for the flows in the table's slots from `slot` on that hold the port, or hold some
 * port otherwise than once. Port 0: for all flows, also those without ports. Above `PORT_MAX`: for
 * all flows, as runs, and their sets free the memory that they only keep for reuse. The batch
 * begins with the address where the lines end.
 * @returns the slot to go on with, or 0: all have been listed.
 */
export function listFlows(manager: Address, slot: u32, port: Port): u32 {
  const capacity = capacityOf(manager);
  const isPacked = port > <u32>PORT_MAX;
  const isAny = isPacked || !port;
  let end: Address = LINES_AT;
  let at = slot;
  store<u32>(BATCH, 0);
  while (at < capacity && end <= LAST_LINE) {
    if (!((at - slot) % SLOTS_AHEAD)) store<u32>(BILL_AT, touchNodes(manager, at, SLOTS_AHEAD));
    const ring = nodeAt(manager, at++);
    if (!ring || !isFlow(ring)) continue;
    const isHidden = isOfAggregate(ring);
    let flow = ring;
    do {
      if (isPacked) clearCounted(manager, flow, false);
      if (!isHidden && (isAny || !isPlain(flow) || hasPort(flow, port))) {
        end = isPacked ? pack(end, flow) : writeLine(end, flow);
      }
      flow = nextOf(flow);
    } while (flow != ring);
  }
  store<u32>(BATCH, <u32>end);
  return at < capacity ? at : 0;
}

/** Adds a flow to the run whose address the batch begins with, or begins another run. */
function pack(at: Address, flow: Address): Address {
  const isSingle = countOf(flow) == 1 && isPlain(flow) && !isUncounted(flow);
  const binding = <u32>parentOf(flow);
  let run: Address = load<u32>(BATCH);
  let end = at;
  if (!isSingle || !run || load<u32>(run, RUN_BINDING) != binding) {
    run = at;
    store<u32>(run, <u32>flow, RUN_FLOW);
    store<u32>(run, binding, RUN_BINDING);
    store<u32>(run, 0, RUN_SIZES);
    end += RUN_BYTES;
  }
  store<u32>(BATCH, isSingle ? <u32>run : 0);
  if (!isSingle) return end;
  const next = writeSingle(end, flow);
  store<u32>(run, load<u32>(run, RUN_SIZES) + (1 << 16) + <u32>(next - end), RUN_SIZES);
  return next;
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

/** The flow of a pool in its first network. */
export function poolFlow(pool: Address): Address {
  return firstFlowOf(pool);
}

function isOfAggregate(flow: Address): bool {
  const host = parentOf(parentOf(flow));
  return aggregateHostOf(parentOf(host)) == host;
}

/** Writes the line of a flow, and returns where the next may follow. */
export function writeLine(line: Address, flow: Address): Address {
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
  store<u32>(line, load<u32>(flow, NODE_NUMBER), 48); // and the number of ports
  store<u32>(line, flagsOf(flow), 52);
  store<u32>(line, nextPort(flow, 1) | (binding == host + HOST_OWN ? 0x10000 : 0), 56);
  const bits: u32 = (isPlain(flow) ? 0 : 1) | ((<u32>isUncounted(flow)) << 1);
  store<u32>(line, <u32>binding | bits | (aggregateBindingOf(binding) ? 0 : 4), 60);
  return line + LINE_BYTES;
}

function isUncounted(flow: Address): bool {
  return uncountedFlowOf(parentOf(flow), listOf(flow)) == flow;
}
