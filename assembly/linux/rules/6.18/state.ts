// State: sockets and TIME_WAITs of modern Linux, one at a time, as a line in the batch: for lists,
// for snapshots, and from snapshots.
//
//   line    0 ┌───────────────────┐
//             │ what         u32  │  1: a socket; 2: a TIME_WAIT
//           4 │ state        u32  │  TUPLE_THERE … below
//           8 │ id           u64  │  of a socket
//          16 │ flags        u32  │  socket.ts, or time-wait.ts
//          20 │ kind         u32  │  of a TIME_WAIT's owner (holders.ts); 8: IPV6_V6ONLY
//          24 │ device, uid  u32  │
//          32 │ group        u32  │  its address
//          36 │ port, shown  u16  │
//          40 │ range        u32  │
//          44 │ remote port  u32  │
//          48 │ address 16 bytes  │  the local one
//          64 │ remote  16 bytes  │
//          80 │ peer         u32  │  a record, OUTSIDE, or 0
//          84 │ next         u32  │  of a listener: the next older one of its port
//          88 │ waiting      u32  │  the listener's first, or the next connection for accept()
//          96 │ order        f64  │  of a UDP socket
//         104 │ entered, ends u64 │  of a TIME_WAIT
//         120 └───────────────────┘
//
// To restore a record, the caller writes its line. It links the records once all of them exist.

import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { BATCH } from "../../../memory/layout";
import { pushFirst } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { hasPort } from "../../../ports/set";
import { classOf, highOf, lowOf, setAddress } from "./address";
import {
  chargeMore,
  chargeOwner,
  familyOfLike,
  findBucket,
  isOpen,
  isPartOpen,
  likeOf,
  listenersOf,
  restoreBucket,
  restorePart,
  uidOfLike,
} from "./bucket";
import { chargeHold, describeOwner, deviceOf, isForOnly, kindOf, TCP, TIME_WAIT } from "./holders";
import { chargePort, takePort } from "./owning";
import {
  A_SOCKET,
  A_TIME_WAIT,
  ADDRESS,
  BACKLOG,
  CLOSED,
  DEVICE,
  FROM_CONNECT,
  flagsOf,
  freeSocket,
  groupOf,
  has,
  IS_UDP,
  idOf,
  LISTENING,
  nextSocket,
  ORDER,
  OWN_RANGE,
  openSocket618,
  PART,
  PEER,
  PORT_LINKS,
  portOf,
  SHOWN,
  setId,
  setState,
  setWord,
  stateOf,
  systemOf,
  TUPLE,
  UID,
  whatIs,
  word,
} from "./socket";
import { SOCKETS, slotOf } from "./system";
import {
  chargeRestoredWait,
  endsAt,
  enteredAt,
  holderOfWait,
  nextWait,
  partOfWait,
  peerOfWait,
  restoreWait,
  tupleOf,
  waitFlags,
  waitPort,
} from "./time-wait";
import {
  becomeDue,
  chargeDue,
  chargeTuple,
  dueOf,
  enterTuple,
  isTaken,
  localOf,
  remoteOf,
  remotePortOf,
  tupleDevice,
} from "./tuples";

const WHAT: usize = BATCH;
const STATE: usize = BATCH + 4;
const ID: usize = BATCH + 8;
const FLAGS: usize = BATCH + 16;
const KIND: usize = BATCH + 20;
const LINE_DEVICE: usize = BATCH + 24;
const LINE_UID: usize = BATCH + 28;
const GROUP: usize = BATCH + 32;
const PORT: usize = BATCH + 36;
const LINE_SHOWN: usize = BATCH + 38;
const RANGE: usize = BATCH + 40;
const REMOTE_PORT: usize = BATCH + 44;
const LOCAL: usize = BATCH + 48;
const REMOTE: usize = BATCH + 64;
const LINE_PEER: usize = BATCH + 80;
const NEXT_LISTENER: usize = BATCH + 84;
const WAITING: usize = BATCH + 88;
const LINE_ORDER: usize = BATCH + 96;
const ENTERED: usize = BATCH + 104;
const ENDS: usize = BATCH + 112;
const LINE_BYTES: usize = 120;

// State: what stands beside a record.
const TUPLE_THERE: u32 = 1;
const IS_DUE: u32 = 2;
const PART_OPEN: u32 = 4;
const BUCKET_OPEN: u32 = 8;
const REMEMBERS: u32 = 16;

const ONLY_BIT: u32 = 8;

/** Restoring: no memory, and a line that contradicts another one. */
const NONE: Address = 0;
const WRONG: Address = 1;

// ── Reading ───────────────────────────────────────────────────────────────────────────────

/**
 * The record after another one, the newest socket first, TIME_WAITs last; 0: the first, the end.
 */
export function nextRecord618(system: Address, record: Address): Address {
  if (record && whatIs(record) == A_TIME_WAIT) return nextWait(system, record);
  const next: Address = record ? nextSocket(record) : <Address>load<u32>(system, SOCKETS);
  return next ? next : nextWait(system, 0);
}

/** Writes the line of a record. */
export function readRecord618(system: Address, record: Address): void {
  memory.fill(BATCH, 0, LINE_BYTES);
  if (whatIs(record) == A_TIME_WAIT) readWait(system, record);
  else readSocket(system, record);
}

function readSocket(system: Address, socket: Address): void {
  store<u32>(WHAT, A_SOCKET);
  store<u64>(ID, idOf(socket));
  store<u32>(FLAGS, flagsOf(socket));
  store<u32>(LINE_DEVICE, <u32>word(socket, DEVICE));
  store<u32>(LINE_UID, <u32>word(socket, UID));
  store<u32>(GROUP, <u32>groupOf(socket));
  store<u16>(PORT, <u16>portOf(socket));
  store<u16>(LINE_SHOWN, load<u16>(socket, SHOWN));
  store<u32>(RANGE, <u32>word(socket, OWN_RANGE));
  setAddress(LOCAL, lowOf(socket + ADDRESS), highOf(socket + ADDRESS));
  store<u32>(LINE_PEER, <u32>word(socket, PEER));
  store<u32>(WAITING, <u32>word(socket, BACKLOG));
  store<f64>(LINE_ORDER, load<f64>(socket, ORDER));
  if (stateOf(socket) == LISTENING) store<u32>(NEXT_LISTENER, <u32>word(socket, PORT_LINKS));
  if (!has(socket, IS_UDP) && portOf(socket))
    readBucket(system, portOf(socket), word(socket, PART));
  if (word(socket, TUPLE)) readTuple(word(socket, TUPLE), portOf(socket));
}

function readWait(system: Address, wait: Address): void {
  const tuple = tupleOf(wait);
  const holder = holderOfWait(wait);
  store<u32>(WHAT, A_TIME_WAIT);
  store<u32>(FLAGS, waitFlags(wait));
  store<u32>(KIND, (kindOf(holder) & ~TIME_WAIT) | (isForOnly(holder) ? ONLY_BIT : 0));
  store<u32>(LINE_DEVICE, tupleDevice(tuple));
  store<u32>(LINE_UID, deviceOf(holder));
  store<u16>(PORT, <u16>waitPort(wait));
  setAddress(LOCAL, lowOf(localOf(tuple)), highOf(localOf(tuple)));
  store<u32>(LINE_PEER, <u32>peerOfWait(wait));
  store<u64>(ENTERED, enteredAt(wait));
  store<u64>(ENDS, endsAt(wait));
  readBucket(system, waitPort(wait), partOfWait(wait));
  readTuple(tuple, waitPort(wait));
}

function readBucket(system: Address, port: Port, part: Address): void {
  const bucket = findBucket(system, port);
  const open = (isPartOpen(part) ? PART_OPEN : 0) | (isOpen(bucket) ? BUCKET_OPEN : 0);
  store<u32>(STATE, open | (likeOf(bucket) ? REMEMBERS : 0));
}

function readTuple(tuple: Address, port: Port): void {
  const isDue = hasPort(dueOf(tuple), slotOf(port)) ? IS_DUE : 0;
  store<u32>(STATE, load<u32>(STATE) | TUPLE_THERE | isDue);
  store<u32>(REMOTE_PORT, remotePortOf(tuple));
  setAddress(REMOTE, lowOf(remoteOf(tuple)), highOf(remoteOf(tuple)));
}

/** Writes what a port's bucket remembers of SO_REUSEPORT: its address and uid, its family as kind. */
export function readLike618(system: Address, port: Port): void {
  const like = likeOf(findBucket(system, port));
  setAddress(LOCAL, lowOf(like), highOf(like));
  store<u32>(LINE_UID, uidOfLike(like));
  store<u32>(KIND, familyOfLike(like));
}

// ── Restoring ─────────────────────────────────────────────────────────────────────────────

/** Makes the record of the line: its address, or `NONE` or `WRONG`. */
export function restoreRecord618(system: Address): Address {
  return load<u32>(WHAT) == A_TIME_WAIT ? restoreWaitOf(system) : restoreSocket(system);
}

function restoreSocket(system: Address): Address {
  const group: Address = load<u32>(GROUP);
  const flags = load<u32>(FLAGS);
  const device = load<u32>(LINE_DEVICE);
  const socket = openSocket618(system, flags, device, load<u32>(LINE_UID), group);
  if (!socket) return NONE;
  setId(socket, load<u64>(ID));
  setAddress(socket + ADDRESS, lowOf(LOCAL), highOf(LOCAL));
  setWord(socket, OWN_RANGE, load<u32>(RANGE));
  store<u16>(socket, load<u16>(LINE_SHOWN), SHOWN);
  if (has(socket, IS_UDP)) store<f64>(socket, load<f64>(LINE_ORDER), ORDER);
  const port: Port = load<u16>(PORT);
  if (!port) return socket;
  const hasTuple = (load<u32>(STATE) & TUPLE_THERE) != 0;
  const failed = hasTuple && isLineTaken(system) ? WRONG : canHold(socket, port, hasTuple);
  if (failed != socket) {
    freeSocket(socket);
    return failed;
  }
  takePort(socket, port, has(socket, FROM_CONNECT));
  if (has(socket, IS_UDP)) {
    store<f64>(socket, load<f64>(LINE_ORDER), ORDER);
    return socket;
  }
  // It listens again when it is linked (`linkListener618`).
  if (stateOf(socket) == LISTENING) setState(socket, CLOSED);
  restorePart(system, port, word(socket, PART), (load<u32>(STATE) & PART_OPEN) != 0);
  if (hasTuple) setWord(socket, TUPLE, enterLine(system));
  return socket;
}

/** The socket, or `NONE`. */
function canHold(socket: Address, port: Port, hasTuple: bool): Address {
  beginBill();
  chargePort(socket, port);
  if (hasTuple) chargeLine(systemOf(socket));
  return canPay(systemOf(socket)) ? socket : NONE;
}

function restoreWaitOf(system: Address): Address {
  if (isLineTaken(system)) return WRONG;
  const port: Port = load<u16>(PORT);
  beginBill();
  chargeRestoredWait();
  describeLine();
  chargeHold(system, slotOf(port));
  chargeOwner(system, port, lowOf(LOCAL), highOf(LOCAL));
  chargeLine(system);
  if (!canPay(system)) return NONE;
  const tuple = enterLine(system);
  describeLine();
  const flags = load<u32>(FLAGS);
  const wait = restoreWait(system, tuple, port, flags, load<u64>(ENTERED), load<u64>(ENDS));
  restorePart(system, port, partOfWait(wait), (load<u32>(STATE) & PART_OPEN) != 0);
  if (!(load<u32>(STATE) & IS_DUE)) return wait;
  beginBill();
  chargeDue(tuple);
  if (!canPay(system)) return NONE;
  becomeDue(system, tuple, slotOf(port));
  return wait;
}

function describeLine(): void {
  const kind = load<u32>(KIND);
  const klass = classOf(lowOf(LOCAL), highOf(LOCAL), (kind & ONLY_BIT) != 0);
  const owner = (kind & ~ONLY_BIT) | TIME_WAIT;
  describeOwner(TCP, klass, lowOf(LOCAL), highOf(LOCAL), owner, load<u32>(LINE_UID), 0);
}

function chargeLine(system: Address): void {
  const device = load<u32>(LINE_DEVICE);
  const port: Port = load<u32>(REMOTE_PORT);
  chargeTuple(system, lowOf(LOCAL), highOf(LOCAL), port, REMOTE, device);
}

function enterLine(system: Address): Address {
  const device = load<u32>(LINE_DEVICE);
  const port: Port = load<u32>(REMOTE_PORT);
  const slot = slotOf(load<u16>(PORT));
  return enterTuple(system, slot, lowOf(LOCAL), highOf(LOCAL), port, REMOTE, device);
}

function isLineTaken(system: Address): bool {
  const device = load<u32>(LINE_DEVICE);
  const port: Port = load<u32>(REMOTE_PORT);
  const slot = slotOf(load<u16>(PORT));
  return isTaken(system, slot, lowOf(LOCAL), highOf(LOCAL), port, REMOTE, device);
}

/** Lets a socket listen, as the newest listener of its port. 0: no memory. */
export function linkListener618(listener: Address): u32 {
  const system = systemOf(listener);
  beginBill();
  chargeMore(system, portOf(listener));
  if (!canPay(system)) return 0;
  setState(listener, LISTENING);
  pushFirst(listenersOf(system, portOf(listener)), listener, PORT_LINKS);
  return 1;
}

/** Restores whether a port's bucket is open, and from the line what it remembers. 0: no memory. */
export function restoreBucket618(system: Address, port: Port, open: u32, remembers: u32): u32 {
  beginBill();
  if (remembers) chargeMore(system, port);
  if (!canPay(system)) return 0;
  const at: Address = remembers ? LOCAL : 0;
  restoreBucket(system, port, open != 0, at, load<u32>(LINE_UID), load<u32>(KIND));
  return 1;
}
