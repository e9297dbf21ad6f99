// UDP in the model of Linux 6.18: ports without buckets, judged owner by owner.

import { type Address, anyOf, isAny, mapped } from "./address.ts";
import { Errno, type Host } from "./host.ts";
import { udpOrder } from "./picking.ts";
import { judgeOnUdp } from "./rules.ts";
import type { Socket } from "./socket.ts";
import { sourceFor } from "./tcp.ts";

/** bind(): the explicit port, or any where it is 0. */
export function getDatagramPort(host: Host, socket: Socket, named: number): void {
  if (named !== 0 && conflicts(host, socket, named)) throw new Errno("EADDRINUSE");
  socket.port = named === 0 ? findPort(host, socket) : named;
  // Sockets of IPv6 with SO_REUSEPORT are looked at last, all others newest first.
  const owners = host.datagrams.get(socket.port) ?? [];
  if (socket.isV6 && socket.reusePort) owners.push(socket);
  else owners.unshift(socket);
  host.datagrams.set(socket.port, owners);
  if (socket.reusePort) socket.isGrouped = true;
}

/** The first owner that is not passed over decides. */
function conflicts(host: Host, socket: Socket, port: number): boolean {
  for (const owner of ownersOf(host, socket, port)) {
    const verdict = judgeOnUdp(socket, owner, socket.isGrouped);
    if (verdict !== "pass") return verdict === "conflict";
  }
  return false;
}

/** Any owner that is neither passed over nor shares keeps a search away. */
function isBlocked(host: Host, socket: Socket, port: number): boolean {
  return ownersOf(host, socket, port).some(
    (owner) => judgeOnUdp(socket, owner, socket.isGrouped) === "conflict",
  );
}

function ownersOf(host: Host, socket: Socket, port: number): Socket[] {
  return (host.datagrams.get(port) ?? []).filter((owner) => owner !== socket);
}

function findPort(host: Host, socket: Socket): number {
  const draw = host.random(2 ** 32);
  for (const port of udpOrder(host.rangeOf(socket), draw, host.udpSlots)) {
    if (!host.settings.reserved.has(port) && !isBlocked(host, socket, port)) return port;
  }
  throw new Errno("EADDRINUSE");
}

export function connectDatagram(
  host: Host,
  socket: Socket,
  asked: Address,
  source: string | undefined,
): void {
  if (socket.port === 0) autobind(host, socket);
  const target = targetOf(socket, asked);
  if (isAny(socket.address)) socket.address = sourceFor(host, socket, target, source);
  socket.state = "established";
}

function autobind(host: Host, socket: Socket): void {
  try {
    getDatagramPort(host, socket, 0);
    socket.shownPort = socket.port;
  } catch (error) {
    if (error instanceof Errno) throw new Errno("EAGAIN");
    throw error;
  }
}

function targetOf(socket: Socket, asked: Address): Address {
  if (!socket.isV6) {
    if (asked.isV6) throw new Errno("EAFNOSUPPORT");
    if (!isAny(asked)) return asked;
    return isAny(socket.address)
      ? { text: "127.0.0.1", v4: "127.0.0.1", isV6: false }
      : socket.address;
  }
  const isOverV4 = socket.address.v4 !== undefined;
  const isAnyAsked = asked.text === "::";
  if (isAnyAsked && !isOverV4) return { text: "::1", v4: undefined, isV6: true };
  if (!isAnyAsked && asked.v4 === undefined) {
    if (isOverV4) throw new Errno("EAFNOSUPPORT");
    return asked;
  }
  if (socket.v6only) throw new Errno("ENETUNREACH");
  const v4 = asked.v4 ?? "0.0.0.0";
  return mapped(v4 === "0.0.0.0" ? "127.0.0.1" : v4);
}

/** connect() with AF_UNSPEC: what bind() has not given is gone, and so is the device. */
export function disconnectDatagram(host: Host, socket: Socket): void {
  socket.state = "closed";
  socket.device = 0;
  if (!socket.isAddressLocked) socket.address = anyOf(socket.isV6);
  if (!socket.isPortLocked) leaveDatagramPort(host, socket);
}

export function leaveDatagramPort(host: Host, socket: Socket): void {
  if (socket.port === 0) return;
  const others = ownersOf(host, socket, socket.port);
  if (others.length > 0) host.datagrams.set(socket.port, others);
  else host.datagrams.delete(socket.port);
  socket.port = 0;
  socket.shownPort = 0;
  socket.isGrouped = false;
}
