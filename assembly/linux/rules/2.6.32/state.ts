// State: writes the records of a system as lines in the batch, one at a time, for lists and
// snapshots; and restores records from such lines.
//
//   line   0 ┌─────────────────┐      words of 32 bits
//            │ id              │  0: a TIME_WAIT
//          1 ├─────────────────┤
//            │ port            │
//          2 ├─────────────────┤
//            │ state           │  of a socket
//          3 ├─────────────────┤
//            │ bits            │  REUSES … below
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
//            │ fastreuse   i32 │  of the port's bucket, where a TCP socket or a TIME_WAIT owns it
//         16 ├─────────────────┤
//            │ entered     f64 │  when a TIME_WAIT became one, in milliseconds
//         18 ├─────────────────┤
//            │ due             │  the second from which connect() may take it over; 0: never
//         19 └─────────────────┘
//
// A socket with a port, and a TIME_WAIT, have the local address that the port is held at.

import {
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  TRANSPORT_TCP,
  TRANSPORT_UDP,
} from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { BATCH, REQUEST } from "../../../memory/layout";
import { totalInRing } from "../../../netstack/aggregates";
import {
  deviceOf as deviceIn,
  flagsOf,
  highOf,
  isWildcard,
  lowOf,
  numberOf,
  parentOf,
} from "../../../netstack/records";
import { acquireCharged, chargeRequest, findRing } from "../../../netstack/reservations";
import { Port } from "../../../ports/bitmap";
import { joinAs } from "./bind";
import { chargeOwner, fastreuseOf, findBucket, flowOf, openBucket, portOf } from "./bucket";
import {
  addressWord,
  ask,
  bucketOf,
  classOf,
  closeSocket,
  deviceOf,
  groupOf,
  hasKey,
  hasReuse,
  idOf,
  isPrivileged,
  isUdp,
  keepAddress,
  nextSocket,
  openSocket,
  setId,
  setNamed,
  setState,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import { REUSE_ADDR, SOCKETS, TW_BLOCKING, TW_REUSABLE } from "./system";
import {
  addWait,
  bucketOfWait,
  chargeWait,
  dueAtOf,
  enteredAt,
  firstWait,
  nextWait,
  ownerOf,
} from "./time-wait";

const ID: u32 = 0;
const PORT: u32 = 1;
const STATE: u32 = 2;
const BITS: u32 = 3;
const DEVICE: u32 = 4;
const GROUP: u32 = 5;
const LOCAL: u32 = 6;
const REMOTE_PORT: u32 = 14;
const FASTREUSE: u32 = 15;
const DUE: u32 = 18;
const LINE_BYTES: usize = 76;
const LOCAL_AT: usize = BATCH + 24;
const REMOTE_AT: usize = BATCH + 40;
const ENTERED_AT: usize = BATCH + 64;

const REUSES: u32 = 1;
const UDP: u32 = 2;
/** Lets sockets with SO_REUSEADDR join. */
const OPEN: u32 = 4;
const HAS_REMOTE: u32 = 8;
const NAMED: u32 = 16;
const PRIVILEGED: u32 = 32;
/** A TIME_WAIT that connect() may take over. */
const IS_DUE: u32 = 64;

/** Answers of restoring: no memory; the line's tuple is taken. */
const NONE: Address = 0;
const WRONG: Address = 1;

// ── Reading ───────────────────────────────────────────────────────────────────────────────

/**
 * The record after another one, or the first if that is 0: sockets, the youngest first, then
 * TIME_WAITs; or 0.
 */
export function nextRecord2632(system: Address, record: Address): Address {
  if (record && !isSocket(system, record)) return nextWait(record);
  const next: Address = record ? nextSocket(record) : load<u32>(system, SOCKETS);
  return next ? next : firstWait(system);
}

/** Where a socket has its system's address, a TIME_WAIT has a byte that is 0 or 1. */
function isSocket(system: Address, record: Address): bool {
  return systemOf(record) == system;
}

/** Writes the line of a record into the batch. */
export function readRecord2632(system: Address, record: Address): void {
  memory.fill(BATCH, 0, LINE_BYTES);
  if (isSocket(system, record)) writeSocket(record);
  else writeWait(record);
}

function writeSocket(socket: Address): void {
  const port = socketPort(socket);
  write(ID, idOf(socket));
  write(PORT, port);
  write(STATE, stateOf(socket));
  write(DEVICE, deviceOf(socket));
  write(GROUP, <u32>groupOf(socket));
  for (let index: u32 = 0; index < 4; index++) write(LOCAL + index, addressWord(socket, index));
  const is = (hasReuse(socket) ? REUSES : 0) | (isUdp(socket) ? UDP : 0);
  const may = (hasKey(socket) ? NAMED : 0) | (isPrivileged(socket) ? PRIVILEGED : 0);
  write(BITS, is | may | (port ? writeFlow(flowOf(socket)) : 0));
  if (bucketOf(socket)) write(FASTREUSE, fastreuseOf(bucketOf(socket)));
}

function writeWait(wait: Address): void {
  const flow = flowOf(ownerOf(wait));
  const flags = flagsOf(flow);
  write(PORT, portOf(bucketOfWait(wait)));
  write(DEVICE, deviceIn(parentOf(flow)));
  write(FASTREUSE, fastreuseOf(bucketOfWait(wait)));
  write(DUE, dueAtOf(wait));
  const is = (flags & REUSE_ADDR ? REUSES : 0) | (flags & TW_REUSABLE ? IS_DUE : 0);
  write(BITS, is | writeFlow(flow));
  store<f64>(ENTERED_AT, <f64>enteredAt(wait));
}

/** Writes the addresses of an owner, which its flow has, and returns bits of the line. */
function writeFlow(flow: Address): u32 {
  const host = parentOf(parentOf(flow));
  store<u64>(LOCAL_AT, lowOf(host));
  store<u64>(LOCAL_AT, highOf(host), 8);
  store<u64>(REMOTE_AT, lowOf(flow));
  store<u64>(REMOTE_AT, highOf(flow), 8);
  write(REMOTE_PORT, numberOf(flow));
  return (flagsOf(flow) & REUSE_ADDR ? OPEN : 0) | (isWildcard(flow) ? 0 : HAS_REMOTE);
}

function write(index: u32, value: u32): void {
  store<u32>(BATCH + ((<usize>index) << 2), value);
}

function read(index: u32): u32 {
  return load<u32>(BATCH + ((<usize>index) << 2));
}

// ── Restoring ─────────────────────────────────────────────────────────────────────────────

/** Makes the record of the line, newer than all others: its address, or `NONE` or `WRONG`. */
export function restoreRecord2632(system: Address): Address {
  memory.copy(REQUEST + REQUEST_ADDRESS, LOCAL_AT, 16);
  memory.copy(REQUEST + REQUEST_DESTINATION, REMOTE_AT, 16);
  store<u32>(REQUEST + REQUEST_DESTINATION_PORT, read(REMOTE_PORT));
  return read(ID) ? restoreSocket(system) : restoreWait(system);
}

function restoreSocket(system: Address): Address {
  const bits = read(BITS);
  const transport = bits & UDP ? TRANSPORT_UDP : TRANSPORT_TCP;
  const privileged = bits & PRIVILEGED;
  const socket = openSocket(
    system,
    bits & REUSES,
    read(DEVICE),
    read(GROUP),
    privileged,
    transport,
  );
  if (!socket) return NONE;
  setId(socket, read(ID));
  setState(socket, read(STATE));
  setNamed(socket, (bits & NAMED) != 0);
  keepAddress(socket);
  const port: Port = read(PORT);
  if (!port) return socket;
  ask(transport, read(DEVICE), classOf(socket));
  const isTaken = isLineTaken(system, port);
  const bucket: Address = isUdp(socket) ? 0 : findBucket(system, port);
  if (!isTaken && joinAs(socket, bucket, port, read(FASTREUSE)) > 0) return socket;
  closeSocket(socket);
  return isTaken ? WRONG : NONE;
}

function restoreWait(system: Address): Address {
  const bits = read(BITS);
  const port: Port = read(PORT);
  const klass = (bits & REUSES ? REUSE_ADDR : 0) | (bits & IS_DUE ? TW_REUSABLE : TW_BLOCKING);
  ask(TRANSPORT_TCP, read(DEVICE), klass);
  if (isLineTaken(system, port)) return WRONG;
  const bucket = findBucket(system, port);
  beginBill();
  chargeWait();
  chargeRequest(system, 0, port);
  chargeOwner(system, bucket, port, read(FASTREUSE));
  if (!canPay(system)) return NONE;
  const flow = acquireCharged(system, 0, port);
  const opened = openBucket(system, bucket, port, read(FASTREUSE));
  return addWait(system, opened, flow, read(DUE), <u64>load<f64>(ENTERED_AT));
}

/**
 * Has the line a remote end, and does another owner hold its tuple? Notes the records of the line.
 */
function isLineTaken(system: Address, port: Port): bool {
  const ring = findRing(system, 0);
  return (read(BITS) & HAS_REMOTE) != 0 && ring != 0 && totalInRing(ring, port) > 0;
}
