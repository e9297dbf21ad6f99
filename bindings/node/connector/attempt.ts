// Attempt: one socket on its way from one local port to one address, and the port's way back.
//
//   dial ──▶ connected ──▶ ready ──▶ closed: the port is given back, at once or to cool down
//     │          │
//     └──────────┴──▶ failed: the port is given back, or quarantined if another program holds it
//
// A port comes back once, when its socket has closed: then no socket of the connector has it.
// Whether the system keeps the tuple in TIME_WAIT depends on which side closed first (RFC 9293 §
// 3.6): not if the other side did, nor if the connection was reset or had never been established.
//
// There is one for each open connection, so it is small: the checkout of the port itself
// (`checkout.ts`), with PLAIN, CONNECTED, READY, ENDED and PEER_ENDED_FIRST as flags, and
//
//   closer     the listener; mostly replaced once it is ready, so that no operation is kept alive
//   id         the number of the connection in all its events
//   waitedMs   mostly 0
//
// It does not refer to its socket; the socket refers to it.

import type { Socket } from "node:net";
import { isRevoked } from "../../core/brands.ts";
import { invalid, show } from "../../errors.ts";
import type { Trip } from "../metrics/events.ts";
import { Checkout, OWN_FLAG } from "../sources/checkout.ts";
import { endOf, type SocketEnd, watchEnd } from "./socket-end.ts";

/** The two ends that a socket is to be made with; they go into the options of `net.connect`. */
export interface Endpoints {
  /** The destination's address. */
  readonly host: string;
  /** The destination's port. */
  readonly port: number;
  /** 4 or 6. */
  readonly family: number;
  /** The source. */
  readonly localAddress: string;
  /** The port that has been picked. */
  readonly localPort: number;
}

/**
 * Makes a socket that begins to connect between these ends: `net.connect`, `tls.connect`, or a
 * wrapper of them.
 */
export type Dial = (ends: Endpoints) => Socket;

/** Why an attempt failed, as far as it concerns ports. */
export type FailureCause =
  /** The port is held by another program at this address, whatever the destination. */
  | "port"
  /** The very tuple is in use, or in TIME_WAIT. */
  | "tuple"
  /** The source is no address of this machine. */
  | "source"
  /** No more files can be opened. */
  | "files"
  /** Any other cause, which is not the port. */
  | "other";

/** The function called at the end of a connection that had been ready. */
export interface Closer {
  onClosed(attempt: Attempt, socket: Socket): void;
}

/** The listener of an attempt. */
export interface Observer extends Closer {
  /** The number of the connection in all its events. */
  readonly id: number;
  /** The connection is established; for TLS it is not secure yet. */
  onConnected(attempt: Attempt, socket: Socket): void;
  /** It may be used. */
  onReady(attempt: Attempt, socket: Socket): void;
  /** It has failed, and its port has been given back or quarantined. */
  onFailed(attempt: Attempt, socket: Socket, error: unknown, cause: FailureCause): void;
}

/** Errors after which the system keeps no TIME_WAIT on this side. */
const BROKEN: readonly unknown[] = [
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ECONNABORTED",
  "ENETRESET",
];

/** The socket is ready when it is connected: it has no TLS. */
const PLAIN = OWN_FLAG;
/** The connection has been established. */
const CONNECTED = OWN_FLAG << 1;
/** The caller has the socket. */
const READY = OWN_FLAG << 2;
/** Our side has ended; PEER_ENDED_FIRST says which side was first. */
const ENDED = OWN_FLAG << 3;
/** TIME_WAIT is on the other side (RFC 9293 § 3.6). */
const PEER_ENDED_FIRST = OWN_FLAG << 4;

export class Attempt extends Checkout implements SocketEnd, Trip {
  readonly id: number;
  /** Milliseconds that the connection waited; known when it is ready. */
  waitedMs = 0;
  /** An {@link Observer} until it is ready. */
  #closer: Closer;
  /** Not initialized: only an attempt that has failed has a place for it. */
  declare private failure?: { readonly error: unknown };

  /**
   * @param checkout the checkout of the picked port, which the attempt has from now on.
   * @param readyEvent what the socket emits when it may be used: `connect` or `secureConnect`.
   */
  constructor(checkout: Checkout, socket: Socket, readyEvent: string, observer: Observer) {
    super(checkout.pair, checkout.port, checkout.handOver(), checkout.isSpilled);
    this.id = observer.id;
    this.#closer = observer;
    watchEnd(socket, this);
    // Shared functions: a socket gets no closures of its own.
    socket.on("connect", onConnect).on("error", onError);
    if (readyEvent === "connect") this.set(PLAIN);
    else socket.on(readyEvent, onReady);
    this.pair.leased?.watch(this.port, socket);
  }

  connected(socket: Socket): void {
    if (this.isOver) return;
    this.set(CONNECTED);
    if (this.has(READY)) return;
    (this.#closer as Observer).onConnected(this, socket);
    if (this.has(PLAIN)) this.ready(socket);
  }

  ready(socket: Socket): void {
    if (this.has(READY) || this.isOver || socket.destroyed) return;
    this.set(READY);
    // From here on the caller handles errors.
    socket.removeListener("error", onError);
    (this.#closer as Observer).onReady(this, socket);
  }

  /** Once it is ready, the observer need not be kept for as long as the connection lasts. */
  leaveTo(closer: Closer): void {
    this.#closer = closer;
  }

  failed(error: unknown): void {
    this.failure ??= { error };
  }

  onOurEnd(socket: Socket): void {
    if (this.has(ENDED)) return;
    this.set(socket.readableEnded ? ENDED | PEER_ENDED_FIRST : ENDED);
  }

  onSocketClosed(socket: Socket): void {
    // Once its port has come back, the owner may connect the socket again.
    if (this.isOver) return;
    this.pair.leased?.unwatch(this.port, socket);
    if (this.has(READY)) {
      this.giveBack(socket, socket.errored);
      this.#closer.onClosed(this, socket);
      return;
    }
    const error = this.failure === undefined ? closedEarly() : this.failure.error;
    const cause = this.has(CONNECTED) ? "other" : causeOf(error);
    if (cause === "other") this.giveBack(socket, error);
    else giveBackUnopened(this, cause);
    (this.#closer as Observer).onFailed(this, socket, error, cause);
  }

  private giveBack(socket: Socket, error: unknown): void {
    const isBroken = isReset(socket) || BROKEN.includes(codeOf(error));
    // The end of a TLS session is not that of its connection.
    const isPeers = this.has(PLAIN) && this.has(PEER_ENDED_FIRST);
    if (this.has(CONNECTED) && !isPeers && !isBroken) this.coolDown();
    else this.free();
  }
}

/** The record of a socket that a connector has opened: see {@link connectionInfo}. */
export interface ConnectionInfo {
  /** The number of the connection in all its events, unique in the process. */
  readonly id: number;
  /** The destination, `127.0.0.1:80`. */
  readonly destination: string;
  /** The local address. */
  readonly source: string;
  /** The local port. */
  readonly port: number;
  /** Milliseconds that the connection waited for a port or a file; 0 if it did not. */
  readonly waitedMs: number;
}

/**
 * The record of a socket that a connector has opened, also after it has closed.
 * @returns `undefined` for any other socket.
 */
export function connectionInfo(socket: Socket): ConnectionInfo | undefined {
  const attempt = isRevoked(socket) ? undefined : endOf(Object(socket));
  if (!(attempt instanceof Attempt)) return undefined;
  const { id, waitedMs, port, pair } = attempt;
  const { source, destination } = pair;
  return { id, waitedMs, port, source: source.address, destination: destination.name };
}

/** Gives back the port of an attempt that never connected. */
export function giveBackUnopened(checkout: Checkout, cause: FailureCause): void {
  if (cause === "port" || cause === "tuple") checkout.quarantine(cause === "port");
  else if (cause === "files") checkout.freeUnopened();
  else checkout.free();
}

// `this` is the socket in all of these.

function onConnect(this: Socket): void {
  (endOf(this) as Attempt).connected(this);
}

function onReady(this: Socket): void {
  (endOf(this) as Attempt).ready(this);
}

function onError(this: Socket, error: unknown): void {
  (endOf(this) as Attempt).failed(error);
}

/**
 * Has `resetAndDestroy` been called? Node has no event for it, but leaves this property behind (20
 * to 26). In a version without it, the port would cool down needlessly.
 */
function isReset(socket: Socket): boolean {
  return (socket as { resetAndClosing?: boolean }).resetAndClosing !== undefined;
}

/** The members that a socket must have, whatever realm or package its class is of. */
function hasSocketMethods(socket: unknown): boolean {
  const { on, removeListener, destroy } = Object(socket);
  const hasEvents = typeof on === "function" && typeof removeListener === "function";
  return hasEvents && typeof destroy === "function";
}

/**
 * Checks the result of a dial: a socket whose `connect` and `close` are still to come.
 * @throws PortError `ERR_INVALID_RETURN_VALUE`.
 */
export function checkDialled(made: unknown, readyEvent: string): Socket {
  const socket = made as Socket;
  const isSocket = hasSocketMethods(socket);
  if (isSocket && !hasEmittedClose(socket) && endOf(socket) === undefined) {
    const isOpen = socket.pending === false && !socket.destroyed;
    // TLS may begin on an existing connection.
    if (!isOpen || readyEvent !== "connect") return socket;
  }
  const what = isSocket ? "one that is open or closed, or was dialled before" : show(made);
  throw invalid(
    "ERR_INVALID_RETURN_VALUE",
    `dial must make a socket that begins to connect, got ${what}`,
  );
}

/** `closed` is true a little too early: the event may be still to come. */
function hasEmittedClose(
  socket: Socket & { _writableState?: { closeEmitted?: boolean } },
): boolean {
  return socket._writableState?.closeEmitted === true;
}

/**
 * The cause of the failure of a socket that never connected, from its error, which may be any
 * value.
 */
export function causeOf(error: unknown): FailureCause {
  const code = codeOf(error);
  const { syscall } = Object(error);
  if (code === "EMFILE" || code === "ENFILE") return "files";
  if (code === "EADDRINUSE" || (code === "EACCES" && syscall === "bind")) return "port";
  if (code !== "EADDRNOTAVAIL") return "other";
  return syscall === "bind" ? "source" : "tuple";
}

function codeOf(error: unknown): unknown {
  return Object(error).code;
}

function closedEarly(): NodeJS.ErrnoException {
  return Object.assign(new Error("the socket was closed before it had connected"), {
    code: "ECONNABORTED",
    syscall: "connect",
  });
}
