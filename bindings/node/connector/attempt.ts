// Attempt: one socket on its way from one local port to one address, and the port's way back.
//
//   dial ──▶ connected ──▶ ready ──▶ closed: the port is given back, at once or to rest
//     │          │
//     └──────────┴──▶ failed: the port is given back, or quarantined if it is held by another program
//
// A port comes back when its socket has closed, never before, and once: then nothing of ours is on it.
// Whether the system keeps the tuple in TIME_WAIT depends on who closed first (RFC 9293 § 3.6): not if the other
// side did, nor if the connection was reset or had never been established.

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { invalid, show } from "../../errors.ts";
import type { Checkout } from "../sources/pair-table.ts";

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

/** Makes a socket that begins to connect between these ends: `net.connect`, `tls.connect` or what wraps them. */
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

/** Who is told of the end of a connection that had been ready. */
export interface Closer {
  onClosed(attempt: Attempt): void;
}

/** Who is told how an attempt goes. */
export interface Observer extends Closer {
  /** The connection is established; for TLS it is not secure yet. */
  onConnected(attempt: Attempt): void;
  /** It may be used. */
  onReady(attempt: Attempt): void;
  /** It has failed, and its port has been given back or quarantined. */
  onFailed(attempt: Attempt, error: NodeJS.ErrnoException, cause: FailureCause): void;
}

/** Errors after which the system keeps no TIME_WAIT on our side. */
const BROKEN = ["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "ENETRESET"];

const ATTEMPT = Symbol("portwarden.attempt");
type Watched = Socket & { [ATTEMPT]: Attempt };

export class Attempt {
  readonly checkout: Checkout;
  readonly socket: Socket;
  /** None once it is ready and left to somebody else. */
  #observer: Observer | undefined;
  #closer: Closer;
  /** Is the socket ready when it is connected, without TLS? */
  readonly #isPlain: boolean;
  #failure: NodeJS.ErrnoException | undefined;
  #isConnected = false;
  #isReady = false;
  #peerEndedFirst = false;
  /** Its port has come back: whatever the socket does from now on, its owner has begun anew with it. */
  #isOver = false;

  /** @param readyEvent what the socket emits when it may be used: `connect` or `secureConnect`. */
  constructor(checkout: Checkout, socket: Socket, readyEvent: string, observer: Observer) {
    this.checkout = checkout;
    this.socket = socket;
    this.#observer = observer;
    this.#closer = observer;
    this.#isPlain = readyEvent === "connect";
    const watched = socket as Watched;
    watched[ATTEMPT] = this;
    // Shared functions: a socket gets no closures of its own.
    watched.on("connect", onConnect).on("error", onError).on("close", onClose);
    if (!this.#isPlain) watched.on(readyEvent, onReady);
    // In front of Node's own listener, which ends our side as well.
    watched.prependListener("end", onEnd);
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

  /** Who observed it has nothing to do with it any more, and need not be kept for as long as the connection lasts. */
  leaveTo(closer: Closer): void {
    this.#observer = undefined;
    this.#closer = closer;
  }

  peerEnded(): void {
    // The end of a TLS session is not that of its connection.
    this.#peerEndedFirst = this.#isPlain && !this.socket.writableEnded;
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#failure ??= error;
  }

  closed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isReady) {
      this.#giveBack(this.socket.errored as NodeJS.ErrnoException | null);
      this.#closer.onClosed(this);
      return;
    }
    const error = this.#failure ?? closedEarly();
    const cause = this.#isConnected ? "other" : causeOf(error);
    if (cause === "port" || cause === "tuple") this.checkout.quarantine(cause === "port");
    else if (cause === "files") this.checkout.freeUnopened();
    else this.#giveBack(error);
    this.#observer?.onFailed(this, error, cause);
  }

  #giveBack(error: NodeJS.ErrnoException | null | undefined): void {
    const isBroken = isReset(this.socket) || (error != null && BROKEN.includes(error.code ?? ""));
    if (this.#isConnected && !this.#peerEndedFirst && !isBroken) this.checkout.coolDown();
    else this.checkout.free();
  }
}

// `this` is the socket in all of these.

function onConnect(this: Socket): void {
  (this as Watched)[ATTEMPT].connected();
}

function onReady(this: Socket): void {
  (this as Watched)[ATTEMPT].ready();
}

function onEnd(this: Socket): void {
  (this as Watched)[ATTEMPT].peerEnded();
}

function onError(this: Socket, error: Error): void {
  (this as Watched)[ATTEMPT].failed(error);
}

function onClose(this: Socket): void {
  (this as Watched)[ATTEMPT].closed();
}

/**
 * Has `resetAndDestroy` been called? Node has no event for it, but leaves this property behind (20 to 26). If one day
 * it does not, the port cools down needlessly. To watch the method itself would make each socket
 * one of its own kind, and
 * slow.
 */
function isReset(socket: Socket): boolean {
  return (socket as { resetAndClosing?: boolean }).resetAndClosing !== undefined;
}

/**
 * What a dial has made: a socket whose `connect` and `close` are still to come.
 * @throws PortError `ERR_INVALID_RETURN_VALUE`.
 */
export function checkDialled(made: unknown, readyEvent: string): Socket {
  const socket = made as Socket;
  const isSocket = made instanceof EventEmitter && typeof socket.destroy === "function";
  if (isSocket && !hasEmittedClose(socket) && !(ATTEMPT in socket)) {
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

/** What an error of a socket that never connected says of its port. */
export function causeOf({ code, syscall }: NodeJS.ErrnoException): FailureCause {
  if (code === "EMFILE" || code === "ENFILE") return "files";
  if (code === "EADDRINUSE" || (code === "EACCES" && syscall === "bind")) return "port";
  if (code !== "EADDRNOTAVAIL") return "other";
  return syscall === "bind" ? "source" : "tuple";
}

function closedEarly(): NodeJS.ErrnoException {
  return Object.assign(new Error("the socket was closed before it had connected"), {
    code: "ECONNABORTED",
    syscall: "connect",
  });
}
