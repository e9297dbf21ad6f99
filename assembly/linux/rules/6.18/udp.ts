// UDP: connect() and disconnect() on modern Linux (Linux `inet_autobind`, `__ip4_datagram_connect`,
// `__udp_disconnect`). Tuples do not matter: a socket has its port by address and device alone.

import { GROUP_CONNECT, NO_MEMORY } from "../../../abi";
import { Address } from "../../../memory/arena";
import { isAny } from "./address";
import { joinUdp, range618, searchUdp } from "./bind";
import { findTarget, goToSource } from "./connect";
import { canMoveToAny, followKind, moveToAny, releasePort } from "./owning";
import {
  ADDRESS_LOCKED,
  CLOSED,
  DEVICE,
  ESTABLISHED,
  freeSocket,
  GROUPED,
  has,
  highOfSocket,
  lowOfSocket,
  PORT_LOCKED,
  portOf,
  setFlag,
  setState,
  setWord,
  showPort,
} from "./socket";

/** Connects a UDP socket to the address in the request; one without a port gets one first. */
export function connectUdp618(socket: Address, isOwn: u32, random: u32): i32 {
  if (!portOf(socket)) {
    const port = searchUdp(socket, range618(socket, GROUP_CONNECT), random);
    if (port < 0) return port;
    const joined = joinUdp(socket, port);
    if (joined < 0) return joined;
    showPort(socket);
  }
  const wrong = findTarget(socket);
  if (wrong) return wrong;
  if (isAny(lowOfSocket(socket), highOfSocket(socket)) && !goToSource(socket, isOwn != 0)) {
    return NO_MEMORY;
  }
  setState(socket, ESTABLISHED);
  return <i32>portOf(socket);
}

/**
 * connect() with AF_UNSPEC: the socket loses its device, and the address and port that bind() has
 * not given.
 */
export function disconnectUdp618(socket: Address): i32 {
  if (!canMoveToAny(socket)) return NO_MEMORY;
  const device = setDeviceOf(socket, 0);
  if (!has(socket, PORT_LOCKED)) {
    leave(socket);
  } else if (!followKind(socket)) {
    setDeviceOf(socket, device);
    return NO_MEMORY;
  }
  setState(socket, CLOSED);
  if (!has(socket, ADDRESS_LOCKED)) moveToAny(socket);
  return 0;
}

export function closeUdp618(socket: Address): void {
  releasePort(socket);
  freeSocket(socket);
}

function leave(socket: Address): void {
  releasePort(socket);
  showPort(socket);
  setFlag(socket, GROUPED, false);
}

function setDeviceOf(socket: Address, device: u32): u32 {
  const before = load<u32>(socket, DEVICE);
  setWord(socket, DEVICE, device);
  return before;
}
