// SocketEnd: notices that a socket has closed, and which side ended first, by what its user cannot
// remove.
//
// Listeners can be removed (`removeAllListeners`), and a library that does so is not rare. So it
// is the methods that Node calls at a socket's end which are replaced, for this one socket, by
// functions that all sockets share:
//
//   _final      our side has written all and ends: had the other side ended before?
//   _destroy    the end: its handle, if it has one, is about to be closed or reset, and says when that is done
//
// A thing that is no stream, and only behaves as a socket, has `close` listened to.

import type { Socket } from "node:net";

type Done = (error?: Error | null) => void;
type Method = (this: Socket, ...args: never[]) => void;
type HandleClose = (closed?: () => void) => unknown;

interface Handle {
  [END]?: SocketEnd;
  close?: HandleClose;
  reset?: HandleClose;
}

const END = Symbol("portwarden.end");

type Watched = Socket & {
  [END]?: SocketEnd | undefined;
  _handle?: Handle | null;
  _final: Method;
  _destroy: Method;
};

/** Watches the end of one socket. */
export abstract class SocketEnd {
  /** The socket's own methods, and those of its handle, which ours call. */
  readonly final: Method;
  readonly destroy: Method;
  closeHandle: HandleClose | undefined = undefined;
  resetHandle: HandleClose | undefined = undefined;
  /** Had the other side ended when ours did? `undefined` until then. */
  #peerEndedFirst: boolean | undefined = undefined;

  constructor(socket: Socket) {
    const watched = socket as Watched;
    this.final = watched._final;
    this.destroy = watched._destroy;
    watched[END] = this;
    // One that has been destroyed already is about to say that it has closed.
    if (typeof this.destroy !== "function" || watched.destroyed) {
      watched.on("close", onClose);
      return;
    }
    watched._destroy = destroy;
    if (typeof this.final === "function") watched._final = final;
  }

  /** All that the socket was made of is closed, before `close` is emitted. */
  abstract onSocketClosed(): void;

  /**
   * Did the other side end the connection first, so that TIME_WAIT is its own (RFC 9293 § 3.6)?
   */
  get peerEndedFirst(): boolean {
    return this.#peerEndedFirst === true;
  }

  /** Our side ends now. */
  onEnd(socket: Socket): void {
    this.#peerEndedFirst ??= socket.readableEnded;
  }
}

/** What watches the end of that socket, also after it has come. */
export function endOf(socket: object): SocketEnd | undefined {
  return (socket as Partial<Watched>)[END];
}

// `this` is the socket in these.

function onClose(this: Watched): void {
  this[END]?.onSocketClosed();
}

function final(this: Watched, done: Done): void {
  const end = this[END] as SocketEnd;
  // Before it is connected, Node puts this off, and calls it again.
  if (!this.connecting) end.onEnd(this);
  end.final.call(this, done as never);
}

function destroy(this: Watched, error: Error | null, done: Done): void {
  const end = this[END] as SocketEnd;
  end.onEnd(this);
  const { _handle: handle } = this;
  if (handle) {
    tellWhenClosed(handle, end);
    end.destroy.call(this, error as never, done as never);
    return;
  }
  const destroyed: Done = (failure) => {
    done(failure);
    // After `error` has been emitted, which `done` has put off.
    process.nextTick(() => end.onSocketClosed());
  };
  end.destroy.call(this, error as never, destroyed as never);
}

/** A handle is closed, or reset, once: here is where it says that it has been. */
function tellWhenClosed(handle: Handle, end: SocketEnd): void {
  handle[END] = end;
  end.closeHandle = handle.close;
  end.resetHandle = handle.reset;
  if (typeof end.closeHandle === "function") handle.close = closeHandle;
  if (typeof end.resetHandle === "function") handle.reset = resetHandle;
}

// `this` is the handle in these.

function closeHandle(this: Handle, closed?: () => void): unknown {
  const end = this[END] as SocketEnd;
  return end.closeHandle?.call(this, () => onHandleClosed(this, end, closed));
}

function resetHandle(this: Handle, closed?: () => void): unknown {
  const end = this[END] as SocketEnd;
  return end.resetHandle?.call(this, () => onHandleClosed(this, end, closed));
}

function onHandleClosed(handle: Handle, end: SocketEnd, closed?: () => void): void {
  end.onSocketClosed();
  closed?.call(handle);
}
