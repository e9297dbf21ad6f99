// Attempt: one socket on its way from one local port to one address, and the port's way back.
//
//   dial ──▶ connected ──▶ ready ──▶ closed: the port is given back, at once or to cool down
//     │          │
//     └──────────┴──▶ failed: the port is given back, or quarantined if another program holds it
//
// A port comes back when its socket has closed, never before, and once: then nothing of ours is on
// it. Whether the system keeps the tuple in TIME_WAIT depends on who closed first (RFC 9293 §
// 3.6): not if the other side did, nor if the connection was reset or had never been established.

import type { Socket } from "node:net";
import { isRevoked } from "../../core/brands.ts";
import { invalid, show } from "../../errors.ts";
import type { Trip } from "../metrics/events.ts";
import type { Checkout } from "../sources/checkout.ts";
import { endOf, SocketEnd } from "./socket-end.ts";

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
 * Makes a socket that begins to connect between these ends: `net.connect`, `tls.connect` or what
 * wraps them.
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
  /** No more files. */
  | "files"
  /** Anything else: the port is not to blame. */
  | "other";

/** What is called at the end of a connection that had been ready. */
export interface Closer {
  onClosed(attempt: Attempt): void;
}

/** What is called as an attempt goes on. */
export interface Observer extends Closer {
  /** One number for all that happens to a connection. */
  readonly id: number;
  /** The connection is established; for TLS it is not secure yet. */
  onConnected(attempt: Attempt): void;
  /** It may be used. */
  onReady(attempt: Attempt): void;
  /** It has failed, and its port has been given back or quarantined. */
  onFailed(attempt: Attempt, error: unknown, cause: FailureCause): void;
}

/** Errors after which the system keeps no TIME_WAIT on our side. */
const BROKEN: readonly unknown[] = [
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ECONNABORTED",
  "ENETRESET",
];

export class Attempt extends SocketEnd implements Trip {
  readonly id: number;
  /** Milliseconds that it was waited for; known when it is ready. */
  waitedMs = 0;
  readonly checkout: Checkout;
  readonly socket: Socket;
  /** None once it is ready and left to another closer. */
  #observer: Observer | undefined;
  #closer: Closer;
  /** Is the socket ready when it is connected, without TLS? */
  readonly #isPlain: boolean;
  #failure: { readonly error: unknown } | undefined = undefined;
  #isConnected = false;
  #isReady = false;
  /**
   * Its port has come back: whatever the socket does from now on, its owner has begun anew with
   * it.
   */
  #isOver = false;

  /** @param readyEvent what the socket emits when it may be used: `connect` or `secureConnect`. */
  constructor(checkout: Checkout, socket: Socket, readyEvent: string, observer: Observer) {
    super(socket);
    this.checkout = checkout;
    this.socket = socket;
    this.id = observer.id;
    this.#observer = observer;
    this.#closer = observer;
    this.#isPlain = readyEvent === "connect";
    // Shared functions: a socket gets no closures of its own.
    socket.on("connect", onConnect).on("error", onError);
    if (!this.#isPlain) socket.on(readyEvent, onReady);
    checkout.pair.leased?.watch(checkout.port, socket);
  }

  connected(): void {
    if (this.#isOver) return;
    this.#isConnected = true;
    this.#observer?.onConnected(this);
    if (this.#isPlain) this.ready();
  }

  ready(): void {
    if (this.#isReady || this.#isOver || this.socket.destroyed) return;
    this.#isReady = true;
    // From here on errors are the caller's.
    this.socket.removeListener("error", onError);
    this.#observer?.onReady(this);
  }

  /** The observer need not be kept for as long as the connection lasts. */
  leaveTo(closer: Closer): void {
    this.#observer = undefined;
    this.#closer = closer;
  }

  failed(error: unknown): void {
    this.#failure ??= { error };
  }

  override onSocketClosed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.checkout.pair.leased?.unwatch(this.checkout.port, this.socket);
    if (this.#isReady) {
      this.#giveBack(this.socket.errored);
      this.#closer.onClosed(this);
      return;
    }
    const error = this.#failure === undefined ? closedEarly() : this.#failure.error;
    const cause = this.#isConnected ? "other" : causeOf(error);
    if (cause === "other") this.#giveBack(error);
    else giveBackUnopened(this.checkout, cause);
    this.#observer?.onFailed(this, error, cause);
  }

  #giveBack(error: unknown): void {
    const isBroken = isReset(this.socket) || BROKEN.includes(codeOf(error));
    // The end of a TLS session is not that of its connection.
    const isPeers = this.#isPlain && this.peerEndedFirst;
    if (this.#isConnected && !isPeers && !isBroken) this.checkout.coolDown();
    else this.checkout.free();
  }
}

/** What a connector knows of a socket that it has opened: see {@link connectionInfo}. */
export interface ConnectionInfo {
  /** The number that all events of the connection have: one for each in a process. */
  readonly id: number;
  /** Where it goes, `127.0.0.1:80`. */
  readonly destination: string;
  /** The local address. */
  readonly source: string;
  /** The local port. */
  readonly port: number;
  /** Milliseconds that the connection waited for a port or a file; 0 if it did not. */
  readonly waitedMs: number;
}

/**
 * What a connector knows of a socket that it has opened, also after that has closed.
 * @returns `undefined` for any other socket.
 */
export function connectionInfo(socket: Socket): ConnectionInfo | undefined {
  const attempt = isRevoked(socket) ? undefined : endOf(Object(socket));
  if (!(attempt instanceof Attempt)) return undefined;
  const { id, waitedMs, checkout } = attempt;
  const { source, destination } = checkout.pair;
  return {
    ...{ id, waitedMs, port: checkout.port },
    ...{ source: source.address, destination: destination.name },
  };
}

/** Gives back the port of an attempt that never connected. */
export function giveBackUnopened(checkout: Checkout, cause: FailureCause): void {
  if (cause === "port" || cause === "tuple") checkout.quarantine(cause === "port");
  else if (cause === "files") checkout.freeUnopened();
  else checkout.free();
}

// `this` is the socket in all of these.

function onConnect(this: Socket): void {
  (endOf(this) as Attempt).connected();
}

function onReady(this: Socket): void {
  (endOf(this) as Attempt).ready();
}

function onError(this: Socket, error: unknown): void {
  (endOf(this) as Attempt).failed(error);
}

/**
 * Has `resetAndDestroy` been called? Node has no event for it, but leaves this property behind (20
 * to 26). If one day it does not, the port cools down needlessly.
 */
function isReset(socket: Socket): boolean {
  return (socket as { resetAndClosing?: boolean }).resetAndClosing !== undefined;
}

/** All that is asked of a socket, whatever realm or package its class is of. */
function hasSocketMethods(socket: unknown): boolean {
  const { on, removeListener, destroy } = Object(socket);
  const hasEvents = typeof on === "function" && typeof removeListener === "function";
  return hasEvents && typeof destroy === "function";
}

/**
 * What a dial has made: a socket whose `connect` and `close` are still to come.
 * @throws PortError `ERR_INVALID_RETURN_VALUE`.
 */
export function checkDialled(made: unknown, readyEvent: string): Socket {
  const socket = made as Socket;
  const isSocket = hasSocketMethods(socket);
  if (isSocket && !hasEmittedClose(socket) && endOf(socket) === undefined) {
    const isOpen = socket.pending === false && !socket.destroyed;
    // TLS may begin on a connection that is there.
    if (!isOpen || readyEvent !== "connect") return socket;
  }
  const what = isSocket ? "one that is open or closed, or was dialled before" : show(made);
  throw invalid(
    "ERR_INVALID_RETURN_VALUE",
    `dial must make a socket that begins to connect, got ${what}`,
  );
}

/** `closed` says so a little too early: the event may be still to come. */
function hasEmittedClose(
  socket: Socket & { _writableState?: { closeEmitted?: boolean } },
): boolean {
  return socket._writableState?.closeEmitted === true;
}

/** What an error of a socket that never connected, whatever value it is, says of its port. */
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
