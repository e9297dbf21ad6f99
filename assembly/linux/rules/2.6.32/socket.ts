// Socket: a TCP or UDP socket, as far as its port is concerned.
//
//   socket  0 ┌──────────────────┐
//             │ owner            │  of its port (bucket.ts)
//          12 ├──────────────────┤
//             │ system      u32  │
//          16 ├──────────────────┤
//             │ next        u32  │  all sockets of the system
//          20 ├──────────────────┤
//             │ previous    u32  │
//          24 ├──────────────────┤
//             │ bucket      u32  │  of its port, if it is a TCP socket that has one
//          28 ├──────────────────┤
//             │ group       u32  │  0: none
//          32 ├──────────────────┤
//             │ device      u32  │  0: none
//          36 ├──────┬───────┬───┴───┐
//             │ state│ reuse │ named │  u8 each; named: bind() was given a port, not 0; and, u8,
//          40 ├──────┴───────┴───────┤  privileged: has CAP_NET_BIND_SERVICE
//             │ address   16 bytes   │  that bind() gave or connect() fixed; all zero: any
//          56 ├──────────┬───────────┤
//             │ port u16 │ transport │  u16; port 0: it has none
//          60 ├──────────┴───────────┤
//             │ id             u32   │  from 1 on, in the order in which sockets are opened
//          64 └──────────────────────┘
//
// Only TCP has buckets. UDP sockets hold their ports in a space of their own, so that the two
// protocols do not meet; they neither listen nor enter TIME_WAIT.
//
// Must stay true: a TCP socket with a port has the port's bucket and is among its owners; the flow
// of a socket with a port holds it with the class that `classOf` says.

import {
  NO_MEMORY,
  REQUEST_ADDRESS,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
  TRANSPORT_UDP,
} from "../../../abi";
import { enterGroup, leaveGroup } from "../../../groups/tree";
import { Address, allocZero, free } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { pushFirst, takeOut } from "../../../memory/list";
import { chargeMove, moveToClass, release } from "../../../netstack/aggregates";
import { flagsOf } from "../../../netstack/records";
import { keepEmptied } from "../../../netstack/tree";
import { Port } from "../../../ports/bitmap";
import { dropSocketOwner, flowOf, setFlow } from "./bucket";
import { count, LAST_ID, REUSE_ADDR, SOCKETS, UDP_SOCKETS } from "./system";

const SYSTEM: usize = 12;
const LINKS: usize = 16;
const BUCKET: usize = 24;
const GROUP: usize = 28;
const DEVICE: usize = 32;
const STATE: usize = 36;
const REUSE: usize = 37;
const NAMED: usize = 38;
const PRIVILEGED: usize = 39;
const ADDRESS: usize = 40;
const PORT: usize = 56;
const TRANSPORT: usize = 58;
const ID: usize = 60;
const SOCKET_BYTES: u32 = 64;

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
  transport: u32,
): Address {
  const socket = allocZero(system, SOCKET_BYTES);
  if (!socket) return 0;
  store<u32>(socket, <u32>system, SYSTEM);
  store<u8>(socket, <u8>reuse, REUSE);
  store<u8>(socket, <u8>privileged, PRIVILEGED);
  store<u16>(socket, <u16>transport, TRANSPORT);
  store<u32>(socket, device, DEVICE);
  store<u32>(socket, <u32>group, GROUP);
  count(system, LAST_ID, 1);
  store<u32>(socket, load<u32>(system, LAST_ID), ID);
  enterGroup(group);
  pushFirst(system + SOCKETS, socket, LINKS);
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
  takeOut(system + SOCKETS, socket, LINKS);
  free(system, socket);
}

/** Releases the socket's port. Nothing else of the socket changes. */
export function releasePortOf(socket: Address): void {
  const port = socketPort(socket);
  if (!port) return;
  const system = systemOf(socket);
  const flow = flowOf(socket);
  release(system, flow, flagsOf(flow), port);
  if (isUdp(socket)) count(system, UDP_SOCKETS, -1);
  else dropSocketOwner(system, bucketOf(socket), socket);
  setPort(socket, 0, 0);
  keepEmptied(system);
}

/** Frees a socket whose port another owner holds from now on. */
export function leavePort(socket: Address): void {
  dropSocketOwner(systemOf(socket), bucketOf(socket), socket);
  freeSocket(socket);
}

/** SO_REUSEADDR, set or cleared: acts on later conflicts, not on the bucket's fastreuse. */
export function setSocketReuse(socket: Address, reuse: u32): i32 {
  const before = load<u8>(socket, REUSE);
  store<u8>(socket, <u8>reuse, REUSE);
  if (changeClass(socket)) return 0;
  store<u8>(socket, before, REUSE);
  return NO_MEMORY;
}

/** Moves the socket to another group. It keeps its port. */
export function moveSocket(socket: Address, group: Address): void {
  enterGroup(group);
  leaveGroup(groupOf(socket), 1);
  store<u32>(socket, <u32>group, GROUP);
}

/** Brings the class of the flow in line with the socket. False: no memory, and nothing changed. */
function changeClass(socket: Address): bool {
  if (!socketPort(socket) || flagsOf(flowOf(socket)) == classOf(socket)) return true;
  beginBill();
  chargeClass(socket, classOf(socket));
  if (!canPay(systemOf(socket))) return false;
  moveClass(socket, classOf(socket));
  return true;
}

/** Charges for moving a socket with a port to that class. */
export function chargeClass(socket: Address, klass: u32): void {
  chargeMove(systemOf(socket), flowOf(socket), klass, socketPort(socket));
}

export function moveClass(socket: Address, klass: u32): void {
  if (flagsOf(flowOf(socket)) == klass) return;
  setFlow(socket, moveToClass(systemOf(socket), flowOf(socket), klass, socketPort(socket)));
}

// ── Fields ────────────────────────────────────────────────────────────────────────────────

export function systemOf(socket: Address): Address {
  return load<u32>(socket, SYSTEM);
}

/** A number that no other socket of the system has. */
export function idOf(socket: Address): u32 {
  return load<u32>(socket, ID);
}

export function setId(socket: Address, id: u32): void {
  store<u32>(socket, id, ID);
}

export function nextSocket(socket: Address): Address {
  return load<u32>(socket, LINKS);
}

export function bucketOf(socket: Address): Address {
  return load<u32>(socket, BUCKET);
}

/** The socket has that port from now on, and its bucket if it is a TCP socket. */
export function setPort(socket: Address, port: Port, bucket: Address): void {
  store<u16>(socket, <u16>port, PORT);
  store<u32>(socket, <u32>bucket, BUCKET);
}

/** The socket's port, or 0. */
export function socketPort(socket: Address): Port {
  return load<u16>(socket, PORT);
}

export function isUdp(socket: Address): bool {
  return load<u16>(socket, TRANSPORT) == <u16>TRANSPORT_UDP;
}

export function deviceOf(socket: Address): u32 {
  return load<u32>(socket, DEVICE);
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

export function hasKey(socket: Address): bool {
  return load<u8>(socket, NAMED) != 0;
}

export function setNamed(socket: Address, named: bool): void {
  store<u8>(socket, named ? 1 : 0, NAMED);
}

/** Does the socket's address come from bind() or an earlier connect()? */
export function hasAddress(socket: Address): bool {
  return (load<u64>(socket, ADDRESS) | load<u64>(socket, ADDRESS + 8)) != 0;
}

/** `REUSE_ADDR` if the socket lets other owners in: it has SO_REUSEADDR and does not listen. */
export function classOf(socket: Address): u32 {
  return hasReuse(socket) && stateOf(socket) != LISTENING ? REUSE_ADDR : 0;
}

/** Four bytes of the socket's address, 0..3. */
export function addressWord(socket: Address, index: u32): u32 {
  return load<u32>(socket + ((<usize>index) << 2), ADDRESS);
}

// ── The request block ─────────────────────────────────────────────────────────────────────

/** Fills in the request block for a socket, but for the addresses, which are there already. */
export function askFor(socket: Address, klass: u32): void {
  ask(load<u16>(socket, TRANSPORT), deviceOf(socket), klass);
}

/** The same by transport, device and class. */
export function ask(transport: u32, device: u32, klass: u32): void {
  store<u32>(REQUEST + REQUEST_TRANSPORT, transport);
  store<u32>(REQUEST + REQUEST_DEVICE, device);
  store<u32>(REQUEST + REQUEST_FLAGS, klass);
  store<u32>(REQUEST + REQUEST_NETWORK_COUNT, 1);
  store<u32>(REQUEST + REQUEST_NETWORKS, 0);
}

/** The local address that the request names becomes the socket's. */
export function keepAddress(socket: Address): void {
  copyAddress(REQUEST + REQUEST_ADDRESS, socket + ADDRESS);
}

/** The request names the socket's own address, which may be any. */
export function askForOwnAddress(socket: Address): void {
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
