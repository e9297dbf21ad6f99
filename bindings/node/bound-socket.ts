// BoundSocket: `net.BoundSocket` where Node has it (24.21, 26.4, and later), which binds before there is a socket
// to connect, so that a port in other hands is noticed at once.
//
// It is used from the second attempt of a connection on, for a bind that succeeds costs more this way
// (some microseconds for an object and two calls), and one that fails costs a third. `tls.connect` takes
// no bound socket: it ignores it, and connects from another port.

import * as net from "node:net";
import type { Dial } from "./attempt.ts";

interface BoundSocket {
  close(): void;
}

type BoundSocketClass = new (at: { host: string; port: number }) => BoundSocket;

// Not in the types of Node 20, nor in Node 20.
const { BoundSocket } = net as { BoundSocket?: BoundSocketClass };

/** Connects as `net.connect` does with these options, but for the signal. For one connection, all attempts of it. */
export function dialNet(options: object): Dial {
  let isFirst = true;
  return (ends) => {
    // Spread: Node copies what it is given into each socket, and what was spread half as long as what was not.
    const passed = { ...options, ...ends, signal: undefined };
    if (isFirst || BoundSocket === undefined) {
      isFirst = false;
      return net.connect(passed as net.NetConnectOpts);
    }
    const handle = new BoundSocket({ host: ends.localAddress, port: ends.localPort });
    try {
      const bound = Object.assign(passed, {
        localAddress: undefined,
        localPort: undefined,
        handle,
      });
      return net.connect(bound as unknown as net.NetConnectOpts);
    } catch (error) {
      handle.close();
      throw error;
    }
  };
}
