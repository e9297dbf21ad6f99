// Options: what setsockopt() changes in sockets of modern Linux, also in those that have a port.

import { BAD_STATE, IN_USE, NO_MEMORY } from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { rangeOf } from "../../../ports/range";
import { highOf, lowOf } from "./address";
import { changeHolder, chargeKind, followKind } from "./owning";
import {
  ADDRESS,
  DEVICE,
  flagsOf,
  HAS_RANGE,
  has,
  idOf,
  OWN_RANGE,
  portOf,
  REUSE_ADDR,
  REUSE_PORT,
  SHOWN,
  setFlag,
  setWord,
  systemOf,
  TUPLE,
  V6ONLY,
  word,
} from "./socket";
import { slotOf } from "./system";
import {
  chargeTuple,
  enterTuple,
  isTaken,
  leaveTuple,
  localOf,
  remoteOf,
  remotePortOf,
} from "./tuples";

/** SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY, IP_BIND_ADDRESS_NO_PORT, by their flags (socket.ts). */
export function setFlag618(socket: Address, flag: u32, value: u32): i32 {
  if (flag == V6ONLY && portOf(socket)) return BAD_STATE;
  const before = has(socket, flag);
  setFlag(socket, flag, value != 0);
  if ((flag & (REUSE_ADDR | REUSE_PORT)) == 0 || before == (value != 0)) return 0;
  if (followKind(socket)) return 0;
  setFlag(socket, flag, before);
  return NO_MEMORY;
}

/** IP_LOCAL_PORT_RANGE: 0 is a bound that is not set. */
export function setRange618(socket: Address, first: u32, last: u32): void {
  setFlag(socket, HAS_RANGE, (first | last) != 0);
  setWord(socket, OWN_RANGE, rangeOf(first, last));
}

/**
 * SO_BINDTODEVICE, for the socket's port and its connection. The kernel lets two connections have
 * one tuple of one device, which is refused here.
 */
export function setDevice618(socket: Address, device: u32): i32 {
  const before = <u32>word(socket, DEVICE);
  if (before == device) return 0;
  const system = systemOf(socket);
  const tuple = word(socket, TUPLE);
  if (tuple && isTupleTaken(system, tuple, portOf(socket), device)) return IN_USE;
  setWord(socket, DEVICE, device);
  if (!portOf(socket)) return 0;
  beginBill();
  chargeKind(socket);
  if (tuple) chargeSameTuple(system, tuple, device);
  if (!canPay(system)) {
    setWord(socket, DEVICE, before);
    return NO_MEMORY;
  }
  changeHolder(socket);
  if (tuple) setWord(socket, TUPLE, changeTuple(system, tuple, portOf(socket), device));
  return 0;
}

function isTupleTaken(system: Address, tuple: Address, port: u32, device: u32): bool {
  const low = lowOf(localOf(tuple));
  const high = highOf(localOf(tuple));
  return isTaken(system, slotOf(port), low, high, remotePortOf(tuple), remoteOf(tuple), device);
}

function chargeSameTuple(system: Address, tuple: Address, device: u32): void {
  const local = localOf(tuple);
  const remote = remoteOf(tuple);
  chargeTuple(system, lowOf(local), highOf(local), remotePortOf(tuple), remote, device);
}

function changeTuple(system: Address, tuple: Address, port: u32, device: u32): Address {
  const low = lowOf(localOf(tuple));
  const high = highOf(localOf(tuple));
  const remote = remoteOf(tuple);
  const slot = slotOf(port);
  const other = enterTuple(system, slot, low, high, remotePortOf(tuple), remote, device);
  leaveTuple(system, tuple, slot);
  return other;
}

// ── Reading ───────────────────────────────────────────────────────────────────────────────

export function flags618(socket: Address): u32 {
  return flagsOf(socket);
}

/** The port that getsockname() tells. */
export function name618(socket: Address): u32 {
  return load<u16>(socket, SHOWN);
}

export function port618(socket: Address): u32 {
  return portOf(socket);
}

export function ownRange618(socket: Address): u32 {
  return <u32>word(socket, OWN_RANGE);
}

export function device618(socket: Address): u32 {
  return <u32>word(socket, DEVICE);
}

/** A number that names the socket as long as its system lives. */
export function id618(socket: Address): f64 {
  return <f64>idOf(socket);
}

/** Four bytes of the socket's address, 0..3. */
export function addressWord618(socket: Address, index: u32): u32 {
  return load<u32>(socket + ((<usize>index) << 2), ADDRESS);
}
