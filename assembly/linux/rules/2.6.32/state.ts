// State: what a system holds, record by record, copied into the batch; and how a bind() would be
// judged. Nothing changes here.
//
//   line   0 ┌─────────────────┐      words of 32 bits
//            │ id              │  0: a TIME_WAIT
//          1 ├─────────────────┤
//            │ port            │
//          2 ├─────────────────┤
//            │ state           │  of a socket
//          3 ├─────────────────┤
//            │ bits            │  1 SO_REUSEADDR · 2 UDP · 4 others may join · 8 has a remote end
//          4 ├─────────────────┤
//            │ device          │
//          5 ├─────────────────┤
//            │ group           │
//          6 ├─────────────────┤
//            │ local   x 4     │
//         10 ├─────────────────┤
//            │ remote  x 4     │
//         14 ├─────────────────┤
//            │ remote port     │
//         15 ├─────────────────┤
//            │ (unused)        │
//         16 ├─────────────────┤
//            │ until     f64   │  when a TIME_WAIT ends, in milliseconds
//         18 └─────────────────┘

import { Address } from "../../../memory/arena";
import { BATCH } from "../../../memory/layout";
import {
  deviceOf as deviceIn,
  flagsOf,
  highOf,
  isWildcard,
  lowOf,
  numberOf,
  parentOf,
} from "../../../netstack/records";
import { flowOf, portOf } from "./bucket";
import {
  addressWord,
  deviceOf,
  groupOf,
  hasReuse,
  idOf,
  isUdp,
  nextSocket,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import { durationOf, REUSE_ADDR, SOCKETS } from "./system";
import { bucketOfWait, enteredAt, firstWait, nextWait, ownerOf } from "./time-wait";

const REUSES: u32 = 1;
const UDP: u32 = 2;
const OPEN: u32 = 4;
const HAS_REMOTE: u32 = 8;

/** The record behind one, or the first: sockets, the youngest first, then TIME_WAITs; or 0. */
export function nextRecord2632(system: Address, record: Address): Address {
  if (record && !isSocket(system, record)) return nextWait(record);
  const next: Address = record ? nextSocket(record) : load<u32>(system, SOCKETS);
  return next ? next : firstWait(system);
}

/** A TIME_WAIT has one byte there. */
function isSocket(system: Address, record: Address): bool {
  return systemOf(record) == system;
}

/** Writes the line of a record into the batch. */
export function readRecord2632(system: Address, record: Address): void {
  memory.fill(BATCH, 0, 72);
  if (isSocket(system, record)) writeSocket(record);
  else writeWait(system, record);
}

function writeSocket(socket: Address): void {
  const port = socketPort(socket);
  write(0, idOf(socket));
  write(1, port);
  write(2, stateOf(socket));
  write(4, deviceOf(socket));
  write(5, <u32>groupOf(socket));
  for (let index: u32 = 0; index < 4; index++) write(6 + index, addressWord(socket, index));
  const bits = (hasReuse(socket) ? REUSES : 0) | (isUdp(socket) ? UDP : 0);
  write(3, bits | (port ? writeFlow(flowOf(socket)) : 0));
}

function writeWait(system: Address, wait: Address): void {
  const flow = flowOf(ownerOf(wait));
  write(1, portOf(bucketOfWait(wait)));
  write(4, deviceIn(parentOf(flow)));
  write(3, writeFlow(flow) | (flagsOf(flow) & REUSE_ADDR ? REUSES : 0));
  store<f64>(BATCH, <f64>(enteredAt(wait) + durationOf(system)), 64);
}

/** Writes what the flow says of an owner, and returns bits. */
function writeFlow(flow: Address): u32 {
  const host = parentOf(parentOf(flow));
  store<u64>(BATCH, lowOf(host), 24);
  store<u64>(BATCH, highOf(host), 32);
  store<u64>(BATCH, lowOf(flow), 40);
  store<u64>(BATCH, highOf(flow), 48);
  write(14, numberOf(flow));
  return (flagsOf(flow) & REUSE_ADDR ? OPEN : 0) | (isWildcard(flow) ? 0 : HAS_REMOTE);
}

function write(index: u32, value: u32): void {
  store<u32>(BATCH + ((<usize>index) << 2), value);
}
