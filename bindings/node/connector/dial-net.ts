// Dial net: connections without TLS, as `net.connect` makes them, but cheaper.
//
// Node copies the options of a socket, and once a process has made sockets of several kinds the
// copy takes more time than all that is done here. A socket is made without the ends of its
// connection, so they go to `socket.connect` alone; mostly no options are left then, and there is
// no copy.
//
// Once Node has made a socket for a connection, further attempts use `net.BoundSocket` where Node
// has it (24.21, 26.4, and later). It binds before there is a socket to connect, so that a port
// held by another program is noticed at once; that takes a third of the time then. A bind that
// succeeds takes longer this way (some microseconds for an object and two calls). `tls.connect`
// takes no bound socket: it ignores it, and connects from another port.
//
// The first attempt does not, because Node may refuse options after it has taken over the bound
// socket, which then cannot be closed.

import { channel } from "node:diagnostics_channel";
import * as net from "node:net";
import type { Dial, Endpoints } from "./attempt.ts";

interface BoundSocket {
  close(): void;
}

type BoundSocketClass = new (at: { host: string; port: number }) => BoundSocket;

/** Options that a socket can be given without a copy of them. */
interface SetLater {
  noDelay?: boolean;
  keepAlive?: boolean;
  timeout?: number;
}

// Not in the types of Node 20, nor in Node 20.
const { BoundSocket } = net as { BoundSocket?: BoundSocketClass };

/** Up to Node 24 only `net.connect` publishes new sockets on this channel. */
const newSockets = channel("net.client.socket");

/** Options that say where and how to connect, and options that are set later. */
const NOT_COPIED: ReadonlySet<string> = new Set([
  ...["host", "port", "family", "hints", "lookup", "localAddress", "localPort", "path"],
  ...["tls", "key", "connectTimeout", "signal"],
  ...["noDelay", "keepAlive", "timeout"],
]);

/** Options that are not passed to `net.connect`. */
const LEFT_OUT = { path: undefined, signal: undefined };

/**
 * Connects as `net.connect` does with these options, but for the signal. For one connection, all
 * attempts of it.
 */
export function dialNet(options: object): Dial {
  let hasMadeOne = false;
  return (ends) => {
    if (hasMadeOne && BoundSocket !== undefined) return connectBound(BoundSocket, options, ends);
    const socket = newSockets.hasSubscribers
      ? net.connect({ ...options, ...ends, ...LEFT_OUT })
      : connect(options, ends);
    hasMadeOne = true;
    return socket;
  };
}

function connect(options: SetLater, ends: Endpoints): net.Socket {
  const copied = optionsToCopy(options);
  const socket = new net.Socket(copied);
  const { noDelay, keepAlive, timeout } = options;
  if (noDelay) socket.setNoDelay();
  if (keepAlive && copied === undefined) socket.setKeepAlive(true);
  if (timeout) socket.setTimeout(timeout);
  return socket.connect(ends);
}

/**
 * The options that a socket has to be made with, if there are any; then also `keepAlive`, which has
 * options of its own.
 */
function optionsToCopy(options: SetLater): net.SocketConstructorOpts | undefined {
  let copied: Record<string, unknown> | undefined;
  for (const name of Object.keys(options)) {
    if (NOT_COPIED.has(name)) continue;
    copied ??= { keepAlive: options.keepAlive };
    copied[name] = options[name as keyof SetLater];
  }
  return copied;
}

function connectBound(
  Bound: BoundSocketClass,
  options: SetLater,
  { host, port, family, localAddress, localPort }: Endpoints,
): net.Socket {
  const { noDelay, keepAlive, timeout } = options;
  const copied = { ...optionsToCopy(options), noDelay, keepAlive };
  const handle = new Bound({ host: localAddress, port: localPort });
  let socket: net.Socket;
  try {
    socket = new net.Socket({ ...copied, handle } as net.SocketConstructorOpts);
  } catch (error) {
    handle.close();
    throw error;
  }
  if (timeout) socket.setTimeout(timeout);
  return socket.connect({ host, port, family });
}
