// TCP in the model of Linux 6.18: how sockets get and lose ports, connect, listen, and close. What
// one end sends, the other has received at once.

import { type Address, anyOf, isAny, isLoopback, mapped, readAddress } from "./address.ts";
import { Errno, type Host, LOOPBACK } from "./host.ts";
import { bindOrder, connectOrder } from "./picking.ts";
import { NAMED, overlaps, SEARCH, SEARCH_AGAIN } from "./rules.ts";
import { type Peer, Socket, TimeWait, type Tuple } from "./socket.ts";

const TIME_WAIT_MS = 60_000;
/** So long the kernel repeats the FIN of a socket that is closed (`tcp_orphan_retries`). */
const UNANSWERED_MS = 102_200;
/** What a socket that is bound to an address of IPv6 has over IPv4. */
const STAND_IN = "127.0.0.6";

/** What the other end does, where the machine itself does not answer. */
export type Remote = "accepts" | "refuses" | "silent";

// ── Bound ─────────────────────────────────────────────────────────────────────────────────

/** bind() and listen(): the explicit port, or any where it is 0. */
export function getPort(host: Host, socket: Socket, named: number): void {
  const port = named === 0 ? findPort(host, socket) : named;
  const bucket = host.bucketAt(port);
  if (named !== 0 && !bucket.isLike(socket) && bucket.conflicts(socket, NAMED)) {
    throw new Errno("EADDRINUSE");
  }
  bucket.admit(socket);
  if (socket.bucket === undefined) host.attach(socket, port);
}

function findPort(host: Host, socket: Socket): number {
  const { settings, buckets, random, order } = host;
  for (const strictness of settings.autobindReuse ? [SEARCH, SEARCH_AGAIN] : [SEARCH]) {
    for (const port of bindOrder(host.rangeOf(socket), socket.reuseAddr, random, order)) {
      if (settings.reserved.has(port)) continue;
      if (buckets.get(port)?.conflicts(socket, strictness) !== true) return port;
    }
  }
  throw new Errno("EADDRINUSE");
}

export function listen(host: Host, socket: Socket): void {
  if (socket.isUsed) throw new Errno("EINVAL");
  if (socket.isListening) return;
  socket.state = "listening";
  try {
    getPort(host, socket, socket.port);
  } catch (error) {
    socket.state = "closed";
    throw error;
  }
  socket.shownPort = socket.port;
  host.listeners.add(socket);
  if (socket.reusePort) socket.isGrouped = true;
}

// ── Connecting ────────────────────────────────────────────────────────────────────────────

export function connect(
  host: Host,
  socket: Socket,
  asked: Address,
  remotePort: number,
  remote: Remote,
  source: string | undefined,
): void {
  if (socket.isUsed || socket.state !== "closed") throw new Errno("EISCONN");
  const target = targetOf(host, socket, asked);
  if (isAny(socket.address)) {
    host.moveAddress(socket, sourceFor(host, socket, target, source));
  }
  try {
    if (socket.port === 0) pickForConnect(host, socket, target, remotePort);
    else claim(host, tupleOf(socket, target, remotePort), socket.device, true);
  } catch (error) {
    giveUp(host, socket);
    throw error;
  }
  socket.shownPort = socket.port;
  socket.tuple = tupleOf(socket, target, remotePort);
  socket.state = "established";
  socket.isUsed = true;
  socket.hasTimestamps = host.settings.timestamps;
  host.enter(socket);
  const isDeaf = socket.isOverV4 && target.v4 === undefined;
  socket.isOverV4 ||= socket.isV6 && target.v4 !== undefined;
  socket.peer = isDeaf ? undefined : answer(host, socket, remote);
  if (socket.peer !== undefined) return;
  disconnect(host, socket);
  if (isDeaf) throw new Errno("ETIMEDOUT");
  throw new Errno(remote === "silent" && !host.answers(target) ? "ETIMEDOUT" : "ECONNREFUSED");
}

/** Where a connection goes: the any address means this machine. */
function targetOf(host: Host, socket: Socket, asked: Address): Address {
  if (!socket.isV6) {
    if (asked.isV6) throw new Errno("EAFNOSUPPORT");
    if (!isAny(asked)) return asked;
    return isAny(socket.address) ? at("127.0.0.1") : socket.address;
  }
  const isOverV4 = socket.address.v4 !== undefined;
  const target = asked.text === "::" ? at(isOverV4 ? "::ffff:127.0.0.1" : "::1") : asked;
  if (target.v4 === undefined) {
    if (isOverV4) throw new Errno("EAFNOSUPPORT");
    return target;
  }
  if (socket.v6only) throw new Errno("ENETUNREACH");
  // An address that bind() has given is another one over IPv4; one that connect() left is replaced.
  if (!isAny(socket.address) && !isOverV4)
    host.moveAddress(socket, socket.port === 0 ? mapped(STAND_IN) : at("::"));
  if (target.v4 !== "0.0.0.0") return mapped(target.v4);
  return isAny(socket.address) ? at("::ffff:127.0.0.1") : socket.address;
}

/** The local address that routing chooses. */
export function sourceFor(
  host: Host,
  socket: Socket,
  target: Address,
  given: string | undefined,
): Address {
  const own = target.v4?.startsWith("127.") === true ? at("127.0.0.1") : target;
  const isOwn = isLoopback(target) || host.answers(target);
  const source = isOwn || given === undefined ? own : at(given);
  return socket.isV6 && source.v4 !== undefined ? mapped(source.v4) : source;
}

function pickForConnect(host: Host, socket: Socket, target: Address, remotePort: number): void {
  const { settings, buckets, random, order } = host;
  const isLocal = socket.range.first !== 0 || socket.range.last !== 0;
  for (const port of connectOrder(host.rangeOf(socket), isLocal, random, order)) {
    if (settings.reserved.has(port)) continue;
    const tuple = { local: socket.address, port, remote: target, remotePort };
    const bucket = buckets.get(port);
    if (bucket !== undefined) {
      if (!bucket.isForConnect || !isClaimable(host, tuple, socket.device, false)) continue;
      claim(host, tuple, socket.device, false);
    }
    if (!buckets.has(port)) host.bucketAt(port).startForConnect();
    socket.isConnectBound = true;
    host.attach(socket, port);
    return;
  }
  throw new Errno("EADDRNOTAVAIL");
}

/** Takes a TIME_WAIT's place, where there is one and it may be taken. */
function claim(host: Host, tuple: Tuple, device: number, isNamed: boolean): void {
  if (!isClaimable(host, tuple, device, isNamed)) throw new Errno("EADDRNOTAVAIL");
  const known = host.findConnection(tuple, device);
  if (known instanceof TimeWait) host.dropTimeWait(known);
}

function isClaimable(host: Host, tuple: Tuple, device: number, isNamed: boolean): boolean {
  const known = host.findConnection(tuple, device);
  if (known === undefined) return true;
  if (known instanceof Socket || !known.hasTimestamps) return false;
  if (isNamed) return true;
  const { twReuse, twReuseDelay } = host.settings;
  const isNear = isLoopback(tuple.local) || isLoopback(tuple.remote) || known.device === 1;
  const isAllowed = twReuse === 1 || (twReuse === 2 && isNear);
  return isAllowed && !known.isHalfOpen && host.now - known.enteredAt > twReuseDelay;
}

/** After a failed connect(): what bind() has not given is gone, and IPv6 is heard again. */
function giveUp(host: Host, socket: Socket): void {
  if (socket.address.v4 !== undefined) socket.isOverV4 = false;
  if (!socket.isAddressLocked) host.moveAddress(socket, anyOf(socket.isV6));
  if (!socket.isPortLocked) host.releasePort(socket);
}

function tupleOf(socket: Socket, remote: Address, remotePort: number): Tuple {
  return { local: socket.address, port: socket.port, remote, remotePort };
}

/** The other end of a new connection: of a listener, the socket itself, or outside; or none. */
function answer(host: Host, socket: Socket, remote: Remote): Peer {
  const { local, port, remote: target, remotePort } = socket.tuple as Tuple;
  const mirrored = { local: target, port: remotePort, remote: local, remotePort: port };
  const known = host.findConnection(mirrored, LOOPBACK);
  if (known === socket) return socket; // connected to itself
  if (known instanceof TimeWait) host.dropTimeWait(known);
  else if (known !== undefined) {
    unlink(known);
    receiveReset(host, known);
  }
  const listener = findListener(host, target, remotePort);
  if (listener === undefined) {
    return !host.answers(target) && remote === "accepts" ? "outside" : undefined;
  }
  const child = childOf(host, listener, mirrored, socket.hasTimestamps);
  child.peer = socket;
  listener.backlog.push(child);
  return child;
}

/** The listener that fits best: its own address before any, its own family before both. */
function findListener(host: Host, address: Address, port: number): Socket | undefined {
  const packet = { isV6: address.v4 === undefined, address: plain(address), v6only: false };
  const fitness = (listener: Socket): number => {
    if (listener.port !== port || (listener.device !== 0 && listener.device !== 1)) return 0;
    if (!overlaps(packet, listener)) return 0;
    const own = isAny(listener.address) ? 0 : 4;
    const family = listener.isV6 === packet.isV6 ? 1 : 0;
    return 1 + own + (listener.device === 0 ? 0 : 2) + family;
  };
  let best: Socket | undefined;
  for (const listener of host.listeners) {
    if (fitness(listener) > (best === undefined ? 0 : fitness(best))) best = listener;
  }
  return best;
}

/** A connection that a listener has accepted. It owns the listener's port as well. */
export function childOf(
  host: Host,
  listener: Socket,
  tuple: Tuple,
  hasTimestamps: boolean,
): Socket {
  const child = new Socket(listener.type, listener.uid);
  const { reuseAddr, reusePort, v6only, device, range, bindsAddressOnly } = listener;
  Object.assign(child, { reuseAddr, reusePort, v6only, device, range, bindsAddressOnly });
  const isMapped = child.isV6 && tuple.local.v4 !== undefined;
  child.address = isMapped ? mapped(tuple.local.v4 as string) : plainFor(child, tuple.local);
  child.isOverV4 = isMapped;
  child.isAddressLocked = listener.isAddressLocked;
  child.state = "established";
  child.isUsed = true;
  child.hasTimestamps = hasTimestamps;
  child.tuple = tuple;
  host.attach(child, tuple.port);
  child.shownPort = child.port;
  host.enter(child);
  return child;
}

function plain(address: Address): Address {
  return address.v4 === undefined ? address : at(address.v4);
}

function plainFor(socket: Socket, address: Address): Address {
  return socket.isV6 ? address : plain(address);
}

// ── Ending ────────────────────────────────────────────────────────────────────────────────

/** connect() with AF_UNSPEC: the connection is reset; what bind() has given stays. */
export function disconnect(host: Host, socket: Socket): void {
  socket.isUsed = false;
  if (socket.state === "closed") {
    if (!socket.isAddressLocked) host.moveAddress(socket, anyOf(socket.isV6));
    return;
  }
  stopListening(host, socket);
  resetPeer(host, socket);
  host.leave(socket);
  socket.state = "closed";
  socket.isGrouped = false;
  if (!socket.isPortLocked) host.releasePort(socket);
  if (!socket.isAddressLocked) host.moveAddress(socket, anyOf(socket.isV6));
}

/** shutdown() of the direction in which the socket sends. */
export function shutdown(host: Host, socket: Socket): void {
  if (socket.state === "established") {
    if (!arrives(host, socket, "fin-wait-1")) return;
    if (socket.peer === socket) {
      leaveTimeWait(host, socket, false);
      finish(host, socket);
      return;
    }
    socket.state = "fin-wait-2";
    if (socket.peer instanceof Socket) receiveFin(host, socket.peer);
  } else if (socket.state === "close-wait") {
    if (!arrives(host, socket, "last-ack")) return;
    const { peer } = socket;
    finish(host, socket);
    endPeer(host, peer);
  } else if (socket.state === "closed") {
    throw new Errno("ENOTCONN");
  }
}

/**
 * Does a FIN reach the other end? Else it gets no answer, and the socket is in that state, or the
 * answer is a reset.
 */
function arrives(host: Host, socket: Socket, unanswered: "fin-wait-1" | "last-ack"): boolean {
  const fate = fateOf(host, socket);
  if (fate === "lost") socket.state = unanswered;
  if (fate === "reset") {
    unlink(socket);
    finish(host, socket);
  }
  return fate === "arrives";
}

/**
 * What becomes of a segment. What the machine sends to itself goes and comes by loopback: by
 * another device it goes out, and a socket with another device does not get it. The socket that has
 * the other end's tuple then gets it, and keeps silent, since the numbers are not its own; so does
 * the one that has this end's, when a reset comes back.
 */
function fateOf(host: Host, socket: Socket): "arrives" | "reset" | "lost" {
  const { device, peer, tuple } = socket;
  if (peer === "outside") return "arrives";
  if (device > LOOPBACK) return "lost";
  if (peer !== undefined && peer.device <= LOOPBACK) return "arrives";
  const { local, port, remote, remotePort } = tuple as Tuple;
  if (host.hasOther({ local: remote, port: remotePort, remote: local, remotePort: port })) {
    return "lost";
  }
  return host.hasOther({ local, port, remote, remotePort }, socket) ? "lost" : "reset";
}

/** The other end has none from now on, and does not know. */
function unlink(socket: Socket): void {
  const { peer } = socket;
  socket.peer = undefined;
  if (peer !== undefined && peer !== "outside") peer.peer = undefined;
}

/** close() of a TCP socket. */
export function close(host: Host, socket: Socket): void {
  if (socket.state === "established" || socket.state === "close-wait") shutdown(host, socket);
  const { state } = socket;
  if (state === "fin-wait-2") leaveTimeWait(host, socket, true);
  if (state === "fin-wait-1" || state === "last-ack") leaveUnanswered(host, socket);
  vanish(host, socket);
}

/** close() with SO_LINGER 0. */
export function abort(host: Host, socket: Socket): void {
  resetPeer(host, socket);
  vanish(host, socket);
}

/** The other end's FIN. */
export function receiveFin(host: Host, socket: Socket): void {
  if (socket.state === "established") {
    socket.state = "close-wait";
  } else if (socket.state === "fin-wait-2") {
    leaveTimeWait(host, socket, false);
    finish(host, socket);
  }
}

/** The other end's RST. */
export function receiveReset(host: Host, socket: Socket): void {
  if (socket.tuple !== undefined) finish(host, socket);
}

function vanish(host: Host, socket: Socket): void {
  stopListening(host, socket);
  host.leave(socket);
  host.releasePort(socket);
  socket.state = "gone";
  socket.peer = undefined;
}

/** The connection is over; the socket is still open, and keeps a port that bind() was given. */
function finish(host: Host, socket: Socket): void {
  host.leave(socket);
  socket.state = "closed";
  socket.peer = undefined;
  if (!socket.isPortLocked) host.releasePort(socket);
}

/** The tuple stays, without a socket, unless there are too many. */
function leaveTimeWait(host: Host, socket: Socket, isHalfOpen: boolean): void {
  const { settings, now } = host;
  const { peer } = socket;
  if (host.timeWaits >= settings.maxTimeWait) {
    if (isHalfOpen && peer instanceof Socket) peer.peer = undefined;
    return;
  }
  const lasts = isHalfOpen ? halfOpenTime(settings.finTimeout) : TIME_WAIT_MS;
  const wait = new TimeWait(socket, isHalfOpen, now, now + lasts);
  if (isHalfOpen) {
    wait.peer = peer;
    if (peer instanceof Socket) peer.peer = wait;
  }
  takeOver(host, socket, wait);
}

/** The tuple stays, without a socket, as long as its FIN is repeated. */
function leaveUnanswered(host: Host, socket: Socket): void {
  const wait = new TimeWait(socket, true, host.now, host.now + UNANSWERED_MS);
  wait.isUnanswered = true;
  wait.hasTimestamps = false; // or connect() might take it over
  unlink(socket);
  takeOver(host, socket, wait);
}

function takeOver(host: Host, socket: Socket, wait: TimeWait): void {
  host.gone.add(wait);
  wait.bucket.add(wait);
  host.leave(socket);
  host.enter(wait);
}

/** Above a minute the kernel waits with the socket for what is above, and then once more. */
function halfOpenTime(timeout: number): number {
  return timeout > TIME_WAIT_MS ? 2 * (timeout - TIME_WAIT_MS) : timeout;
}

/** The other end has got the last FIN. */
function endPeer(host: Host, peer: Peer): void {
  if (peer instanceof Socket) {
    receiveFin(host, peer);
  } else if (peer instanceof TimeWait) {
    peer.isHalfOpen = false;
    peer.peer = undefined;
    peer.enteredAt = host.now;
    peer.endsAt = host.now + TIME_WAIT_MS;
  }
}

function resetPeer(host: Host, socket: Socket): void {
  const { peer } = socket;
  const isHeard = socket.tuple !== undefined && fateOf(host, socket) === "arrives";
  unlink(socket);
  if (!isHeard || peer === socket || peer === undefined || peer === "outside") return;
  if (peer instanceof TimeWait) host.dropTimeWait(peer);
  else receiveReset(host, peer);
}

function stopListening(host: Host, socket: Socket): void {
  if (!host.listeners.delete(socket)) return;
  for (const child of socket.backlog.splice(0)) abort(host, child);
}

function at(text: string): Address {
  const address = readAddress(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}
