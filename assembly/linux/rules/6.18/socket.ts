// Socket: a TCP or UDP socket of modern Linux, as far as its port is concerned.
//
//   socket   0 ┌──────────────────┐
//              │ system      u32  │
//            4 │ what        u32  │  A_SOCKET
//            8 │ next, previous   │  all sockets of the system
//           16 │ holder      u32  │  of its port (holders.ts); 0: it has none
//           20 │ part        u32  │  of its port's bucket (bucket.ts), for TCP
//           24 │ tuple       u32  │  of its connection (tuples.ts), for TCP; 0: none
//           28 │ peer        u32  │  the other end: a socket, a TIME_WAIT, OUTSIDE, or 0
//           32 │ group       u32  │  0: none
//           36 │ device      u32  │  0: none
//           40 │ uid         u32  │
//           44 │ flags       u32  │
//           48 │ address 16 bytes │
//           64 │ port, shown u16  │  shown: what getsockname() tells; the port may be gone
//           68 │ range       u32  │  IP_LOCAL_PORT_RANGE; 0: not set
//           72 │ links       u32  │  x 2: listeners of a port, or UDP sockets of a port
//           80 │ backlog     u32  │  a listener's connections: first, last; one that waits: next
//           88 │ order       f64  │  among UDP sockets of a port: the lowest is looked at first
//           96 │ id          u64  │  which no other socket of the system has had
//          104 └──────────────────┘
//
// Must stay true: a socket with a port has a holder that holds it, and a TCP socket a part, too.

import { enterGroup, leaveGroup } from "../../../groups/tree";
import { Address, allocZero, free } from "../../../memory/arena";
import { pushFirst, takeOut } from "../../../memory/list";
import { Port } from "../../../ports/bitmap";
import { ANY_V4, classOf, setAddress } from "./address";
import { describeOwner, SHARES_ADDR, SHARES_PORT, TCP, UDP } from "./holders";
import { nextId, SOCKETS, slotOf } from "./system";

const SYSTEM: usize = 0;
const WHAT: usize = 4;
const LINKS: usize = 8;
export const HOLDER: usize = 16;
export const PART: usize = 20;
export const TUPLE: usize = 24;
export const PEER: usize = 28;
const GROUP: usize = 32;
export const DEVICE: usize = 36;
export const UID: usize = 40;
const FLAGS: usize = 44;
export const ADDRESS: usize = 48;
const PORT: usize = 64;
export const SHOWN: usize = 66;
export const OWN_RANGE: usize = 68;
export const PORT_LINKS: usize = 72;
export const BACKLOG: usize = 80;
export const BACKLOG_LAST: usize = 84;
export const ORDER: usize = 88;
const ID: usize = 96;
const SOCKET_BYTES: u32 = 104;

/** The kind of a record, at its fourth byte: `TIME_WAIT` nodes have another value there. */
export const A_SOCKET: u32 = 1;
export const A_TIME_WAIT: u32 = 2;
/** The device of the packets that the machine sends to itself. */
export const LOOPBACK: u32 = 1;
/** The peer is no record of this system. */
export const OUTSIDE: Address = 1;

// Flags. The low byte is what the socket is and what is asked for with setsockopt().
export const IS_UDP: u32 = 1;
export const IS_V6: u32 = 2;
export const REUSE_ADDR: u32 = 4;
export const REUSE_PORT: u32 = 8;
export const V6ONLY: u32 = 16;
export const NO_PORT: u32 = 32;
export const ADDRESS_LOCKED: u32 = 64;
export const PORT_LOCKED: u32 = 128;
export const FROM_CONNECT: u32 = 256;
export const GROUPED: u32 = 512;
/** The socket has connected or was accepted, and has not been disconnected since. */
export const USED: u32 = 1024;
export const HAS_TIMESTAMPS: u32 = 2048;
export const HAS_RANGE: u32 = 4096;
/** A socket of IPv6 that has sent or received a SYN over IPv4, and no longer receives IPv6. */
export const OVER_V4: u32 = 8192;
// Its state, in the highest byte.
const STATE_SHIFT: u32 = 24;
const STATE_MASK: u32 = 0xff000000;

export const CLOSED: u32 = 0;
export const LISTENING: u32 = 1;
export const ESTABLISHED: u32 = 2;
export const FIN_WAIT_2: u32 = 3;
export const CLOSE_WAIT: u32 = 4;
// Its FIN has got no answer.
export const FIN_WAIT_1: u32 = 5;
export const LAST_ACK: u32 = 6;

/** A socket without a port, or 0 when there is no memory for it. */
export function openSocket618(
  system: Address,
  flags: u32,
  device: u32,
  uid: u32,
  group: Address,
): Address {
  const socket = allocZero(system, SOCKET_BYTES);
  if (!socket) return 0;

  store<u32>(socket, <u32>system, SYSTEM);
  store<u32>(socket, A_SOCKET, WHAT);
  store<u32>(socket, flags, FLAGS);
  store<u32>(socket, device, DEVICE);
  store<u32>(socket, uid, UID);
  store<u32>(socket, <u32>group, GROUP);
  enterGroup(group);
  setAddress(socket + ADDRESS, 0, flags & IS_V6 ? 0 : ANY_V4);
  store<u64>(socket, nextId(system), ID);
  pushFirst(system + SOCKETS, socket, LINKS);
  return socket;
}

export function socketBytes(): u32 {
  return SOCKET_BYTES;
}

/** Gives back a socket without a port. */
export function freeSocket(socket: Address): void {
  const system = systemOf(socket);
  leaveGroup(groupOf(socket), 1);
  takeOut(system + SOCKETS, socket, LINKS);
  free(system, socket);
}

/** Moves the socket to another group. It keeps its port. */
export function moveSocket618(socket: Address, group: Address): void {
  enterGroup(group);
  leaveGroup(groupOf(socket), 1);
  store<u32>(socket, <u32>group, GROUP);
}

// ── Fields ────────────────────────────────────────────────────────────────────────────────

export function whatIs(record: Address): u32 {
  return load<u32>(record, WHAT);
}

export function systemOf(socket: Address): Address {
  return load<u32>(socket, SYSTEM);
}

export function nextSocket(socket: Address): Address {
  return load<u32>(socket, LINKS);
}

/** Names the socket in its system, and in systems that are restored from it. */
export function idOf(socket: Address): u64 {
  return load<u64>(socket, ID);
}

export function setId(socket: Address, id: u64): void {
  store<u64>(socket, id, ID);
}

export function groupOf(socket: Address): Address {
  return load<u32>(socket, GROUP);
}

export function has(socket: Address, flag: u32): bool {
  return (load<u32>(socket, FLAGS) & flag) != 0;
}

export function setFlag(socket: Address, flag: u32, value: bool): void {
  const flags = load<u32>(socket, FLAGS);
  store<u32>(socket, value ? flags | flag : flags & ~flag, FLAGS);
}

export function flagsOf(socket: Address): u32 {
  return load<u32>(socket, FLAGS);
}

export function stateOf(socket: Address): u32 {
  return load<u32>(socket, FLAGS) >> STATE_SHIFT;
}

export function setState(socket: Address, state: u32): void {
  const flags = load<u32>(socket, FLAGS) & ~STATE_MASK;
  store<u32>(socket, flags | (state << STATE_SHIFT), FLAGS);
}

/** The socket's port, or 0. */
export function portOf(socket: Address): Port {
  return load<u16>(socket, PORT);
}

export function setPort(socket: Address, port: Port): void {
  store<u16>(socket, <u16>port, PORT);
}

/** getsockname() tells the port from now on. */
export function showPort(socket: Address): void {
  store<u16>(socket, load<u16>(socket, PORT), SHOWN);
}

export function word(socket: Address, at: usize): Address {
  return load<u32>(socket + at);
}

export function setWord(socket: Address, at: usize, value: Address): void {
  store<u32>(socket + at, <u32>value);
}

export function lowOfSocket(socket: Address): u64 {
  return load<u64>(socket, ADDRESS);
}

export function highOfSocket(socket: Address): u64 {
  return load<u64>(socket, ADDRESS + 8);
}

/** The port's number in the sets of the socket's protocol: those of TCP hold slots. */
export function placeOf(socket: Address, port: Port): Port {
  return has(socket, IS_UDP) ? port : slotOf(port);
}

/** The options that the rules look at, as a kind of owner (holders.ts). */
export function kindOfSocket(socket: Address): u32 {
  const sharesAddr = has(socket, REUSE_ADDR) && stateOf(socket) != LISTENING;
  return (sharesAddr ? SHARES_ADDR : 0) | (has(socket, REUSE_PORT) ? SHARES_PORT : 0);
}

/** The same of a connection that a listener accepts. */
export function kindOfChild(listener: Address): u32 {
  const sharesAddr = has(listener, REUSE_ADDR) ? SHARES_ADDR : 0;
  return sharesAddr | (has(listener, REUSE_PORT) ? SHARES_PORT : 0);
}

/** Describes the socket as an owner of its address, for `chargeHold` and `hold`. */
export function describeSocket(socket: Address, low: u64, high: u64): void {
  const space = has(socket, IS_UDP) ? UDP : TCP;
  const klass = classOf(low, high, has(socket, V6ONLY));
  const kind = kindOfSocket(socket);
  describeOwner(space, klass, low, high, kind, load<u32>(socket, DEVICE), load<u32>(socket, UID));
}
