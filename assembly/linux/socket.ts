// Socket: a TCP socket, as far as its port is concerned.
//
//   socket  0 ┌──────────────────┐
//             │ owner            │  of its port (record.ts)
//          12 ├──────────────────┤
//             │ system      u32  │
//          16 ├──────────────────┤
//             │ next        u32  │  all sockets of the system
//          20 ├──────────────────┤
//             │ previous    u32  │
//          24 ├──────────────────┤
//             │ record      u32  │  of its port; 0: it has none
//          28 ├──────────────────┤
//             │ group       u32  │  0: none
//          32 ├──────────────────┤
//             │ device      u32  │  0: none
//          36 ├──────┬───────┬───┴───┐
//             │ state│ reuse │ named │  u8 each; named: bind() was given a port, not 0; and, u8,
//          40 ├──────┴───────┴───────┤  privileged: has CAP_NET_BIND_SERVICE
//             │ address   16 bytes   │  that bind() gave or connect() fixed; all zero: any
//          56 └──────────────────────┘
//
// Must stay true: a socket with a record is among its owners, and its flow holds the port with
// the class that `classOf` says.

import {
  NO_MEMORY,
  REQUEST_ADDRESS,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
} from "../abi";
import { enterGroup, leaveGroup } from "../groups/tree";
import { Address, allocZero, free } from "../memory/arena";
import { beginBill, canPay } from "../memory/bill";
import { REQUEST } from "../memory/layout";
import { chargeClassHold, letGo, moveToClass } from "../netstack/hold";
import { flagsOf } from "../netstack/ladder";
import { Port } from "../ports/bitmap";
import { dropSocketOwner, flowOf, portOf, setFlow } from "./record";
import { SOCKETS, SOFT, TRANSPORT } from "./system";

const SYSTEM: usize = 12;
const NEXT: usize = 16;
const PREVIOUS: usize = 20;
const RECORD: usize = 24;
const GROUP: usize = 28;
const DEVICE: usize = 32;
const STATE: usize = 36;
const REUSE: usize = 37;
const NAMED: usize = 38;
const PRIVILEGED: usize = 39;
const ADDRESS: usize = 40;
const SOCKET_BYTES: u32 = 56;

export const CLOSED: u32 = 0;
export const LISTENING: u32 = 1;
export const CONNECTED: u32 = 2;

/** A socket without a port, or 0 when there is no memory for it. */
export function openSocket(
  system: Address,
  reuse: u32,
  device: u32,
  group: Address,
  privileged: u32,
): Address {
  const socket = allocZero(system, SOCKET_BYTES);
  if (!socket) return 0;
  store<u32>(socket, <u32>system, SYSTEM);
  store<u8>(socket, <u8>reuse, REUSE);
  store<u8>(socket, <u8>privileged, PRIVILEGED);
  store<u32>(socket, device, DEVICE);
  store<u32>(socket, <u32>group, GROUP);
  enterGroup(group);
  const first = load<u32>(system, SOCKETS);
  store<u32>(socket, first, NEXT);
  if (first) store<u32>(first, <u32>socket, PREVIOUS);
  store<u32>(system, <u32>socket, SOCKETS);
  return socket;
}

/** Gives back the socket and its port. */
export function closeSocket(socket: Address): void {
  releasePortOf(socket);
  freeSocket(socket);
}

/** Gives back a socket without a port. */
function freeSocket(socket: Address): void {
  const system = systemOf(socket);
  leaveGroup(groupOf(socket), 1);
  const next = load<u32>(socket, NEXT);
  const previous = load<u32>(socket, PREVIOUS);
  if (next) store<u32>(next, previous, PREVIOUS);
  if (previous) store<u32>(previous, next, NEXT);
  else store<u32>(system, next, SOCKETS);
  free(system, socket);
}

/** The socket has its port no longer. Nothing else changes. */
export function releasePortOf(socket: Address): void {
  const record = recordOf(socket);
  if (!record) return;
  const system = systemOf(socket);
  const flow = flowOf(socket);
  letGo(system, flow, flagsOf(flow), portOf(record));
  dropSocketOwner(system, record, socket);
  setRecord(socket, 0);
}

/** A socket whose port another owner holds from now on is gone. */
export function leavePort(socket: Address): void {
  dropSocketOwner(systemOf(socket), recordOf(socket), socket);
  setRecord(socket, 0);
  freeSocket(socket);
}

/** SO_REUSEADDR, set or cleared: acts on later conflicts, not on the record's fastreuse. */
export function setSocketReuse(socket: Address, reuse: u32): i32 {
  const before = load<u8>(socket, REUSE);
  store<u8>(socket, <u8>reuse, REUSE);
  if (changeClass(socket)) return 0;
  store<u8>(socket, before, REUSE);
  return NO_MEMORY;
}

/** From now on another group counts. The socket keeps its port. */
export function moveSocket(socket: Address, group: Address): void {
  enterGroup(group);
  leaveGroup(groupOf(socket), 1);
  store<u32>(socket, <u32>group, GROUP);
}

/** Brings the class of the flow in line with the socket. False: no memory, and nothing changed. */
function changeClass(socket: Address): bool {
  const record = recordOf(socket);
  if (!record || flagsOf(flowOf(socket)) == classOf(socket)) return true;
  beginBill();
  chargeClass(socket, classOf(socket));
  if (!canPay(systemOf(socket))) return false;
  moveClass(socket, classOf(socket));
  return true;
}

/** Charges for moving a socket with a port to that class. */
export function chargeClass(socket: Address, klass: u32): void {
  chargeClassHold(systemOf(socket), flowOf(socket), klass, socketPort(socket));
}

export function moveClass(socket: Address, klass: u32): void {
  if (flagsOf(flowOf(socket)) == klass) return;
  setFlow(socket, moveToClass(systemOf(socket), flowOf(socket), klass, socketPort(socket)));
}

// ── Fields ────────────────────────────────────────────────────────────────────────────────

export function systemOf(socket: Address): Address {
  return load<u32>(socket, SYSTEM);
}

export function nextSocket(socket: Address): Address {
  return load<u32>(socket, NEXT);
}

export function recordOf(socket: Address): Address {
  return load<u32>(socket, RECORD);
}

export function setRecord(socket: Address, record: Address): void {
  store<u32>(socket, <u32>record, RECORD);
}

/** The socket's port, or 0. */
export function socketPort(socket: Address): Port {
  return recordOf(socket) ? portOf(recordOf(socket)) : 0;
}

export function groupOf(socket: Address): Address {
  return load<u32>(socket, GROUP);
}

export function stateOf(socket: Address): u32 {
  return load<u8>(socket, STATE);
}

export function setState(socket: Address, state: u32): void {
  store<u8>(socket, <u8>state, STATE);
}

export function hasReuse(socket: Address): bool {
  return load<u8>(socket, REUSE) != 0;
}

export function isPrivileged(socket: Address): bool {
  return load<u8>(socket, PRIVILEGED) != 0;
}

export function isNamed(socket: Address): bool {
  return load<u8>(socket, NAMED) != 0;
}

export function setNamed(socket: Address, named: bool): void {
  store<u8>(socket, named ? 1 : 0, NAMED);
}

/** Does the socket's address come from bind() or an earlier connect()? */
function hasAddress(socket: Address): bool {
  return (load<u64>(socket, ADDRESS) | load<u64>(socket, ADDRESS + 8)) != 0;
}

/** Lets other owners in: SO_REUSEADDR, and not listening. */
export function classOf(socket: Address): u32 {
  return hasReuse(socket) && stateOf(socket) != LISTENING ? SOFT : 0;
}

/** Four bytes of the socket's address, 0..3. */
export function addressWord(socket: Address, index: u32): u32 {
  return load<u32>(socket + ((<usize>index) << 2), ADDRESS);
}

// ── The request block ─────────────────────────────────────────────────────────────────────

/** Asks in the name of a socket; the addresses are there already. */
export function askFor(socket: Address, klass: u32): void {
  store<u32>(REQUEST + REQUEST_TRANSPORT, TRANSPORT);
  store<u32>(REQUEST + REQUEST_DEVICE, load<u32>(socket, DEVICE));
  store<u32>(REQUEST + REQUEST_FLAGS, klass);
  store<u32>(REQUEST + REQUEST_NETWORK_COUNT, 1);
  store<u32>(REQUEST + REQUEST_NETWORKS, 0);
}

/** The local address that the request names becomes the socket's. */
export function keepAddress(socket: Address): void {
  copyAddress(REQUEST + REQUEST_ADDRESS, socket + ADDRESS);
}

/** The request names the socket's own address, which may be any. */
function askForOwnAddress(socket: Address): void {
  copyAddress(socket + ADDRESS, REQUEST + REQUEST_ADDRESS);
}

/** The request names the socket's own address, if it has one. */
export function preferOwnAddress(socket: Address): void {
  if (hasAddress(socket)) askForOwnAddress(socket);
}

export function forgetAddress(socket: Address): void {
  store<u64>(socket, 0, ADDRESS);
  store<u64>(socket, 0, ADDRESS + 8);
}

function copyAddress(from: Address, to: Address): void {
  store<u64>(to, load<u64>(from));
  store<u64>(to, load<u64>(from, 8), 8);
}
