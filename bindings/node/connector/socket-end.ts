// SocketEnd: notices that a socket has closed, and which side ended first, by means that its user
// cannot remove.
//
// Listeners can be removed (`removeAllListeners`), and a library that does so is not rare. So the
// methods that Node calls at a socket's end are replaced, for this one socket, by functions that
// all sockets share:
//
//   _final      this side has written all and ends: had the other side ended before?
//   _destroy    the end: its handle, if it has one, is about to be closed or reset, and says when that is done
//
// Mostly they replace the methods of net.Socket, which a TLS socket has as well; then an open
// socket need not store them. A socket with other methods stores those.
//
//   socket ── END ──────▶ the listener of its end
//          ── OTHERS ───▶ _final and _destroy      (unless they were those of net.Socket)
//          ── _final, _destroy: the replacements
//
// Of an object that is no stream, and only behaves as a socket, the event `close` is used.

import { Socket } from "node:net";

/** The listener of a socket's end. */
export interface SocketEnd {
  /** Our side ends now; called once more for each time that it does so. */
  onOurEnd(socket: Socket): void;
  /** All that the socket was made of is closed, before `close` is emitted. */
  onSocketClosed(socket: Socket): void;
}

type Done = (error?: Error | null) => void;
type Method = (this: Socket, ...args: never[]) => void;
type HandleClose = (this: Handle, closed?: () => void) => unknown;

interface Methods {
  _final?: Method;
  _destroy?: Method;
}

interface Handle {
  close?: HandleClose;
  reset?: HandleClose;
}

const END = Symbol("portwarden.end");
const OTHERS = Symbol("portwarden.others");

type Watched = Socket &
  Methods & { [END]?: SocketEnd; [OTHERS]?: Methods; _handle?: Handle | null };

/**
 * The methods as they are now. A socket that has others, also by a later change of its class,
 * stores those.
 */
const { _final, _destroy } = Socket.prototype as Required<Methods>;
const OF_NODE: Required<Methods> = { _final, _destroy };

/** Watches the end of one socket. */
export function watchEnd(socket: Socket, end: SocketEnd): void {
  const watched = socket as Watched;
  const { _destroy, _final } = watched as Methods;
  watched[END] = end;
  // A socket that has been destroyed already is about to emit `close`.
  if (typeof _destroy !== "function" || watched.destroyed) {
    watched.on("close", onClose);
    return;
  }
  if (_destroy !== OF_NODE._destroy || _final !== OF_NODE._final) {
    watched[OTHERS] = { _destroy, ...(_final !== undefined && { _final }) };
  }
  watched._destroy = destroy;
  if (typeof _final === "function") watched._final = final;
}

/** The listener of that socket's end, also after the end. */
export function endOf(socket: object): SocketEnd | undefined {
  return (socket as Partial<Watched>)[END];
}

/** The original methods, which the replacements call. */
function methodsOf(socket: Watched): Required<Methods> {
  return (socket[OTHERS] ?? OF_NODE) as Required<Methods>;
}

// `this` is the socket in these.

function onClose(this: Watched): void {
  this[END]?.onSocketClosed(this);
}

function final(this: Watched, done: Done): void {
  // Before it is connected, Node puts this off, and calls it again.
  if (!this.connecting) this[END]?.onOurEnd(this);
  methodsOf(this)._final.call(this, done as never);
}

function destroy(this: Watched, error: Error | null, done: Done): void {
  const end = this[END] as SocketEnd;
  const methods = methodsOf(this);
  end.onOurEnd(this);
  if (this._handle) {
    tellWhenClosed(this._handle, this, end);
    methods._destroy.call(this, error as never, done as never);
    return;
  }
  const destroyed: Done = (failure) => {
    done(failure);
    // After `error` has been emitted, which `done` has put off.
    process.nextTick(() => end.onSocketClosed(this));
  };
  methods._destroy.call(this, error as never, destroyed as never);
}

/** A handle is closed, or reset, once. Its replaced method reports when that is done. */
function tellWhenClosed(handle: Handle, socket: Socket, end: SocketEnd): void {
  const { close, reset } = handle;
  if (typeof close === "function") handle.close = telling(close, socket, end);
  if (typeof reset === "function") handle.reset = telling(reset, socket, end);
}

/** A replacement of that method of a handle, which reports when it is done. */
function telling(method: HandleClose, socket: Socket, end: SocketEnd): HandleClose {
  return function (this: Handle, closed) {
    return method.call(this, () => {
      end.onSocketClosed(socket);
      closed?.call(this);
    });
  };
}
