// dgram: UDP sockets that are bound to a source and a port that portwarden picks.
//
// A UDP socket has no destination, so its port is its own: one source carries as many sockets as
// the range has ports.

import type { Socket as DatagramSocket, SocketOptions } from "node:dgram";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { wrongValue } from "../../errors.ts";
import { checkObject } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import type { Endpoints } from "../connector/attempt.ts";
import type { Connector } from "../connector/connector.ts";
import { refuseIgnored } from "./options.ts";

/** Options of {@link bindDatagram}: those of `dgram.createSocket`, and portwarden's. */
export interface BindDatagramOptions extends SocketOptions {
  /** One of the connector's sources, which must then be the one. */
  localAddress?: string | undefined;
  /** With `spread: "sticky"`: the socket is bound to the source that belongs to this key. */
  stickyKey?: string | undefined;
  /** As `socket.bind`: with `false`, workers of a cluster share the socket. True by default. */
  exclusive?: boolean | undefined;
}

/**
 * A UDP socket, bound to one of the connector's sources and a port that portwarden has picked. If
 * another program has the port, it is quarantined and the next one tried. The port comes back when
 * the socket has closed, without a cooldown.
 *
 * The call waits for a port if the connector does. `signal` ends that, and closes the socket later.
 * @returns a promise of the socket, bound.
 * @throws as a rejected promise: ConnectorError if there is no port or no file; the signal's reason; PortError
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_INVALID_IP_ADDRESS`, `EBADF` (the connector
 * has been closed).
 * @example
 * const socket = await bindDatagram(connector, { type: "udp4" });
 * socket.send("hello", 9000, "127.0.0.1");
 */
export async function bindDatagram(
  connector: Connector,
  options: BindDatagramOptions,
): Promise<DatagramSocket> {
  checkObject("options", options);
  const { localAddress, stickyKey, exclusive = true, signal, ...ofNode } = options;
  refuseIgnored(ofNode, ["port", "address", "fd"]);
  if (ofNode.type !== "udp4" && ofNode.type !== "udp6")
    throw wrongValue("type", '"udp4" or "udp6"', ofNode.type);
  const family = ofNode.type === "udp4" ? 4 : 6;
  return new Promise((resolve, reject) => {
    connector.dialDatagram(
      { family, localAddress, key: stickyKey, signal },
      (ends) =>
        new Binding(builtin("dgram").createSocket(ofNode), ends, exclusive) as unknown as Socket,
      (error, bound) => {
        if (bound !== null) resolve((bound as unknown as Binding).socket);
        else reject(error);
      },
    );
  });
}

/**
 * The part of a `net.Socket` that an attempt needs, for a socket of `node:dgram`: it connects when
 * that is bound.
 */
class Binding extends EventEmitter {
  readonly socket: DatagramSocket;
  destroyed = false;
  readonly errored: Error | null = null;
  readonly writableEnded: boolean = false;

  constructor(socket: DatagramSocket, { localAddress, localPort }: Endpoints, exclusive: boolean) {
    super();
    this.socket = socket;
    const fail = (error: Error): void => {
      this.emit("error", error);
      this.destroy();
    };
    // Errors that come later are the caller's.
    socket.once("error", fail);
    socket.once("listening", () => {
      socket.off("error", fail);
      this.emit("connect");
    });
    // Not by its event: its owner may remove all listeners.
    const { close } = socket;
    socket.close = (closed) => {
      close.call(socket, closed);
      if (isClosed(socket)) process.nextTick(() => this.#onClosed());
      return socket;
    };
    socket.bind({ address: localAddress, port: localPort, exclusive });
  }

  #onClosed(): void {
    this.destroyed = true;
    this.emit("close");
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    try {
      this.socket.close();
    } catch {
      // Its owner has closed it just now, and `close` is to come.
    }
    return this;
  }
}

/** Has the socket been closed? A socket that is still being bound closes later. */
function isClosed(socket: DatagramSocket): boolean {
  try {
    socket.address();
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_SOCKET_DGRAM_NOT_RUNNING";
  }
}
