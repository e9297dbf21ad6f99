// Trying: one attempt to bind a server or a UDP socket to a port, after which others may follow.

import type { Socket as DatagramSocket } from "node:dgram";
import type { Server } from "node:net";

/** A listener: a server of net, tls, http, https or http2, or a socket of dgram. */
export type Listener = Server | DatagramSocket;

/** Where it is to listen. */
interface ListenAt {
  readonly port: number;
  /** All addresses without one. */
  readonly address?: string | undefined;
  /** As in `server.listen` and `socket.bind`. */
  readonly exclusive: boolean;
}

/** Is it a socket of dgram? */
export function isDatagram(listener: Listener): listener is DatagramSocket {
  return !("listen" in listener);
}

/**
 * Makes a server or socket listen. If the port is taken, it emits no error to its owner.
 * @returns whether it listens; else the port is taken, and another may be tried.
 * @throws (rejects) any other error of the system.
 */
export function tryListen(
  listener: Listener,
  { port, address, exclusive }: ListenAt,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const isOwn = Object.hasOwn(listener, "emit");
    const emit = listener.emit as (event: string, ...args: unknown[]) => boolean;
    const settle = (end: () => void): void => {
      if (isOwn) listener.emit = emit;
      else Reflect.deleteProperty(listener, "emit");
      listener.off("listening", listening);
      end();
    };
    const listening = (): void => settle(() => resolve(true));
    const fail = (error: NodeJS.ErrnoException): void =>
      settle(() => (error.code === "EADDRINUSE" ? resolve(false) : reject(error)));
    listener.emit = (event: string, ...args: unknown[]): boolean => {
      if (event !== "error") return emit.call(listener, event, ...args);
      fail(args[0] as Error);
      return true;
    };
    listener.once("listening", listening);
    try {
      if (isDatagram(listener)) listener.bind({ port, exclusive, ...(address && { address }) });
      else listener.listen({ port, exclusive, ...(address && { host: address }) });
    } catch (error) {
      fail(error as Error);
    }
  });
}
